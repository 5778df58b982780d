"""The demo's issuer and product API, over real sockets: what they refuse."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relata.demo.issuer import DEMO_LOGIN
from relata.demo.stage import claims_of
from relata.demo.world import World, running
from relata.tokens import ACCESS_TOKEN, TOKEN_EXCHANGE


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running(database=None, first_port=0) as world:
        yield world


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def token(world: World, client: httpx.Client) -> str:
    """Gerardo's token for api_1 in org_1."""
    login = {"grant_type": DEMO_LOGIN, "user": "gerardo"}
    answer = client.post(f"{world.issuer}/token", data=login).json()
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": answer["access_token"],
        "subject_token_type": ACCESS_TOKEN,
        "organization": "org_1",
        "audience": "api_1",
        "client_id": "demo-app",
    }
    return str(client.post(f"{world.relata}/oauth/token", data=form).json()["access_token"])


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": DEMO_LOGIN, "user": "mallory"}, 400, "invalid_grant"),
        ({"grant_type": DEMO_LOGIN}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "sam"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
    ],
)
def test_the_issuer_refuses(
    world: World, client: httpx.Client, form: dict[str, str], status: int, error: str
) -> None:
    response = client.post(f"{world.issuer}/token", data=form)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_the_issuer_can_be_discovered(world: World, client: httpx.Client) -> None:
    found = client.get(f"{world.issuer}/.well-known/openid-configuration").json()
    assert found["issuer"] == world.issuer
    keys = client.get(found["jwks_uri"]).json()["keys"]
    assert [(key["kty"], "d" in key) for key in keys] == [("EC", False)]
    login = {"grant_type": DEMO_LOGIN, "user": "sam"}
    tokens = client.post(found["token_endpoint"], data=login).json()
    key = jwt.PyJWK(keys[0])
    jwt.decode(tokens["access_token"], key, audience=world.relata, issuer=world.issuer)
    jwt.decode(tokens["id_token"], key, audience="demo-app", issuer=world.issuer)


def reports(world: World, client: httpx.Client, credential: str | None) -> httpx.Response:
    headers = {} if credential is None else {"Authorization": credential}
    return client.get(f"{world.product}/reports", headers=headers)


def test_the_product_lets_a_good_token_in(world: World, client: httpx.Client, token: str) -> None:
    assert reports(world, client, f"Bearer {token}").status_code == 200


@pytest.mark.parametrize("credential", [None, "Bearer", "Basic YTpi", "Bearer not.a.token"])
def test_the_product_wants_a_token(
    world: World, client: httpx.Client, credential: str | None
) -> None:
    response = reports(world, client, credential)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _changed_claims(token: str) -> str:
    """The same signature under other claims."""
    header, _, signature = token.split(".")
    claims = {**claims_of(token), "permissions": ["api_1/read", "api_1/write"]}
    return f"{header}.{_encoded(claims)}.{signature}"


def _unsigned(token: str) -> str:
    kid = jwt.get_unverified_header(token)["kid"]
    header = {"alg": "none", "typ": "at+jwt", "kid": kid}
    return f"{_encoded(header)}.{_encoded(claims_of(token))}."


def _signed_by_another(token: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    header = {"typ": "at+jwt", "kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(claims_of(token), key, algorithm="ES256", headers=header)


def _with_a_shared_secret(token: str) -> str:
    header = {"typ": "at+jwt", "kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(claims_of(token), "x" * 32, algorithm="HS256", headers=header)


@pytest.mark.parametrize(
    "forge", [_changed_claims, _unsigned, _signed_by_another, _with_a_shared_secret]
)
def test_the_product_refuses_forgeries(
    world: World, client: httpx.Client, token: str, forge: Callable[[str], str]
) -> None:
    response = reports(world, client, f"Bearer {forge(token)}")
    assert (response.status_code, response.json()) == (401, {"detail": "the token is refused"})


def test_the_product_refuses_the_issuer_s_own_tokens(world: World, client: httpx.Client) -> None:
    """A token that says who somebody is opens no product."""
    login = {"grant_type": DEMO_LOGIN, "user": "gerardo"}
    tokens = client.post(f"{world.issuer}/token", data=login).json()
    for name in ("access_token", "id_token"):
        assert reports(world, client, f"Bearer {tokens[name]}").status_code == 401
