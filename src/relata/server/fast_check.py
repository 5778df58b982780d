"""The short way for `POST /check`: an ASGI application in front of the others.

It answers when everything about a request is good and nothing has to be waited for: a good key,
which is not bound to an organization, the exact shape, `minimize_latency` or a revision that the
graph has reached. Every other request it hands on, with what it has read of the body, to the
declared route (`routes/checks.py`), which gives the same answers and all the refusals. So the
rules stand in one place, and this module cannot refuse anything.

The evaluation runs in the event loop: it reads memory only, and a thread would cost more than it.
One that follows more than `_STEPS` relationships is given up and handed on, to be done in a thread.
Since the authorizer answers one question at a time, checks take the long way, through a thread,
while a thread is busy with one, and while changes are taken in: the loop must not stand still
behind a long lookup or a large import.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relata.authorizer import Relata
from relata.consistency import decode_zed_token
from relata.server.auth import bearer, permits
from relata.server.busy import Busy
from relata.server.limits import too_deep

_SCOPES = frozenset({"check"})
_STEPS = 10_000
_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class _AtLeast(msgspec.Struct, forbid_unknown_fields=True):
    at_least_as_fresh: str


class _Check(msgspec.Struct, forbid_unknown_fields=True):
    resource: str
    permission: str
    subject: str
    context: dict[str, Any] = {}
    contextual_relationships: list[str] = []
    consistency: Literal["minimize_latency"] | _AtLeast = "minimize_latency"


class _Answer(msgspec.Struct):
    allowed: bool
    permissionship: str
    missing_context: tuple[str, ...]
    checked_at: str


_decode = msgspec.json.Decoder(_Check).decode
_encode = msgspec.json.Encoder().encode


class FastCheck:
    """Answers good checks itself and hands everything else on to `app`."""

    def __init__(self, app: ASGIApp, authorizer: Relata, busy: Busy, max_bytes: int) -> None:
        self._app = app
        self._authorizer = authorizer
        self._busy = busy
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if not _is_check(scope) or not self._admits(scope):
            await self._app(scope, receive, send)
            return
        messages = await self._read(receive)
        answer = self._answer(b"".join(message.get("body", b"") for message in messages))
        if answer is None:
            await self._app(scope, _replay(messages, receive), send)
            return
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
        await send({"type": "http.response.body", "body": answer})

    def _admits(self, scope: Scope) -> bool:
        presented = bearer(scope["headers"])
        if presented is None:
            return False
        try:
            key = self._authorizer.keys.authenticate(presented)
            return not key.organization and permits(key, _SCOPES)
        except Exception:  # noqa: BLE001 - the declared route meets it again, and answers it
            return False

    async def _read(self, receive: Receive) -> list[Message]:
        """Read the body's messages, up to the first that makes it too large."""
        messages = [await receive()]
        size = len(messages[0].get("body", b""))
        while messages[-1].get("more_body", False) and size <= self._max_bytes:
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
        return messages

    def _answer(self, body: bytes) -> bytes | None:
        if self._busy or len(body) > self._max_bytes or too_deep(body):
            return None
        try:
            question = _decode(body)
            if self._must_wait(question.consistency):
                return None
            result = self._authorizer.check_at_once(
                question.resource,
                question.permission,
                question.subject,
                context=question.context,
                contextual=question.contextual_relationships,
                steps=_STEPS,
            )
            if result is None:
                return None
        except Exception:  # noqa: BLE001 - the declared route meets it again, and answers it
            return None
        return _encode(
            _Answer(
                result.allowed, result.permissionship, result.missing_context, result.checked_at
            )
        )

    def _must_wait(self, consistency: str | _AtLeast) -> bool:
        if isinstance(consistency, str):
            return False
        authorizer = self._authorizer
        token = consistency.at_least_as_fresh
        return decode_zed_token(token, authorizer.store.datastore_id) > authorizer.revision


def _is_check(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["path"] == "/check"
        and scope["method"] == "POST"
        and not scope["query_string"]
        and _is_json(scope["headers"])
    )


def _is_json(headers: list[tuple[bytes, bytes]]) -> bool:
    return [value for name, value in headers if name == b"content-type"] == [b"application/json"]


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replayed() -> Message:
        for message in waiting:
            return message
        return await receive()

    return replayed
