"""Introspection, revocation, and what a token had no room for, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from relata.authorizer import Relata
from relata.relationships import delete
from relata.server import Settings, create_app
from relata.tokens import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
    Client,
    TokenService,
)
from tests.server.live import serving
from tests.tokens.identity import APP, LocalIssuer
from tests.tokens.world import EDITOR, ISSUER_URL, RELATIONSHIPS, SCHEMA, THE_APP

JWT_ANSWER = "application/token-introspection+jwt"


class Place:
    """A server that issues tokens, and who talks to it."""

    def __init__(self, http: httpx.Client, authorizer: Relata, issuer: LocalIssuer) -> None:
        self.http = http
        self.authorizer = authorizer
        self.issuer = issuer
        self.secrets: dict[str, str] = {}

    def token(self, user: str = "anne", **changes: str) -> str:
        """A new token of Relata's for the app's user."""
        answer = self.http.post(
            "/oauth/token",
            data={
                "grant_type": TOKEN_EXCHANGE,
                "subject_token": self.issuer.token(user, sid=f"session of {user}"),
                "subject_token_type": ACCESS_TOKEN,
                "organization": "acme",
                "audience": "wiki",
                "client_id": APP,
                **changes,
            },
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def introspect(self, token: str, client: str = "wiki-api", **headers: str) -> httpx.Response:
        """Ask about a token as a confidential client."""
        return self.http.post(
            "/oauth/introspect",
            data={"token": token},
            auth=(client, self.secrets[client]),
            headers=headers,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    issuer = LocalIssuer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    file: Path = tmp_path_factory.mktemp("introspection") / "relata.db"
    with (
        closing(issuer),
        Relata.open(f"sqlite:///{file}", schema=SCHEMA) as authorizer,
        closing(TokenService(authorizer, [issuer.trusted()], issuer_url=ISSUER_URL)) as service,
        serving(create_app(authorizer, service, Settings())) as address,
        httpx.Client(base_url=address, timeout=30) as http,
    ):
        authorizer.write(RELATIONSHIPS)
        place = Place(http, authorizer, issuer)
        service.clients.create(THE_APP)
        for name, audiences in (("wiki-api", ("wiki",)), ("other-api", ("other",))):
            client = Client(
                id=name,
                authentication="client_secret_basic",
                grants=(CLIENT_CREDENTIALS,),
                audiences=audiences,
            )
            place.secrets[name] = service.clients.create(client)[1] or ""
        yield place


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def verified(place: Place, token: str, audience: str) -> dict[str, Any]:
    """What a signed answer says, by Relata's published keys."""
    keys = jwt.PyJWKSet.from_dict(place.http.get("/.well-known/jwks.json").json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, audience=audience, issuer=ISSUER_URL)
    return claims


def test_a_good_token_is_active_and_says_what_it_holds(place: Place) -> None:
    """RFC 7662, 2.2."""
    answer = place.introspect(place.token())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told["active"] is True
    assert (told["sub"], told["aud"], told["client_id"]) == ("anne", "wiki", APP)
    assert (told["iss"], told["token_type"], told["org_id"]) == (ISSUER_URL, "Bearer", "acme")
    assert tuple(told["permissions"]) == EDITOR
    assert told["scope"] == "read:pages write:pages"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "x" * 20_000])
def test_what_is_no_token_is_not_active(place: Place, token: str) -> None:
    """RFC 7662, 2.2: and nothing more is said."""
    answer = place.introspect(token)
    if token:
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    else:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_another_api_learns_nothing(place: Place) -> None:
    """RFC 7662, 4: of a token that is not for it."""
    assert place.introspect(place.token(), "other-api").json() == {"active": False}


def test_nobody_introspects_without_credentials(place: Place) -> None:
    """RFC 7662, 2.1; a public client has none."""
    token = place.token()
    for more, status in (({}, 400), ({"client_id": "nobody"}, 400), ({"client_id": APP}, 401)):
        answer = place.http.post("/oauth/introspect", data={"token": token, **more})
        assert answer.status_code == status
        assert answer.json()["error"] == "invalid_client"
    wrong = place.http.post("/oauth/introspect", data={"token": token}, auth=("wiki-api", "x"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")


def test_an_api_key_introspects(place: Place) -> None:
    """With the scope `check`, as an API has that asks `/check`."""
    token = place.token()
    for scope, status in (("check", 200), ("admin", 200), ("read", 401)):
        _, key = place.authorizer.keys.create(f"for {scope}", [scope])
        answer = place.http.post("/oauth/introspect", data={"token": token}, headers=bearer(key))
        assert answer.status_code == status
        assert answer.json().get("active", False) is (status == 200)
        assert answer.headers.get("www-authenticate", "Bearer").startswith("Bearer")
    _, bound = place.authorizer.keys.create("globex", ["check"], organization="globex")
    answer = place.http.post("/oauth/introspect", data={"token": token}, headers=bearer(bound))
    assert answer.json() == {"active": False}


def test_an_answer_may_be_signed(place: Place) -> None:
    """RFC 9701, 5: for who asked, with a type of its own."""
    answer = place.introspect(place.token(), Accept=JWT_ANSWER)
    assert answer.headers["content-type"] == JWT_ANSWER
    assert jwt.get_unverified_header(answer.text)["typ"] == "token-introspection+jwt"
    claims = verified(place, answer.text, "wiki-api")
    assert claims["token_introspection"]["active"] is True
    assert claims["token_introspection"]["sub"] == "anne"
    assert "exp" not in claims
    assert "sub" not in claims


def test_a_client_takes_its_token_back(place: Place) -> None:
    """RFC 7009, 2: and what was exchanged from it."""
    token = place.token()
    child = place.token(subject_token=token, organization="globex")
    data = {"token": token, "client_id": APP}
    assert place.http.post("/oauth/revoke", data=data).status_code == 200
    assert place.introspect(token).json() == {"active": False}
    assert place.introspect(child).json() == {"active": False}
    again = place.http.post("/oauth/revoke", data=data)
    assert (again.status_code, again.content) == (200, b"")


def test_nobody_elses_token_is_taken_back(place: Place) -> None:
    """RFC 7009, 2.1; and it is not said whether there is such a token (2.2)."""
    token = place.token()
    for presented in (token, "nonsense"):
        answer = place.http.post(
            "/oauth/revoke",
            data={"token": presented},
            auth=("wiki-api", place.secrets["wiki-api"]),
        )
        assert (answer.status_code, answer.content) == (200, b"")
    assert place.introspect(token).json()["active"] is True


def test_a_revocation_needs_a_client_and_a_token(place: Place) -> None:
    nobody = place.http.post("/oauth/revoke", data={"token": "x"})
    assert (nobody.status_code, nobody.json()["error"]) == (400, "invalid_client")
    nothing = place.http.post("/oauth/revoke", data={"client_id": APP})
    assert (nothing.status_code, nothing.json()["error"]) == (400, "invalid_request")
    twice = place.http.post(
        "/oauth/revoke",
        content="token=a&token=b&client_id=app-1",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")


def test_an_admin_revokes_by_what_tokens_are_for(place: Place) -> None:
    _, key = place.authorizer.keys.create("admin", ["admin"])
    for given in (
        {"subject": "user:bob"},
        {"session": "session of bob"},
        {"client": APP, "subject": "user:bob"},
        {"organization": "acme", "subject": "user:bob"},
    ):
        anne, bob = place.token("anne"), place.token("bob")
        answer = place.http.post("/tokens/revoke", json=given, headers=bearer(key))
        assert (answer.status_code, answer.json()) == (200, {"revoked": 1})
        assert place.introspect(bob).json() == {"active": False}
        assert place.introspect(anne).json()["active"] is True
    nothing = place.http.post("/tokens/revoke", json={}, headers=bearer(key))
    assert (nothing.status_code, nothing.json()["code"]) == (400, "invalid_argument")
    _, other = place.authorizer.keys.create("other", ["check", "read", "write", "schema"])
    refused = place.http.post("/tokens/revoke", json={"client": APP}, headers=bearer(other))
    assert refused.status_code == 403


def test_a_token_that_says_what_is_no_longer_so_is_not_active(place: Place) -> None:
    """Within a second, by itself; and its neighbour stays."""
    place.authorizer.write(["role:acme/editor#assignee@user:bob"])
    anne, bob = place.token("anne"), place.token("bob")
    place.authorizer.write([delete("role:acme/editor#assignee@user:bob")])
    deadline = time.monotonic() + 10
    while place.introspect(bob).json()["active"]:
        assert time.monotonic() < deadline
    assert place.introspect(anne).json()["active"] is True


def test_a_token_tells_what_it_had_no_room_for(place: Place) -> None:
    many = [f"capability:do:{number:04}#granted_to@role:globex/reader" for number in range(400)]
    place.authorizer.write(many)
    token = place.token(organization="globex")
    claims = jwt.decode(token, options={"verify_signature": False})
    source = claims["_claim_sources"][claims["_claim_names"]["permissions"]]
    assert source == {"endpoint": f"{ISSUER_URL}/token/permissions"}
    answer = place.http.get("/token/permissions", headers=bearer(token))
    assert answer.status_code == 200
    assert len(answer.json()["permissions"]) == 401
    assert answer.json()["roles"] == ["globex/reader"]
    signed = place.http.get(
        "/token/permissions", headers={**bearer(token), "Accept": "application/jwt"}
    )
    assert signed.headers["content-type"] == "application/jwt"
    assert verified(place, signed.text, "wiki")["permissions"] == answer.json()["permissions"]


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer nonsense", "Basic YTpi"])
def test_permissions_are_for_who_has_the_token(place: Place, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = place.http.get("/token/permissions", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
