"""A server that gives every check the same answer: the most that this way of serving could reach.

It decodes the body of a check as Relata does and answers a constant of the usual size, without a
key, a question or a database, under uvicorn with Relata's settings and uvicorn's own protocol.
What Relata takes longer is the price of the answer being true. What it takes less, it saves by not
making a task for each check (`relata.server.short_protocol`), which this server does without.

    python -m benchmarks.constant_server PORT
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

from benchmarks import HOST

BATCH = 100

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class _Check(msgspec.Struct, forbid_unknown_fields=True):
    resource: str
    permission: str
    subject: str


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    checks: list[_Check]


_decode_check = msgspec.json.Decoder(_Check).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_CHECKED_AT = "MTo3YjY5ZTFhMGY0MmM3YjY5ZTFhMGY0MmM3YjY5ZTFhMDozNDI="
_ANSWER = {"allowed": True, "permissionship": "allowed", "missing_context": []}


def _constant(answer: object) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    """The headers that Relata sends, and the body."""
    body = msgspec.json.encode(answer)
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"%d" % len(body)),
    )
    return headers, body


_CHECK_ANSWER = _constant({**_ANSWER, "checked_at": _CHECKED_AT})
_BATCH_ANSWER = _constant({"answers": [_ANSWER] * BATCH, "checked_at": _CHECKED_AT})
_READY = _constant({})


async def app(scope: _Message, receive: _Receive, send: _Send) -> None:
    """Answer a check, or a batch of checks."""
    if scope["type"] != "http":
        return
    body = b""
    if scope["method"] == "POST":
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
    headers, answer = _answer(scope["path"], body)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def _answer(path: str, body: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    if path == "/check":
        _decode_check(body)
        return _CHECK_ANSWER
    if path == "/check/batch":
        _decode_batch(body)
        return _BATCH_ANSWER
    return _READY


if __name__ == "__main__":
    uvicorn.run(
        app,
        host=HOST,
        port=int(sys.argv[1]),
        log_config=None,
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=30,
    )
