"""Says in plain words that a token does not fit: what could have stood there, and what was found.

Not everything that could have stood there helps: after a name, `/` always could. The tables below
choose; a hint follows where the token betrays what its writer meant.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from lark import Token

from relata.schema.source import quote

_SAID = {
    "DEFINITION": "a definition",
    "RELATION": "a relation",
    "PERMISSION": "a permission",
    "NAME": "a name",
    "USE": "`use`",
    "FLAG": "a flag",
    "STRING": "a path in quotes",
    "CEL": "an expression",
    "ELLIPSIS": "`...`",
    "STAR": "`*`",
    "LPAR": "`(`",
    "NIL": "`nil`",
    "SELF": "`self`",
    "ANY": "`any`",
    "ALL": "`all`",
    "EXPIRATION": "`expiration`",
    "PLUS": "an operator",
    "VBAR": "`|`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "LESSTHAN": "`<`",
    "MORETHAN": "`>`",
    "RPAR": "`)`",
    "LBRACE": "`{`",
    "_TERMINATOR": "the end of the statement",
    "RBRACE": "`}`",
}
"""What is said of the tokens worth saying, in the order of saying."""

_HIDES = {
    "DEFINITION": {"_TERMINATOR"},
    "RELATION": {"_TERMINATOR", "ELLIPSIS"},
    "NAME": {"USE", "ANY", "ALL"},
    "_TERMINATOR": {"COLON"},
    "EQUAL": {"COLON"},
}
"""What need not be said beside a token."""

_CONTINUES = frozenset({"PLUS", "AMPERSAND", "MINUS", "VBAR", "ARROW", "DOT"})
_AFTER_STATEMENT = frozenset({"RBRACE", "RELATION", "PERMISSION", "ELLIPSIS"})
_NEEDS_FLAG = {"partial": "partial", "import": "import", "and": "expiration"}


def unexpected(token: Token, accepted: Set[str]) -> str:
    """The message for a token that is not among those the grammar accepts at its place."""
    hidden = {name for said in accepted for name in _HIDES.get(said, ())}
    expected = [words for name, words in _SAID.items() if name in accepted - hidden]
    found = _found(token, accepted)
    hint = _hint(token, accepted)
    return f"expected {listed(expected, 'or')}, found {found}{hint}"


def listed(words: Sequence[str], conjunction: str) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _found(token: Token, accepted: Set[str]) -> str:
    if token.type == "$END":
        return "the end of the text"
    if token.type == "_TERMINATOR" and token.isspace():
        return "the end of the line"
    if "NAME" in accepted and token.isalpha():
        return f"the keyword {quote(token)}"
    return quote(token)


def _hint(token: Token, accepted: Set[str]) -> str:
    if token.type == "USE" and "DEFINITION" in accepted:
        return "; a `use` stands before the first definition"
    if token.type == "NAME" and token in _NEEDS_FLAG:
        return f"; {quote(token)} is a keyword only after `use {_NEEDS_FLAG[token]}`"
    if token.type in _CONTINUES and "RELATION" in accepted:
        return "; to go on over a line, end it with the operator"
    if token.type == "AND" and "VBAR" in accepted:
        return "; a caveat stands before it, `with caveat and expiration`"
    if token.type in {"ARROW", "DOT"} and "PLUS" in accepted:
        return "; an arrow starts at the name of a relation"
    if (
        token.type in _AFTER_STATEMENT
        and "DEFINITION" not in accepted
        and "_TERMINATOR" in accepted
    ):
        return "; put `;` before it"
    return ""
