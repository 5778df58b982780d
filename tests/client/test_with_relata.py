"""The verifier against Relata's own keys and lists: what is marked there is refused here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from relata.authorizer import Relata
from relata.client import Verifier
from relata.errors import OAuthError
from relata.server.routes import status
from relata.store import IssuedToken, TokenState
from relata.tokens import SigningKeys
from relata.tokens.status_list import StatusLists
from tests.server.live import serving
from tests.server.world import SCHEMA

TTL = 1


class Server:
    """Relata's keys and lists at an address that is known only when it is served."""

    def __init__(self, relata: Relata) -> None:
        self.store = relata.store
        self.keys = SigningKeys(relata.store)
        self.url = ""
        self.lists: StatusLists | None = None
        self.app = FastAPI()
        self.app.include_router(status.router)
        self.app.get("/.well-known/jwks.json")(self.keys.jwks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def listen(self, url: str) -> None:
        self.url = url
        self.lists = StatusLists(self.store, self.keys, issuer_url=url, ttl=TTL)
        self.app.state.status_lists = self.lists

    def issue(self, algorithm: str | None = None) -> tuple[IssuedToken, str]:
        now = int(time.time())
        issued = self.store.issued.add(
            IssuedToken(
                jti=f"t-{time.monotonic_ns()}",
                subject="user:anne",
                client="app-1",
                organization="acme",
                audience="reports",
                issued_at=now,
                expires_at=now + 300,
                revision=1,
            )
        )
        assert self.lists is not None, "it is served"
        claims = {
            "iss": self.url,
            "sub": "anne",
            "aud": "reports",
            "iat": now,
            "exp": now + 300,
            "jti": issued.jti,
            "client_id": "app-1",
            "org_id": "acme",
            "permissions": ["read:reports"],
            "status": self.lists.status_claim(issued.id),
        }
        return issued, self.keys.sign(claims, algorithm=algorithm)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path: Path = tmp_path_factory.mktemp("client") / "relata.db"
    with Relata.open(f"sqlite:///{path}", schema=SCHEMA) as relata:
        server = Server(relata)
        with serving(server) as address:
            server.listen(address)
            yield server


def error_within(verifier: Verifier, token: str, seconds: float) -> str | None:
    """Why a token is refused, once it is; None where it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            verifier.verify(token)
        except OAuthError as error:
            return error.error
    return None


@pytest.mark.parametrize("state", [TokenState.REVOKED, TokenState.CHANGED])
def test_a_mark_counts_within_seconds(server: Server, state: TokenState) -> None:
    """As soon as the list that the verifier has is no longer fresh; for that token alone."""
    verifier = Verifier(server.url, "reports")
    marked, token = server.issue()
    _, other = server.issue()
    assert verifier.verify(token).permissions == ("read:reports",)
    server.store.issued.mark([marked.id], state, reason="test", now=int(time.time()))
    assert error_within(verifier, token, TTL + 2) == "invalid_token"
    assert verifier.verify(other).subject == "anne"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_each_algorithm_is_verified(server: Server, algorithm: str) -> None:
    """Also where no other is allowed: the status list may be by any of the issuer's keys."""
    verifier = Verifier(server.url, "reports", algorithms=(algorithm,))
    _, token = server.issue(algorithm)
    assert verifier.verify(token).subject == "anne"


def test_a_rotation_is_not_noticed(server: Server) -> None:
    """Old tokens verify on, new ones at once."""
    verifier = Verifier(server.url, "reports")
    _, old = server.issue()
    verifier.verify(old)
    server.keys.rotate(at_once=True)
    _, new = server.issue()
    assert (verifier.verify(new).subject, verifier.verify(old).subject) == ("anne", "anne")
