"""Status lists and signing keys over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from relata.authorizer import Relata
from relata.server.routes.status import accepts
from tests.server.problems import problem_of
from tests.server.token_parts import ISSUER, Parts, served
from tests.server.world import SCHEMA

LIST_TYPE = "application/statuslist+jwt"


@pytest.fixture(scope="module")
def relata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relata]:
    path: Path = tmp_path_factory.mktemp("status") / "relata.db"
    with Relata.open(f"sqlite:///{path}", schema=SCHEMA) as relata:
        yield relata


@pytest.fixture(scope="module")
def parts(relata: Relata) -> Parts:
    return Parts(relata)


@pytest.fixture(scope="module")
def client(parts: Parts) -> Iterator[httpx.Client]:
    with served(parts) as address, httpx.Client(base_url=address, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def admin(relata: Relata) -> dict[str, str]:
    return {"Authorization": f"Bearer {relata.keys.create('an admin', ['admin'])[1]}"}


@pytest.fixture(scope="module")
def path(parts: Parts) -> str:
    """Where the list of the first token is."""
    claim = parts.lists.status_claim(parts.issue("listed").id)["status_list"]
    assert isinstance(claim, dict)
    return str(claim["uri"]).removeprefix(ISSUER)


def test_a_list_is_for_everybody_and_for_caches(client: httpx.Client, path: str) -> None:
    """Draft 21, 8.1 and 8.2, and its `ttl` as `max-age`."""
    answer = client.get(path, headers={"Accept": LIST_TYPE})
    assert (answer.status_code, answer.headers["content-type"]) == (200, LIST_TYPE)
    assert answer.headers["cache-control"] == "public, max-age=2"
    claims = jwt.decode(answer.text, options={"verify_signature": False})
    assert claims["sub"] == f"{ISSUER}{path}"


def test_another_format_is_not_acceptable(client: httpx.Client, path: str) -> None:
    """Lists as CWT are not made."""
    answer = client.get(path, headers={"Accept": "application/statuslist+cwt"})
    assert (answer.status_code, problem_of(answer)["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ([], True),
        ([""], True),
        (["*/*"], True),
        (["application/*"], True),
        (["text/html, application/*;q=0.5"], True),
        (["text/html", LIST_TYPE], True),
        ([f"{LIST_TYPE};q=0, */*"], False),
        (["application/statuslist+cwt"], False),
        (["text/*"], False),
        (["*/*;q=0"], False),
        (["*/*;q=high"], False),
    ],
)
def test_what_is_accepted(accept: list[str], taken: bool) -> None:
    """RFC 9110, 12.5.1: the narrowest range decides."""
    assert accepts(accept, LIST_TYPE) is taken


@pytest.mark.parametrize("name", ["0", "AAAAAAAAAAAAAAAAAAAAAA", "%C3%BC"])
def test_there_is_no_such_list(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/oauth/status/{name}")
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found")


def test_keys_are_listed_and_rotated(
    client: httpx.Client, admin: dict[str, str], parts: Parts
) -> None:
    parts.signing.sign({})
    before = client.get("/signing-keys", headers=admin).json()["keys"]
    made = client.post("/signing-keys/rotate", headers=admin, json={"algorithm": "ES256"})
    assert (made.status_code, made.json()["state"]) == (201, "waiting")
    after = client.get("/signing-keys", headers=admin).json()["keys"]
    assert [key["kid"] for key in after] == [key["kid"] for key in before] + [made.json()["kid"]]
    assert "PRIVATE" not in str(after)
    at_once = client.post("/signing-keys/rotate", headers=admin, json={"now": True}).json()
    header = jwt.get_unverified_header(parts.signing.sign({}))
    assert (at_once["kid"], at_once["state"]) == (header["kid"], "signing")
    alone = client.post("/signing-keys/rotate", headers=admin, json={"forget": True}).json()
    listed = client.get("/signing-keys", headers=admin).json()["keys"]
    assert [key["kid"] for key in listed] == [alone["kid"]]


@pytest.mark.parametrize("body", [{"algorithm": "HS256"}, {"algorithm": "none"}, {"soon": True}])
def test_a_rotation_that_makes_no_sense(
    client: httpx.Client, admin: dict[str, str], body: dict[str, object]
) -> None:
    answer = client.post("/signing-keys/rotate", headers=admin, json=body)
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("scopes", [[], ["read", "write", "check", "schema"]])
def test_only_admins_see_or_rotate_keys(
    client: httpx.Client, relata: Relata, scopes: list[str]
) -> None:
    key = relata.keys.create("not an admin", scopes)[1] if scopes else ""
    headers = {"Authorization": f"Bearer {key}"} if scopes else {}
    for answer in (
        client.get("/signing-keys", headers=headers),
        client.post("/signing-keys/rotate", headers=headers, json={}),
    ):
        assert answer.status_code == (403 if scopes else 401)


def test_a_server_that_issues_no_tokens_says_so(relata: Relata, admin: dict[str, str]) -> None:
    parts = Parts(relata)
    for name in ("signing_keys", "status_lists", "events"):
        delattr(parts.app.state, name)
    with served(parts) as address, httpx.Client(base_url=address, trust_env=False) as client:
        for path in ("/signing-keys", "/oauth/status/x", "/oauth/events"):
            answer = client.get(path, headers=admin)
            assert (answer.status_code, problem_of(answer)["code"]) == (
                404,
                "tokens_not_configured",
            )
