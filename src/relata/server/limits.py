"""What a body may be: not too large, JSON that is UTF-8, and not too deep.

The size is counted as the body arrives, so a body sent in chunks without a Content-Length meets
the same limit. JSON is read strictly (RFC 8259): no NaN, no Infinity, no lone surrogates (which
cannot be stored or sent back as UTF-8), no other encoding, no nesting deeper than `MAX_DEPTH`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relata.server.problems import Refusal, respond

MAX_DEPTH = 64
MAX_FORM_FIELDS = 100

# It matches at every quote, closed or not: one that failed would be tried again from the next.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class BodyLimit:
    """An ASGI application in front of another that refuses bodies of more than `max_bytes`.

    `streamed` has other limits for the paths whose bodies are never held whole.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, streamed: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._streamed = streamed or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413 where its Content-Length already says too much."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._streamed.get(scope["path"], self._max_bytes)
        if _declared_length(scope) > most:
            refusal = _too_large(most)
            await respond(refusal.problem, refusal.headers)(scope, receive, send)
        else:
            await self._app(scope, _counting(receive, most), send)


def _counting(receive: Receive, most: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> Refusal:
    detail = f"the body has more than {most} bytes; send less at a time"
    return Refusal("body_too_large", detail, headers={"Connection": "close"})


def read_json(body: bytes) -> object:
    """Read a JSON body. Raises Refusal, with the line and column of what is wrong."""
    if too_deep(body):
        raise _malformed(f"the JSON is nested deeper than {MAX_DEPTH}")
    try:
        text = body.decode()
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise _malformed(f"the JSON is not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"the JSON is malformed at {place}: {error.msg.lower()}") from None
    except ValueError:
        raise _malformed("the JSON has a number that is too long") from None
    if _SURROGATE_ESCAPE.search(text) and _has_lone_surrogate(value):
        raise _malformed("the JSON has half of a surrogate pair in a string")
    return value


def too_deep(body: bytes) -> bool:
    """Whether the brackets of a JSON body are nested deeper than `MAX_DEPTH`."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def read_form(data: bytes) -> list[tuple[str, str]]:
    """Read the pairs of a query or a form. Raises ValueError where it is not UTF-8, or too long."""
    return parse_qsl(
        data.decode("ascii"),
        keep_blank_values=True,
        errors="strict",
        max_num_fields=MAX_FORM_FIELDS,
    )


def _declared_length(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"")
    return int(value) if value.isdigit() else 0


def _has_lone_surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _refuse_constant(name: str) -> NoReturn:
    raise _malformed(f"`{name}` is not JSON")


def _malformed(detail: str) -> Refusal:
    return Refusal("malformed_json", detail)
