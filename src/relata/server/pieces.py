"""Answers that are sent piece by piece: long lists, and trees.

A list of many thousands of ids is never one text in memory, and nothing that this module does
keeps the event loop for longer than it takes to write `_PIECE_BYTES`, a fraction of a millisecond:
between two pieces everybody else has a turn. Who reads slowly holds back the pieces to come. What
fits one piece is sent whole, with its length.

What can go wrong must have done so before: an answer that has begun can only break off.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec
from starlette.responses import Response, StreamingResponse

_MEDIA_TYPE = "application/json"
_PIECE_BYTES = 16_384
_ITEMS = 100
"""How many items of a list are written at a time."""

encode = msgspec.json.Encoder().encode
"""Write a small value."""


def respond(parts: Iterable[bytes]) -> Response:
    """Answer with a JSON text that is made as it is sent; each part of it is small."""
    pieces = _pieces(parts)
    first, second = next(pieces, b""), next(pieces, None)
    if second is None:
        return Response(first, media_type=_MEDIA_TYPE)
    return StreamingResponse(_in_turn(chain((first, second), pieces)), media_type=_MEDIA_TYPE)


def write_object(**members: object) -> Iterator[bytes]:
    """Write an object. A member that is an iterator is one of parts, of a JSON text."""
    before = "{"
    for name, value in members.items():
        yield f'{before}"{name}":'.encode()
        if isinstance(value, Iterator):
            yield from value
        else:
            yield encode(value)
        before = ","
    yield b"}"


def write_list(texts: Iterable[str]) -> Iterator[bytes]:
    """Write a list of texts."""
    waiting = iter(texts)
    yield b"["
    before = b""
    while some := list(islice(waiting, _ITEMS)):
        yield before + encode(some)[1:-1]
        before = b","
    yield b"]"


def write_lists(lists: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
    """Write an object whose values are short lists of texts."""
    waiting = iter(lists.items())
    yield b"{"
    before = b""
    while some := dict(islice(waiting, _ITEMS)):
        yield before + encode(some)[1:-1]
        before = b","
    yield b"}"


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for part in parts:
        piece += part
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


async def _in_turn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await sleep(0)  # sending waits for slow readers only
