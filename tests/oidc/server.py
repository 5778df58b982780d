"""A token server at its own address, and one way to ask it: both for the tests with real parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jwt
from starlette.types import ASGIApp, Receive, Scope, Send

from relata.authorizer import Relata
from relata.server import Settings, create_app
from relata.tokens import ID_TOKEN, TOKEN_EXCHANGE, TokenProfile, TokenService, TrustedIssuer
from tests.server.live import serving
from tests.tokens.identity import APP
from tests.tokens.world import RELATIONSHIPS, ROBOT, THE_APP

SCHEMA = Path(__file__).parents[2] / "schema.zed"
ADMIN = "admin"

FACTS = [fact for fact in RELATIONSHIPS if "organization:hooli" not in fact]
"""The small world of `tests/tokens/world.py`, without what the project's own schema cannot say."""
TEMPLATE = (
    "role:acme/reader#organization@organization:acme",
    "role:acme/reader#product@product:wiki",
    "role_template:reader#instance@role:acme/reader",
    "capability:read:pages#granted_to@role_template:reader",
)
"""A role of acme's that is defined once, for whoever shares it."""


class TokenServer(NamedTuple):
    """A running server: ways to ask it, and what it answers from."""

    client: httpx.Client
    """Without a key."""
    admin: httpx.Client
    """With a key that opens everything."""
    relata: Relata
    service: TokenService


class _Late:
    """An application that is made once its address is known."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def token_server(folder: Path, issuers: Sequence[TrustedIssuer]) -> Iterator[TokenServer]:
    """Serve a small world under the project's own schema, to an app and a machine.

    The server's `issuer_url` is the address at which it can be reached, so that whoever knows
    only its metadata finds everything else.
    """
    late = _Late()
    question_only = TokenProfile().question_only
    url = f"sqlite:///{folder / 'relata.db'}"
    with Relata.open(url, schema=SCHEMA, question_only=question_only) as relata:
        relata.write([*FACTS, *TEMPLATE])
        _, key = relata.keys.create("administrator", [ADMIN])
        with (
            serving(late) as address,
            httpx.Client(base_url=address, timeout=30) as client,
            with_key(address, key) as admin,
            closing(TokenService(relata, issuers, issuer_url=address)) as service,
        ):
            late.app = create_app(relata, service, Settings())
            for registered in (THE_APP, ROBOT):
                service.clients.create(registered)
            yield TokenServer(client, admin, relata, service)


def with_key(address: httpx.URL | str, key: str) -> httpx.Client:
    """A client of a server that sends an API key, or a token."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=address, headers=headers, timeout=30)


def exchange(client: httpx.Client, subject_token: str, **changes: str) -> httpx.Response:
    """Ask as the app for a token for the wiki at acme; an empty change leaves a field out."""
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": ID_TOKEN,
        "organization": "acme",
        "audience": "wiki",
        "client_id": APP,
        **changes,
    }
    return client.post("/oauth/token", data={name: form[name] for name in form if form[name]})


def claims_of(answer: httpx.Response) -> dict[str, Any]:
    """What an issued token says; that others can verify it is shown in `tests/interop`."""
    assert answer.status_code == 200, answer.text
    claims: dict[str, Any] = jwt.decode(
        answer.json()["access_token"], options={"verify_signature": False}
    )
    return claims
