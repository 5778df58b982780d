"""Hypothesis strategies: worlds, each a schema that compiles and relationships that it allows.

Shape-directed: few names, few ids and every feature likely, so that cycles, shared parents,
wildcards and usersets meet each other often. A feature of the language is done when a world can
have it.

Schemas are valid by construction. What the language forbids and this module therefore avoids:
a permission, or a relation with a wildcard, on the left of an arrow; a userset of a relation that
has a wildcard, unless it is the relation's own; permissions that only rename each other in a ring.

Of a caveat and its context every outcome is likely: true, false, one parameter missing or two, and
a division by zero. Expirations are long past or far ahead.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import strategies as st

from relata.relationships import CaveatRef, ObjectRef, Relationship, SubjectRef

T = TypeVar("T")

TYPES = ("user", "team", "org/unit")
NAMES = ("one", "two", "three", "four", "five")
IDS = ("a", "A", "b|1")
"""Ids that differ by case alone, and one with a character that only the wide ids have room for."""
UNKNOWN_ID = "unseen"

CAVEATS = {
    "small": "caveat small(x int) { x < 10 }",
    "both": "caveat both(x int, y int) { x < 10 && y < 10 }",
    "fragile": "caveat fragile(z int) { 10 / z > 1 }",
}
STORED_CONTEXTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "small": ({}, {"x": 99}, {"x": 1}),
    "both": ({}, {"y": 1}, {"x": 1, "y": 99}, {"x": 1}, {"x": 1, "y": 1}),
    "fragile": ({}, {"z": 1}, {"z": 0}, {"z": 99}),
}
CONTEXTS: Sequence[Mapping[str, Any]] = (
    {},
    {"x": 1},
    {"y": 1, "z": 1},
    {"x": 99},
    {"x": 1, "y": 1},
    {"y": 99, "unheard": "of"},
    {"z": 0},
    {"x": 1, "y": 1, "z": 1},
)
PAST = datetime(2001, 1, 1, tzinfo=UTC)
FUTURE = datetime(2999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Body:
    """A definition before it is text: relations with their kinds, permissions with expressions."""

    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    permissions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """A schema, what is stored, and what comes with the questions."""

    bodies: Mapping[str, Body]
    stored: tuple[Relationship, ...] = ()
    contextual: tuple[Relationship, ...] = ()
    stale: tuple[Relationship, ...] = ()
    """Relationships that the schema does not allow, left over from another."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """The context that comes with every question."""

    @property
    def text(self) -> str:
        """The schema as text."""
        return schema_text(self.bodies)

    @property
    def objects(self) -> list[ObjectRef]:
        """Every object a question may name: the whole pool of ids, and one that is never stored."""
        return [ObjectRef(type_, id_) for type_ in self.bodies for id_ in (*IDS, UNKNOWN_ID)]

    def with_permissions(self, type_: str, permissions: Mapping[str, str]) -> World:
        """The same world with more permissions on one definition."""
        body = self.bodies[type_]
        wider = Body(body.relations, {**body.permissions, **permissions})
        return replace(self, bodies={**self.bodies, type_: wider})

    def names(self, type_: str) -> list[str]:
        """The relations and permissions of a definition."""
        body = self.bodies[type_]
        return [*body.relations, *body.permissions]


def schema_text(bodies: Mapping[str, Body]) -> str:
    """Write a schema out in the zed language."""
    lines = ["use self", "use expiration"]
    kinds = [kind for body in bodies.values() for own in body.relations.values() for kind in own]
    lines += [text for name, text in CAVEATS.items() if any(f" with {name}" in k for k in kinds)]
    for type_, body in bodies.items():
        lines.append(f"definition {type_} {{")
        lines += [f"\trelation {n}: {' | '.join(kinds)}" for n, kinds in body.relations.items()]
        lines += [f"\tpermission {n} = {text}" for n, text in body.permissions.items()]
        lines.append("}")
    return "\n".join(lines) + "\n"


def allowed_relationships(bodies: Mapping[str, Body]) -> list[Relationship]:
    """Every relationship that a schema allows among the pool of ids and traits."""
    return [item for variants in _allowed(bodies) for item in variants]


def _allowed(bodies: Mapping[str, Body]) -> list[tuple[Relationship, ...]]:
    """The same, the variants of one relationship of one kind together."""
    return [
        tuple(
            Relationship(ObjectRef(type_, resource_id), name, subject, *traits)
            for traits in _traits_of(kind)
        )
        for type_, body in bodies.items()
        for name, kinds in body.relations.items()
        for kind in kinds
        for resource_id in IDS
        for subject in _subjects_of(kind)
    ]


def _subjects_of(kind: str) -> list[SubjectRef]:
    subject = kind.partition(" with ")[0]
    type_, _, relation = subject.removesuffix(":*").partition("#")
    return [SubjectRef(type_, id_, relation) for id_ in ("*" if subject.endswith(":*") else IDS)]


def _traits_of(kind: str) -> list[tuple[CaveatRef | None, datetime | None]]:
    """Every caveat with its stored context, and every expiration, that a kind can carry."""
    traits = kind.partition(" with ")[2].split(" and ")
    names = [name for name in traits if name in CAVEATS]
    caveats: list[CaveatRef | None] = [
        CaveatRef.of(name, context) for name in names for context in STORED_CONTEXTS[name]
    ]
    moments: list[datetime | None] = [FUTURE, PAST] if "expiration" in traits else [None]
    return [(caveat, moment) for caveat in (caveats or [None]) for moment in moments]


@dataclass(frozen=True)
class _Outline:
    """What expressions may refer to: names and public relations, before kinds are drawn."""

    relations: Mapping[str, Sequence[str]]
    permissions: Mapping[str, Sequence[str]]
    public: Collection[tuple[str, str]]
    has_traits: bool

    def names(self, type_: str) -> list[str]:
        """The relations and permissions of a definition."""
        return [*self.relations[type_], *self.permissions[type_]]


@st.composite
def worlds(draw: st.DrawFn, *, traits: bool | None = None) -> World:
    """Draw a world whose schema compiles, with relationships that it allows and stale ones.

    With `traits`, its schema has caveats and expirations; without, it has not; half of all do
    where it is not said.
    """
    choose = _Choices(draw)
    bodies = _bodies(choose, choose.among(False, True) if traits is None else traits)
    # A wildcard is one relationship where other kinds have one an id, and is worth more than they.
    pool = [v for v in _allowed(bodies) for _ in range(6 if v[0].subject.is_wildcard else 1)]
    stored = _dressed(choose, choose.some(pool, choose.among(12, 8, 16, 10, 14, 6, 4, 0)))
    contextual = _dressed(choose, choose.some(pool, choose.among(1, 0, 2, 3)))
    allowed = allowed_relationships(bodies)
    stale = [_any_relationship(choose, bodies) for _ in range(choose.among(1, 0, 2))]
    keys = {item.key for item in stored}
    refused = [item for item in stale if item not in allowed and item.key not in keys]
    context = choose.one(CONTEXTS) if any(item.caveat for item in (*stored, *contextual)) else {}
    return World(bodies, stored, contextual, tuple(dict.fromkeys(refused)), context)


def _dressed(
    choose: _Choices, chosen: Sequence[tuple[Relationship, ...]]
) -> tuple[Relationship, ...]:
    """One variant of each, and one relationship of each key."""
    items = [choose.one(variants) if len(variants) > 1 else variants[0] for variants in chosen]
    return tuple({item.key: item for item in items}.values())


@functools.cache
def _below(number: int) -> st.SearchStrategy[int]:
    return st.integers(0, number - 1)


class _Choices:
    """Choices among few things, the likeliest first. Strategies are made once, not at each draw.

    Hypothesis draws the first option oftenest; smaller worlds take fewer draws, so it shrinks to
    them whatever the order.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def one(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self._draw(_below(len(options)))]

    def among(self, *options: T) -> T:
        """One of the arguments."""
        return self.one(options)

    def some(self, options: Sequence[T], number: int) -> tuple[T, ...]:
        """So many of the options, each place once, or all where they are fewer."""
        left = list(options)
        taken = (left.pop(self._draw(_below(len(left)))) for _ in range(min(number, len(left))))
        return tuple(dict.fromkeys(taken))


def _bodies(choose: _Choices, traits: bool) -> Mapping[str, Body]:
    outline = _outline(choose, traits)
    return {
        type_: Body(
            {name: _kinds(choose, outline, type_, name) for name in outline.relations[type_]},
            {
                name: _permission(choose, outline, type_, name)
                for name in outline.permissions[type_]
            },
        )
        for type_ in outline.relations
    }


def _with_traits(choose: _Choices, kinds: Sequence[str]) -> tuple[str, ...]:
    """Some kinds with a caveat or an expiration; some of these without as well."""
    dressed: list[str] = []
    for kind in kinds:
        traits = choose.one(_TRAITS)
        dressed.append(kind + traits)
        if traits and choose.among(False, True):
            dressed.append(kind)
    return tuple(dict.fromkeys(dressed))


_TRAITS = (
    "",
    "",
    " with small",
    " with both",
    " with expiration",
    " with small and expiration",
    " with fragile",
)


def _outline(choose: _Choices, traits: bool) -> _Outline:
    relations: dict[str, Sequence[str]] = {}
    permissions: dict[str, Sequence[str]] = {}
    for type_ in TYPES[: choose.among(2, 3, 2, 3, 1)]:
        # Rotated, so that one name is a relation here and a permission there.
        first = choose.one(range(len(NAMES)))
        names = NAMES[first:] + NAMES[:first]
        split = choose.among(1, 2, 0 if relations else 2)
        relations[type_] = names[:split]
        permissions[type_] = names[split : split + choose.among(2, 3, 1, 2, 3, 0)]
    declared = [(type_, name) for type_, names in relations.items() for name in names]
    public = choose.some(declared, choose.among(1, 2, 0))
    return _Outline(relations, permissions, public, traits)


def _kinds(choose: _Choices, outline: _Outline, type_: str, relation: str) -> tuple[str, ...]:
    usersets = [
        f"{other}#{name}"
        for other in outline.relations
        for name in outline.names(other)
        if (other, name) not in outline.public or (other, name) == (type_, relation)
    ]
    plain = list(outline.relations)
    evenly = [*plain * (len(usersets) // len(plain) + 1), *usersets]
    kinds = choose.some(evenly, choose.among(1, 2, 3))
    if (type_, relation) in outline.public:
        kinds += (f"{choose.one(plain)}:*",)
    return _with_traits(choose, kinds) if outline.has_traits else kinds


def _permission(choose: _Choices, outline: _Outline, type_: str, permission: str) -> str:
    if choose.among(True, False, False):
        # Alone, a permission's name may only come from above, so that no ring of names is made.
        above = itertools.takewhile(lambda name: name != permission, outline.permissions[type_])
        return _leaf(choose, outline, type_, [*outline.relations[type_], *above])
    return _operation(choose, outline, type_, depth=choose.among(1, 1, 2))


def _operation(choose: _Choices, outline: _Outline, type_: str, depth: int) -> str:
    operands = [
        _operation(choose, outline, type_, depth - 1)
        if depth > 1 and choose.among(False, True)
        else _leaf(choose, outline, type_, outline.names(type_))
        for _ in range(choose.among(2, 2, 3))
    ]
    return f"({choose.among(' + ', ' & ', ' - ').join(operands)})"


def _leaf(choose: _Choices, outline: _Outline, type_: str, names: Sequence[str]) -> str:
    """A name or an arrow; now and then `self` or `nil`."""
    walkable = [name for name in outline.relations[type_] if (type_, name) not in outline.public]
    if not walkable or choose.among(True, False, True):
        return choose.one([*names, *names, *names, "self", "nil"])
    # A target exists in some definition, perhaps not in the right one.
    targets = sorted({name for other in outline.relations for name in outline.names(other)})
    form = choose.among("{}->{}", "{}.any({})", "{}.all({})")
    return form.format(choose.one(walkable), choose.one(targets))


def _any_relationship(choose: _Choices, bodies: Mapping[str, Body]) -> Relationship:
    """A relationship that some schema with these names would allow."""
    names = {type_: [*body.relations, *body.permissions] for type_, body in bodies.items()}
    resource_type, subject_type = (choose.one(list(bodies)) for _ in range(2))
    relation = choose.one([*names[resource_type], "one"])
    subject = choose.one(["", ":*", *(f"#{name}" for name in names[subject_type])])
    return Relationship(
        ObjectRef(resource_type, choose.one(IDS)),
        relation,
        choose.one(_subjects_of(subject_type + subject)),
    )


def subjects(world: World) -> list[SubjectRef]:
    """Every subject a question may name: all objects, and all usersets of them."""
    plain = [SubjectRef(o.type, o.id) for o in world.objects]
    return plain + [SubjectRef(o.type, o.id, n) for o in world.objects for n in world.names(o.type)]
