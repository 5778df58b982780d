"""An API under `protect`, over real connections: whom it lets in, and what it tells the others."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from relata.client import VerifiedToken, Verifier
from relata.client.fastapi import protect, requires
from relata.tokens.dpop import Nonces
from tests.client.issuer import AUDIENCE, JWKS_PATH, Issuer
from tests.server.live import serving
from tests.tokens.proofs import make_proof, new_key

DPOP = 'DPoP algs="ES256 EdDSA ES384 ES512 PS256 RS256"'

Anybody = Annotated[VerifiedToken, Depends(requires())]
Editor = Annotated[VerifiedToken, Depends(requires("read:reports", "write:reports"))]
Deleter = Annotated[VerifiedToken, Depends(requires("read:reports", "delete:reports"))]
Odd = Annotated[VerifiedToken, Depends(requires("größe"))]
Fresh = Annotated[VerifiedToken, Depends(requires(max_age=300))]
Strong = Annotated[VerifiedToken, Depends(requires(max_age=60, acr_values=("mfa", "hardware")))]


def create_api(verifier: Verifier, **settings: Any) -> FastAPI:
    app = FastAPI()
    protect(app, verifier, **settings)

    @app.get("/me")
    def me(token: Anybody) -> dict[str, object]:
        return {"subject": token.subject, "organization": token.organization}

    @app.get("/reports/{name:path}")
    def read(name: str, token: Anybody) -> str:
        return name

    @app.put("/reports")
    def edit(token: Editor) -> str:
        return token.subject

    @app.delete("/reports")
    def delete(token: Deleter) -> str:
        return token.subject

    @app.get("/odd")
    def odd(token: Odd) -> str:
        return token.subject

    @app.get("/fresh")
    def fresh(token: Fresh) -> str:
        return token.subject

    @app.get("/strong")
    def strong(token: Strong) -> str:
        return token.subject

    return app


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    with serving(app) as address, httpx.Client(base_url=address, trust_env=False) as client:
        yield client


@pytest.fixture
def api(verifier: Verifier) -> Iterator[httpx.Client]:
    with served(create_api(verifier)) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def challenge_of(answer: httpx.Response) -> str:
    return str(answer.headers["www-authenticate"])


def test_a_good_token_passes_and_is_there(api: httpx.Client, issuer: Issuer) -> None:
    answer = api.get("/me", headers=bearer(issuer.token()))
    assert answer.json() == {"subject": "anne", "organization": "acme"}
    assert api.put("/reports", headers=bearer(issuer.token())).json() == "anne"


def test_the_scheme_has_no_case(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9110, 11.1."""
    headers = {"Authorization": f"bEARER {issuer.token()}"}
    assert api.get("/me", headers=headers).status_code == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic YTpi", "DPoP"])
def test_without_a_token_there_is_a_challenge_without_an_error(
    api: httpx.Client, authorization: str | None
) -> None:
    """RFC 6750, 3: nothing was sent that could be wrong."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = api.get("/me", headers=headers)
    assert (answer.status_code, challenge_of(answer)) == (401, f"Bearer, {DPOP}")


def test_a_token_in_another_place_is_none(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9700, 4.3.2: not in the address."""
    assert api.get("/me", params={"access_token": issuer.token()}).status_code == 401


def test_two_credentials_are_none(api: httpx.Client, issuer: Issuer) -> None:
    token = issuer.token()
    connection = http.client.HTTPConnection(api.base_url.host, api.base_url.port or 0)
    connection.putrequest("GET", "/me")
    for _ in range(2):
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    assert status == 401


def test_a_bad_token_is_told_nothing_of_why(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 6750, 3.1: one answer for every reason."""
    for token in (
        "not.a.token",
        issuer.token(aud="billing"),
        issuer.token(exp=int(time.time()) - 1),
        issuer.token(iss="https://elsewhere.example"),
    ):
        answer = api.get("/me", headers=bearer(token))
        assert (answer.status_code, answer.json()) == (401, {"detail": "the token is refused"})
        assert challenge_of(answer) == f'Bearer error="invalid_token", {DPOP}'


def test_a_token_that_lacks_permissions(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 6750, 3.1: `insufficient_scope`, with what is needed."""
    answer = api.delete("/reports", headers=bearer(issuer.token()))
    assert (answer.status_code, answer.json()) == (
        403,
        {"detail": "the token lacks delete:reports"},
    )
    assert challenge_of(answer) == (
        'Bearer error="insufficient_scope", scope="read:reports delete:reports"'
    )


def test_a_permission_that_is_no_scope_is_not_written_as_one(
    api: httpx.Client, issuer: Issuer
) -> None:
    """RFC 6749, 3.3."""
    answer = api.get("/odd", headers=bearer(issuer.token()))
    assert (answer.status_code, challenge_of(answer)) == (403, 'Bearer error="insufficient_scope"')
    token = issuer.token(permissions=["größe"])
    assert api.get("/odd", headers=bearer(token)).status_code == 200


def test_a_login_that_is_too_old_is_asked_for_again(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9470, 3."""
    now = int(time.time())
    assert api.get("/fresh", headers=bearer(issuer.token(auth_time=now - 10))).status_code == 200
    for claims in ({}, {"auth_time": now - 400}):
        answer = api.get("/fresh", headers=bearer(issuer.token(**claims)))
        assert answer.status_code == 401
        assert challenge_of(answer) == (
            'Bearer error="insufficient_user_authentication", '
            'error_description="a different authentication level is required", max_age="300"'
        )


def test_a_login_that_is_too_weak_is_asked_for_again(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9470, 3."""
    now = int(time.time())
    for acr, status in (("mfa", 200), ("hardware", 200), ("pwd", 401), (None, 401)):
        token = issuer.token(auth_time=now, acr=acr)
        answer = api.get("/strong", headers=bearer(token))
        assert answer.status_code == status
    assert challenge_of(answer).endswith(', acr_values="mfa hardware", max_age="60"')


def test_a_token_that_cannot_be_verified_now(api: httpx.Client, issuer: Issuer) -> None:
    """It is not the token's fault, and asking again may help."""
    issuer.documents[JWKS_PATH] = (503, b"")
    answer = api.get("/me", headers=bearer(issuer.token()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "www-authenticate" not in answer.headers


def test_a_revoked_token(api: httpx.Client, issuer: Issuer) -> None:
    issuer.publish_list([0, 1])
    assert api.get("/me", headers=bearer(issuer.listed_token(0))).status_code == 200
    answer = api.get("/me", headers=bearer(issuer.listed_token(1)))
    assert (answer.status_code, challenge_of(answer)) == (
        401,
        f'Bearer error="invalid_token", {DPOP}',
    )


def test_a_bound_token_with_its_proof(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9449, 7.1; whatever stands in the query."""
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    for path in ("/me", "/me?page=2", "/reports/a%2Fb%20c"):
        proof = make_proof(key, "GET", f"{api.base_url}{path}", token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        assert api.get(path, headers=headers).status_code == 200


def test_a_bound_token_without_a_good_proof(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9449, 7.1: the challenge says which kind of token, and what is wrong."""
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    other = make_proof(key, "GET", f"{api.base_url}/other", token=token)
    for proof in ({}, {"DPoP": other}, {"DPoP": "x"}):
        answer = api.get("/me", headers={"Authorization": f"DPoP {token}", **proof})
        assert answer.status_code == 401
        assert challenge_of(answer) == (
            'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA ES384 ES512 PS256 RS256"'
        )


def test_a_bound_token_is_no_bearer_token(api: httpx.Client, issuer: Issuer) -> None:
    """RFC 9449, 7.2: also not with a proof beside it."""
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    proof = make_proof(key, "GET", f"{api.base_url}/me", token=token)
    answer = api.get("/me", headers={**bearer(token), "DPoP": proof})
    assert (answer.status_code, challenge_of(answer)) == (
        401,
        f'Bearer error="invalid_token", {DPOP}',
    )


def test_what_a_bound_token_lacks_is_a_challenge_for_bound_tokens(
    api: httpx.Client, issuer: Issuer
) -> None:
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    proof = make_proof(key, "DELETE", f"{api.base_url}/reports", token=token)
    answer = api.delete("/reports", headers={"Authorization": f"DPoP {token}", "DPoP": proof})
    assert answer.status_code == 403
    assert challenge_of(answer).startswith('DPoP error="insufficient_scope", scope="')


def test_an_api_that_wants_bound_tokens_alone(issuer: Issuer) -> None:
    verifier = Verifier(issuer.url, AUDIENCE, dpop="required")
    with served(create_api(verifier)) as api:
        assert challenge_of(api.get("/me")) == DPOP
        answer = api.get("/me", headers=bearer(issuer.token()))
    assert challenge_of(answer).startswith('DPoP error="invalid_token"')


def test_a_nonce_is_given_and_taken(issuer: Issuer) -> None:
    """RFC 9449, 9: the client tries again with the nonce of the answer."""
    verifier = Verifier(issuer.url, AUDIENCE, nonces=Nonces(b"k" * 32))
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    with served(create_api(verifier)) as api:
        url = f"{api.base_url}/me"
        headers = {"Authorization": f"DPoP {token}"}
        proof = make_proof(key, "GET", url, token=token)
        first = api.get("/me", headers={**headers, "DPoP": proof})
        proof = make_proof(key, "GET", url, token=token, nonce=first.headers["dpop-nonce"])
        second = api.get("/me", headers={**headers, "DPoP": proof})
    assert (first.status_code, second.status_code) == (401, 200)
    assert challenge_of(first).startswith('DPoP error="use_dpop_nonce"')


def test_behind_a_proxy_the_public_address_counts(issuer: Issuer) -> None:
    verifier = Verifier(issuer.url, AUDIENCE)
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    with served(create_api(verifier, base_url="https://api.example/")) as api:
        answers = [
            api.get(
                "/me",
                headers={
                    "Authorization": f"DPoP {token}",
                    "DPoP": make_proof(key, "GET", url, token=token),
                },
            ).status_code
            for url in ("https://api.example/me", f"{api.base_url}/me")
        ]
    assert answers == [200, 401]


def test_an_api_without_a_verifier_serves_nobody() -> None:
    """A forgotten `protect` is no open door."""
    app = FastAPI()

    @app.get("/me")
    def me(token: Anybody) -> str:
        return token.subject

    with served(app) as api:
        assert api.get("/me", headers=bearer("x")).status_code == 500
