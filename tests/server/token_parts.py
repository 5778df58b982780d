"""A server with the routes about issued tokens alone, over a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from relata.authorizer import Relata
from relata.server import problems
from relata.server.routes import events, status
from relata.store import IssuedToken
from relata.tokens import SigningKeys
from relata.tokens.status_list import StatusLists
from tests.server.live import serving

ISSUER = "https://tokens.example"


class Parts:
    """What the server works with, for tests to reach behind it."""

    def __init__(self, authorizer: Relata, **settings: Any) -> None:
        self.store = authorizer.store
        self.signing = SigningKeys(authorizer.store)
        self.lists = StatusLists(self.store, self.signing, issuer_url=ISSUER)
        self.app = FastAPI()
        self.app.state.authorizer = authorizer
        self.app.state.signing_keys = self.signing
        self.app.state.status_lists = self.lists
        self.app.state.events = events.Events(
            authorizer, self.signing, **{"issuer_url": ISSUER, "poll_seconds": 0.01, **settings}
        )
        for router in (status.router, status.keys_router, events.router):
            self.app.include_router(router)
        problems.install(self.app)

    def issue(self, jti: str, **changes: Any) -> IssuedToken:
        """Record a token."""
        now = int(time.time())
        fields = {
            "jti": jti,
            "subject": "user:anne",
            "client": "app-1",
            "organization": "acme",
            "audience": "wiki",
            "issued_at": now,
            "expires_at": now + 300,
            "revision": 1,
            **changes,
        }
        return self.store.issued.add(IssuedToken(**fields))

    def token(self, issued: IssuedToken, **claims: Any) -> str:
        """The token of a record."""
        return self.signing.sign(
            {
                "iss": ISSUER,
                "aud": issued.audience,
                "sub": issued.subject.partition(":")[2],
                "jti": issued.jti,
                "exp": issued.expires_at,
                **claims,
            }
        )

    def revoke(self, **which: str) -> None:
        """Revoke tokens, now."""
        self.store.issued.revoke(**which, reason="test", now=int(time.time()))


@contextmanager
def served(parts: Parts) -> Iterator[str]:
    """Serve the parts; gives the address."""
    with serving(parts.app) as address:
        yield address
