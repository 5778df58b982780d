"""Text -> the same text in the one style: indentation, spaces and line ends, nothing else.

The rule: no token and no comment is lost, none is moved past another, and what was documentation
stays so. Only two tokens are ever left out: a `;` that a line end stands in for, and parentheses
that change nothing (about one operand, a whole expression, or operands of the same operator)
unless a comment stands in them. Parentheses between different operators stay even where the
grammar needs none: that `+` binds tighter than `&`, and `-` loosest, is not common knowledge.

Formatting a formatted text changes nothing. A text need not compile, only parse.

What is not done: nothing is sorted, and the expression of a caveat is moved as a block, never
laid out anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from relata.schema.chains import (
    OPERATORS,
    Atom,
    Chain,
    Node,
    Parentheses,
    listed,
    parse_expression,
    tokens_of,
)
from relata.schema.commented import END, Comment, CommentedToken, commented_tokens
from relata.schema.lexing import pieces
from relata.schema.parser import parse
from relata.schema.source import Source

_WIDTH = 100
_TAB = 4
_BEHIND = len(" -")
"""What may stand on a line behind a part of an expression."""

_BLANKS = " \t\r"
_LINE_END = re.compile(r"\r\n?|\n")
_GROUPED = frozenset({"USE", "IMPORT"})
_GLUED = frozenset({"SLASH", "HASH", "ARROW", "DOT", "LESSTHAN"})
_GLUED_TO_LAST = _GLUED | {"COLON", "COMMA", "RPAR", "MORETHAN", "STAR", "_TERMINATOR"}
_GLUED_TO_NEXT = _GLUED | {"LPAR"}
_PARENTHESIS_STANDS_OFF = OPERATORS | {"EQUAL"}


def format_schema(text: str, *, source: str = "schema.zed") -> str:
    """Write a schema in the one style; `source` is what errors call the text.

    Raises SchemaParseError where the text does not follow the grammar.
    """
    origin = Source(text, source)
    parse(origin)
    return _Formatter(origin).text()


class _Formatter:
    """Writes the tokens of one text, statement by statement."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens = commented_tokens(source)
        self._at = 0
        self._page = _Page()

    def text(self) -> str:
        """The whole text, formatted."""
        self._end(0)
        above = ""
        while self._next.type != END:
            type_ = self._next.type
            self._lead(0, empty_line=None if type_ == above and type_ in _GROUPED else True)
            self._item(type_)
            self._end(0)
            above = type_
        self._comments_above(0, empty_line=None)
        return self._page.text()

    def _item(self, type_: str) -> None:
        if type_ in _GROUPED:
            self._put(self._take(), 1)
        elif type_ == "CAVEAT":
            self._caveat()
        else:
            self._put_through("LBRACE", 1)
            self._members()

    def _members(self) -> None:
        if self._skip_nothing():
            self._page.write("}")
            return
        self._end(1, opened=True)
        first = True
        while self._next.type != "RBRACE":
            self._lead(1, empty_line=False if first else None)
            self._member()
            self._end(1)
            first = False
        self._comments_above(1, empty_line=False if first else None)
        self._page.new_line(0)
        self._page.write(self._take().text)

    def _skip_nothing(self) -> bool:
        """Go past the `}` where neither a member nor a comment stands before it."""
        at = self._at
        while self._tokens[at].type == "_TERMINATOR" and not self._tokens[at].comments:
            at += 1
        if self._tokens[at].type != "RBRACE" or self._tokens[at].comments:
            return False
        self._at = at + 1
        return True

    def _member(self) -> None:
        """The rest of a statement in braces, whose first token is written."""
        type_ = self._tokens[self._at - 1].type
        if type_ == "RELATION":
            self._put_through("COLON", 2)
            self._top(listed(self._statement(), "VBAR"), 2)
        elif type_ == "PERMISSION":
            self._put_through("EQUAL", 2)
            self._top(parse_expression(self._statement()), 2)
        else:
            self._put(self._take(), 2)
        if self._tokens[self._at - 1].type == "ELLIPSIS":
            self._page.write(";")  # no line end ends a statement here

    def _statement(self) -> list[CommentedToken]:
        tokens = []
        while not self._next.begins and self._next.type != "_TERMINATOR":
            tokens.append(self._take())
        return tokens

    def _caveat(self) -> None:
        self._put_through("LPAR", 1)
        tokens = []
        while self._next.type != "RPAR":
            tokens.append(self._take())
        self._top(listed(tokens, "COMMA"), 1, behind=len(") {"))
        self._put(self._take(), 1)
        opening = self._take()
        self._put(opening, 1)
        self._take()
        closing = self._take()
        for line in _expression_lines(self._source.text[opening.end : closing.start]):
            self._page.add_line(line)
        self._page.new_line(0)
        self._page.write(closing.text)

    # Between statements

    @property
    def _next(self) -> CommentedToken:
        return self._tokens[self._at]

    def _take(self) -> CommentedToken:
        self._at += 1
        return self._tokens[self._at - 1]

    def _lead(self, indent: int, *, empty_line: bool | None) -> None:
        """Write the first token of a statement on a line of its own, its comments above it.

        An empty line stands above where `empty_line` says so, and with None where there was one.
        """
        if self._comments_above(indent, empty_line=empty_line):
            empty_line = None
        token = self._take()
        self._page.new_line(indent, empty_line=_seen(token, empty_line))
        self._page.write(token.text, token.type)

    def _comments_above(self, indent: int, *, empty_line: bool | None) -> bool:
        """Write the comments before the next token, a line each; say whether there are any."""
        for comment in self._next.comments:
            self._page.new_line(indent, empty_line=_seen(comment, empty_line))
            self._page.write_comment(comment)
            empty_line = None
        return bool(self._next.comments)

    def _end(self, indent: int, *, opened: bool = False) -> None:
        """End a statement, or the line that `opened` braces, with the comments on its line.

        A `;` that is not needed is left out. One is needed where a comment would otherwise become
        documentation of what follows, or a part of another comment.
        """
        self._comments_behind(opened=opened)
        while self._next.type == "_TERMINATOR":
            behind = _behind(self._tokens[self._at + 1])
            if self._next.comments or (behind and not self._page.takes_comment):
                self._lead(indent, empty_line=None)
            else:
                self._take()
            self._comments_behind(opened=opened)

    def _comments_behind(self, *, opened: bool = False) -> None:
        """Write the comments that stand on the line of the last token, behind it."""
        token = self._next
        number = 0 if opened and token.type == "RBRACE" and not token.is_spread else _behind(token)
        if not self._page.is_empty:
            for comment in token.comments[:number]:
                self._page.write(" ")
                self._page.write_comment(comment)
            rest = token.comments[number:]
            self._tokens[self._at] = msgspec.structs.replace(token, comments=rest)

    # Within statements

    def _put(self, token: CommentedToken, indent: int, *, fresh: bool = False) -> None:
        self._page.put(token, indent, fresh=fresh)

    def _put_through(self, type_: str, indent: int) -> None:
        """Write the tokens up to and with the first of a type."""
        while self._next.type != type_:
            self._put(self._take(), indent)
        self._put(self._take(), indent)

    def _top(self, node: Node, indent: int, *, behind: int = 0) -> None:
        """Write what follows a `:`, `=` or `(`: behind it, or on lines of its own."""
        broken = isinstance(node, Chain) and self._is_too_long(node, self._page.column + 1, behind)
        self._node(node, indent, fresh=broken, hanging=0, broken=broken)

    def _node(
        self,
        node: Node,
        indent: int,
        *,
        fresh: bool = False,
        hanging: int = 1,
        broken: bool | None = None,
    ) -> None:
        """Write an expression; where it is `broken`, all operands but the first on lines of
        their own, `hanging` by so many tabs."""
        match node:
            case Atom(tokens):
                for number, token in enumerate(tokens):
                    self._put(token, indent, fresh=fresh and number == 0)
            case Parentheses(opening, inner, closing, _):
                self._put(opening, indent, fresh=fresh)
                self._node(inner, indent)
                self._put(closing, indent)
            case Chain((first, *further), operators):
                if broken is None:
                    start = indent * _TAB if fresh else self._page.column + 1
                    broken = self._is_too_long(node, start, _BEHIND)
                self._node(first, indent, fresh=fresh)
                for operator, operand in zip(operators, further, strict=True):
                    self._put(operator, indent + hanging)
                    self._node(operand, indent + hanging, fresh=broken)

    def _is_too_long(self, chain: Chain, start: int, behind: int) -> bool:
        """Whether a chain needs more than one line, for its length or the comments in it."""
        tokens = [*tokens_of(chain)]
        if any(token.is_spread for token in tokens[1:]):
            return True
        width = sum(map(_width, tokens)) + sum(
            len(_space(before.type, after.type)) for before, after in pairwise(tokens)
        )
        return start + width + behind > _WIDTH


class _Page:
    """The lines written so far; the last is being written, and may have line ends of a comment.

    A line is kept in the pieces it is written in, so that a long one costs no more than it has.
    """

    def __init__(self) -> None:
        self._lines: list[list[str]] = []
        self.column = 0
        """How wide the last line is, from its last line end."""
        self._indent = ""
        self._is_blank = True
        self._last_type = ""
        self._after_line_comment = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is written."""
        return not self._lines

    @property
    def takes_comment(self) -> bool:
        """Whether a comment can be written behind what is there."""
        return bool(self._lines) and not self._after_line_comment

    def text(self) -> str:
        """All lines, each with its end."""
        return "".join(f"{''.join(pieces)}\n" for pieces in self._lines)

    def new_line(self, indent: int, *, empty_line: bool = False) -> None:
        """Begin a line, with an empty one above it, unless it is the first."""
        if empty_line and self._lines:
            self._lines.append([])
        self.add_line("\t" * indent)
        self._after_line_comment = False

    def add_line(self, line: str) -> None:
        """Write a whole line."""
        self._lines.append([])
        self._begin()
        self._append(line)

    def write(self, text: str, type_: str = "") -> None:
        """Go on with the line; a token gives its type, for what comes behind it."""
        self._append(text)
        self._last_type = type_ or self._last_type

    def write_comment(self, comment: Comment) -> None:
        """Go on with a comment, whose further lines get the indentation of this one."""
        self._append(_indented(comment, self._indent))
        self._after_line_comment = comment.is_line

    def put(self, token: CommentedToken, indent: int, *, fresh: bool) -> None:
        """Write a token behind the last, with its comments between them on the lines they had.

        A `fresh` one begins a line, at the latest itself.
        """
        if fresh and not token.is_spread:
            self.new_line(indent)
        for comment in token.comments:
            if comment.lines_before:
                self.new_line(indent)
            elif not self._is_blank and self._last_type != "LPAR":
                self.write(" ")
            self.write_comment(comment)
            self._last_type = "COMMENT"
        if token.comments and token.lines_before:
            self.new_line(indent)
        if not self._is_blank:
            self.write(_space(self._last_type, token.type))
        self.write(token.text, token.type)

    def _begin(self) -> None:
        self.column, self._indent, self._is_blank = 0, "", True

    def _append(self, text: str) -> None:
        self._lines[-1].append(text)
        _, line_end, last = text.rpartition("\n")
        if line_end:
            self._begin()
        if self._is_blank:
            self._indent += last[: len(last) - len(last.lstrip("\t "))]
            self._is_blank = not last.strip()
        since_tab = self.column % _TAB
        self.column += len(f"{' ' * since_tab}{last}".expandtabs(_TAB)) - since_tab


def _seen(mark: Comment | CommentedToken, empty_line: bool | None) -> bool:
    """Whether an empty line is to stand above: as decided, else if one does in the text."""
    return mark.lines_before > 1 if empty_line is None else empty_line


def _behind(token: CommentedToken) -> int:
    """How many of the comments before a token stand behind the one before, on its line.

    Where no line ends in between, those before a keyword are the keyword's.
    """
    number = 0
    while number < len(token.comments) and not token.comments[number].lines_before:
        number += 1
    line_ends = number < len(token.comments) or token.lines_before
    return number if line_ends or token.type in {"RBRACE", "_TERMINATOR", END} else 0


def _space(last: str, next_: str) -> str:
    """What stands between two tokens on a line, by their types."""
    if last == "COMMENT":
        glued = next_ in {"RPAR", "COMMA"}
    elif last == "ELLIPSIS":
        glued = next_ in {"NAME", "USE", "ANY", "ALL", "_TERMINATOR"}
    elif next_ == "LPAR":
        glued = last not in _PARENTHESIS_STANDS_OFF
    else:
        glued = last in _GLUED_TO_NEXT or next_ in _GLUED_TO_LAST
    return "" if glued else " "


def _width(token: CommentedToken) -> int:
    """How wide a token is with its comments, wherever the lines of these begin."""
    lines = (line for comment in token.comments for line in _LINE_END.split(comment.text))
    return len(token.text) + sum(len(line.strip(" \t")) + 1 for line in lines)


def _indented(comment: Comment, indent: str) -> str:
    """A comment with its further lines moved as the first was, or lined up by their stars."""
    first, *further = (line.rstrip(" \t") for line in _LINE_END.split(comment.text))
    stripped = [line.lstrip(" \t") for line in further]
    if all(line.startswith("*") for line in stripped):
        moved = [f"{indent} {line}" for line in stripped]
    else:
        moved = [_moved(line, comment.indent, indent) for line in further]
    return "\n".join([first, *moved])


def _moved(line: str, before: str, after: str) -> str:
    return f"{after}{line.removeprefix(before)}" if line and line.startswith(before) else line


def _expression_lines(text: str) -> list[str]:
    """What is in a caveat's braces as a block that a tab indents, its lines relative as they were.

    Lines within strings stay as they are. A carriage return alone is left where it is: to CEL, a
    comment does not end there.
    """
    (first, _), *further = _lines_of(text)
    code = (line for line, in_comment in further if line and not in_comment)
    edge = min(map(_indent, code), default=0)
    lines = [first.lstrip(" \t")]
    for line, in_comment in further:
        if line or in_comment or lines[-1]:
            tabs, spaces = divmod(max(_indent(line) - edge, 0), _TAB)
            lines.append("\t" * tabs + " " * spaces + line.lstrip(" \t"))
    return [f"\t{line}" if line else "" for line in _without_empty_ends(lines)]


def _lines_of(text: str) -> Iterator[tuple[str, bool]]:
    """Each line of a text without blanks at its end, and whether it begins in a comment."""
    start, in_comment = 0, False
    for kind, piece, at in pieces(Source(text, "")):
        if kind in {"newline", "comment"}:
            for end in re.finditer("\n", piece):
                yield text[start : at + end.start()].rstrip(_BLANKS), in_comment
                start, in_comment = at + end.end(), kind == "comment"
    yield text[start:].rstrip(_BLANKS), in_comment


def _indent(line: str) -> int:
    expanded = line.expandtabs(_TAB)
    return len(expanded) - len(expanded.lstrip(" "))


def _without_empty_ends(lines: list[str]) -> list[str]:
    full = [number for number, line in enumerate(lines) if line]
    return lines[full[0] : full[-1] + 1]
