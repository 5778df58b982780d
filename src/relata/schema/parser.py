"""Text -> syntax tree, by the grammar in `grammar.lark`, or one SchemaParseError.

The tree is built while the parser reduces, so neither long nor nested texts cost recursion. What
Lark raises never leaves this module: a token that does not fit becomes a sentence about what was
found and what could have stood there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer, LexerState

from relata.errors import SchemaParseError
from relata.schema import syntax
from relata.schema.lexing import FLAGS, Lexing
from relata.schema.source import Source, quote
from relata.schema.unexpected import listed, unexpected

MAX_BYTES = 4 * 1024 * 1024


def parse(source: Source) -> syntax.File:
    """Read a text.

    Raises SchemaParseError, with the first fault, where it does not follow the grammar, is longer
    than 4 MiB of UTF-8, or not Unicode without nulls.
    """
    _check_text(source)
    lexing = Lexing(source)
    try:
        items = _parser().parse(cast("Any", lexing))  # a custom lexer takes any object
    except UnexpectedToken as error:
        token, accepted = error.token, error.accepts or set()
        message = unexpected(token, accepted)
        raise SchemaParseError([source.diagnostic(_place(token, source), message)]) from None
    file = syntax.File(cast("tuple[syntax.Item, ...]", items), lexing.docs)
    _check_flags(file, source)
    return file


def _check_text(source: Source) -> None:
    message, at = "", 0
    try:
        length = len(source.text.encode())
    except UnicodeEncodeError as error:
        message, at = "half of a surrogate pair is no character", error.start
    else:
        if length > MAX_BYTES:
            message = f"the schema is {length} bytes long; at most {MAX_BYTES} are read"
        elif "\0" in source.text:
            message, at = "a null character cannot be part of a schema", source.text.index("\0")
    if message:
        raise SchemaParseError([source.diagnostic(at, message)])


def _place(token: Token, source: Source) -> int:
    return len(source.text.rstrip()) if token.type == "$END" else _start(token)


def _check_flags(file: syntax.File, source: Source) -> None:
    for item in file.items:
        if isinstance(item, syntax.Use) and item.flag.text not in FLAGS:
            flags = listed([quote(flag) for flag in FLAGS], "and")
            message = f"{quote(item.flag.text)} is not a flag; the flags are {flags}"
            raise SchemaParseError([source.diagnostic(item.flag.at, message)])


@cache
def _parser() -> Lark:
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        parser="lalr",
        start="file",
        lexer=_TokensOfLexing,
        transformer=_Builder(),
    )


class _TokensOfLexing(Lexer):
    """Hands the parser the tokens of a `Lexing`, which stands in for the text."""

    __future_interface__ = 1

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, lexer_state: LexerState, _parser_state: object) -> Iterator[Token]:
        return cast("Lexing", lexer_state.text).tokens()


# Lark calls a method by its rule's name, with the rule's children.
@v_args(inline=True)
class _Builder(Transformer[Token, tuple[syntax.Item, ...]]):
    """Makes each rule's node; a rule whose name starts with `_` gives its children instead."""

    def file(self, *items: syntax.Item) -> tuple[syntax.Item, ...]:
        return items

    def use(self, keyword: Token, flag: Token) -> syntax.Use:
        return syntax.Use(_name(flag), _start(keyword))

    def import_(self, keyword: Token, path: Token) -> syntax.Import:
        return syntax.Import(path.strip(path[0]), _start(keyword), _end(path))

    def definition(
        self, keyword: Token, name: syntax.Name, *members_and_brace: Any
    ) -> syntax.Definition:
        *members, brace = members_and_brace
        return syntax.Definition(name, tuple(members), _start(keyword), _end(brace))

    def partial(self, keyword: Token, name: syntax.Name, *members_and_brace: Any) -> syntax.Partial:
        *members, brace = members_and_brace
        return syntax.Partial(name, tuple(members), _start(keyword), _end(brace))

    def splat(self, _: Token, name: syntax.Name) -> syntax.Splat:
        return syntax.Splat(name)

    def relation(
        self, keyword: Token, name: syntax.Name, *subjects: syntax.Subject
    ) -> syntax.Relation:
        return syntax.Relation(name, subjects, _start(keyword))

    def subject(
        self, type_: syntax.Name, kind: syntax.Name | bool | None, trait: syntax.Trait | None
    ) -> syntax.Subject:
        relation = kind if isinstance(kind, syntax.Name) else None
        return syntax.Subject(type_, relation, kind is True, trait)

    def wildcard(self) -> bool:
        return True

    def userset(self, relation: syntax.Name | Token) -> syntax.Name | None:
        return relation if isinstance(relation, syntax.Name) else None

    def expiring(self, keyword: Token) -> syntax.Trait:
        return syntax.Trait(None, True, _start(keyword))

    def caveated(self, keyword: Token, caveat: syntax.Name) -> syntax.Trait:
        return syntax.Trait(caveat, False, _start(keyword))

    def caveated_expiring(self, keyword: Token, caveat: syntax.Name) -> syntax.Trait:
        return syntax.Trait(caveat, True, _start(keyword))

    def permission(
        self,
        keyword: Token,
        name: syntax.Name,
        annotation: tuple[syntax.Name, ...] | None,
        expression: syntax.Expression,
    ) -> syntax.Permission:
        return syntax.Permission(name, annotation, expression, _start(keyword))

    def annotation(self, *types: syntax.Name) -> tuple[syntax.Name, ...]:
        return types

    def exclusion(self, *operands: syntax.Expression) -> syntax.Operation:
        return syntax.Operation("-", operands)

    def intersection(self, *operands: syntax.Expression) -> syntax.Operation:
        return syntax.Operation("&", operands)

    def union(self, *operands: syntax.Expression) -> syntax.Operation:
        return syntax.Operation("+", operands)

    def reference(self, name: syntax.Name) -> syntax.Reference:
        return syntax.Reference(name)

    def arrow(self, relation: syntax.Name, *steps: syntax.Step) -> syntax.Arrow:
        return syntax.Arrow(relation, steps)

    def to_any(self, *arrow_and_target: Any) -> syntax.Step:
        return syntax.Step(arrow_and_target[-1])

    def to_every(self, target: syntax.Name) -> syntax.Step:
        return syntax.Step(target, every=True)

    def nil(self, token: Token) -> syntax.Nil:
        return syntax.Nil(_start(token))

    def itself(self, token: Token) -> syntax.Self:
        return syntax.Self(_start(token))

    def caveat(
        self,
        keyword: Token,
        name: syntax.Name,
        parameters: tuple[syntax.Parameter, ...],
        expression: Token,
        brace: Token,
    ) -> syntax.Caveat:
        return syntax.Caveat(name, parameters, _name(expression), _start(keyword), _end(brace))

    def parameters(self, *parameters: syntax.Parameter) -> tuple[syntax.Parameter, ...]:
        return parameters

    def parameter(self, name: syntax.Name, type_: syntax.Name) -> syntax.Parameter:
        return syntax.Parameter(name, type_)

    def parameter_type(self, name: syntax.Name, *inner: syntax.Name) -> syntax.Name:
        if not inner:
            return name
        return syntax.Name(f"{name.text}<{','.join(part.text for part in inner)}>", name.at)

    def path(self, first: syntax.Name, *rest: syntax.Name) -> syntax.Name:
        return syntax.Name("/".join(part.text for part in (first, *rest)), first.at)

    def name(self, token: Token) -> syntax.Name:
        return _name(token)


def _name(token: Token) -> syntax.Name:
    return syntax.Name(str(token), _start(token))


def _start(token: Token) -> int:
    return token.start_pos or 0


def _end(token: Token) -> int:
    return token.end_pos or 0
