"""A product's API, as its own team would write it: it imports nothing of Relata.

Each request is judged twice. The token is verified here, without asking anybody: by the keys that
its issuer publishes, fetched once (RFC 9068 section 4). What it says in `permissions` decides most
requests. What is too fine or too fresh for a token, such as whether one dataset may be seen, is
asked of `/check`, with this API's own key.
"""

from __future__ import annotations

from typing import Any

import httpx
import jwt
from fastapi import FastAPI, HTTPException, Request

ALGORITHMS = ("ES256",)
_TOKEN_TYPES = ("at+jwt", "application/at+jwt")
_REQUIRED = ["iss", "aud", "exp", "iat", "sub", "client_id", "org_id", "permissions"]

Claims = dict[str, Any]


class Tokens:
    """Verifies access tokens for one audience of one issuer."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")

    def verify(self, token: str) -> Claims:
        """Return the claims of a token that may be believed. Raises jwt.PyJWTError."""
        if str(jwt.get_unverified_header(token).get("typ")).lower() not in _TOKEN_TYPES:
            raise jwt.InvalidTokenError("it is not an access token")
        claims: Claims = jwt.decode(
            token,
            self._keys.get_signing_key_from_jwt(token),
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audience=self._audience,
            options={"require": _REQUIRED},
        )
        return claims


def create_product_api(product: str, issuer: str, checks: httpx.Client) -> FastAPI:
    """Make the API of a product; the product's name is its audience, `issuer` is Relata's URL.

    `checks` reaches Relata with this API's own key, which needs the scope `check`.
    """
    app = FastAPI(title=product, docs_url=None, redoc_url=None, openapi_url=None)
    tokens = Tokens(issuer, product)

    @app.get("/reports")
    def read_reports(request: Request) -> dict[str, object]:
        claims = _claims(request, tokens, needs=f"{product}/read")
        return {"organization": claims["org_id"], "reports": ["spring", "summer"]}

    @app.post("/reports", status_code=201)
    def write_report(request: Request) -> dict[str, object]:
        claims = _claims(request, tokens, needs=f"{product}/write")
        return {"organization": claims["org_id"], "written_by": _subject(claims)}

    @app.get("/datasets/{dataset}")
    def read_dataset(dataset: str, request: Request) -> dict[str, object]:
        claims = _claims(request, tokens)
        if not _may_see(checks, claims, dataset):
            raise HTTPException(403, f"{dataset} is not visible in {claims['org_id']}")
        return {"organization": claims["org_id"], "dataset": dataset, "rows": 42}

    return app


def _claims(request: Request, tokens: Tokens, needs: str | None = None) -> Claims:
    """What the request's token says, if it holds the permission that is needed."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "send an access token", {"WWW-Authenticate": "Bearer"})
    try:
        claims = tokens.verify(token)
    except jwt.PyJWTError as error:
        raise _refused(401, "invalid_token", "the token is refused") from error
    if needs is not None and needs not in claims["permissions"]:
        raise _refused(403, "insufficient_scope", f"the token lacks {needs}")
    return claims


def _refused(status: int, error: str, detail: str) -> HTTPException:
    """Refuse as RFC 6750 section 3 says."""
    return HTTPException(status, detail, {"WWW-Authenticate": f'Bearer error="{error}"'})


def _may_see(checks: httpx.Client, claims: Claims, dataset: str) -> bool:
    """Ask Relata, within the organization that the token was issued for."""
    subject = _subject(claims)
    question = {
        "resource": f"dataset:{dataset}",
        "permission": "visible",
        "subject": subject,
        "contextual_relationships": [f"organization:{claims['org_id']}#chosen_by@{subject}"],
    }
    response = checks.post("/check", json=question)
    if response.status_code != httpx.codes.OK:
        raise HTTPException(502, "the permission could not be checked")
    return response.json()["allowed"] is True


def _subject(claims: Claims) -> str:
    """Who the token is about; a token whose client is its subject is a machine's."""
    kind = "client" if claims["client_id"] == claims["sub"] else "user"
    return f"{kind}:{claims['sub']}"
