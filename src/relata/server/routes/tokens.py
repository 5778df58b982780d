"""The token face: OAuth's token endpoint, keys, metadata, and what a user may choose.

`POST /oauth/token` speaks RFC 6749 and RFC 8693: form in, JSON out, refusals with the body of RFC
6749 section 5.2. `GET /organizations` is asked with the user's own token from a trusted issuer
(RFC 6750), not with an API key. Without trusted issuers none of these routes has anything to say,
and each answers 404 with the code `tokens_not_configured`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from relata.errors import AuthenticationError, OAuthError
from relata.server.auth import bearer, missing
from relata.server.busy import Busy
from relata.server.fields import Body
from relata.server.limits import read_form
from relata.server.problems import Refusal, responses
from relata.server.routing import Open, media_type
from relata.tokens import (
    ACCESS_TOKEN,
    JWKS_PATH,
    METADATA_PATH,
    TOKEN_EXCHANGE,
    TOKEN_PATH,
    OrganizationChoice,
    TokenRequest,
    TokenService,
)

_log = logging.getLogger("relata.server")

router = APIRouter(route_class=Open, tags=["tokens"], responses=responses(404))

FORM = "application/x-www-form-urlencoded"
JWKS_MAX_AGE_SECONDS = 300

_USER_TOKEN = HTTPBearer(
    auto_error=False,
    scheme_name="user_token",
    description="A token about the user from a trusted issuer.",
)
_STATUS = {"server_error": 500, "temporarily_unavailable": 503, "invalid_client": 401}


class TokenAnswer(BaseModel):
    """An issued token (RFC 8693 section 2.2.1), and beside it what the token says."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln",
                    "issued_token_type": ACCESS_TOKEN,
                    "token_type": "Bearer",
                    "expires_in": 300,
                    "scope": "read:reports",
                    "organization": "acme",
                    "permissions": ["read:reports"],
                    "roles": ["acme/analyst"],
                }
            ]
        }
    )

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: Annotated[int, Field(description="In seconds.")]
    scope: Annotated[
        str | None, Field(description="The permissions that can be written as scopes, if any.")
    ] = None
    organization: str
    permissions: list[str]
    roles: list[str]


class OAuthProblem(BaseModel):
    """Why no token was issued (RFC 6749 section 5.2)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": "invalid_target",
                    "error_description": "`billing` is not a product that is available in the "
                    "organization",
                }
            ]
        }
    )

    error: str
    error_description: str
    organizations: Annotated[
        list[str] | None, Field(description="Whom to choose from, where no choice was sent.")
    ] = None


class OrganizationBody(Body):
    """An organization, and the products whose tokens may be asked for in it."""

    organization: str
    audiences: list[str]


class OrganizationsAnswer(Body):
    """The organizations that the user may choose, sorted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"organizations": [{"organization": "acme", "audiences": ["billing", "reports"]}]}
            ]
        }
    )

    organizations: list[OrganizationBody]


async def tokens_of(request: Request) -> TokenService:
    """The token service. Raises Refusal where the application was created without one."""
    service: TokenService | None = request.app.state.tokens
    if service is None:
        detail = "this server issues no tokens; name trusted issuers in its settings"
        raise Refusal("tokens_not_configured", detail)
    return service


Tokens = Annotated[TokenService, Depends(tokens_of)]


async def asked_tokens_of(request: Request, service: Tokens) -> AsyncIterator[TokenService]:
    """The token service, counted as busy with a question until the answer is sent."""
    busy: Busy = request.app.state.busy
    with busy:
        yield service


AskedTokens = Annotated[TokenService, Depends(asked_tokens_of)]


async def token_form(request: Request) -> list[tuple[str, str]]:
    """Read the form of a token request. Raises OAuthError."""
    if request.headers.get("authorization") is not None:
        raise OAuthError(
            "invalid_client", "clients have no credentials here; send no `Authorization`"
        )
    if media_type(request) != FORM:
        raise OAuthError("invalid_request", f"send the body as `{FORM}`")
    try:
        return read_form(await request.body())
    except ValueError:
        raise OAuthError(
            "invalid_request", "the form is not UTF-8 in percent-encoding, or has too many fields"
        ) from None


def _form_schema() -> dict[str, Any]:
    text = {"type": "string"}
    described = {
        "grant_type": {"type": "string", "enum": [TOKEN_EXCHANGE]},
        "subject_token": text,
        "subject_token_type": text,
        "audience": {**text, "description": "The product that the token is for, by its id."},
        "resource": {**text, "description": "The same, where the id is an absolute URI."},
        "organization": {**text, "description": "The organization that the user chose."},
        "scope": {**text, "description": "The permissions wished for; all that are held if none."},
        "requested_token_type": text,
        "client_id": text,
    }
    return {
        "type": "object",
        "properties": described,
        "required": ["grant_type", "subject_token", "subject_token_type"],
    }


_REQUEST_BODY = {
    "required": True,
    "content": {
        FORM: {
            "schema": _form_schema(),
            "example": {
                "grant_type": TOKEN_EXCHANGE,
                "subject_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
                "subject_token_type": ACCESS_TOKEN,
                "organization": "acme",
                "audience": "reports",
            },
        }
    },
}


@router.post(
    TOKEN_PATH,
    operation_id="token",
    response_model=TokenAnswer,
    responses={
        **{
            status: {"model": OAuthProblem, "description": "No token is issued."}
            for status in (400, 401, 500, 503)
        },
        **responses(413),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
def token(
    tokens: AskedTokens, form: Annotated[list[tuple[str, str]], Depends(token_form)]
) -> Response:
    """Exchange a trusted issuer's token for one that says what its user may do."""
    answer = tokens.exchange(TokenRequest.from_form(form))
    return JSONResponse(answer.body(), headers={"Pragma": "no-cache"})


@router.get(
    JWKS_PATH,
    operation_id="jwks",
    response_model=dict[str, list[dict[str, str]]],
    responses={200: {"content": {"application/json": {"example": {"keys": []}}}}},
)
def jwks(tokens: Tokens) -> Response:
    """Publish the keys that verify the issued tokens (RFC 7517)."""
    return JSONResponse(
        tokens.jwks(), headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_SECONDS}"}
    )


@router.get(
    METADATA_PATH,
    operation_id="authorization_server_metadata",
    response_model=dict[str, Any],
    responses={
        200: {"content": {"application/json": {"example": {"issuer": "https://auth.example"}}}}
    },
)
def metadata(tokens: Tokens) -> Response:
    """Say what the token endpoint can do (RFC 8414)."""
    return JSONResponse(
        tokens.metadata(), headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_SECONDS}"}
    )


@router.get(
    "/organizations",
    operation_id="organizations",
    responses=responses(401, 422, 503),
    dependencies=[Depends(_USER_TOKEN)],
)
def organizations(request: Request, tokens: AskedTokens) -> OrganizationsAnswer:
    """List the organizations that the user may choose, each with its products."""
    user_token = bearer(request.headers.raw)
    if user_token is None:
        raise missing("the user's token")
    try:
        found = tokens.organizations(user_token)
    except OAuthError as error:
        raise _as_bearer_error(error) from error
    return OrganizationsAnswer(organizations=[_organization(item) for item in found])


def oauth_refusal(error: OAuthError) -> Response:
    """Answer a token request with the body of RFC 6749 section 5.2."""
    status = _STATUS.get(error.error, 400)
    if status == 500:
        _log.error("a token could not be issued", exc_info=error)
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="relata"'
    return JSONResponse(error.body(), status, headers)


def _as_bearer_error(error: OAuthError) -> BaseException:
    """What went wrong, for a route that has no form: the token, or what was asked with it."""
    match error.error:
        case "server_error":
            return error.__cause__ or error
        case "temporarily_unavailable":
            return Refusal("temporarily_unavailable", error.message)
    return AuthenticationError(error.message)


def _organization(choice: OrganizationChoice) -> OrganizationBody:
    return OrganizationBody(organization=choice.organization, audiences=list(choice.audiences))
