"""A server that gives every check the same answer: the most that this way of serving could reach.

It decodes the body of a check as Relata does and answers a constant of the usual size, without a
key, a question or a database, under uvicorn with Relata's settings. What Relata takes longer is
the price of the answer being true.

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
_ANSWER = {"allowed": True, "permissionship": "allowed"}
_CHECK_ANSWER = msgspec.json.encode({**_ANSWER, "checked_at": _CHECKED_AT})
_BATCH_ANSWER = msgspec.json.encode({"answers": [_ANSWER] * BATCH, "checked_at": _CHECKED_AT})
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


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
    answer = _answer(scope["path"], body)
    length = (b"content-length", str(len(answer)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": answer})


def _answer(path: str, body: bytes) -> bytes:
    if path == "/check":
        _decode_check(body)
        return _CHECK_ANSWER
    if path == "/check/batch":
        _decode_batch(body)
        return _BATCH_ANSWER
    return b"{}"


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
