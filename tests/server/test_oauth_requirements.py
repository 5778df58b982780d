"""What the standards ask of the OAuth endpoints beside what the endpoints' own tests show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from relata.authorizer import Relata
from relata.server import Settings, create_app
from relata.tokens import ACCESS_TOKEN, TOKEN_EXCHANGE, TokenService
from tests.server.live import serving
from tests.tokens.identity import APP, LocalIssuer
from tests.tokens.proofs import make_proof, new_key
from tests.tokens.world import ISSUER_URL, RELATIONSHIPS, SCHEMA, THE_APP


class Place:
    """A server that issues tokens, an issuer that it trusts, and an API that may introspect."""

    def __init__(self, http: httpx.Client, issuer: LocalIssuer, key: str) -> None:
        self.http = http
        self.issuer = issuer
        self.key = key

    def exchange(self, proof: str | None = None, **claims: Any) -> dict[str, Any]:
        """The answer to the app's request for its user, whose login is as `claims` say."""
        answer = self.http.post(
            "/oauth/token",
            data={
                "grant_type": TOKEN_EXCHANGE,
                "subject_token": self.issuer.token("anne", **claims),
                "subject_token_type": ACCESS_TOKEN,
                "organization": "acme",
                "audience": "wiki",
                "client_id": APP,
            },
            headers={} if proof is None else {"DPoP": proof},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def introspect(self, token: str, **more: str) -> dict[str, Any]:
        """What an API is told of a token."""
        answer = self.http.post(
            "/oauth/introspect",
            data={"token": token, **more},
            headers={"Authorization": f"Bearer {self.key}"},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    issuer = LocalIssuer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    file: Path = tmp_path_factory.mktemp("requirements") / "relata.db"
    with (
        closing(issuer),
        Relata.open(f"sqlite:///{file}", schema=SCHEMA) as authorizer,
        closing(TokenService(authorizer, [issuer.trusted()], issuer_url=ISSUER_URL)) as service,
        serving(create_app(authorizer, service, Settings())) as address,
        httpx.Client(base_url=address, timeout=30) as http,
    ):
        authorizer.write(RELATIONSHIPS)
        service.clients.create(THE_APP)
        yield Place(http, issuer, authorizer.keys.create("wiki", ["check"])[1])


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/introspect", "/oauth/revoke"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_the_endpoints_are_asked_with_post(place: Place, path: str, method: str) -> None:
    """RFC 6749, 3.2; RFC 7662, 2.1; RFC 7009, 2.1: a query would be in every log."""
    answer = place.http.request(method, path, params={"token": "x", "client_id": APP})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_answer_has_the_members_of_the_standard_and_ours(place: Place) -> None:
    """RFC 6749, 5.1 and RFC 8693, 2.2.1; no refresh token is among them."""
    assert place.exchange().keys() == {
        "access_token",
        "issued_token_type",
        "token_type",
        "expires_in",
        "scope",
        "organization",
        "permissions",
        "roles",
        "revision",
    }


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_a_hint_changes_nothing(place: Place, hint: str) -> None:
    """RFC 7662, 2.1 and RFC 7009, 2.1: the token is found whatever its sender takes it for."""
    token = place.exchange()["access_token"]
    assert place.introspect(token, token_type_hint=hint)["active"] is True
    form = {"token": token, "token_type_hint": hint, "client_id": APP}
    assert place.http.post("/oauth/revoke", data=form).status_code == 200
    assert place.introspect(token, token_type_hint=hint) == {"active": False}


def test_the_metadata_are_json(place: Place) -> None:
    """RFC 8414, 3.2."""
    answer = place.http.get("/.well-known/oauth-authorization-server")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["issuer"] == ISSUER_URL


def test_introspection_says_what_a_token_is_bound_to(place: Place) -> None:
    """RFC 9449, 6.2, so that an API that introspects can hold the token to its key."""
    key = new_key()
    answer = place.exchange(make_proof(key, "POST", f"{ISSUER_URL}/oauth/token"))
    assert answer["token_type"] == "DPoP"
    told = place.introspect(answer["access_token"])
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": key.thumbprint()})


def test_introspection_says_how_the_user_logged_in(place: Place) -> None:
    """RFC 9470, 6.2, so that an API that introspects can ask for more."""
    now = int(time.time())
    login: dict[str, Any] = {"acr": "urn:example:mfa", "amr": ["otp"], "auth_time": now - 60}
    told = place.introspect(place.exchange(**login)["access_token"])
    assert {name: told[name] for name in login} == login
