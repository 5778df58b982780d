"""The application: the routes, what stands in front of them, and the OpenAPI document.

A request passes, in this order: the short way for checks, the headers of every answer, cross-origin
rules, the limit of its body, the routes.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders, State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relata.authorizer import Relata
from relata.errors import OAuthError
from relata.server import problems
from relata.server.cross_origin import CrossOrigin, RegisteredOrigins
from relata.server.fast_check import FastCheck
from relata.server.limits import BodyLimit
from relata.server.oauth import events_of_client, oauth_refusal
from relata.server.rate_limits import (
    Proxies,
    RateLimits,
    TooManyRequestsError,
    too_many_requests,
)
from relata.server.routes import (
    audiences,
    checks,
    clients,
    description,
    events,
    health,
    introspection,
    keys,
    lookups,
    organizations,
    relationships,
    schema,
    schema_diff,
    status,
    transfer,
)
from relata.server.routes import tokens as token_routes
from relata.server.routes.events import Events
from relata.server.settings import Settings
from relata.tokens import Clients, TokenService

_ROUTERS = (
    checks.router,
    lookups.router,
    relationships.router,
    transfer.router,
    schema.router,
    schema_diff.router,
    keys.router,
    audiences.router,
    audiences.lists_router,
    clients.router,
    organizations.router,
    token_routes.router,
    introspection.router,
    introspection.admin_router,
    status.router,
    status.keys_router,
    events.router,
    health.router,
    description.router,
)


def create_app(authorizer: Relata, tokens: TokenService | None, settings: Settings) -> ASGIApp:
    """Make the ASGI application for an authorizer; who opened the authorizer closes it.

    Without `tokens` the token routes answer that this server issues none.
    """
    api = create_api(authorizer, tokens, settings)
    # What `CrossOrigin` adds to every answer where pages of other origins may ask for checks.
    headers = [(b"vary", b"Origin")] if settings.allowed_origins else []
    return FastCheck(api, authorizer, settings.max_body_bytes, headers)


def create_api(authorizer: Relata, tokens: TokenService | None, settings: Settings) -> ASGIApp:
    """Make the application without the short way for checks, which only makes it faster."""
    api = _API(
        title="Relata",
        version=version("relata"),
        description="Relationship-based permissions: `docs/http.md` explains every route.",
        openapi_url=None,  # FastAPI's own route asks for no key; `routes/description.py` does
        docs_url=None,  # both pages would load their scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.responses(500),
    )
    _hold(api.state, authorizer, tokens, settings)
    api.state.rate_limits = RateLimits(
        settings.client_requests_per_minute, settings.address_requests_per_minute
    )
    api.state.proxies = Proxies(settings.trusted_proxies)
    for router in _ROUTERS:
        api.include_router(router)
    problems.install(api)
    api.add_exception_handler(405, _method_not_allowed)
    api.add_exception_handler(OAuthError, _oauth_refusal)
    api.add_exception_handler(TooManyRequestsError, too_many_requests)
    streamed = {transfer.IMPORT_PATH: settings.max_import_bytes}
    limited = BodyLimit(api, settings.max_body_bytes, streamed)
    registered = RegisteredOrigins(Clients(authorizer.store))
    return _WithHeaders(CrossOrigin(limited, registered, settings.allowed_origins))


def _hold(
    state: State,
    authorizer: Relata,
    tokens: TokenService | None,
    settings: Settings,
) -> None:
    """Keep what the routes need; without a token service, its parts are None."""
    state.authorizer = authorizer
    state.tokens = tokens
    state.signing_keys = tokens and tokens.signing_keys
    state.status_lists = tokens and tokens.statuses
    state.events = tokens and Events(
        authorizer,
        tokens.signing_keys,
        issuer_url=tokens.issuer_url,
        clients=lambda request: events_of_client(request, tokens),
        max_seconds=settings.event_stream_seconds,
    )


class _API(FastAPI):
    """FastAPI, with an OpenAPI document that says what the routes really do."""

    def openapi(self) -> dict[str, Any]:
        """Make the document, once."""
        if self.openapi_schema is None:
            _correct(super().openapi())
        return super().openapi()


def _correct(document: dict[str, Any]) -> None:
    """Take out FastAPI's own validation errors, and make scopes alternatives."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            if "security" in operation:
                operation["security"] = _alternatives(operation["security"])
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _alternatives(security: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    return [
        {scheme: [scope] if scope else []}
        for requirement in security
        for scheme, scopes in requirement.items()
        for scope in scopes or [""]
    ]


class _WithHeaders:
    """Adds to every answer the headers that it has not set otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


async def _method_not_allowed(request: Request, error: Exception) -> Response:
    """Answer 405 with every method of the path; Starlette names those of one route only."""
    methods = sorted(
        method
        for router in _ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.path_regex.match(request.scope["path"])
        for method in route.methods or ()
    )
    declared = getattr(error, "headers", None) or {}
    allowed = ", ".join(methods or sorted(declared.get("Allow", "").split(", ")))
    detail = f"`{request.method}` is not a method of this route; it has {allowed}"
    problem = problems.make_problem(405, "method_not_allowed", detail)
    return problems.respond(problem, {"Allow": allowed})


async def _oauth_refusal(_request: Request, error: Exception) -> Response:
    match error:
        case OAuthError():
            return oauth_refusal(error)
    return problems.unexpected(error)
