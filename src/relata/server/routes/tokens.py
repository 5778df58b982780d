"""The token face: OAuth's token endpoint, keys, metadata, and what a user may choose.

`POST /oauth/token` speaks RFC 6749 and RFC 8693. `GET /organizations` is asked with the user's own
token, a trusted issuer's or one issued here (RFC 6750), not with an API key.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from relata.errors import AuthenticationError, OAuthError
from relata.server.auth import missing
from relata.server.fields import Body
from relata.server.oauth import (
    FORM,
    Form,
    Tokens,
    client_of,
    oauth_responses,
    presented_token,
    proved_key,
)
from relata.server.problems import Refusal, responses
from relata.server.rate_limits import TooManyRequestsError
from relata.server.routing import Open
from relata.tokens import (
    ACCESS_TOKEN,
    GRANTS,
    JWKS_PATH,
    METADATA_PATH,
    TOKEN_EXCHANGE,
    TOKEN_PATH,
    OrganizationChoice,
    TokenRequest,
)
from relata.tokens.signing import JWKS_MAX_AGE

router = APIRouter(route_class=Open, tags=["tokens"], responses=responses(404))

JWKS_MAX_AGE_SECONDS = int(JWKS_MAX_AGE.total_seconds())

_USER_TOKEN = HTTPBearer(
    auto_error=False,
    scheme_name="user_token",
    description="A token about the user from a trusted issuer.",
)


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
                    "revision": "eyJ…",
                }
            ]
        }
    )

    access_token: str
    issued_token_type: Annotated[str | None, Field(description="Where a token was exchanged.")] = (
        None
    )
    token_type: Annotated[str, Field(description="`Bearer`, or `DPoP` where bound to a key.")]
    expires_in: Annotated[int, Field(description="In seconds.")]
    scope: Annotated[
        str | None, Field(description="The permissions that can be written as scopes, if any.")
    ] = None
    organization: str
    permissions: list[str]
    roles: list[str]
    products: Annotated[
        dict[str, list[str]] | None,
        Field(description="The permissions by product, where the audience has several."),
    ] = None
    revision: Annotated[str, Field(description="The zed token of what the token says.")]


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


def _form_schema() -> dict[str, Any]:
    text = {"type": "string"}
    described = {
        "grant_type": {"type": "string", "enum": list(GRANTS)},
        "subject_token": text,
        "subject_token_type": text,
        "audience": {**text, "description": "What the token is for: a product, or an audience."},
        "resource": {**text, "description": "The same, where the id is an absolute URI."},
        "organization": {**text, "description": "The organization that the user chose."},
        "scope": {**text, "description": "The permissions wished for; all that are held if none."},
        "requested_token_type": text,
        "actor_token": text,
        "actor_token_type": text,
        "client_id": text,
        "client_secret": text,
        "client_assertion": text,
        "client_assertion_type": text,
    }
    return {
        "type": "object",
        "properties": described,
        "required": ["grant_type"],
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
                "client_id": "app",
            },
        }
    },
}


@router.post(
    TOKEN_PATH,
    operation_id="token",
    response_model=TokenAnswer,
    responses={**oauth_responses(400, 401, 429, 500, 503), **responses(413)},
    openapi_extra={"requestBody": _REQUEST_BODY},
)
def token(request: Request, tokens: Tokens, form: Form) -> Response:
    """Issue a token that says what a user, or a machine, may do."""
    asked = TokenRequest.from_form(form)
    client = client_of(request, tokens, form)
    answer = tokens.issue(asked, client, key=proved_key(request, tokens, TOKEN_PATH))
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
    responses={**responses(401, 422, 503), **oauth_responses(429)},
    dependencies=[Depends(_USER_TOKEN)],
)
def organizations(request: Request, tokens: Tokens) -> OrganizationsAnswer:
    """List the organizations that the user may choose, each with its products."""
    try:
        presented = presented_token(request, tokens, "/organizations")
        if presented is None:
            raise missing("the user's token")
        found = tokens.organizations(presented.token, key=presented.key)
    except TooManyRequestsError:
        raise
    except OAuthError as error:
        raise _as_bearer_error(error) from error
    return OrganizationsAnswer(organizations=[_organization(item) for item in found])


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
