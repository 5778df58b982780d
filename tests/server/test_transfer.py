"""`POST /relationships/import` and `GET /relationships/export`, over a real socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from relata.authorizer import Relata
from relata.relationships import RelationshipFilter, parse_relationship
from relata.server import Settings, create_app
from tests.server.live import serving
from tests.server.world import RELATIONSHIPS, SCHEMA, SCOPES

TEXT = {"Content-Type": "text/plain"}
JSON_LINES = {"Content-Type": "application/x-ndjson"}
MANY = [f"document:d{number}#owner@user:u{number % 97}" for number in range(25_000)]
MAX_IMPORT_BYTES = 2_000_000


@pytest.fixture
def relata(tmp_path: Path) -> Iterator[Relata]:
    with Relata.open(f"sqlite:///{tmp_path / 'relata.db'}", schema=SCHEMA) as relata:
        relata.write(RELATIONSHIPS)
        yield relata


@pytest.fixture
def client(relata: Relata) -> Iterator[httpx.Client]:
    settings = Settings(max_body_bytes=1_000, max_import_bytes=MAX_IMPORT_BYTES)
    _, secret = relata.keys.create("all", ["read", "write"])
    with (
        serving(create_app(relata, None, settings)) as address,
        httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {secret}"}, timeout=60
        ) as client,
    ):
        yield client


def text_of(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def stored(relata: Relata) -> set[str]:
    return {str(it) for it in relata.read().relationships}


def wait_for(relata: Relata, text: str) -> None:
    """Wait until a relationship is stored."""
    resource = parse_relationship(text).resource
    while not relata.read(RelationshipFilter(resource.type, resource.id), limit=1).relationships:
        relata.refresh()


def imported(client: httpx.Client, content: Any, headers: dict[str, str] = TEXT) -> Any:
    answer = client.post("/relationships/import", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestImport:
    def test_the_lines_of_the_body_are_stored(self, client: httpx.Client, relata: Relata) -> None:
        """A body larger than those of other routes, whether or not it says how large it is."""
        for content in (text_of(MANY), iter([text_of(MANY[:9_999]), text_of(MANY[9_999:])])):
            answer = imported(client, content)
            assert answer["imported"] == len(MANY)
        assert stored(relata) == {*RELATIONSHIPS, *MANY}

    def test_its_zed_token_is_good(self, client: httpx.Client, relata: Relata) -> None:
        answer = imported(client, b"document:new#owner@user:anne")
        assert answer == {"imported": 1, "imported_at": relata.read().read_at}
        read = client.get(
            "/relationships",
            params={
                "resource_id": "new",
                "consistency": "at_exact_snapshot",
                "zed_token": answer["imported_at"],
            },
        )
        assert read.json()["relationships"] == ["document:new#owner@user:anne"]

    def test_lines_of_json(self, client: httpx.Client, relata: Relata) -> None:
        line = {"resource": "document:new", "relation": "owner", "subject": "user:anne"}
        assert imported(client, json.dumps(line).encode(), JSON_LINES)["imported"] == 1
        assert "document:new#owner@user:anne" in stored(relata)

    def test_it_stores_while_the_body_arrives(self, client: httpx.Client, relata: Relata) -> None:
        """The end is sent when the beginning can be read."""
        here = threading.Event()

        def body() -> Iterator[bytes]:
            yield text_of(MANY[:10_000])
            wait_for(relata, MANY[9_999])
            here.set()
            yield text_of(MANY[10_000:10_100])

        assert imported(client, body())["imported"] == 10_100
        assert here.is_set()

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_wrong_line_is_named_and_the_batches_before_it_are_stored(
        self, client: httpx.Client, relata: Relata, chunked: bool
    ) -> None:
        """The answer arrives though the body has not been read to its end."""
        content = text_of([*MANY[:12_344], "document:a#veiwer@user:b", *MANY[12_344:]])
        answer = client.post(
            "/relationships/import", content=iter([content]) if chunked else content, headers=TEXT
        )
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["line"], problem["imported"]) == (
            "unknown_relation",
            12_345,
            10_000,
        )
        assert problem["detail"].startswith("line 12345: the definition `document` has no relation")
        assert problem["detail"].endswith("; the first 10000 relationships are stored")
        assert stored(relata) == {*RELATIONSHIPS, *MANY[:10_000]}
        assert imported(client, text_of(MANY))["imported"] == len(MANY)

    def test_a_client_that_goes_away_leaves_whole_batches(
        self, client: httpx.Client, relata: Relata
    ) -> None:
        """And the server lets go of what it held for it."""
        content = text_of(MANY)
        head = (
            "POST /relationships/import HTTP/1.1\r\nHost: relata\r\nContent-Type: text/plain\r\n"
            f"Authorization: {client.headers['Authorization']}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line:
            line.sendall(head.encode() + content[: len(text_of(MANY[:12_000]))])
            wait_for(relata, MANY[9_999])
        while relata.store.engine.pool.checkedout():  # type: ignore[attr-defined]  # a QueuePool
            relata.refresh()
        assert stored(relata) == {*RELATIONSHIPS, *MANY[:10_000]}
        assert imported(client, content)["imported"] == len(MANY)

    def test_a_body_that_is_too_large(self, client: httpx.Client, relata: Relata) -> None:
        line = text_of(["document:a#owner@user:b"])
        content = line * (MAX_IMPORT_BYTES // len(line) + 1)
        answer = client.post("/relationships/import", content=content, headers=TEXT)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert stored(relata) == set(RELATIONSHIPS)
        whole = client.post("/relationships", content=content[:1_001], headers=TEXT)
        assert whole.status_code == 413

    @pytest.mark.parametrize(
        ("content", "headers", "status", "code"),
        [
            (b"document:a", TEXT, 400, "invalid_argument"),
            (b"\xff", TEXT, 400, "invalid_argument"),
            (b"document:a#viewer@user:b", JSON_LINES, 400, "invalid_argument"),
            (b"organization:acme#chosen_by@user:anne", TEXT, 400, "question_only_relation"),
            (b"{}", {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
            (b"document:a#viewer@user:b", {}, 415, "unsupported_media_type"),
        ],
    )
    def test_what_is_refused(
        self,
        client: httpx.Client,
        relata: Relata,
        content: bytes,
        headers: dict[str, str],
        status: int,
        code: str,
    ) -> None:
        answer = client.post("/relationships/import", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert stored(relata) == set(RELATIONSHIPS)

    def test_an_empty_body_imports_nothing(self, client: httpx.Client) -> None:
        assert imported(client, b"")["imported"] == 0


class TestExport:
    def export(self, client: httpx.Client, **params: str) -> httpx.Response:
        answer = client.get("/relationships/export", params=params)
        assert answer.status_code == 200, answer.text
        return answer

    def test_all_relationships_a_line_each(self, client: httpx.Client) -> None:
        answer = self.export(client)
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.text.splitlines() == list(RELATIONSHIPS)

    def test_what_is_exported_imports(self, client: httpx.Client, relata: Relata) -> None:
        imported(client, text_of(MANY))
        for layout, headers in (("text", TEXT), ("jsonl", JSON_LINES)):
            content = self.export(client, format=layout).content
            relata.delete(RelationshipFilter(relation="owner"))
            assert imported(client, content, headers)["imported"] == len(stored(relata))
            assert stored(relata) == {*RELATIONSHIPS, *MANY}

    def test_lines_of_json(self, client: httpx.Client) -> None:
        answer = self.export(client, format="jsonl", resource_type="organization")
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert json.loads(answer.text) == {
            "resource": "organization:acme",
            "relation": "member",
            "subject": "user:anne",
        }

    def test_an_export_goes_on_from_a_cursor_at_its_revision(
        self, client: httpx.Client, relata: Relata
    ) -> None:
        imported(client, text_of(MANY))
        lines = self.export(client, relation="owner").text.splitlines()
        places = [at for at, line in enumerate(lines) if line.startswith("// cursor: ")]
        assert places == [10_000, 20_001]
        relata.delete(RelationshipFilter(resource_id="d24999"))
        for at in places:
            cursor = lines[at].removeprefix("// cursor: ")
            rest = self.export(client, relation="owner", cursor=cursor).text.splitlines()
            assert rest == lines[at + 1 :]
        assert client.get("/relationships/export", params={"cursor": cursor}).status_code == 400

    @pytest.mark.parametrize(
        ("params", "code"),
        [
            ({"resource_type": "docment"}, "unknown_definition"),
            ({"cursor": "x"}, "invalid_cursor"),
            ({"format": "xml"}, "invalid_argument"),
            ({"limit": "5"}, "invalid_argument"),
            ({"consistency": "at_exact_snapshot", "zed_token": "x"}, "invalid_zed_token"),
        ],
    )
    def test_what_is_refused(self, client: httpx.Client, params: dict[str, str], code: str) -> None:
        answer = client.get("/relationships/export", params=params)
        assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize("scope", SCOPES)
def test_an_import_needs_the_scope_write_and_an_export_read(
    address: str, keys: dict[str, str], scope: str
) -> None:
    """On the server that the other tests share: what is imported is there already."""
    headers = {"Authorization": f"Bearer {keys[scope]}"}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        content = text_of(list(RELATIONSHIPS))
        posted = client.post("/relationships/import", content=content, headers=TEXT)
        assert posted.status_code == (200 if scope in ("write", "admin") else 403)
        got = client.get("/relationships/export")
        assert got.status_code == (200 if scope in ("read", "admin") else 403)


def test_nobody_imports_or_exports_without_a_key(anybody: httpx.Client) -> None:
    assert anybody.post("/relationships/import", content=b"x", headers=TEXT).status_code == 401
    assert anybody.get("/relationships/export").status_code == 401
