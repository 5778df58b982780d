"""The short way for checks answers as the declared route does, and answers good checks itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from relata.authorizer import Relata
from relata.consistency import MINIMIZE_LATENCY, encode_zed_token
from relata.requests import Limits
from relata.server import Settings, create_app
from relata.server.app import create_api
from relata.server.fast_check import FastCheck
from tests.server.live import serving
from tests.server.world import CHECK, MAX_BODY_BYTES, SCHEMA

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def declared(authorizer: Relata, settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server that has only the declared route."""
    with (
        serving(create_api(authorizer, None, settings)) as address,
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
BATCH = {"checks": [CHECK, {**CHECK, "subject": "user:bob"}, {**CHECK, "permission": "viewer"}]}
GOOD_BATCHES: list[dict[str, Any]] = [
    {"json": BATCH},
    {"json": {"checks": [CHECK]}},
    {"json": {**BATCH, "consistency": "minimize_latency"}},
    {"json": {**BATCH, "contextual_relationships": []}},
    {"content": json.dumps(BATCH, indent=4), "headers": JSON},
]
HANDED_ON: list[dict[str, Any]] = [
    {"json": {**CHECK, "consistency": "fully_consistent"}},
    {"json": CHECK, "headers": {"Content-Type": "application/json; charset=utf-8"}},
    {"json": CHECK, "headers": {"Content-Type": "APPLICATION/JSON"}},
]
HANDED_ON_BATCHES: list[dict[str, Any]] = [
    {"json": {"checks": []}},
    {"json": {"checks": [CHECK] * 201}},
    {"json": {**BATCH, "consistency": "fully_consistent"}},
    {"json": {**BATCH, "context": {}}},
    {"json": {**BATCH, "contextual_relationships": ["group:eng#member@user:bob"]}},
    {"json": {"checks": [CHECK, {**CHECK, "context": {"weekday": 1}}]}},
    {"json": {"checks": [CHECK, {**CHECK, "context": None}]}},
    {"json": {"checks": [CHECK, {**CHECK, "permission": "fly"}]}},
    {"json": {"checks": [{**CHECK, "resource": "readme"}, CHECK]}},
]
EITHER_WAY = [
    ("/check/batch", {"json": {"checks": [CHECK, {**CHECK, "subject": "user:unseen"}]}}),
    ("/check/batch", {"json": {"checks": [CHECK, {**CHECK, "subject": "user:bob"}] * 100}}),
]
"""Batches of unknown objects, and such as may take long on a slow machine."""
BAD_BATCHES: list[dict[str, Any]] = [
    {"json": CHECK},
    {"json": {"checks": [CHECK] * 1_001}},
    {"json": {"checks": {}}},
    {"json": {"checks": [CHECK, {"resource": "document:readme"}]}},
    {"json": {"checks": [[CHECK]]}},
    {"json": {**BATCH, "extra": 1}},
    {"json": {"checks": [{**CHECK, "extra": 1}]}},
    {"json": {**BATCH, "consistency": {"at_least_as_fresh": "x"}}},
    {"json": BATCH, "params": {"x": "1"}},
    {"content": b"{}" + b" " * MAX_BODY_BYTES, "headers": JSON},
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


CHECKS = [("/check", request) for request in (*GOOD, *HANDED_ON, *BAD)]
BATCHES = [
    ("/check/batch", request) for request in (*GOOD_BATCHES, *HANDED_ON_BATCHES, *BAD_BATCHES)
]


@pytest.mark.parametrize("scope", ["check", "admin", "read", None])
@pytest.mark.parametrize(("path", "request_"), [*CHECKS, *BATCHES, *EITHER_WAY], ids=name)
def test_both_ways_answer_alike(
    anybody: httpx.Client,
    declared: httpx.Client,
    keys: dict[str, str],
    path: str,
    request_: dict[str, Any],
    scope: str | None,
) -> None:
    """In status, headers and body, for good and bad requests and keys."""
    headers = dict(request_.get("headers", {}))
    if scope is not None:
        headers["Authorization"] = f"Bearer {keys[scope]}"
    require_alike(anybody, declared, path, **{**request_, "headers": headers})


def require_alike(
    anybody: httpx.Client, declared: httpx.Client, path: str, **request: Any
) -> httpx.Response:
    """Ask both ways, and compare what comes; the answer."""
    short, long = (client.post(path, **request) for client in (anybody, declared))
    assert short.status_code == long.status_code
    assert short.content == long.content
    assert _headers(short) == _headers(long)
    return short


@pytest.mark.parametrize("path", ["/check", "/check/batch"])
@pytest.mark.parametrize(
    "authorization",
    [
        "bearer {}",
        "BEARER {}",
        "Bearer   {}",
        "Basic {}",
        "Bearer{}",
        "Bearer",
        "{}",
        "Bearer {}x",
    ],
)
def test_both_ways_read_a_key_alike(
    anybody: httpx.Client,
    declared: httpx.Client,
    keys: dict[str, str],
    path: str,
    authorization: str,
) -> None:
    body = CHECK if path == "/check" else BATCH
    headers = {"Authorization": authorization.format(keys["check"])}
    require_alike(anybody, declared, path, json=body, headers=headers)


@pytest.mark.parametrize("name", ["Authorization", "Content-Type"])
def test_both_ways_take_a_header_once(
    anybody: httpx.Client, declared: httpx.Client, keys: dict[str, str], name: str
) -> None:
    """A second one is never left out of account, whatever is in it."""
    good = {"Authorization": f"Bearer {keys['check']}", **JSON}
    for value in ("", good[name]):
        for headers in ([(name, value), *good.items()], [*good.items(), (name, value)]):
            require_alike(anybody, declared, "/check", content=json.dumps(CHECK), headers=headers)


TEXTS = st.sampled_from(
    [
        "document:readme",
        "document:public",
        "folder:sub",
        "group:eng#member",
        "user:anne",
        "user:bob",
        "user:größe",
        "user:*",
        "document:",
        "view",
        "edit",
        "viewer",
        "member",
        "fly",
        "",
        "a b",
        "\0",
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is usual, and now and then anything."""
    return st.integers(0, 19).flatmap(lambda number: usual if number else ANYTHING)


PARTS = {
    "resource": mostly(st.sampled_from(["document:readme", "document:public", "folder:sub"])),
    "permission": mostly(st.sampled_from(["view", "viewer"])),
    "subject": mostly(
        st.sampled_from(["user:anne", "user:bob", "user:whoever", "group:eng#member"])
    ),
}
SHARED = {
    "context": mostly(st.just({})),
    "contextual_relationships": mostly(
        st.lists(st.sampled_from(["group:eng#member@user:bob", "document:plan#viewer@user:bob"]))
    ),
    "consistency": mostly(st.sampled_from(["minimize_latency", "fully_consistent"])),
}
ITEMS = st.fixed_dictionaries(PARTS)
BODIES = {
    "/check": mostly(
        st.fixed_dictionaries(PARTS, optional={**SHARED, "explain": st.booleans(), "x": ANYTHING})
    ),
    "/check/batch": mostly(
        st.fixed_dictionaries({"checks": mostly(st.lists(ITEMS, max_size=5))}, optional=SHARED)
    ),
}
QUESTIONS = st.sampled_from(list(BODIES)).flatmap(
    lambda path: st.tuples(st.just(path), BODIES[path], st.booleans())
)


@hypothesis_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(question=QUESTIONS)
@example(question=("/check", {**CHECK, "context": {"a": {"b": []}}}, False))
def test_both_ways_answer_any_body_alike(
    anybody: httpx.Client,
    declared: httpx.Client,
    keys: dict[str, str],
    question: tuple[str, object, bool],
) -> None:
    """Bodies that are good, or nearly, or not at all, in either spelling of JSON."""
    path, body, escaped = question
    headers = {**JSON, "Authorization": f"Bearer {keys['check']}"}
    content = json.dumps(body, ensure_ascii=escaped)
    answer = require_alike(anybody, declared, path, content=content, headers=headers)
    assert answer.status_code < 500


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


def ask(app: ASGIApp, path: str = "/check", **request: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://relata") as client:
            return await client.post(path, **request)

    return asyncio.run(asked())


def test_good_checks_go_the_short_way(authorizer: Relata, keys: dict[str, str]) -> None:
    """Otherwise the comparison above would compare the declared route with itself."""
    app = FastCheck(refuse, authorizer, MAX_BODY_BYTES)
    headers = {"Authorization": f"Bearer {keys['check']}"}
    for path, requests in (("/check", GOOD), ("/check/batch", GOOD_BATCHES)):
        for request in requests:
            body = request.get("json")
            if body is not None:
                assert ask(app, path, json=body, headers=headers).status_code == 200, body


def test_what_takes_long_is_handed_on(authorizer: Relata, keys: dict[str, str]) -> None:
    """A batch of many checks would hold up everybody else's."""
    recorder = Recorder()
    app = FastCheck(recorder, authorizer, MAX_BODY_BYTES)
    headers = {"Authorization": f"Bearer {keys['check']}"}
    for request in HANDED_ON_BATCHES:
        assert ask(app, "/check/batch", headers=headers, **request).status_code == 299, request


def test_a_key_that_is_revoked_opens_nothing_from_then_on(authorizer: Relata) -> None:
    """However often it was let in before; here at once, and where another process revoked it."""
    url = str(authorizer.store.engine.url)
    with Relata.open(url, follow_seconds=None) as other:
        here, there = (FastCheck(Recorder(), it, MAX_BODY_BYTES) for it in (authorizer, other))
        key, text = authorizer.keys.create("short-lived", ["check"])
        request: dict[str, Any] = {"json": CHECK, "headers": {"Authorization": f"Bearer {text}"}}
        assert ask(there, **request).status_code == 299, "not seen yet"
        other.refresh()
        for _ in range(3):
            assert ask(here, **request).status_code == ask(there, **request).status_code == 200
        authorizer.keys.revoke(key.id)
        assert ask(here, **request).status_code == 299
        other.refresh()
        assert ask(there, **request).status_code == 299


def test_no_secret_and_no_more_than_one_entry_a_key_is_remembered(
    authorizer: Relata, keys: dict[str, str]
) -> None:
    """Whatever is sent: spellings of a good key, bad keys, keys that open something else."""
    app = FastCheck(Recorder(), authorizer, MAX_BODY_BYTES)
    for text in (keys["check"], keys["read"], keys["check"] + "x"):
        for spelling in ("Bearer {}", "bearer {}", "Bearer  {}", "BEARER   {}", "{}"):
            for _ in range(2):
                ask(app, json=CHECK, headers={"Authorization": spelling.format(text)})
    assert app._openers == {hashlib.blake2b(f"Bearer {keys['check']}".encode()).digest()}


def test_a_revision_that_is_reached_needs_no_waiting(
    authorizer: Relata, keys: dict[str, str]
) -> None:
    """The answer to a write's own token comes the short way; a revision ahead does not."""
    headers = {"Authorization": f"Bearer {keys['check']}"}
    reached = authorizer.read_schema().zed_token
    ahead = encode_zed_token(authorizer.store.datastore_id, authorizer.revision + 1)
    app = FastCheck(Recorder(), authorizer, MAX_BODY_BYTES)
    for token, status in ((reached, 200), (ahead, 299), ("nonsense", 299)):
        for path, body in (("/check", CHECK), ("/check/batch", BATCH)):
            question = {**body, "consistency": {"at_least_as_fresh": token}}
            assert ask(app, path, json=question, headers=headers).status_code == status


def test_what_is_handed_on_is_handed_on_whole(authorizer: Relata, keys: dict[str, str]) -> None:
    """The declared route reads the body that the short way has read already."""
    headers = {**JSON, "Authorization": f"Bearer {keys['check']}"}
    for content in (b"", b"{", b'{"resource": 1}', b"x" * (MAX_BODY_BYTES * 2)):
        recorder = Recorder()
        app = FastCheck(recorder, authorizer, MAX_BODY_BYTES)
        assert ask(app, content=content, headers=headers).status_code == 299
        assert recorder.bodies == [content]


def test_a_long_question_holds_up_no_check(authorizer: Relata, keys: dict[str, str]) -> None:
    """While one goes on that no other may come in between, checks are answered the short way."""
    app = FastCheck(refuse, authorizer, MAX_BODY_BYTES)
    held, done = threading.Event(), threading.Event()

    def hold(*_: object) -> bool:
        held.set()
        return done.wait(30)

    headers = {"Authorization": f"Bearer {keys['check']}"}
    with ThreadPoolExecutor() as threads:
        holding = threads.submit(authorizer._replica.ask, hold, MINIMIZE_LATENCY)
        try:
            assert held.wait(30)
            for path, body in (("/check", CHECK), ("/check/batch", BATCH)):
                assert ask(app, path, json=body, headers=headers).status_code == 200
        finally:
            done.set()
        assert holding.result()[0] is True


@pytest.mark.parametrize(("path", "body"), [("/check", CHECK), ("/check/batch", BATCH)])
def test_while_a_change_is_taken_in_the_long_way_is_taken(
    authorizer: Relata, keys: dict[str, str], path: str, body: dict[str, Any]
) -> None:
    """The event loop must not wait for it, nor answer from a graph between two revisions; what
    was answered before it is still true of the revision that the answer names."""
    app = FastCheck(Recorder(), authorizer, MAX_BODY_BYTES)
    request: dict[str, Any] = {
        "json": body,
        "headers": {"Authorization": f"Bearer {keys['check']}"},
    }
    memory = authorizer._replica.current.memory
    with memory.writing(authorizer.revision):
        pass  # which ends what is remembered
    with memory.writing(authorizer.revision):
        assert ask(app, path, **request).status_code == 299
    assert ask(app, path, **request).status_code == 200
    with memory.writing(authorizer.revision):
        assert ask(app, path, **request).status_code == 200


def test_a_check_that_follows_much_is_answered_by_the_declared_route() -> None:
    """The event loop must not stand still behind a long evaluation either."""
    top = 11_000
    chain = [f"folder:f{n}#parent@folder:f{n + 1}" for n in range(top)]
    with Relata.open("sqlite://", schema=SCHEMA, limits=Limits(updates=top + 1)) as relata:
        relata.write([*chain, f"folder:f{top}#viewer@user:fay"])
        headers = {"Authorization": f"Bearer {relata.keys.create('a key', ['check'])[1]}"}
        recorder = Recorder()
        short = FastCheck(recorder, relata, MAX_BODY_BYTES)
        whole = create_app(relata, None, Settings())
        for start, handed_on in (("folder:f10000", 0), ("folder:f0", 1)):
            body = {"resource": start, "permission": "view", "subject": "user:fay"}
            ask(short, json=body, headers=headers)
            assert len(recorder.bodies) == handed_on
            assert ask(whole, json=body, headers=headers).json()["allowed"] is True


@pytest.mark.parametrize("origin", [None, "https://office.example", "https://evil.example"])
@pytest.mark.parametrize("path", ["/check", "/check/batch"])
def test_both_ways_tell_pages_of_other_origins_alike(
    authorizer: Relata, keys: dict[str, str], path: str, origin: str | None
) -> None:
    """A page may read an answer whichever way it came."""
    settings = Settings(allowed_origins=("https://office.example",))
    headers = {"Authorization": f"Bearer {keys['check']}"}
    if origin is not None:
        headers["Origin"] = origin
    body = CHECK if path == "/check" else BATCH
    short, long = (
        ask(app, path, json=body, headers=headers)
        for app in (
            create_app(authorizer, None, settings),
            create_api(authorizer, None, settings),
        )
    )
    assert short.json() == long.json()
    assert _headers(short) == _headers(long)
    assert short.headers["vary"] == "Origin"
