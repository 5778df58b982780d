"""The two kinds of routes: `Guarded` wants a key, `Open` wants none; nothing else is served.

Both check a request in the same order before the route sees it: the key, the query's parameters,
the media type, the body. So who may not ask learns nothing about the question, and a misspelt
parameter is refused, not ignored. A guarded route that names no scope cannot be assembled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any

from fastapi import HTTPException, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from relata.errors import InvalidArgumentError, RelataError
from relata.server.auth import Inside, admit
from relata.server.limits import read_form, read_json
from relata.server.problems import Refusal, unexpected

_FORESEEN = (RelataError, HTTPException, RequestValidationError)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JSONRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> object:
        """Read the body. Raises Refusal where it is not JSON."""
        return read_json(await self.body())


class Open(APIRoute):
    """A route that answers without a key."""

    def get_route_handler(self) -> Handler:
        """Make what Starlette calls for a request of this route."""
        handler = super().get_route_handler()
        names = _query_names(self.dependant)
        takes_json = self.body_field is not None

        async def answer(request: Request) -> Response:
            try:
                self.admit(request)
                _check_query(request, names)
                if takes_json:
                    await _check_json(request)
                return await handler(JSONRequest(request.scope, request.receive))
            except _FORESEEN:
                raise
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is left to read it
            except Exception as error:  # noqa: BLE001 - the last line: whatever it is, nothing leaks
                return unexpected(error)

        return answer

    def admit(self, request: Request) -> None:
        """Let everybody pass."""


class Guarded(Open):
    """A route that answers only keys with one of the scopes that its `needs(...)` names."""

    def get_route_handler(self) -> Handler:
        """Make what Starlette calls; raises RuntimeError where the route names no scope."""
        if not self._scopes:
            raise RuntimeError(f"{self.path} is guarded but names no scope")
        return super().get_route_handler()

    def admit(self, request: Request) -> None:
        """Let a good key with a good scope pass; it is `request.state.key` from then on."""
        request.state.key = admit(
            request.app.state.authorizer.keys, request.headers.raw, self._scopes, self._inside
        )

    @cached_property
    def _scopes(self) -> frozenset[str]:
        declared = (item for item in self.dependencies if isinstance(item, params.Security))
        return frozenset(scope for item in declared for scope in item.scopes or ())

    @cached_property
    def _inside(self) -> frozenset[str]:
        """The scopes of which a key that is bound to an organization needs one; none, for none."""
        marks = (item.dependency for item in self.dependencies)
        return frozenset(scope for it in marks if isinstance(it, Inside) for scope in it.scopes)


def media_type(request: Request) -> str:
    """The media type of a request's body without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported_media_type(*supported: str) -> Refusal:
    """Make the refusal of a body whose media type a route does not take."""
    names = " or ".join(f"`{name}`" for name in supported)
    return Refusal("unsupported_media_type", f"send the body as {names}")


async def _check_json(request: Request) -> None:
    if media_type(request) != "application/json":
        raise unsupported_media_type("application/json")


def _check_query(request: Request, names: frozenset[str]) -> None:
    seen = set()
    for name in _query_keys(request.scope["query_string"]):
        if name not in names:
            raise _bad_query(name, "is not a parameter here; leave it out")
        if name in seen:
            raise _bad_query(name, "is given twice; give it once")
        seen.add(name)


def _query_keys(query: bytes) -> list[str]:
    try:
        return [name for name, _ in read_form(query)]
    except ValueError:
        raise InvalidArgumentError(
            "the query is not UTF-8 in percent-encoding, or has too many fields"
        ) from None


def _bad_query(name: str, complaint: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"`{name}` {complaint}", field=name)


def _query_names(dependant: Dependant) -> frozenset[str]:
    names = {field.alias for field in dependant.query_params}
    return frozenset(names).union(*(_query_names(item) for item in dependant.dependencies))
