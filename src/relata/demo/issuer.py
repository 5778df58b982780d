"""A stand-in for an identity provider. For the demo and tests only: it asks for no password.

It speaks the parts of OpenID Connect that Relata and the demo's app need: discovery, keys, and a
token endpoint. In place of a login page, whoever names a demo user gets that user's tokens, under
a grant type of its own (RFC 6749 section 4.5) that no real provider has. Machines authenticate
with a secret and `client_credentials` (section 4.4).

Its key and secrets live as long as its process. Nothing but the demo starts it, on this machine.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from jwt.algorithms import ECAlgorithm

DEMO_LOGIN = "urn:relata:demo:login"
ALGORITHM = "ES256"
LIFETIME_SECONDS = 3600

_KEY_ID = "demo-1"


class _RefusedError(Exception):
    """A token request is refused with an error code of RFC 6749 section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Who there is, and for whom the tokens are meant."""

    url: str
    """Where it is reached; its tokens' `iss`."""
    audience: str
    """For whom access tokens are meant: Relata."""
    app: str
    """The client id of the demo's app, for which id tokens are meant."""
    people: Collection[str]


def create_issuer(issuer: Issuer) -> FastAPI:
    """Make the application, with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    app = FastAPI(title="Demo issuer", docs_url=None, redoc_url=None, openapi_url=None)

    def sign(claims: Mapping[str, object], typ: str) -> str:
        now = int(time.time())
        common = {"iss": issuer.url, "iat": now, "exp": now + LIFETIME_SECONDS}
        headers = {"kid": _KEY_ID, "typ": typ}
        return jwt.encode({**common, **claims}, key, algorithm=ALGORITHM, headers=headers)

    @app.get("/.well-known/openid-configuration")
    def configuration() -> dict[str, object]:
        return {
            "issuer": issuer.url,
            "jwks_uri": f"{issuer.url}/keys",
            "token_endpoint": f"{issuer.url}/token",
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "grant_types_supported": [DEMO_LOGIN],
        }

    @app.get("/keys")
    def keys() -> dict[str, object]:
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": _KEY_ID, "use": "sig", "alg": ALGORITHM}]}

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            answer = _grant(issuer, form)
        except _RefusedError as error:
            body = {"error": error.error, "error_description": str(error)}
            return JSONResponse(body, error.status, {"Cache-Control": "no-store"})
        tokens = {name: sign(claims, _TYPES[name]) for name, claims in answer.items()}
        return JSONResponse(
            {**tokens, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS},
            headers={"Cache-Control": "no-store"},
        )

    return app


_TYPES = {"access_token": "at+jwt", "id_token": "JWT"}
_Claims = dict[str, object]


def _grant(issuer: Issuer, form: Mapping[str, str]) -> dict[str, _Claims]:
    if form.get("grant_type") != DEMO_LOGIN:
        raise _RefusedError(400, "unsupported_grant_type", f"ask with {DEMO_LOGIN}")
    return _log_in(issuer, form.get("user", ""))


def _log_in(issuer: Issuer, user: str) -> dict[str, _Claims]:
    if user not in issuer.people:
        raise _RefusedError(400, "invalid_grant", "there is no such user in the demo")
    authentication: _Claims = {"sub": user, "auth_time": int(time.time()), "amr": ["demo"]}
    return {
        "access_token": {**authentication, **_access(issuer, issuer.app)},
        "id_token": {**authentication, "aud": issuer.app},
    }


def _access(issuer: Issuer, client_id: str) -> _Claims:
    return {"aud": issuer.audience, "client_id": client_id, "jti": str(uuid.uuid4())}
