"""The token routes over HTTP, with a real issuer on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from relata.authorizer import Relata
from relata.server import Settings, create_app
from relata.tokens import ACCESS_TOKEN, CLIENT_CREDENTIALS, TOKEN_EXCHANGE, TokenService
from tests.server.live import serving
from tests.server.problems import problem_of
from tests.tokens.identity import APP, LocalIssuer
from tests.tokens.world import EDITOR, ISSUER_URL, RELATIONSHIPS, SCHEMA, THE_APP

ORIGIN = "https://app.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    issuer = LocalIssuer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def client(issuer: LocalIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that issues tokens, to the pages of one origin."""
    file: Path = tmp_path_factory.mktemp("tokens") / "relata.db"
    settings = Settings(allowed_origins=(ORIGIN,), max_body_bytes=64 * 1024)
    with Relata.open(f"sqlite:///{file}", schema=SCHEMA) as authorizer:
        authorizer.write(RELATIONSHIPS)
        service = TokenService(authorizer, [issuer.trusted()], issuer_url=ISSUER_URL)
        service.clients.create(THE_APP)
        with (
            closing(service),
            serving(create_app(authorizer, service, settings)) as address,
            httpx.Client(base_url=address, timeout=30) as client,
        ):
            yield client


def asking(issuer: LocalIssuer, **changes: str) -> dict[str, str]:
    return {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": issuer.token("anne"),
        "subject_token_type": ACCESS_TOKEN,
        "organization": "acme",
        "audience": "wiki",
        "client_id": APP,
        **changes,
    }


def test_a_user_token_is_exchanged_for_one_that_the_jwks_verifies(
    client: httpx.Client, issuer: LocalIssuer
) -> None:
    answer = client.post("/oauth/token", data=asking(issuer))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert tuple(body["permissions"]) == EDITOR
    assert body["organization"] == "acme"

    published = jwt.PyJWKSet.from_dict(client.get("/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(body["access_token"])
    claims = jwt.decode(
        body["access_token"],
        published[header["kid"]],
        algorithms=[header["alg"]],
        audience="wiki",
        issuer=ISSUER_URL,
    )
    assert header["typ"] == "at+jwt"
    assert claims["org_id"] == "acme"
    assert tuple(claims["permissions"]) == EDITOR


def test_metadata_names_the_routes(client: httpx.Client) -> None:
    metadata = client.get("/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == ISSUER_URL
    assert metadata["token_endpoint"] == f"{ISSUER_URL}/oauth/token"
    assert metadata["grant_types_supported"] == [TOKEN_EXCHANGE, CLIENT_CREDENTIALS]


def test_what_is_public_may_be_kept_for_minutes(client: httpx.Client) -> None:
    for path in ("/.well-known/jwks.json", "/.well-known/oauth-authorization-server"):
        assert client.get(path).headers["cache-control"] == "public, max-age=300"


def test_a_user_lists_the_organizations_to_choose_from(
    client: httpx.Client, issuer: LocalIssuer
) -> None:
    headers = {"Authorization": f"Bearer {issuer.token('anne')}"}
    answer = client.get("/organizations", headers=headers)
    assert answer.status_code == 200
    assert [item["organization"] for item in answer.json()["organizations"]] == ["acme", "globex"]
    assert answer.json()["organizations"][1]["audiences"] == ["wiki"]


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer nonsense", "Basic {token}"])
def test_organizations_need_a_user_token(
    client: httpx.Client, issuer: LocalIssuer, authorization: str | None
) -> None:
    headers = {}
    if authorization is not None:
        headers["Authorization"] = authorization.format(token=issuer.token())
    answer = client.get("/organizations", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert problem_of(answer)["code"] == "unauthenticated"


def test_an_expired_user_token_lists_nothing(client: httpx.Client, issuer: LocalIssuer) -> None:
    headers = {"Authorization": f"Bearer {issuer.token(exp=1)}"}
    answer = client.get("/organizations", headers=headers)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_an_api_key_is_not_a_user_token(
    admin: httpx.Client, client: httpx.Client, keys: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {keys['admin']}"}
    assert client.get("/organizations", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        ({"data": {}}, 400, "invalid_request"),
        ({"json": {"grant_type": TOKEN_EXCHANGE}}, 400, "invalid_request"),
        ({"content": b"grant_type=a&grant_type=b", "headers": FORM}, 400, "invalid_request"),
        ({"content": b"grant_type=%ff", "headers": FORM}, 400, "invalid_request"),
        ({"content": b"\xff", "headers": FORM}, 400, "invalid_request"),
        ({"content": b"a=1&" * 101, "headers": FORM}, 400, "invalid_request"),
        ({"data": {"grant_type": "password", "client_id": APP}}, 400, "unsupported_grant_type"),
        ({"data": {"grant_type": TOKEN_EXCHANGE}}, 400, "invalid_client"),
        (
            {"data": {"grant_type": TOKEN_EXCHANGE}, "auth": ("app", "secret")},
            401,
            "invalid_client",
        ),
    ],
    ids=lambda part: str(part)[:40],
)
def test_a_bad_token_request_gets_an_oauth_error(
    client: httpx.Client, request_: dict[str, Any], status: int, error: str
) -> None:
    """RFC 6749 section 5.2: its body, its codes, and never kept."""
    answer = client.post("/oauth/token", **request_)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.json()["error"] == error
    description = answer.json()["error_description"]
    assert all(" " <= c <= "~" and c not in '"\\' for c in description)
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token": "nonsense"}, "invalid_request"),
        ({"organization": "globex\u0000"}, "invalid_request"),
        ({"organization": "initech"}, "invalid_request"),
        ({"audience": "nothing"}, "invalid_target"),
        ({"scope": "fly"}, "invalid_scope"),
    ],
    ids=str,
)
def test_a_wish_that_is_not_granted_gets_an_oauth_error(
    client: httpx.Client, issuer: LocalIssuer, changes: dict[str, str], error: str
) -> None:
    answer = client.post("/oauth/token", data=asking(issuer, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text


def test_a_missing_choice_names_the_organizations(
    client: httpx.Client, issuer: LocalIssuer
) -> None:
    answer = client.post("/oauth/token", data=asking(issuer, organization=""))
    assert answer.json()["organizations"] == ["acme", "globex"]


def test_an_oversize_form_is_refused(client: httpx.Client) -> None:
    answer = client.post("/oauth/token", content=b"a=" + b"x" * 70_000, headers=FORM)
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/oauth/token"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/organizations"),
    ],
)
def test_without_issuers_the_token_routes_say_so(
    anybody: httpx.Client, method: str, path: str
) -> None:
    answer = anybody.request(method, path)
    assert answer.status_code == 404
    assert problem_of(answer)["code"] == "tokens_not_configured"


def test_pages_of_the_allowed_origin_may_ask_and_others_not(client: httpx.Client) -> None:
    """A browser asks first; only the named origin is told that it may."""
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    allowed = client.options("/oauth/token", headers={**ask, "Origin": ORIGIN})
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    refused = client.options("/oauth/token", headers={**ask, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_by_default_no_page_of_another_origin_may_ask(anybody: httpx.Client) -> None:
    answer = anybody.get("/healthz", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers
