"""The typed schema: what the compiler makes of `schema.zed`, with every name resolved.

A permission's expression is a tree of `Computed`, `Arrow`, `Union`, `Intersection`, `Exclusion`,
`Nil` and `Self`. Unions and intersections are flat: no union is a child of a union.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from relata.caveats import Caveat
from relata.relationships import traits_text


class AllowedSubject(msgspec.Struct, frozen=True, order=True):
    """One kind of subject that a relation allows: `user`, `user:*` or `group#member`.

    With a caveat or an expiration, a relationship of the kind must carry them; without, it must
    not.
    """

    type: str
    relation: str = ""
    """Empty for the object itself; a relation or permission of the type for a userset."""
    wildcard: bool = False
    caveat: str = ""
    expiration: bool = False

    def __str__(self) -> str:
        traits = traits_text(self.caveat, expiration=self.expiration)
        if self.wildcard:
            return f"{self.type}:*{traits}"
        return f"{self.type}#{self.relation}{traits}" if self.relation else f"{self.type}{traits}"


class Computed(msgspec.Struct, frozen=True):
    """Another relation or permission of the same definition, by name."""

    name: str


class Arrow(msgspec.Struct, frozen=True):
    """`relation->target` and `relation.any(target)`; with `every`, `relation.all(target)`.

    Walks the objects of the relation's subjects (a subject's own relation is ignored) and takes
    `target` there; a type that has no `target` contributes nobody.
    """

    relation: str
    target: str
    every: bool = False


class Union(msgspec.Struct, frozen=True):
    """`a + b`: who is in any child."""

    children: tuple[Expression, ...]


class Intersection(msgspec.Struct, frozen=True):
    """`a & b`: who is in every child."""

    children: tuple[Expression, ...]


class Exclusion(msgspec.Struct, frozen=True):
    """`a - b`: who is in the base and not in the subtracted."""

    base: Expression
    subtracted: Expression


class Nil(msgspec.Struct, frozen=True):
    """`nil`: nobody."""


class Self(msgspec.Struct, frozen=True):
    """`self`: the resource itself, as a subject without a relation."""


Expression = Computed | Arrow | Union | Intersection | Exclusion | Nil | Self


_LONGEST_TEXT = 200
_TIGHTNESS: dict[type[Expression], int] = {Union: 2, Intersection: 1, Exclusion: 0}


def expression_text(expression: Expression) -> str:
    """An expression as the schema's language writes it, with no more parentheses than needed."""
    match expression:
        case Computed(name):
            return name
        case Arrow(relation, target, every):
            return f"{relation}.all({target})" if every else f"{relation}->{target}"
        case Union(children):
            return " + ".join(_part(child, 3) for child in children)
        case Intersection(children):
            return " & ".join(_part(child, 2) for child in children)
        case Exclusion(base, subtracted):
            return f"{_part(base, 0)} - {_part(subtracted, 1)}"
        case Nil():
            return "nil"
        case Self():
            return "self"


def shortened_text(expression: Expression) -> str:
    """The first `_LONGEST_TEXT` characters of an expression, for people to tell it by."""
    text = expression_text(expression)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _part(expression: Expression, at_least: int) -> str:
    text = expression_text(expression)
    return text if _TIGHTNESS.get(type(expression), 3) >= at_least else f"({text})"


class Relation(msgspec.Struct, frozen=True):
    """A relation holds stored relationships whose subjects are of the allowed kinds."""

    name: str
    allowed: tuple[AllowedSubject, ...]
    doc: str = ""
    line: int = 0
    column: int = 0


class Permission(msgspec.Struct, frozen=True):
    """A permission is computed from its expression and holds nothing itself."""

    name: str
    expression: Expression
    doc: str = ""
    line: int = 0
    column: int = 0


class CaveatDefinition(msgspec.Struct, frozen=True):
    """A caveat of the schema, in the text and compiled."""

    caveat: Caveat
    doc: str = ""
    line: int = 0
    column: int = 0


class Definition(msgspec.Struct, frozen=True):
    """A type of objects with its relations and permissions, in the order of the text."""

    name: str
    relations: Mapping[str, Relation]
    permissions: Mapping[str, Permission]
    doc: str = ""
    line: int = 0
    column: int = 0

    def __contains__(self, name: str) -> bool:
        return name in self.relations or name in self.permissions


class Schema(msgspec.Struct, frozen=True):
    """A whole schema and the text it was compiled from."""

    definitions: Mapping[str, Definition]
    text: str = ""
    caveats: Mapping[str, CaveatDefinition] = {}

    def relations(self) -> Iterator[tuple[Definition, Relation]]:
        """Every relation with its definition."""
        for definition in self.definitions.values():
            for relation in definition.relations.values():
                yield definition, relation
