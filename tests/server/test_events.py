"""The stream of token events, followed over a real connection."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import Request

from relata.authorizer import Relata
from relata.errors import OAuthError
from relata.server.routes.events import EventFilter
from relata.store import TokenState
from tests.server.problems import problem_of
from tests.server.token_parts import ISSUER, Parts, served
from tests.server.world import SCHEMA
from tests.tokens.proofs import make_proof, new_key

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
PATH = "/oauth/events"


class Event(NamedTuple):
    """One block of the stream; a block without data tells only how far it is."""

    id: int
    name: str
    data: Any


class Stream:
    """A stream as a browser reads it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def next(self) -> Event:
        """The next block."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                break
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        else:
            raise EOFError
        data = json.loads(fields["data"]) if "data" in fields else None
        return Event(int(fields.get("id", -1)), fields.get("event", ""), data)

    def event(self) -> Event:
        """The next block that has data."""
        while (block := self.next()).data is None:
            pass
        return block

    def rest(self) -> list[Event]:
        """The blocks with data until the stream ends."""
        found = []
        try:
            while True:
                found.append(self.event())
        except EOFError:
            return found


def client_events(request: Request) -> EventFilter:
    """What the token service does for clients: one client with one password."""
    expected = "Basic " + base64.b64encode(b"api:secret").decode()
    if request.headers["authorization"] != expected:
        raise OAuthError("invalid_client", "client authentication failed")
    return lambda event: event.audience == "wiki"


@pytest.fixture(scope="module")
def relata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relata]:
    path: Path = tmp_path_factory.mktemp("events") / "relata.db"
    with Relata.open(f"sqlite:///{path}", schema=SCHEMA) as relata:
        yield relata


@pytest.fixture(scope="module")
def parts(relata: Relata) -> Parts:
    return Parts(relata, clients=client_events, heartbeat_seconds=0.05)


@pytest.fixture(scope="module")
def client(parts: Parts) -> Iterator[httpx.Client]:
    with served(parts) as address, httpx.Client(base_url=address, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def reader(relata: Relata) -> dict[str, str]:
    return bearer(relata.keys.create("a reader", ["read"])[1])


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


@contextmanager
def following(client: httpx.Client, headers: dict[str, str], **params: int) -> Iterator[Stream]:
    """A stream that has begun: what happens from now on is in it."""
    with client.stream("GET", PATH, headers=headers, params=params) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = Stream(response)
        yield stream


def jtis(events: list[Event]) -> list[str]:
    return [event.data["sub_id"]["session"]["jti"] for event in events]


def test_an_event_is_a_caep_event(
    client: httpx.Client, parts: Parts, reader: dict[str, str]
) -> None:
    """RFC 8417, 2.2, and CAEP 1.0, 3.1: who is meant, what happened, when and why."""
    parts.issue("told")
    with following(client, reader) as stream:
        begun = stream.next()
        parts.revoke(jti="told")
        event = stream.event()
    assert (event.name, event.id > begun.id) == ("session-revoked", True)
    assert abs(event.data["iat"] - time.time()) < 10
    assert event.data == {
        "iss": ISSUER,
        "jti": str(event.id),
        "iat": event.data["iat"],
        "sub_id": {
            "format": "complex",
            "session": {"format": "jwt_id", "iss": ISSUER, "jti": "told"},
            "application": {"format": "opaque", "id": "app-1"},
            "tenant": {"format": "opaque", "id": "acme"},
            "user": {"format": "opaque", "id": "user:anne"},
        },
        "events": {
            f"{CAEP}session-revoked": {
                "event_timestamp": event.data["iat"],
                "audience": "wiki",
                "reason_admin": {"en": "test"},
            }
        },
    }


def test_changed_claims_are_told(
    client: httpx.Client, parts: Parts, reader: dict[str, str]
) -> None:
    """CAEP 1.0, 3.2."""
    token = parts.issue("changed")
    with following(client, reader) as stream:
        stream.next()
        parts.store.issued.mark(
            [token.id], TokenState.CHANGED, reason="a role", now=int(time.time())
        )
        event = stream.event()
    assert event.name == "token-claims-change"
    assert list(event.data["events"]) == [f"{CAEP}token-claims-change"]


def test_who_comes_back_misses_nothing(
    client: httpx.Client, parts: Parts, reader: dict[str, str]
) -> None:
    """WHATWG HTML, 9.2.4: the number of the last event is where the stream goes on."""
    with following(client, reader) as stream:
        begun = stream.next()
    for number in range(5):
        parts.issue(f"missed-{number}")
        parts.revoke(jti=f"missed-{number}")
    again = {**reader, "Last-Event-ID": str(begun.id)}
    with following(client, again, seconds=0) as stream:
        found = stream.rest()
    assert jtis(found) == [f"missed-{number}" for number in range(5)]
    later = {**reader, "Last-Event-ID": str(found[2].id)}
    with following(client, later, seconds=0) as stream:
        assert jtis(stream.rest()) == ["missed-3", "missed-4"]


def test_a_number_of_another_database_is_now(client: httpx.Client, reader: dict[str, str]) -> None:
    with following(client, {**reader, "Last-Event-ID": "999999999"}, seconds=0) as stream:
        assert stream.next().id < 999999999
        assert stream.rest() == []


@pytest.mark.parametrize("last", ["-1", "x"])
def test_a_number_that_is_none(client: httpx.Client, reader: dict[str, str], last: str) -> None:
    answer = client.get(PATH, headers={**reader, "Last-Event-ID": last})
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "invalid_argument")


def test_a_silent_stream_says_that_it_is_there(
    client: httpx.Client, reader: dict[str, str]
) -> None:
    with following(client, reader) as stream:
        blocks = [stream.next() for _ in range(3)]
    assert [block.data for block in blocks] == [None, None, None]


def test_an_app_sees_its_own_user_and_session(client: httpx.Client, parts: Parts) -> None:
    """Not other users', other apps' or other sessions'; and not whom the graph knows them as."""
    mine = parts.issue("mine", session="s-1")
    others = {
        "other-user": {"subject": "user:bob", "session": "s-1"},
        "other-app": {"client": "app-2", "session": "s-1"},
        "other-session": {"session": "s-2"},
        "mine-too": {"session": "s-1"},
    }
    for jti, changes in others.items():
        parts.issue(jti, **changes)
    with following(client, bearer(parts.token(mine))) as stream:
        stream.next()
        for jti in others:
            parts.revoke(jti=jti)
        event = stream.event()
    assert jtis([event]) == ["mine-too"]
    assert "user" not in event.data["sub_id"]
    assert "anne" not in json.dumps(event.data)
    assert "reason_admin" not in json.dumps(event.data)


def test_the_stream_of_a_token_ends_when_it_is_revoked(client: httpx.Client, parts: Parts) -> None:
    """Its last event says so."""
    token = parts.issue("ending")
    with following(client, bearer(parts.token(token))) as stream:
        stream.next()
        parts.revoke(jti="ending")
        assert jtis(stream.rest()) == ["ending"]
    answer = client.get(PATH, headers=bearer(parts.token(token)))
    assert answer.status_code == 401


def test_the_stream_of_a_token_ends_when_it_expires(client: httpx.Client, parts: Parts) -> None:
    token = parts.issue("short", expires_at=int(time.time()) + 2)
    with following(client, bearer(parts.token(token))) as stream:
        assert stream.rest() == []


def test_the_stream_of_a_key_ends_when_it_is_revoked(client: httpx.Client, relata: Relata) -> None:
    stored, secret = relata.keys.create("short-lived", ["read"])
    with following(client, bearer(secret)) as stream:
        stream.next()
        relata.keys.revoke(stored.id)
        assert stream.rest() == []


def test_a_stream_ends_after_the_time_asked_for(
    client: httpx.Client, reader: dict[str, str]
) -> None:
    with following(client, reader, seconds=1) as stream:
        assert stream.rest() == []


def test_no_stream_outlasts_the_server_s_limit(relata: Relata, reader: dict[str, str]) -> None:
    parts = Parts(relata, max_seconds=0)
    with (
        served(parts) as address,
        httpx.Client(base_url=address, trust_env=False) as client,
        following(client, reader, seconds=60) as stream,
    ):
        assert stream.rest() == []


def test_a_key_of_an_organization_sees_that_one(
    client: httpx.Client, parts: Parts, relata: Relata
) -> None:
    _, secret = relata.keys.create("of acme", ["read"], organization="acme")
    parts.issue("elsewhere", organization="globex")
    parts.issue("at-acme")
    with following(client, bearer(secret)) as stream:
        stream.next()
        parts.revoke(jti="elsewhere")
        parts.revoke(jti="at-acme")
        assert jtis([stream.event()]) == ["at-acme"]


def test_a_client_sees_what_it_is_given(client: httpx.Client, parts: Parts) -> None:
    parts.issue("of-shop", audience="shop")
    parts.issue("of-wiki")
    headers = {"Authorization": "Basic " + base64.b64encode(b"api:secret").decode()}
    with following(client, headers) as stream:
        stream.next()
        parts.revoke(jti="of-shop")
        parts.revoke(jti="of-wiki")
        event = stream.event()
    assert jtis([event]) == ["of-wiki"]
    assert "user" not in event.data["sub_id"]


def test_a_client_with_a_wrong_secret(client: httpx.Client) -> None:
    answer = client.get(PATH, auth=("api", "guess"))
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Negotiate x", "Bearer not.a.token", "Bearer relata_a_b"],
)
def test_nobody_else_follows(client: httpx.Client, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.get(PATH, headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_without_the_scope(client: httpx.Client, relata: Relata) -> None:
    _, secret = relata.keys.create("a checker", ["check"])
    answer = client.get(PATH, headers=bearer(secret))
    assert (answer.status_code, problem_of(answer)["code"]) == (403, "insufficient_scope")


def test_tokens_that_are_not_the_server_s_own(client: httpx.Client, parts: Parts) -> None:
    """Expired, of no record, of another issuer."""
    known = parts.issue("known")
    expired = parts.issue("expired", expires_at=int(time.time()) - 1)
    unknown = parts.token(known, jti="unknown")
    foreign = parts.token(known, iss="https://elsewhere.example")
    for token in (parts.token(expired), unknown, foreign):
        assert client.get(PATH, headers=bearer(token)).status_code == 401


def test_a_bound_token_needs_its_proof(client: httpx.Client, parts: Parts) -> None:
    """RFC 9449, 7.1 and 7.2: by the key, for this address, once; and never as a bearer token."""
    key = new_key()
    issued = parts.issue("bound")
    token = parts.token(issued, cnf={"jkt": key.thumbprint()})
    proof = make_proof(key, "GET", f"{ISSUER}{PATH}", token=token)
    good = {"Authorization": f"DPoP {token}", "DPoP": proof}
    with following(client, good, seconds=0) as stream:
        assert stream.rest() == []
    stolen = make_proof(new_key(), "GET", f"{ISSUER}{PATH}", token=token)
    for headers, error in (
        (good, "invalid_dpop_proof"),
        ({**good, "DPoP": stolen}, "invalid_dpop_proof"),
        ({"Authorization": f"DPoP {token}"}, "invalid_dpop_proof"),
        ({"Authorization": f"DPoP {parts.token(issued)}", "DPoP": proof}, "invalid_token"),
    ):
        answer = client.get(PATH, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith(f'DPoP error="{error}", algs="ES256 ')
    assert client.get(PATH, headers=bearer(token)).status_code == 401


def test_there_are_so_many_followers_and_no_more(relata: Relata, reader: dict[str, str]) -> None:
    """And one more when one has left."""
    parts = Parts(relata, max_readers=2, heartbeat_seconds=0.05)
    with served(parts) as address, httpx.Client(base_url=address, trust_env=False) as client:
        with following(client, reader) as one, following(client, reader) as two:
            one.next()
            two.next()
            answer = client.get(PATH, headers=reader)
            assert (answer.status_code, problem_of(answer)["code"]) == (
                503,
                "temporarily_unavailable",
            )
            assert answer.headers["retry-after"] == "1"
        deadline = time.monotonic() + 10
        while client.get(PATH, headers=reader, params={"seconds": 0}).status_code != 200:
            assert time.monotonic() < deadline, "the places are not free again"


def test_a_reader_that_does_not_keep_up_is_let_go(
    relata: Relata, parts: Parts, reader: dict[str, str]
) -> None:
    """It has had all events up to some number, and none after; from there it comes back."""
    slow = Parts(relata, backlog=4, heartbeat_seconds=0.05, poll_seconds=0.05)
    tokens = [parts.issue(f"many-{number}", client="x" * 60_000).id for number in range(400)]
    with served(slow) as address, httpx.Client(base_url=address, trust_env=False) as client:
        host, port = httpx.URL(address).host, httpx.URL(address).port
        with socket.create_connection((host, port)) as connection:
            request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {reader['Authorization']}"
            connection.sendall(f"{request}\r\n\r\n".encode())
            received = b""
            while b"id: " not in received:
                received += connection.recv(4096)
            parts.store.issued.mark(tokens, TokenState.REVOKED, reason="many", now=int(time.time()))
            connection.settimeout(30)
            while not received.endswith(b"0\r\n\r\n"):
                piece = connection.recv(1 << 20)
                assert piece, "it is cut off, not ended"
                received += piece
        last = int(received.rpartition(b"\nid: ")[2].partition(b"\n")[0])
        count = received.count(b"event: session-revoked")
        again = {**reader, "Last-Event-ID": str(last)}
        with following(client, again, seconds=0) as stream:
            rest = stream.rest()
    assert 0 < count < 400
    assert count + len(rest) == 400
