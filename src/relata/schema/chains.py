"""Expressions as a formatter sees them: operands in chains of one operator, and parentheses.

Nothing is known of names or meaning. Parentheses that change nothing and have no comment in them
are left out here: about one operand, about a whole expression, and about operands of the same
operator as outside (to the right of a `-` they do change something).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from relata.schema.commented import CommentedToken

_LOOSEST_FIRST = ("MINUS", "AMPERSAND", "PLUS")
OPERATORS = frozenset(_LOOSEST_FIRST)


class Atom(msgspec.Struct, frozen=True):
    """What is not broken at choice: a name, an arrow, a kind of subject, a parameter."""

    tokens: tuple[CommentedToken, ...]


class Parentheses(msgspec.Struct, frozen=True):
    """An expression in parentheses."""

    opening: CommentedToken
    inner: Node
    closing: CommentedToken
    is_commented: bool
    """Whether there are comments in them."""


class Chain(msgspec.Struct, frozen=True):
    """Two or more operands with one kind of operator (or `|`, or `,`) after each but the last."""

    operands: tuple[Node, ...]
    operators: tuple[CommentedToken, ...]


Node = Atom | Parentheses | Chain


def listed(tokens: Sequence[CommentedToken], separator: str) -> Node:
    """Parts with separators between them; those within `<` and `>` are of a part."""
    parts: list[list[CommentedToken]] = [[]]
    separators = []
    depth = 0
    for token in tokens:
        depth += (token.type == "LESSTHAN") - (token.type == "MORETHAN")
        if token.type == separator and not depth:
            separators.append(token)
            parts.append([])
        else:
            parts[-1].append(token)
    atoms = tuple(Atom(tuple(part)) for part in parts)
    return Chain(atoms, tuple(separators)) if separators else atoms[0]


class _Level:
    """What has been read of an expression between two parentheses, or of the whole."""

    def __init__(self, opening: CommentedToken | None = None) -> None:
        self.opening = opening
        self.operands: list[Node] = []
        self.operators: list[CommentedToken] = []
        self.atom: list[CommentedToken] = []

    @property
    def is_call(self) -> bool:
        """Whether parentheses of an `.any(` or `.all(` are open."""
        types = [token.type for token in self.atom]
        return types.count("LPAR") > types.count("RPAR")

    def end_atom(self) -> None:
        """An operator follows, or the end."""
        if self.atom:
            self.operands.append(Atom(tuple(self.atom)))
            self.atom = []

    def node(self) -> Node:
        """All of it."""
        self.end_atom()
        return _grouped(self.operands, self.operators)


def parse_expression(tokens: Sequence[CommentedToken]) -> Node:
    """Read an expression; parentheses that change nothing are left out."""
    levels = [_Level()]
    for token in tokens:
        level = levels[-1]
        if token.type in OPERATORS:
            level.end_atom()
            level.operators.append(token)
        elif token.type == "LPAR" and not level.atom:
            levels.append(_Level(token))
        elif token.type == "RPAR" and level.opening and not level.is_call:
            levels.pop()
            levels[-1].operands.append(_parenthesized(level.opening, level.node(), token))
        else:
            level.atom.append(token)
    node = levels[0].node()
    return _bare(node) if isinstance(node, Parentheses) and not node.is_commented else node


def _grouped(operands: Sequence[Node], operators: Sequence[CommentedToken]) -> Node:
    """Apply the operators, the tightest first."""
    if not operators:
        return operands[0]
    types = {operator.type for operator in operators}
    loosest = next(type_ for type_ in _LOOSEST_FIRST if type_ in types)
    cuts = [number for number, operator in enumerate(operators) if operator.type == loosest]
    starts = [0, *(cut + 1 for cut in cuts)]
    ends = [*cuts, len(operators)]
    parts = [
        _grouped(operands[start : end + 1], operators[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]
    return _chain(parts, [operators[cut] for cut in cuts])


def _chain(operands: Sequence[Node], operators: Sequence[CommentedToken]) -> Chain:
    """Join operands, and with them those in parentheses that the same operator joins."""
    joined: list[Node] = []
    between: list[CommentedToken] = []
    for number, operand in enumerate(operands):
        between += operators[number - 1 : number] if number else ()
        inner = _joinable(operand, operators[0].type, is_first=not number)
        if inner is None:
            joined.append(operand)
        else:
            joined += inner.operands
            between += inner.operators
    return Chain(tuple(joined), tuple(between))


def _joinable(operand: Node, operator: str, *, is_first: bool) -> Chain | None:
    """The chain in an operand's parentheses, if it can go on in that of the operator outside."""
    if not isinstance(operand, Parentheses) or operand.is_commented:
        return None
    bare = _bare(operand)
    if not isinstance(bare, Chain) or bare.operators[0].type != operator:
        return None
    return bare if is_first or operator != "MINUS" else None


def _parenthesized(opening: CommentedToken, inner: Node, closing: CommentedToken) -> Node:
    """Put parentheses about an expression, unless it is one operand and no comment is in them."""
    commented = any(token.comments for token in (*tokens_of(inner), closing))
    node = Parentheses(opening, inner, closing, commented)
    return node if commented or isinstance(inner, Chain) else _bare(node)


def _bare(node: Parentheses) -> Node:
    """What is in parentheses, with the comments that stand before them."""
    return _behind_comments(node.inner, node.opening)


def _behind_comments(node: Node, opening: CommentedToken) -> Node:
    match node:
        case Atom((first, *rest)):
            first = msgspec.structs.replace(
                first, comments=opening.comments, lines_before=opening.lines_before
            )
            return Atom((first, *rest))
        case Parentheses():
            return msgspec.structs.replace(node, opening=opening)
        case Chain((first, *rest), operators):
            return Chain((_behind_comments(first, opening), *rest), operators)
    return node


def tokens_of(node: Node) -> Iterator[CommentedToken]:
    """The tokens of an expression, in order. Needs no recursion."""
    stack: list[Node | CommentedToken] = [node]
    while stack:
        match stack.pop():
            case CommentedToken() as token:
                yield token
            case Atom(tokens):
                yield from tokens
            case Parentheses(opening, inner, closing, _):
                stack += (closing, inner, opening)
            case Chain(operands, operators):
                for operand, operator in zip(operands[:0:-1], operators[::-1], strict=True):
                    stack += (operand, operator)
                stack.append(operands[0])
