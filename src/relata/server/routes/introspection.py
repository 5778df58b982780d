"""What has become of issued tokens: introspection, revocation, and what a token had no room for.

`POST /oauth/introspect` (RFC 7662) is asked by an API: with an API key that has the scope `check`,
or with the credentials of a confidential client, which learns of the tokens that were issued to it
and of those for its audiences. `POST /oauth/revoke` (RFC 7009) is asked by the client that a token
was issued to. `GET /token/permissions` is asked with the token itself. `POST /tokens/revoke` is an
admin's.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, model_validator

from relata.api_keys import ApiKeys
from relata.errors import AuthenticationError, OAuthError
from relata.server.auth import bearer, missing, needs
from relata.server.fields import Authorizer, Body
from relata.server.oauth import (
    FORM,
    Form,
    KeyRefusedError,
    OAuthForm,
    Tokens,
    client_of,
    oauth_responses,
    presented_token,
)
from relata.server.problems import BODY, KEY, responses
from relata.server.rate_limits import TooManyRequestsError
from relata.server.routing import Guarded, Open
from relata.store import IssuedToken, StoredKey
from relata.tokens import (
    INTROSPECTION_MEDIA_TYPE,
    INTROSPECTION_PATH,
    PERMISSIONS_PATH,
    REVOCATION_PATH,
    Client,
    TokenService,
)
from relata.tokens.dpop import bound_key

router = APIRouter(route_class=Open, tags=["tokens"], responses=responses(404))
admin_router = APIRouter(
    route_class=Guarded,
    tags=["tokens"],
    dependencies=[needs("admin")],
    responses=responses(*KEY, 404, 503),
)

_ACCESS_TOKEN = HTTPBearer(
    auto_error=False, scheme_name="access_token", description="A token issued here."
)
_JWT = "application/jwt"
_SIGNED = {"schema": {"type": "string"}, "example": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}
_TOKEN_FORM = {
    "type": "object",
    "properties": {
        "token": {"type": "string"},
        "token_type_hint": {"type": "string"},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string"},
    },
    "required": ["token"],
}
_REQUEST_BODY = {
    "required": True,
    "content": {FORM: {"schema": _TOKEN_FORM, "example": {"token": "eyJ…", "client_id": "app"}}},
}


class Introspected(BaseModel):
    """Whether a token is good, and what it says (RFC 7662 section 2.2)."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"active": False}]})

    active: bool


class Permissions(BaseModel):
    """What a token holds, whole, with those claims of its audience that may leave it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "permissions": ["read:reports"],
                    "roles": ["acme/analyst"],
                    "scope": "read:reports",
                }
            ]
        },
    )

    permissions: list[str]
    roles: list[str]
    scope: str = ""
    products: dict[str, list[str]] | None = None


class Revocation(Body):
    """Which live tokens to revoke: those that match all that is given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "user:anne", "organization": "acme"}]}
    )

    jti: str | None = None
    subject: Annotated[str | None, Field(description="Such as `user:anne`.")] = None
    client: str | None = None
    organization: str | None = None
    session: Annotated[str | None, Field(description="The `sid` of a session.")] = None
    reason: Annotated[str, Field(max_length=200)] = "revoked by an admin"

    @model_validator(mode="after")
    def _names_something(self) -> Revocation:
        if not any((self.jti, self.subject, self.client, self.organization, self.session)):
            raise ValueError("name the tokens to revoke by at least one of their properties")
        return self


class Revoked(Body):
    """How many tokens were revoked, those that were exchanged from them among them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"revoked": 2}]})

    revoked: int


@router.post(
    INTROSPECTION_PATH,
    operation_id="introspect",
    response_model=Introspected,
    responses={
        200: {"content": {INTROSPECTION_MEDIA_TYPE: _SIGNED}},
        **oauth_responses(400, 401, 429),
        **responses(413, 503),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
def introspect(request: Request, tokens: Tokens, authorizer: Authorizer, form: Form) -> Response:
    """Say whether a token is good now, and what it says."""
    who = _resource_server(request, tokens, authorizer.keys, form)
    answer = tokens.introspection.introspect(
        form.required("token"), lambda issued: _may_know(who, issued)
    )
    if INTROSPECTION_MEDIA_TYPE not in request.headers.get("accept", ""):
        return JSONResponse(answer)
    signed = tokens.introspection.signed(answer, who.id, int(time.time()))
    return Response(signed, media_type=INTROSPECTION_MEDIA_TYPE)


@router.post(
    REVOCATION_PATH,
    operation_id="revoke_token",
    response_class=Response,
    responses={
        200: {"description": "The token is no longer good, or was none."},
        **oauth_responses(400, 401, 429),
        **responses(413, 503),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
def revoke_token(request: Request, tokens: Tokens, form: Form) -> Response:
    """Take back a token that was issued to the client, and those exchanged from it."""
    client = client_of(request, tokens, form)
    tokens.introspection.revoke(form.required("token"), client, int(time.time()))
    return Response()


@router.get(
    PERMISSIONS_PATH,
    operation_id="token_permissions",
    response_model=Permissions,
    responses={
        200: {"content": {_JWT: _SIGNED}},
        **responses(401, 503),
        **oauth_responses(429),
    },
    dependencies=[Depends(_ACCESS_TOKEN)],
)
def token_permissions(request: Request, tokens: Tokens) -> Response:
    """Say what the presented token holds, whole, also where it had no room for it."""
    try:
        presented = presented_token(request, tokens, PERMISSIONS_PATH)
        if presented is None:
            raise missing("the access token")
        claims, issued = tokens.introspection.valid(presented.token)
        if bound_key(claims) != presented.key:
            raise OAuthError("invalid_token", "the access token is bound to another key")
    except TooManyRequestsError:
        raise
    except OAuthError as error:
        raise AuthenticationError(error.message) from error
    if _JWT not in request.headers.get("accept", ""):
        return JSONResponse(tokens.introspection.holdings(issued))
    signed = tokens.introspection.signed_holdings(claims, issued, int(time.time()))
    return Response(signed, media_type=_JWT)


@admin_router.post("/tokens/revoke", operation_id="revoke_tokens", responses=responses(*BODY))
def revoke_tokens(body: Revocation, tokens: Tokens) -> Revoked:
    """Revoke the live tokens of a subject, a client, an organization or a session."""
    return Revoked(revoked=tokens.revoke(**body.model_dump()))


def _resource_server(
    request: Request, tokens: TokenService, keys: ApiKeys, form: OAuthForm
) -> StoredKey | Client:
    """Who asks: an API key that may check, or a confidential client."""
    presented = bearer(request.headers.raw)
    if presented is None:
        client = client_of(request, tokens, form)
        if client.authentication == "none":
            raise OAuthError("invalid_client", "only a client with credentials may introspect")
        return client
    try:
        key = keys.authenticate(presented)
    except AuthenticationError as error:
        raise KeyRefusedError("invalid_client", error.message) from None
    if not ApiKeys.allows(key, "check"):
        raise KeyRefusedError("invalid_client", "the key needs the scope `check`")
    return key


def _may_know(who: StoredKey | Client, issued: IssuedToken) -> bool:
    if isinstance(who, Client):
        return issued.client == who.id or (
            issued.audience in (who.audiences or ())
            and (who.organizations is None or issued.organization in who.organizations)
        )
    return who.organization in ("", issued.organization)
