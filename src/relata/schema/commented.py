"""The tokens of a text that parses, each with the comments before it: what a formatter needs.

A line end that ends a statement is no token here but said of the token after it. Where the text
says nothing (blanks, how many line ends) only what a reader would see is kept: whether a comment
or token begins a line, and whether an empty line stands above it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from relata.schema.lexing import Lexing, pieces
from relata.schema.source import Source

END = "END"
"""The type of the token behind the last, which has the last comments."""


class Comment(msgspec.Struct, frozen=True):
    """A comment, with its delimiters."""

    text: str
    lines_before: int
    """Line ends between it and what stands before it, be that a token or a comment."""
    indent: str
    """The blanks that its line begins with."""

    @property
    def is_line(self) -> bool:
        """Whether it goes on to the end of its line."""
        return self.text.startswith("//")


class CommentedToken(msgspec.Struct, frozen=True):
    """A token of the grammar, with the comments between it and the token before."""

    type: str
    text: str
    start: int
    end: int
    comments: tuple[Comment, ...]
    lines_before: int
    """Line ends between it and the last of its comments, or else the token before."""
    begins: bool
    """Whether a line end before it ended a statement."""

    @property
    def is_spread(self) -> bool:
        """Whether there are both comments and line ends before it."""
        lines = self.lines_before or any(comment.lines_before for comment in self.comments)
        return bool(self.comments and lines)


def commented_tokens(source: Source) -> list[CommentedToken]:
    """The tokens of a text, and one of the type `END`. Raises SchemaParseError."""
    gaps = _Gaps(source)
    found = []
    begins = False
    for token in Lexing(source).tokens():
        if token.type == "_TERMINATOR" and token.isspace():
            begins = True
            continue
        start, end = token.start_pos or 0, token.end_pos or 0
        found.append(CommentedToken(token.type, str(token), start, end, *gaps.to(start), begins))
        gaps.skip(end)
        begins = False
    length = len(source.text)
    found.append(CommentedToken(END, "", length, length, *gaps.to(length), begins))
    return found


class _Gaps:
    """Reads what stands between tokens."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces = _comments_and_line_ends(source)
        self._next = next(self._pieces, None)

    def to(self, start: int) -> tuple[tuple[Comment, ...], int]:
        """The comments before an offset, and the line ends after the last of them."""
        comments: list[Comment] = []
        lines = 0
        while self._next is not None and self._next[1] < start:
            text, at = self._next
            if text:
                comments.append(Comment(text, lines, self._indent(at)))
            lines = 0 if text else lines + 1
            self._next = next(self._pieces, None)
        return tuple(comments), lines

    def skip(self, end: int) -> None:
        """Pass over what a token has in itself."""
        while self._next is not None and self._next[1] < end:
            self._next = next(self._pieces, None)

    def _indent(self, at: int) -> str:
        line = self._source.text[at - self._source.place(at)[1] + 1 : at]
        return line[: len(line) - len(line.lstrip(" \t"))]


def _comments_and_line_ends(source: Source) -> Iterator[tuple[str, int]]:
    """The text of each comment, or nothing for each line end, with its place."""
    for kind, text, at in pieces(source):
        if kind == "comment":
            yield text, at
        elif kind == "newline" and source.text[at - 1 : at + 1] != "\r\n":
            yield "", at
