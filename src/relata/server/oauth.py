"""What the OAuth routes share: the form, the client, the proof of a key, and how they refuse.

The rule: form in (RFC 6749, section 3.2), JSON out that nobody stores, and refusals with the body
of RFC 6749 section 5.2. Without trusted issuers none of the routes has anything to say, and each
answers 404 with the code `tokens_not_configured`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from relata.errors import OAuthError
from relata.server.limits import read_form
from relata.server.problems import Refusal
from relata.server.rate_limits import Proxies, RateLimits
from relata.server.routing import media_type
from relata.store import TokenEvent
from relata.tokens import Client, TokenService
from relata.tokens.client_authentication import InvalidClientError
from relata.tokens.dpop import proof_in

_log = logging.getLogger("relata.server")

FORM = "application/x-www-form-urlencoded"
_STATUS = {
    "server_error": 500,
    "temporarily_unavailable": 503,
    "invalid_client": 401,
    "invalid_token": 401,
    "slow_down": 429,
}


class OAuthProblem(BaseModel):
    """Why a request was refused (RFC 6749 section 5.2)."""

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
    acr_values: Annotated[
        str | None, Field(description="How the user must authenticate (RFC 9470).")
    ] = None
    max_age: Annotated[
        int | None, Field(description="How many seconds ago at most (RFC 9470).")
    ] = None


class OAuthForm(list[tuple[str, str]]):
    """The fields of a form, in order."""

    def one(self, name: str) -> str:
        """The value of a field, empty where it is absent.

        Raises OAuthError `invalid_request` where it is given more than once.
        """
        values = [value for field, value in self if field == name and value]
        if len(values) > 1:
            raise OAuthError("invalid_request", f"`{name}` is given more than once", field=name)
        return values[0] if values else ""

    def required(self, name: str) -> str:
        """The value of a field. Raises OAuthError `invalid_request` where it is missing."""
        value = self.one(name)
        if not value:
            raise OAuthError("invalid_request", f"`{name}` is missing", field=name)
        return value


def tokens_of(request: Request) -> TokenService:
    """The token service. Raises Refusal where the application was created without one."""
    service: TokenService | None = request.app.state.tokens
    if service is None:
        detail = "this server issues no tokens; name trusted issuers in its settings"
        raise Refusal("tokens_not_configured", detail)
    return service


Tokens = Annotated[TokenService, Depends(tokens_of)]


async def read_oauth_form(request: Request, _service: Tokens) -> OAuthForm:
    """Read the form of a request. Raises OAuthError `invalid_request`."""
    if media_type(request) != FORM:
        raise OAuthError("invalid_request", f"send the body as `{FORM}`")
    try:
        return OAuthForm(read_form(await request.body()))
    except ValueError:
        raise OAuthError(
            "invalid_request", "the form is not UTF-8 in percent-encoding, or has too many fields"
        ) from None


Form = Annotated[OAuthForm, Depends(read_oauth_form)]


def authorization_of(request: Request) -> str | None:
    """The one `Authorization` of a request. Raises OAuthError where there are several."""
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise OAuthError("invalid_request", "there is more than one `Authorization`")
    return values[0] if values else None


def client_of(request: Request, tokens: TokenService, form: OAuthForm) -> Client:
    """The client that sends a request, within the limits of its address and its own.

    Raises OAuthError `invalid_client`, and a refusal with 429 where it asks too often.
    """
    limit_address(request)
    client = tokens.authenticate(form, authorization_of(request))
    if not client.is_public:
        limits: RateLimits = request.app.state.rate_limits
        limits.admit(client.id, None)
    return client


def events_of_client(request: Request, tokens: TokenService) -> Callable[[TokenEvent], bool]:
    """Which events a confidential client sees: those of its own tokens and of its audiences.

    Raises OAuthError `invalid_client`.
    """
    client = client_of(request, tokens, OAuthForm())
    if client.is_public:
        raise OAuthError("invalid_client", "only a client with credentials may follow")
    audiences, organizations = client.audiences or (), client.organizations
    return lambda event: (
        event.client == client.id
        or (
            event.audience in audiences
            and (organizations is None or event.organization in organizations)
        )
    )


def proved_key(
    request: Request, tokens: TokenService, path: str, access_token: str | None = None
) -> str | None:
    """The key that a request proves to hold by `DPoP`, None where it proves none.

    The address that the proof must be for is the one that the service is published at. Raises
    OAuthError `invalid_dpop_proof`.
    """
    proof = proof_in(request.headers.raw)
    if proof is None:
        return None
    return tokens.prove(
        proof,
        method=request.method,
        url=f"{tokens.issuer_url}{path}",
        access_token=access_token,
    )


class PresentedToken(msgspec.Struct, frozen=True):
    """The access token that a request presents, and the key that it proves to hold for it."""

    token: str
    key: str | None

    def __repr__(self) -> str:
        """Say that there is one, without the token."""
        return f"PresentedToken(key={self.key!r})"


def limit_address(request: Request) -> None:
    """Count a request by its address. Raises TooManyRequestsError."""
    limits: RateLimits = request.app.state.rate_limits
    proxies: Proxies = request.app.state.proxies
    limits.admit(None, proxies.address_of(request.scope))


def presented_token(request: Request, tokens: TokenService, path: str) -> PresentedToken | None:
    """The access token of a request, as `Bearer` (RFC 6750, section 2.1) or as `DPoP` (RFC 9449,
    section 7.1); None where there is not exactly one.

    As `Bearer` it comes without a key, whatever else is sent: a token that is bound to one is
    refused then (RFC 9449, section 7.2). Raises OAuthError `invalid_dpop_proof`, and a refusal with
    429 where its address asks too often.
    """
    limit_address(request)
    values = request.headers.getlist("authorization")
    scheme, _, credential = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    token = credential.strip()
    if not token or not token.isascii():
        return None
    match scheme.lower():
        case "bearer":
            return PresentedToken(token, None)
        case "dpop":
            return PresentedToken(token, proved_key(request, tokens, path, token))
    return None


class KeyRefusedError(OAuthError):
    """An API key that does not open an OAuth endpoint; it is asked for as it came."""

    challenge = 'Bearer realm="relata", error="invalid_token"'


def oauth_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe refusals for a route's place in the OpenAPI document."""
    return {
        status: {"model": OAuthProblem, "description": "The request is refused."}
        for status in statuses
    }


def oauth_refusal(error: OAuthError) -> Response:
    """Answer with the body of RFC 6749 section 5.2."""
    status = _STATUS.get(error.error, 400)
    if isinstance(error, InvalidClientError) and not error.basic:
        status = 400  # a 401 needs a challenge, at which a browser would ask for a password
    if status == 500:
        _log.error("a token could not be issued", exc_info=error)
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if status == 401:
        headers["WWW-Authenticate"] = (
            error.challenge if isinstance(error, KeyRefusedError) else 'Basic realm="relata"'
        )
    return JSONResponse(error.body(), status, headers)
