"""Cuts a schema's text into the tokens that the grammar is written in.

Three things need more than a pattern:

- A line end is a token, a terminator, where the token before it could end a statement: a word,
  `}`, `)` or `*`. Elsewhere it is a blank. (So an expression goes on after an operator at the end
  of a line, not before one at the start of the next.)
- Some words are keywords only once a `use` at the top of the text says so: `expiration` and `and`
  (flag `expiration`), `self`, `partial`, `import`, `typechecking`.
- The expression of a caveat is one token: all from its `{` to the `}` that balances it.

Comments are no tokens. Those before a keyword are its documentation, unless they stand at the
end of a line of something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lark import Token

from relata.errors import SchemaParseError
from relata.schema.source import Source, quote

MAX_NESTING = 100

FLAGS = {
    "expiration": ("expiration", "and"),
    "import": ("import",),
    "partial": ("partial",),
    "self": ("self",),
    "typechecking": ("typechecking",),
}
"""The `use` flags, each with the words that it makes into keywords."""

_KEYWORDS = frozenset({"definition", "caveat", "relation", "permission", "nil", "with"})

MARKED_WORDS = frozenset({"use", "any", "all"})
"""Words with a meaning in one place, and names in every other; the grammar tells which."""

_PUNCTUATION = {
    "{": "LBRACE",
    "}": "RBRACE",
    "(": "LPAR",
    ")": "RPAR",
    "<": "LESSTHAN",
    ">": "MORETHAN",
    "|": "VBAR",
    "+": "PLUS",
    "&": "AMPERSAND",
    "-": "MINUS",
    "=": "EQUAL",
    "/": "SLASH",
    ":": "COLON",
    "#": "HASH",
    "*": "STAR",
    ",": "COMMA",
    ".": "DOT",
    "->": "ARROW",
    "...": "ELLIPSIS",
    ";": "_TERMINATOR",
}
_DOCUMENTED = frozenset({"DEFINITION", "PARTIAL", "CAVEAT", "RELATION", "PERMISSION"})
_ENDS_STATEMENT = frozenset({"RBRACE", "RPAR", "STAR"})

_PIECE = re.compile(
    r"""
      (?P<blank>    [ \t]+ )
    | (?P<newline>  [\r\n] )
    | (?P<word>     \w+ )
    | (?P<comment>  //[^\r\n]* | /\*(?s:.*?)\*/ )
    | (?P<string>   "{3}(?s:.*?)"{3} | '{3}(?s:.*?)'{3} )
    | (?P<unclosed> /\* | "{3} | '{3} )
    | (?P<quoted>   "[^"\r\n]*" | '[^'\r\n]*' )
    | (?P<mark>     \.\.\. | -> | \|\| | && | [<>=!]= | [{}()<>|+&\-=/:;\#*,.?!\[\]%] )
    | (?P<other>    . )
    """,
    re.VERBOSE,
)

_Piece = tuple[str, str, int]


class Lexing:
    """One reading of one text. `docs` fills while `tokens` is read, once."""

    def __init__(self, source: Source) -> None:
        self.docs: dict[int, str] = {}
        self._pieces = pieces(source)
        self._source = source
        self._keywords = set(_KEYWORDS)
        self._comments: list[str] = []
        self._last = ""
        self._may_end = False
        self._line_has_token = False
        self._in_caveat = False
        self._braces = 0
        self._nesting = 0

    def tokens(self) -> Iterator[Token]:
        """The tokens, with their places as `start_pos` and `end_pos`.

        Raises SchemaParseError at a character, comment or string that is no token, and where
        brackets are nested more than `MAX_NESTING` deep.
        """
        for kind, text, at in self._pieces:
            if kind == "comment":
                self._comments.append(text)
            elif kind == "newline":
                yield from self._line_end(text, at)
            else:
                type_ = self._type(kind, text)
                self._count(type_, at)
                yield self._token(type_, text, at, may_end=kind == "word")
                if type_ == "LBRACE" and self._in_caveat:
                    yield from self._caveat_expression()

    def _line_end(self, text: str, at: int) -> Iterator[Token]:
        if self._line_has_token:
            self._comments = []
        if self._may_end:
            yield self._token("_TERMINATOR", text, at)
        self._line_has_token = False

    def _type(self, kind: str, text: str) -> str:
        if kind == "word":
            return self._word_type(text)
        return _PUNCTUATION.get(text, "MARK") if kind == "mark" else "STRING"

    def _word_type(self, word: str) -> str:
        if self._last == "USE" and not self._braces and not self._nesting:
            self._keywords.update(FLAGS.get(word, ()))
            return "FLAG"
        if word in self._keywords:
            self._in_caveat = self._in_caveat or word == "caveat"
            return word.upper()
        return word.upper() if word in MARKED_WORDS else "NAME"

    def _count(self, type_: str, at: int) -> None:
        if type_ in {"LPAR", "LESSTHAN"}:
            self._nesting += 1
            if self._nesting > MAX_NESTING:
                message = f"brackets are nested more than {MAX_NESTING} deep"
                raise SchemaParseError([self._source.diagnostic(at, message)])
        elif type_ in {"RPAR", "MORETHAN"}:
            self._nesting -= 1
        elif type_ == "LBRACE":
            self._braces += 1
        elif type_ == "RBRACE":
            self._braces -= 1

    def _token(self, type_: str, text: str, at: int, *, may_end: bool = False) -> Token:
        if self._comments:
            if type_ in _DOCUMENTED:
                self.docs[at] = _documentation(self._comments)
            self._comments = []
        self._last = type_
        self._line_has_token = True
        self._may_end = may_end or type_ in _ENDS_STATEMENT
        return Token(type_, text, start_pos=at, end_pos=at + len(text))

    def _caveat_expression(self) -> Iterator[Token]:
        self._in_caveat = False
        depth = 1
        start = end = -1
        for kind, text, at in self._pieces:
            if kind in {"comment", "newline"}:
                continue
            if kind == "mark":
                depth += (text == "{") - (text == "}")
            if not depth:
                if start >= 0:
                    yield self._token("CEL", self._source.text[start:end], start)
                self._count("RBRACE", at)
                yield self._token("RBRACE", text, at)
                return
            start = start if start >= 0 else at
            end = at + len(text)


def pieces(source: Source) -> Iterator[_Piece]:
    """What a text is made of, blanks left out: the kind, text and place of each piece.

    Comments (`comment`) and line ends (`newline`, a character each) are among them, for which
    `Lexing` has no tokens. Raises SchemaParseError as `Lexing` does.
    """
    for match in _PIECE.finditer(source.text):
        kind, text, at = match.lastgroup or "", match.group(), match.start()
        if kind == "unclosed" or (kind == "other" and text in "\"'"):
            what = "comment" if text == "/*" else "string"
            raise SchemaParseError([source.diagnostic(at, f"this {what} is not closed")])
        if kind == "other":
            shown = quote(text) if text.isprintable() else f"U+{ord(text):04X}"
            message = f"the character {shown} is not part of the language"
            raise SchemaParseError([source.diagnostic(at, message)])
        if kind != "blank":
            yield kind, text, at


def _documentation(comments: list[str]) -> str:
    return "\n".join(filter(None, map(_without_delimiters, comments)))


def _without_delimiters(comment: str) -> str:
    if comment.startswith("//"):
        return comment[2:].strip()
    inner = comment.removeprefix("/*").removesuffix("*/")
    lines = (line.strip().removeprefix("*").strip() for line in inner.splitlines())
    return "\n".join(lines).strip("\n")
