"""A schema's text with the places in it: lines, columns, excerpts, and the faults found so far.

Lines end at a line feed, a carriage return, or the two together. Lines and columns count from 1,
in characters. An excerpt shows one line, shortened about the column where it is long, with a
caret below; tabs stay tabs, so that the caret stands under its character.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

import msgspec

from relata.errors import Diagnostic

MAX_DIAGNOSTICS = 100
_EXCERPT_REACH = 100
_LINE_END = re.compile(r"\r\n?|\n")


class Source:
    """A text and the name that errors give it."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def origin(self, at: int) -> tuple[Source, int]:
        """The source that tells of an offset, and the offset in that."""
        return self, at

    def place(self, at: int) -> tuple[int, int]:
        """The line and column of an offset."""
        line = bisect_right(self._line_starts, at)
        return line, at - self._line_starts[line - 1] + 1

    def diagnostic(self, at: int, message: str) -> Diagnostic:
        """Say something about the text at an offset."""
        source, at = self.origin(at)
        line, column = source.place(at)
        return Diagnostic(message, source.name, line, column, source.excerpt(at))

    def excerpt(self, at: int) -> str:
        """The line about an offset, with a caret below it."""
        indent = self.place(at)[1] - 1
        before = self.text[at - min(indent, _EXCERPT_REACH) : at]
        after = _LINE_END.split(self.text[at : at + _EXCERPT_REACH], maxsplit=1)[0]
        left = "…" if indent > _EXCERPT_REACH else ""
        right = "…" if len(after) == _EXCERPT_REACH else ""
        shown = left + _printable(before)
        caret = "".join("\t" if character == "\t" else " " for character in shown) + "^"
        return f"{shown}{_printable(after)}{right}\n{caret}"

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(end.end() for end in _LINE_END.finditer(self.text))]


class Piece(msgspec.Struct, frozen=True):
    """A part of a joined text: where it starts in it, and from which offset of which source."""

    at: int
    source: Source
    start: int


class JoinedSource(Source):
    """A text joined from pieces of others: lines are counted in it, faults are told in those."""

    def __init__(self, text: str, name: str, pieces: Sequence[Piece]) -> None:
        super().__init__(text, name)
        self._pieces = pieces

    def origin(self, at: int) -> tuple[Source, int]:
        """Which source an offset came from, and the offset in that."""
        index = bisect_right(self._pieces, at, key=lambda piece: piece.at)
        piece = self._pieces[max(index - 1, 0)]
        return piece.source, piece.start + max(at - piece.at, 0)


class Findings:
    """Collects faults, each once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: dict[tuple[int, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, at: int, message: str) -> None:
        """Note a fault at an offset."""
        self._found[at, message] = None

    def line(self, at: int, *, beside: int) -> str:
        """`line 3` of an offset, and of which file, where that is not the one of `beside`."""
        source, origin = self._source.origin(at)
        line = f"line {source.place(origin)[0]}"
        return line if source is self._source.origin(beside)[0] else f"{line} of {source.name}"

    def diagnostics(self) -> list[Diagnostic]:
        """The faults in the order of the text; past `MAX_DIAGNOSTICS`, one that says how many."""
        found = sorted(self._found, key=lambda fault: fault[0])
        shown = [self._source.diagnostic(*fault) for fault in found[:MAX_DIAGNOSTICS]]
        rest = found[MAX_DIAGNOSTICS:]
        if rest:
            more = f"{len(rest)} more from here on; mend those above first"
            shown.append(self._source.diagnostic(rest[0][0], more))
        return shown


def quote(text: str, limit: int = 64) -> str:
    """Put a piece of the text in backticks, shortened, with nothing a terminal would obey."""
    shortened = text if len(text) <= limit else f"{text[:limit]}…"
    return f"`{_printable(shortened)}`"


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
