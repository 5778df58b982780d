"""Cursors: where a list goes on, bound to its question and its revision.

A cursor is opaque to its holder. It names the revision of the first page, so later pages come
from the same state however much is written in between, and a digest of the question, so that it
cannot be used with another one. It is not a secret and grants nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated

import msgspec

from relata.errors import CursorError

_MAX_CURSOR_CHARACTERS = 4096
_ROW_DIGITS = 19
"""More than a row number of a database has."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the list that answers a question."""

    question: bytes
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    after: str
    """The last item given, by what the list is sorted by."""

    @property
    def row(self) -> int:
        """The row that was given last. Raises CursorError where `after` is no row's number."""
        digits = self.after
        if not (digits.isascii() and digits.isdigit() and len(digits) < _ROW_DIGITS):
            raise CursorError("the cursor is malformed", field="cursor")
        return int(digits)


def question_digest(*parts: object) -> bytes:
    """A digest that is equal for equal questions."""
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).digest()


def encode_cursor(cursor: Cursor) -> str:
    """Write a cursor as text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode()


def decode_cursor(text: str, question: bytes) -> Cursor:
    """Read a cursor. Raises CursorError where it is malformed or of another question."""
    try:
        if len(text) > _MAX_CURSOR_CHARACTERS:
            raise ValueError
        packed = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(packed, type=Cursor)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise CursorError("the cursor is malformed", field="cursor") from None
    if cursor.question != question:
        raise CursorError(
            "the cursor belongs to another question; send it with the question that it came from",
            field="cursor",
        )
    return cursor
