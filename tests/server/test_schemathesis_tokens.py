"""The token and organization routes of a server that issues tokens, asked whatever can be made up.

Requests follow the OpenAPI document and break it; some come from a client that is registered, with
a user's good token, so that they reach what lies behind authentication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from cryptography.hazmat.primitives.asymmetric import rsa
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from starlette.types import ASGIApp

from relata.authorizer import Relata
from relata.server import Settings, create_app
from relata.tokens import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
    Client,
    TokenProfile,
    TokenService,
)
from tests.server.schemathesis_cases import tried
from tests.tokens.identity import APP, LocalIssuer
from tests.tokens.world import RELATIONSHIPS, THE_APP

SCHEMA = Path(__file__).parents[2] / "schema.zed"
FACTS = [fact for fact in RELATIONSHIPS if "organization:hooli" not in fact]
PATHS = (
    "/oauth",
    "/.well-known",
    "/token",
    "/organizations",
    "/clients",
    "/audiences",
    "/signing-keys",
)
Case = schemathesis.Case[Any]
Changed = Callable[[Case], None]


class Asked:
    """A server, and what requests are made of that get through."""

    def __init__(self, app: ASGIApp, key: str, form: dict[str, str], access_token: str) -> None:
        self.app = app
        self.as_admin = {"Authorization": f"Bearer {key}"}
        self.as_user = {"Authorization": f"Bearer {access_token}"}
        self.form = form
        self.access_token = access_token


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A server with limits that are not hit: what is fuzzed lies behind them."""
    issuer = LocalIssuer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    file = tmp_path_factory.mktemp("fuzzed") / "relata.db"
    settings = Settings(
        client_requests_per_minute=0, address_requests_per_minute=0, event_stream_seconds=0
    )
    url, only = f"sqlite:///{file}", TokenProfile().question_only
    with (
        closing(issuer),
        Relata.open(url, schema=SCHEMA, question_only=only) as authorizer,
        closing(
            TokenService(authorizer, [issuer.trusted()], issuer_url="http://127.0.0.1")
        ) as service,
    ):
        authorizer.write(FACTS)
        service.clients.create(THE_APP)
        machine = Client(
            id="robot", authentication="client_secret_post", grants=(CLIENT_CREDENTIALS,)
        )
        service.clients.create(machine)
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": issuer.token("anne", exp=2_000_000_000),
            "subject_token_type": ACCESS_TOKEN,
            "client_id": APP,
            "organization": "acme",
            "audience": "wiki",
        }
        _, key = authorizer.keys.create("fuzzer", ["admin"])
        app = create_app(authorizer, service, settings)
        yield Asked(app, key, form, form["subject_token"])


def operations(asked: Asked) -> Iterator[Any]:
    """The routes of tokens and organizations."""
    document = schemathesis.openapi.from_asgi("/openapi.json", asked.app, headers=asked.as_admin)
    for result in document.get_all_operations():
        assert isinstance(result, Ok)
        if result.ok().path.startswith(PATHS):
            yield result.ok()


@pytest.mark.parametrize("who", ["admin", "user", "nobody"])
def test_every_answer_is_one_that_the_document_describes(asked: Asked, who: str) -> None:
    headers = {"admin": asked.as_admin, "user": asked.as_user, "nobody": {}}[who]
    found = list(operations(asked))
    assert len(found) > 20
    for operation in found:
        tried(operation, GenerationMode.POSITIVE, headers)
        if operation.body or operation.query or operation.path_parameters:
            tried(operation, GenerationMode.NEGATIVE, headers)


def test_a_client_s_requests_are_answered_as_described(asked: Asked) -> None:
    """Made-up fields beside those with which a token would be issued."""

    def filled(case: Case) -> None:
        if isinstance(case.body, dict):
            case.body = {**asked.form, "token": asked.access_token, **_some(case.body)}

    for operation in operations(asked):
        if operation.path.startswith("/oauth") and operation.body:
            tried(operation, GenerationMode.POSITIVE, {}, filled)


def _some(body: dict[str, Any]) -> dict[str, Any]:
    """Of made-up fields those that do not keep the request out from the start."""
    kept = ("organization", "audience", "resource", "scope", "requested_token_type")
    return {name: value for name, value in body.items() if name in kept and value}
