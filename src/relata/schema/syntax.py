"""The syntax tree of a schema's text: what was written, before names and types mean anything.

Every place is an offset into the text, counted in characters from 0. Parentheses leave no node;
a chain of one operator (`a + b + c`) is one `Operation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from relata.schema.model import AllowedSubject


class Name(msgspec.Struct, frozen=True):
    """A word, or a path of words (`acme/user`), where it stands; paths are without blanks."""

    text: str
    at: int

    @property
    def end(self) -> int:
        """Where it ends, if it is a word."""
        return self.at + len(self.text)


class Trait(msgspec.Struct, frozen=True):
    """`with cav`, `with expiration`, `with cav and expiration`."""

    caveat: Name | None
    expiration: bool
    at: int


class Subject(msgspec.Struct, frozen=True):
    """One kind of subject that a relation allows; `user#...` has no relation."""

    type: Name
    relation: Name | None = None
    wildcard: bool = False
    trait: Trait | None = None

    @property
    def kind(self) -> AllowedSubject:
        """The kind of subject that is meant, however it is written."""
        return AllowedSubject(
            self.type.text,
            self.relation.text if self.relation else "",
            self.wildcard,
            self.trait.caveat.text if self.trait and self.trait.caveat else "",
            bool(self.trait and self.trait.expiration),
        )


class Reference(msgspec.Struct, frozen=True):
    """The name of a relation or permission in an expression."""

    name: Name

    @property
    def at(self) -> int:
        """Where it starts."""
        return self.name.at


class Step(msgspec.Struct, frozen=True):
    """What follows an arrow: `->target`, `.any(target)`, or with `every`, `.all(target)`."""

    target: Name
    every: bool = False


class Arrow(msgspec.Struct, frozen=True):
    """A name and the arrows that follow it; more than one is grammar, but has no meaning."""

    relation: Name
    steps: tuple[Step, ...]

    @property
    def at(self) -> int:
        """Where it starts."""
        return self.relation.at


class Nil(msgspec.Struct, frozen=True):
    """`nil`."""

    at: int


class Self(msgspec.Struct, frozen=True):
    """`self`."""

    at: int


class Operation(msgspec.Struct, frozen=True):
    """Two or more operands joined by one operator, read from the left."""

    operator: Literal["+", "&", "-"]
    operands: tuple[Expression, ...]

    @property
    def at(self) -> int:
        """Where it starts, parentheses left out."""
        first = self.operands[0]
        while isinstance(first, Operation):
            first = first.operands[0]
        return first.at


Expression = Reference | Arrow | Nil | Self | Operation


class Relation(msgspec.Struct, frozen=True):
    """`relation name: subjects`, at its keyword."""

    name: Name
    subjects: tuple[Subject, ...]
    at: int


class Permission(msgspec.Struct, frozen=True):
    """`permission name: annotation = expression`, at its keyword."""

    name: Name
    annotation: tuple[Name, ...] | None
    expression: Expression
    at: int


class Splat(msgspec.Struct, frozen=True):
    """`...name`: the members of a partial."""

    name: Name


Member = Relation | Permission


class Definition(msgspec.Struct, frozen=True):
    """`definition name { … }`, from its keyword to the end of its braces."""

    name: Name
    members: tuple[Member | Splat, ...]
    at: int
    end: int


class Partial(msgspec.Struct, frozen=True):
    """`partial name { … }`, from its keyword to the end of its braces."""

    name: Name
    members: tuple[Member | Splat, ...]
    at: int
    end: int


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a caveat; its type as written, without blanks (`list<string>`)."""

    name: Name
    type: Name


class Caveat(msgspec.Struct, frozen=True):
    """`caveat name(parameters) { expression }`, from its keyword to the end of its braces.

    The expression is not read.
    """

    name: Name
    parameters: tuple[Parameter, ...]
    expression: Name
    at: int
    end: int


class Use(msgspec.Struct, frozen=True):
    """`use flag`, from its keyword to the end of the flag."""

    flag: Name
    at: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.flag.end


class Import(msgspec.Struct, frozen=True):
    """`import "path"`, from its keyword to the closing quote."""

    path: str
    at: int
    end: int


Item = Use | Import | Definition | Partial | Caveat


class File(msgspec.Struct, frozen=True):
    """A whole text, and the comments that stand directly before a keyword, by its place."""

    items: tuple[Item, ...]
    docs: Mapping[int, str]

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats, in the order of the text."""
        return tuple(item for item in self.items if isinstance(item, Caveat))

    def uses(self, flag: str) -> bool:
        """Whether the text says `use flag`."""
        return any(isinstance(item, Use) and item.flag.text == flag for item in self.items)


def walk(expression: Expression) -> Iterator[tuple[Expression, int]]:
    """Every node of an expression in the order of the text, with its level, counted from 1.

    A level is one node above another in the finished tree: an operand of its own kind of union
    or intersection adds none, and each `-` of a chain adds one. Needs no recursion.
    """
    stack = [(expression, 1)]
    while stack:
        node, level = stack.pop()
        yield node, level
        if isinstance(node, Operation):
            stack.extend(reversed(list(_children(node, level))))


def _children(node: Operation, level: int) -> Iterator[tuple[Expression, int]]:
    last = len(node.operands) - 1
    for index, operand in enumerate(node.operands):
        if node.operator == "-":
            yield operand, level + last - max(index - 1, 0)
        elif isinstance(operand, Operation) and operand.operator == node.operator:
            yield operand, level
        else:
            yield operand, level + 1
