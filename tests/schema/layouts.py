"""Hypothesis strategies: texts of schemas that compile, of the whole language, in any layout.

`schema_texts` draws a text with one space or line end wherever there has to be one. `laid_out`
draws another layout of a text: odd blanks, line ends where they are allowed, `;` for line ends,
comments of every form at every place.

`RELATA_EXAMPLES` sets how many of them a property is tried on (200 unless set).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from lark import Token

from relata.schema.lexing import Lexing, pieces
from relata.schema.source import Source

thorough = settings(
    max_examples=int(os.environ.get("RELATA_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TYPES = ("user", "group", "acme/doc")
WALKABLE = ("one", "two", "a_relation_with_a_name_that_is_rather_long")
RELATIONS = (*WALKABLE, "public")
PERMISSIONS = ("can", "may", "see")

CAVEATS = {
    "within": "(most int, given int) {\n\tgiven <= most\n}",
    "ns/named": '(word string, words list<string>) {\n\tword in words && word != "// }"\n}',
    "spread": (
        "(text string, data map<list<int>>) {\n"
        '\ttext != """\n  // no comment\n\t}""" ||\n'
        "\t\t( data.size() > 1 ? true : { 1 : 2 }[ 1 ] == 2 )\n}"
    ),
    "long": (
        "(the_first_of_many_parameters bool, the_second_of_many_parameters bool, "
        "the_third_of_many_parameters bool) {\n\tthe_first_of_many_parameters && "
        "the_second_of_many_parameters && the_third_of_many_parameters\n}"
    ),
}

COMMENTS = (
    "// on a line",
    "//",
    "/* within */",
    "/** documented */",
    "/*\n * with\n   * stars\n\t */",
    "/* over\n   two lines */",
    "/* odd\n\n\t\tlines */",
    "// relata-ignore-warning: permission-references-itself",
    "// spicedb-ignore-warning: arrow-references-relation",
)
CEL_COMMENTS = tuple(comment for comment in COMMENTS if comment.startswith("//"))
BLANKS = ("", " ", "\t", "  \t ")
LINE_ENDS = ("\n", "\n\n", "\r\n", "\r", "\n\n\n \t\n")


class _Choices:
    """Choices by one draw of bytes, the first option where these have run out."""

    def __init__(self, drawn: bytes) -> None:
        self._bytes = iter(drawn)

    def number(self, below: int) -> int:
        return next(self._bytes, 0) % below

    def one(self, options: Sequence[str]) -> str:
        return options[self.number(len(options))]

    def often(self, times: int, of: int) -> bool:
        """True in so many of so many cases, false where the bytes have run out."""
        return self.number(of) >= of - times


def _choices(most: int) -> st.SearchStrategy[_Choices]:
    lengths = st.integers(0, most)  # else Hypothesis draws short ones alone
    return lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length)).map(_Choices)


@st.composite
def schema_texts(draw: st.DrawFn) -> str:
    """Draw the text of a schema that compiles."""
    return _Writer(draw(_choices(300))).text()


@st.composite
def laid_out(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Draw a text and another layout of it."""
    text = draw(texts)
    return _Layout(draw(_choices(1_500))).of(text)


class _Writer:
    """Writes one schema."""

    def __init__(self, choose: _Choices) -> None:
        self._choose = choose
        self._flags = [
            flag for flag in ("self", "expiration", "partial", "typechecking") if choose.often(1, 2)
        ]
        self._caveats = [name for name in CAVEATS if choose.often(1, 2)]

    def text(self) -> str:
        items = [f"use {flag}" for flag in self._flags]
        blocks = [f"caveat {name}{CAVEATS[name]}" for name in self._caveats]
        blocks += [self._block("definition", type_) for type_ in TYPES]
        if "partial" in self._flags:
            blocks.append("partial outer {\n...inner\nrelation from_outer: user\n}")
            blocks.append(
                "partial inner {\nrelation from_inner: user | group\n"
                "permission whole = from_inner\n}"
            )
        return "\n".join([*items, *blocks]) + "\n"

    def _block(self, keyword: str, type_: str) -> str:
        if type_ == "user":
            return f"{keyword} user {{}}"
        members = []
        names = [*RELATIONS]
        if "partial" in self._flags and self._choose.often(1, 2):
            members.append(f"...{self._choose.one(('inner', 'outer'))}")
            names.append("whole")
        members += [f"relation {name}: {self._allowed(name)}" for name in RELATIONS]
        for name in PERMISSIONS:
            members.append(f"permission {name}{self._annotation()} = {self._expression(names, 3)}")
            names.append(name)
        return "\n".join([f"{keyword} {type_} {{", *members, "}"])

    def _allowed(self, relation: str) -> str:
        plain = ["user", "group", *(["acme/doc"] if "typechecking" not in self._flags else [])]
        usersets = [f"{type_}#{name}" for type_ in TYPES[1:] for name in (*WALKABLE, "can")]
        chosen: dict[tuple[str, str], str] = {}
        for _ in range(1 + self._choose.number(4)):
            kind, trait = self._choose.one((*plain, *usersets)), self._trait()
            written = f"{kind}#..." if kind in plain and self._choose.often(1, 4) else kind
            chosen.setdefault((kind, trait), f"{written}{trait}")
        if relation == "public":
            chosen["", ""] = f"user:*{self._trait()}"
        kinds = " | ".join(chosen.values())
        return f"{kinds};" if kinds.endswith("...") else kinds

    def _trait(self) -> str:
        caveats = [f" with {name}" for name in self._caveats]
        expiring = [f"{trait} and expiration" for trait in caveats]
        if "expiration" not in self._flags:
            return self._choose.one(("", "", *caveats))
        return self._choose.one(("", "", *caveats, *expiring, " with expiration"))

    def _annotation(self) -> str:
        return self._choose.one(("", ": user | group", "", ": group | user | unheard_of"))

    def _expression(self, names: Sequence[str], depth: int) -> str:
        if not depth or not self._choose.often(2, 3):
            return self._operand(names)
        parts = [self._expression(names, depth - 1) for _ in range(2 + self._choose.number(2))]
        operator = self._choose.one((" + ", " & ", " - "))
        text = operator.join(parts)
        return text if self._choose.often(1, 3) else f"({text})"

    def _operand(self, names: Sequence[str]) -> str:
        left, target = self._choose.one(WALKABLE), self._choose.one((*RELATIONS, *PERMISSIONS))
        leaves = [*names, *names, "nil", f"{left}->{target}", f"{left}.any({target})"]
        leaves += [f"{left}.all({target})", *(["self"] if "self" in self._flags else [])]
        leaf = self._choose.one(leaves)
        return f"(({leaf}))" if self._choose.often(1, 12) else leaf


class _Layout:
    """Lays out one text."""

    def __init__(self, choose: _Choices) -> None:
        self._choose = choose

    def of(self, text: str) -> str:
        tokens = [*Lexing(Source(text, "")).tokens()]
        parts = [self._margin()]
        depth = 0
        last = tokens[0]
        for token, following in zip(tokens, [*tokens[1:], None], strict=True):
            depth += (token.type == "LBRACE") - (token.type == "RBRACE")
            if token.type == "_TERMINATOR":
                parts.append(self._end(last, inside=bool(depth)))
            elif token.type == "CEL":
                parts += [self._cel(token), self._cel_gap()]
            else:
                parts.append(str(token))
                if following is not None and following.type != "_TERMINATOR":
                    parts.append(self._gap(token, following))
            last = token
        return "".join(parts)

    def _margin(self) -> str:
        end = f";{self._free('')}" if self._choose.often(1, 4) else ""
        return self._free("") + end

    def _gap(self, token: Token, following: Token) -> str:
        """What may stand between two tokens of a statement."""
        words = token[-1:].isalnum() and following[:1].isalnum()
        plain = " " if words or token.type == "SLASH" else ""
        if _ends(token):
            return self._inline(plain)
        return self._free(plain)

    def _end(self, last: Token, *, inside: bool) -> str:
        """What may end a statement."""
        needs_mark = last.type == "ELLIPSIS"
        end = ";" if needs_mark or self._choose.often(1, 4) else "\n"
        before = self._inline("") if end == "\n" or _ends(last) else self._free("")
        if end == "\n":
            end = self._comment_at_end() + self._choose.one(LINE_ENDS)
        more = self._free("")
        if inside and self._choose.often(1, 8):
            more += ";" + self._free("")
        return before + end + more

    def _comment_at_end(self) -> str:
        return self._choose.one(("", "", " // behind", "/* behind */"))

    def _inline(self, plain: str) -> str:
        """Blanks and comments without the end of a line."""
        if not self._choose.often(1, 3):
            return plain
        block = [comment for comment in COMMENTS if comment.startswith("/*")]
        chosen = self._choose.one(("", *block))
        return f" {chosen}{self._choose.one(BLANKS)}" if chosen else " " + self._choose.one(BLANKS)

    def _free(
        self, plain: str, comments: Sequence[str] = COMMENTS, ends: Sequence[str] = LINE_ENDS
    ) -> str:
        """Blanks, comments and ends of lines."""
        if not self._choose.often(1, 3):
            return plain
        parts = [" "]
        for _ in range(self._choose.number(4)):
            comment = self._choose.one(("", *comments))
            is_line = comment.startswith("//")
            parts.append(self._choose.one(("", *ends)))
            parts.append(self._choose.one(BLANKS))
            parts.append(comment)
            parts.append(self._choose.one(ends if is_line else ("", *ends)))
        return "".join(parts)

    def _cel(self, token: Token) -> str:
        """Another layout of an expression, where it has blanks."""
        return "".join(self._cel_parts(str(token)))

    def _cel_gap(self) -> str:
        """What CEL takes for blanks: no comments over lines, no carriage return to end one."""
        return self._free(" ", CEL_COMMENTS, ("\n", "\n\n", "\r\n"))

    def _cel_parts(self, text: str) -> Iterator[str]:
        end = 0
        for kind, piece, at in pieces(Source(text, "")):
            if kind != "newline":
                yield self._cel_gap() if at > end else ""
                yield piece
                end = at + len(piece)


def _ends(token: Token) -> bool:
    """Whether a line end behind a token ends the statement."""
    return token[-1:].isalnum() or token[-1:] == "_" or token.type in {"RBRACE", "RPAR", "STAR"}
