"""Cross-origin requests: which pages of other origins may ask, and read the answer (Fetch, CORS).

Two kinds of origins may. Those of the settings may ask every route. Those that a client has
registered, and that is not disabled, may ask the token routes alone, which is what an app needs.
A page of any other origin gets the answer that everybody gets, and its browser keeps it from it.

No origin is ever `*`, and credentials are never allowed: a browser adds nothing by itself, no
cookie and no password, and an app sends its tokens in `Authorization`. Answers of the routes that
depend on the origin say so (`Vary: Origin`), whoever asked, so that no cache gives one to another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relata.errors import StoreError
from relata.tokens.clients import Clients

APP_PATHS = frozenset({"/organizations"})
APP_ROOTS = ("/oauth/", "/.well-known/", "/token/")
"""What an app asks: those paths, and what is below these."""
CACHE_SECONDS = 1.0
"""How long it takes at most until a change of a client's origins counts."""

_PREFLIGHT_SECONDS = 600
_APP_METHODS = "GET, POST"
_METHODS = "GET, POST, PUT, DELETE"
_REQUEST_HEADERS = "Authorization, Content-Type, DPoP, Last-Event-ID"
_ANSWER_HEADERS = "DPoP-Nonce, Retry-After, WWW-Authenticate"

_METHOD_WANTED = "access-control-request-method"

_log = logging.getLogger("relata.server")


class RegisteredOrigins:
    """The origins of the clients that are not disabled, as they were at most a second ago.

    Threads may share it. While they cannot be read, those that were last read count.
    """

    def __init__(
        self,
        clients: Clients,
        *,
        max_age: float = CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._origins: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    async def include(self, origin: str) -> bool:
        """Whether a client has registered an origin."""
        if not self._is_fresh():
            await run_in_threadpool(self._refresh)
        return origin in self._origins

    def _is_fresh(self) -> bool:
        return self._clock() - self._read_at < self._max_age

    def _refresh(self) -> None:
        with self._lock:
            if self._is_fresh():
                return
            # INVARIANT: the moment is that before reading, so the origins are as new or newer.
            now = self._clock()
            try:
                self._origins = self._read()
            except StoreError as error:
                _log.error("the clients' origins cannot be read: %s", error.message)
            self._read_at = now

    def _read(self) -> frozenset[str]:
        clients = (registration.client for registration in self._clients.list())
        return frozenset(
            origin for client in clients if not client.disabled for origin in client.origins
        )


class CrossOrigin:
    """An ASGI application in front of another, which lets pages of some origins ask it.

    `allowed` may ask every route, `registered` those of an app.
    """

    def __init__(
        self, app: ASGIApp, registered: RegisteredOrigins, allowed: Collection[str] = ()
    ) -> None:
        self._app = app
        self._registered = registered
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight for who may ask; pass everything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        methods = await self._methods(scope, headers)
        if methods and scope["method"] == "OPTIONS" and _METHOD_WANTED in headers:
            await _preflight(headers["origin"], methods)(scope, receive, send)
            return
        origin = headers["origin"] if methods else None
        varies = bool(self._allowed) or _is_of_an_app(scope["path"])
        await self._app(scope, receive, _with_headers(send, origin) if varies else send)

    async def _methods(self, scope: Scope, headers: Headers) -> str:
        """The methods by which a page may ask; none where it may not, or it is no page."""
        origins = headers.getlist("origin")
        if len(origins) != 1:
            return ""
        if origins[0] in self._allowed:
            return _METHODS
        if _is_of_an_app(scope["path"]) and await self._registered.include(origins[0]):
            return _APP_METHODS
        return ""


def _is_of_an_app(path: str) -> bool:
    return path in APP_PATHS or path.startswith(APP_ROOTS)


def _preflight(origin: str, methods: str) -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
            "Vary": "Origin",
        },
    )


def _with_headers(send: Send, origin: str | None) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.add_vary_header("Origin")
            if origin is not None:
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = _ANSWER_HEADERS
        await send(message)

    return with_headers
