"""A schema made ready to be asked: terms instead of expressions, one plan per kind of subject.

A `Plan` holds, for subjects of one kind (`user`, or `group#member`), the term of every relation
and permission, numbered. Terms speak of kinds of relationships, so a relation and a permission
are the same thing here. What cannot be true for that kind of subject, whatever is stored, is
pruned away; so no wildcard is probed where none is allowed.

Kinds whose relationships carry a caveat or an expiration are *conditional*; the terms are the
same, and who runs them asks of each such relationship whether it holds. A name from which a caveat
can be reached is *uncertain*: its answer may be unknown.

Two facts about recursion, read off the schema, choose how a check is run (see `check.py`):
a number is *looping* where it can reach itself through unions alone, and *tangled* where it can
reach itself through an intersection, an exclusion or `.all()`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec
import networkx as nx

from relata.caveats import Caveat
from relata.relationships import Kind
from relata.schema import (
    AllowedSubject,
    Arrow,
    Computed,
    Definition,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Relation,
    Schema,
    Self,
    Union,
)

Name = tuple[str, str]
"""A definition and one of its relations or permissions."""


class Direct(msgspec.Struct, frozen=True):
    """The subject is related to the resource by a relationship of this kind that holds."""

    kind: int


class Public(msgspec.Struct, frozen=True):
    """The resource has a wildcard relationship of this kind."""

    kind: int


class Same(msgspec.Struct, frozen=True):
    """The subject's object is the resource."""


class Call(msgspec.Struct, frozen=True):
    """What the target says of the same resource."""

    target: int


class Through(msgspec.Struct, frozen=True):
    """What the target says of any object related to the resource: a userset or an arrow."""

    kind: int
    target: int


class Every(msgspec.Struct, frozen=True):
    """What the targets say of every object related to the resource, of which there is one.

    A step whose target is None is a type that lacks the arrow's target: nobody is in it. Nobody is
    in the target by a relationship whose caveat is false, either; one that has expired is no
    relationship.
    """

    steps: tuple[tuple[int, int | None], ...]


class AnyOf(msgspec.Struct, frozen=True):
    """Any child; nobody where there are none."""

    children: tuple[Term, ...]


class AllOf(msgspec.Struct, frozen=True):
    """Every child."""

    children: tuple[Term, ...]


class Minus(msgspec.Struct, frozen=True):
    """The base and not the subtracted."""

    base: Term
    subtracted: Term


Term = Direct | Public | Same | Call | Through | Every | AnyOf | AllOf | Minus

NOBODY = AnyOf(())


class Numbering:
    """The numbers that every plan of a schema shares: of its kinds and of its names."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.kinds: tuple[Kind, ...] = tuple(
            _kind(definition.name, relation.name, allowed)
            for definition, relation in schema.relations()
            for allowed in relation.allowed
        )
        self.caveats: tuple[Caveat | None, ...] = tuple(
            schema.caveats[kind.caveat].caveat if kind.caveat else None for kind in self.kinds
        )
        self.conditional = frozenset(
            number for number, kind in enumerate(self.kinds) if kind.is_conditional
        )
        self.names: tuple[Name, ...] = tuple(
            (definition.name, name)
            for definition in schema.definitions.values()
            for name in (*definition.relations, *definition.permissions)
        )
        self.kind_number = {kind: number for number, kind in enumerate(self.kinds)}
        self.name_number = {name: number for number, name in enumerate(self.names)}
        self.tables = itertools.count()
        """Numbers for what the plans have remembered."""

    def kinds_of(self, definition: str, relation: Relation) -> Iterator[tuple[int, Kind]]:
        """The kinds of one relation, with their numbers."""
        for allowed in relation.allowed:
            kind = _kind(definition, relation.name, allowed)
            yield self.kind_number[kind], kind

    def of_key(self, kind: Kind) -> Iterator[int]:
        """The kinds that differ from one in caveat and expiration at most.

        They hold relationships that can be one and the same.
        """
        for caveat in ("", *self.schema.caveats):
            for expiration in (False, True):
                other = msgspec.structs.replace(kind, caveat=caveat, expiration=expiration)
                if other in self.kind_number:
                    yield self.kind_number[other]


def _kind(definition: str, relation: str, allowed: AllowedSubject) -> Kind:
    return Kind(
        definition,
        relation,
        allowed.type,
        allowed.relation,
        allowed.wildcard,
        allowed.caveat,
        allowed.expiration,
    )


class _Terms:
    """Writes expressions as terms, for subjects of one kind."""

    def __init__(self, numbering: Numbering, subject_type: str, subject_relation: str) -> None:
        self.numbering = numbering
        self.subject_type = subject_type
        self.subject_relation = subject_relation

    def all(self) -> list[Term]:
        """The terms of all names, by number."""
        return [self._term(name) for name in self.numbering.names]

    def _term(self, name: Name) -> Term:
        definition = self.numbering.schema.definitions[name[0]]
        relation = definition.relations.get(name[1])
        if relation is None:
            term = self._expression(definition, definition.permissions[name[1]].expression)
        else:
            term = self._relation(definition, relation)
        if name == (self.subject_type, self.subject_relation):
            return AnyOf((Same(), term))
        return term

    def _relation(self, definition: Definition, relation: Relation) -> Term:
        return AnyOf(
            tuple(
                self._stored(number, kind)
                for number, kind in self.numbering.kinds_of(definition.name, relation)
            )
        )

    def _stored(self, number: int, kind: Kind) -> Term:
        if kind.subject_relation:
            return Through(
                number, self.numbering.name_number[kind.subject_type, kind.subject_relation]
            )
        # A wildcard stands for every object of its type, not for usersets of those objects.
        if kind.subject_type != self.subject_type or self.subject_relation:
            return NOBODY
        return Public(number) if kind.wildcard else Direct(number)

    def _expression(self, definition: Definition, expression: Expression) -> Term:
        match expression:
            case Computed(name):
                return Call(self.numbering.name_number[definition.name, name])
            case Arrow():
                return self._arrow(definition, expression)
            case Union(children):
                return AnyOf(tuple(self._expression(definition, child) for child in children))
            case Intersection(children):
                return AllOf(tuple(self._expression(definition, child) for child in children))
            case Exclusion(base, subtracted):
                return Minus(
                    self._expression(definition, base), self._expression(definition, subtracted)
                )
            case Nil():
                return NOBODY
            case Self():
                plain = definition.name == self.subject_type and not self.subject_relation
                return Same() if plain else NOBODY

    def _arrow(self, definition: Definition, arrow: Arrow) -> Term:
        relation = definition.relations[arrow.relation]
        steps = tuple(
            (number, self.numbering.name_number.get((kind.subject_type, arrow.target)))
            for number, kind in self.numbering.kinds_of(definition.name, relation)
        )
        if arrow.every:
            return Every(steps)
        return AnyOf(tuple(Through(kind, target) for kind, target in steps if target is not None))


class Plan:
    """The terms of all names for subjects of one kind, and what their recursion is like."""

    def __init__(self, numbering: Numbering, subject_type: str, subject_relation: str) -> None:
        self.numbering = numbering
        self.subject_type = subject_type
        self.subject_relation = subject_relation
        self.terms = _pruned(_Terms(numbering, subject_type, subject_relation).all())
        self._find_recursion()
        self._calls: dict[int, int] = {}

    def _find_recursion(self) -> None:
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(self.terms)))
        guarded: set[tuple[int, int]] = set()
        for number, term in enumerate(self.terms):
            for target, is_guarded in references(term):
                graph.add_edge(number, target)
                if is_guarded:
                    guarded.add((number, target))
        self.component = [0] * len(self.terms)
        self.tangled: set[int] = set()
        self.looping: set[int] = set()
        for index, members in enumerate(nx.strongly_connected_components(graph)):
            for member in members:
                self.component[member] = index
            inside = [(a, b) for a, b in graph.edges(members) if b in members]
            if any(edge in guarded for edge in inside):
                self.tangled |= members
            elif inside:
                self.looping |= members
        self.undefinable = self._reaching_exclusion_cycle(graph)
        self.uncertain = self._reaching_caveat(graph)
        self.conditional = self._reaching_condition(graph)
        self.plain = self._plain(graph)

    def calls(self, number: int) -> int:
        """How many names are asked for at one node where nothing is remembered.

        Where names name each other twice, it doubles at each level.
        """
        known = self._calls.get(number)
        if known is None:
            self._calls[number] = 1  # where the name comes back to itself, once is enough
            known = 1 + sum(self.calls(target) for target in _called(self.terms[number]))
            self._calls[number] = known
        return known

    def _reaching_exclusion_cycle(self, graph: nx.DiGraph[int]) -> set[int]:
        """The names whose answer can be undefined, because a cycle through an exclusion can
        be reached from them."""
        sources = {
            number
            for number in self.tangled
            for target in subtracted_references(self.terms[number])
            if self.component[target] == self.component[number]
        }
        return _reaching(sources, graph)

    def _reaching_condition(self, graph: nx.DiGraph[int]) -> set[int]:
        """The names from which a relationship can be reached that may not hold."""
        kinds = self.numbering.conditional
        sources = {
            number
            for number, term in enumerate(self.terms)
            if not kinds.isdisjoint(kinds_read(term))
        }
        return _reaching(sources, graph)

    def _plain(self, graph: nx.DiGraph[int]) -> set[int]:
        """The names that lead to nothing but unions of relationships that hold always."""
        others = {number for number, term in enumerate(self.terms) if not is_union(term)}
        return set(range(len(self.terms))) - _reaching(others, graph) - self.conditional

    def _reaching_caveat(self, graph: nx.DiGraph[int]) -> set[int]:
        """The names whose answer can be unknown, because a caveat can be reached from them."""
        caveats = self.numbering.caveats
        sources = {
            number
            for number, term in enumerate(self.terms)
            if any(caveats[kind] is not None for kind in kinds_read(term))
        }
        return _reaching(sources, graph)


def _reaching(sources: set[int], graph: nx.DiGraph[int]) -> set[int]:
    reaching = set(sources)
    for number in sources:
        reaching |= nx.ancestors(graph, number)
    return reaching


def nesting(numbering: Numbering) -> int:
    """How many names deep an evaluation can go, names that reach each other counted as one."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(numbering.names)))
    for number, term in enumerate(_Terms(numbering, "", "").all()):
        graph.add_edges_from((number, target) for target, _ in references(term))
    return int(nx.dag_longest_path_length(nx.condensation(graph)))


def references(term: Term, guarded: bool = False) -> Iterator[tuple[int, bool]]:
    """The numbers that a term reads, and whether it does so other than through unions."""
    match term:
        case Call(target) | Through(_, target):
            yield target, guarded
        case Every(steps):
            yield from ((target, True) for _, target in steps if target is not None)
        case AnyOf(children):
            for child in children:
                yield from references(child, guarded)
        case AllOf(children):
            for child in children:
                yield from references(child, True)
        case Minus(base, subtracted):
            yield from references(base, True)
            yield from references(subtracted, True)


def _called(term: Term) -> Iterator[int]:
    """The names that a term asks for of the same resource, each as often as it does."""
    match term:
        case Call(target):
            yield target
        case AnyOf(children) | AllOf(children):
            for child in children:
                yield from _called(child)
        case Minus(base, subtracted):
            yield from _called(base)
            yield from _called(subtracted)


def kinds_read(term: Term) -> Iterator[int]:
    """The kinds of relationships that a term reads."""
    match term:
        case Direct(kind) | Public(kind) | Through(kind, _):
            yield kind
        case Every(steps):
            yield from (kind for kind, _ in steps)
        case AnyOf(children) | AllOf(children):
            for child in children:
                yield from kinds_read(child)
        case Minus(base, subtracted):
            yield from kinds_read(base)
            yield from kinds_read(subtracted)


def is_union(term: Term) -> bool:
    """Whether a term is made of unions alone."""
    match term:
        case AnyOf(children):
            return all(is_union(child) for child in children)
        case AllOf() | Minus() | Every():
            return False
        case _:
            return True


def subtracted_references(term: Term) -> Iterator[int]:
    """The numbers that a term reads on the right of an exclusion."""
    match term:
        case AnyOf(children) | AllOf(children):
            for child in children:
                yield from subtracted_references(child)
        case Minus(base, subtracted):
            yield from subtracted_references(base)
            for target, _ in references(subtracted):
                yield target


def _pruned(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The terms without what can never be true: a least fixpoint over "could be true"."""
    possible: set[int] = set()
    while True:
        more = {number for number, term in enumerate(terms) if _possible(term, possible)}
        if more == possible:
            break
        possible = more
    return tuple(
        _prune(term, possible) if number in possible else NOBODY
        for number, term in enumerate(terms)
    )


def _possible(term: Term, names: set[int]) -> bool:
    match term:
        case Direct() | Public() | Same():
            return True
        case Call(target) | Through(_, target):
            return target in names
        case Every(steps):
            return any(target in names for _, target in steps)
        case AnyOf(children):
            return any(_possible(child, names) for child in children)
        case AllOf(children):
            return all(_possible(child, names) for child in children)
        case Minus(base, _):
            return _possible(base, names)


def _prune(term: Term, names: set[int]) -> Term:
    match term:
        case AnyOf(children):
            kept: list[Term] = []
            for child in children:
                if _possible(child, names):
                    pruned = _prune(child, names)
                    kept.extend(pruned.children if isinstance(pruned, AnyOf) else (pruned,))
            return kept[0] if len(kept) == 1 else AnyOf(tuple(dict.fromkeys(kept)))
        case AllOf(children):
            return AllOf(tuple(dict.fromkeys(_prune(child, names) for child in children)))
        case Minus(base, subtracted):
            if not _possible(subtracted, names):
                return _prune(base, names)
            return Minus(_prune(base, names), _prune(subtracted, names))
        case Every(steps):
            return Every(
                tuple((kind, target if target in names else None) for kind, target in steps)
            )
        case _:
            return term
