"""The short way for checks answers as the declared route does, and answers good checks itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from relata.authorizer import Relata
from relata.consistency import MINIMIZE_LATENCY, encode_zed_token
from relata.requests import Limits
from relata.server import Settings, create_app
from relata.server.app import create_api
from relata.server.busy import Busy
from relata.server.fast_check import FastCheck
from tests.server.live import serving
from tests.server.world import CHECK, MAX_BODY_BYTES, SCHEMA

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def declared(authorizer: Relata, settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server that has only the declared route."""
    with (
        serving(create_api(authorizer, None, settings, Busy())) as address,
        httpx.Client(base_url=address) as client,
    ):
        yield client


def nested(levels: int) -> bytes:
    """A check that is so many levels deep."""
    inner = b"[" * (levels - 2) + b"]" * (levels - 2)
    return b'{"context":{"deep":%b},' % inner + json.dumps(CHECK).encode()[1:]


GOOD: list[dict[str, Any]] = [
    {"json": CHECK},
    {"json": {**CHECK, "subject": "user:bob"}},
    {"json": {**CHECK, "subject": "group:eng#member"}},
    {"json": {**CHECK, "subject": "user:größe"}},
    {"json": {**CHECK, "resource": "document:public", "subject": "user:whoever"}},
    {"json": {**CHECK, "permission": "viewer"}},
    {"json": {**CHECK, "consistency": "minimize_latency"}},
    {"json": {**CHECK, "contextual_relationships": []}},
    {
        "json": {
            **CHECK,
            "subject": "user:guest",
            "contextual_relationships": ["group:eng#member@user:guest"],
        }
    },
    {
        "content": b'{"resource":"x","resource":"document:readme","permission":"view",'
        b'"subject":"user:anne"}',
        "headers": JSON,
    },
    {
        "content": [
            b'{"resource":"document:readme","permis',
            b'sion":"view",',
            b'"subject":"user:anne"}',
        ],
        "headers": JSON,
    },
    {"content": nested(64), "headers": JSON},
]
HANDED_ON: list[dict[str, Any]] = [
    {"json": {**CHECK, "consistency": "fully_consistent"}},
    {"json": CHECK, "headers": {"Content-Type": "application/json; charset=utf-8"}},
    {"json": CHECK, "headers": {"Content-Type": "APPLICATION/JSON"}},
]
BAD: list[dict[str, Any]] = [
    {"content": b"", "headers": JSON},
    {"content": b"{", "headers": JSON},
    {"content": b"[]", "headers": JSON},
    {"content": b"\xef\xbb\xbf{}", "headers": JSON},
    {"content": b'{"resource": "\\ud800"}', "headers": JSON},
    {"content": nested(65), "headers": JSON},
    {"content": b"{}" + b" " * MAX_BODY_BYTES, "headers": JSON},
    {"content": b"{}", "headers": {"Content-Type": "text/plain"}},
    {"json": CHECK, "params": {"x": "1"}},
    {"json": {**CHECK, "resource": 1}},
    {"json": {**CHECK, "extra": 1}},
    {"json": {**CHECK, "resource": "readme"}},
    {"json": {**CHECK, "resource": "paper:readme"}},
    {"json": {**CHECK, "permission": "fly"}},
    {"json": {**CHECK, "subject": "user:*"}},
    {"json": {**CHECK, "consistency": "strong"}},
    {"json": {**CHECK, "consistency": {"at_least_as_fresh": "x"}}},
    {"json": {**CHECK, "contextual_relationships": ["document:readme#view@user:anne"]}},
    {"json": {**CHECK, "contextual_relationships": ["group:eng#member@user:anne"] * 101}},
    {"json": {"resource": "document:readme"}},
]


def name(request: dict[str, Any]) -> str:
    return str(request)[:60]


@pytest.mark.parametrize("scope", ["check", "admin", "read", None])
@pytest.mark.parametrize("request_", [*GOOD, *HANDED_ON, *BAD], ids=name)
def test_both_ways_answer_alike(
    anybody: httpx.Client,
    declared: httpx.Client,
    keys: dict[str, str],
    request_: dict[str, Any],
    scope: str | None,
) -> None:
    """In status, headers and body, for good and bad requests and keys."""
    headers = dict(request_.get("headers", {}))
    if scope is not None:
        headers["Authorization"] = f"Bearer {keys[scope]}"
    short, long = (
        client.post("/check", **{**request_, "headers": headers}) for client in (anybody, declared)
    )
    assert short.status_code == long.status_code
    assert short.json() == long.json()
    assert _headers(short) == _headers(long)


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "date"}


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands where the declared route stands, and must not be reached."""
    raise AssertionError("handed on")


class Recorder:
    """Stands where the declared route stands, and keeps the body it is handed."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def ask(app: ASGIApp, **request: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://relata") as client:
            return await client.post("/check", **request)

    return asyncio.run(asked())


def test_good_checks_go_the_short_way(authorizer: Relata, keys: dict[str, str]) -> None:
    """Otherwise the comparison above would compare the declared route with itself."""
    app = FastCheck(refuse, authorizer, Busy(), MAX_BODY_BYTES)
    headers = {"Authorization": f"Bearer {keys['check']}"}
    for request in GOOD:
        body = request.get("json")
        if body is not None:
            assert ask(app, json=body, headers=headers).status_code == 200, body


def test_a_revision_that_is_reached_needs_no_waiting(
    authorizer: Relata, keys: dict[str, str]
) -> None:
    """The answer to a write's own token comes the short way; a revision ahead does not."""
    headers = {"Authorization": f"Bearer {keys['check']}"}
    reached = authorizer.read_schema().zed_token
    ahead = encode_zed_token(authorizer.store.datastore_id, authorizer.revision + 1)
    app = FastCheck(Recorder(), authorizer, Busy(), MAX_BODY_BYTES)
    for token, status in ((reached, 200), (ahead, 299), ("nonsense", 299)):
        body = {**CHECK, "consistency": {"at_least_as_fresh": token}}
        assert ask(app, json=body, headers=headers).status_code == status


def test_what_is_handed_on_is_handed_on_whole(authorizer: Relata, keys: dict[str, str]) -> None:
    """The declared route reads the body that the short way has read already."""
    headers = {**JSON, "Authorization": f"Bearer {keys['check']}"}
    for content in (b"", b"{", b'{"resource": 1}', b"x" * (MAX_BODY_BYTES * 2)):
        recorder = Recorder()
        app = FastCheck(recorder, authorizer, Busy(), MAX_BODY_BYTES)
        assert ask(app, content=content, headers=headers).status_code == 299
        assert recorder.bodies == [content]


def test_checks_take_the_long_way_while_a_thread_is_busy(
    authorizer: Relata, keys: dict[str, str]
) -> None:
    """The event loop must not wait behind a long lookup."""
    busy = Busy()
    app = FastCheck(Recorder(), authorizer, busy, MAX_BODY_BYTES)
    request = {"json": CHECK, "headers": {"Authorization": f"Bearer {keys['check']}"}}
    with busy:
        assert ask(app, **request).status_code == 299
    assert ask(app, **request).status_code == 200


def test_a_check_that_has_to_wait_holds_up_nothing_else(
    authorizer: Relata, keys: dict[str, str], settings: Settings
) -> None:
    """While the graph takes in a large import, its lock is held and every check waits for it."""
    busy = Busy()
    app = FastCheck(create_api(authorizer, None, settings, busy), authorizer, busy, MAX_BODY_BYTES)
    held, done = threading.Event(), threading.Event()

    def hold(*_: object) -> bool:
        held.set()
        return done.wait(30)

    headers = {"Authorization": f"Bearer {keys['check']}"}
    with (
        serving(app) as address,
        httpx.Client(base_url=address, headers=headers) as client,
        ThreadPoolExecutor() as threads,
    ):
        holding = threads.submit(authorizer._replica.ask, hold, MINIMIZE_LATENCY)
        try:
            assert held.wait(30)
            asked = threads.submit(client.post, "/check", json=CHECK, timeout=30)
            while not busy:  # until the declared route has it
                assert not asked.done()
                assert client.get("/healthz").status_code == 200
            assert client.get("/healthz").status_code == 200
            assert not asked.done()
        finally:
            done.set()
        assert asked.result().json()["allowed"] is True
        assert holding.result()[0] is True


def test_a_check_that_follows_much_is_answered_by_the_declared_route() -> None:
    """The event loop must not stand still behind a long evaluation either."""
    top = 11_000
    chain = [f"folder:f{n}#parent@folder:f{n + 1}" for n in range(top)]
    with Relata.open("sqlite://", schema=SCHEMA, limits=Limits(updates=top + 1)) as relata:
        relata.write([*chain, f"folder:f{top}#viewer@user:fay"])
        headers = {"Authorization": f"Bearer {relata.keys.create('a key', ['check'])[1]}"}
        recorder = Recorder()
        short = FastCheck(recorder, relata, Busy(), MAX_BODY_BYTES)
        whole = create_app(relata, None, Settings())
        for start, handed_on in (("folder:f10000", 0), ("folder:f0", 1)):
            body = {"resource": start, "permission": "view", "subject": "user:fay"}
            ask(short, json=body, headers=headers)
            assert len(recorder.bodies) == handed_on
            assert ask(whole, json=body, headers=headers).json()["allowed"] is True
