"""Who is in a relation or permission by the relationships alone, and through which relations.

This is what the expected relations of a scenario are compared with: the full expansion of a name,
in which a subject that hangs on a caveat, whatever its context, is there on a condition, and a
wildcard stands beside the subjects that are named. The engine answers other questions, about one
context; both follow the same meaning of a schema.

Sets of subjects combine by three-valued logic: a union takes the surer of two, an intersection
the less sure, and what is taken away leaves what it is not. Names that are made of each other, as
in a circle of groups, are evaluated until nothing changes; where such a circle takes away a part
of itself, nobody is listed, and an error says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import reduce
from itertools import islice

import msgspec
import networkx as nx

from relata.errors import LimitExceededError
from relata.relationships import WILDCARD, ObjectRef, Relationship, SubjectRef
from relata.schema import (
    Arrow,
    Computed,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Schema,
    Self,
    Union,
)

MAYBE, SURELY = 1, 2
"""How sure it is that a subject is there; 0 where it is not."""
_COMPARED = 1_000
"""How many names a mistyped one is compared with."""

Node = tuple[ObjectRef, str]


class Found(msgspec.Struct, frozen=True):
    """How sure it is that a subject is there, and the relations that have it in them."""

    level: int
    through: frozenset[str] = frozenset()
    excluded: Mapping[SubjectRef, Found] = {}
    """Of a wildcard: who is left out, and how sure that is."""


Members = Mapping[SubjectRef, Found]
_NOBODY: Members = {}


class Graph:
    """The relationships of a scenario that have not expired, under a schema that allows them."""

    def __init__(
        self, schema: Schema, relationships: Iterable[Relationship], now: datetime
    ) -> None:
        self._schema = schema
        self._stored: dict[Node, list[Relationship]] = {}
        for item in relationships:
            if item.expires_at is None or now < item.expires_at:
                self._stored.setdefault((item.resource, item.relation), []).append(item)
        self._known: dict[Node, Members] = {}
        self._seen: set[Node] = set()

    def has(self, node: Node) -> bool:
        """Whether the schema has such a relation or permission."""
        definition = self._schema.definitions.get(node[0].type)
        return definition is not None and node[1] in definition

    def similar(self, node: Node) -> str:
        """A hint at the name that may have been meant by one that the schema has not."""
        type_, name = node[0].type, node[1]
        definition = self._schema.definitions.get(type_)
        known = [*definition.relations, *definition.permissions] if definition else []
        meant, names = (name, known) if definition else (type_, self._schema.definitions)
        close = get_close_matches(meant, islice(names, _COMPARED), n=1)
        return f"did you mean `{close[0]}`?" if close else ""

    def members(self, node: Node) -> Members:
        """Everybody in a relation or permission, which the schema must have.

        Raises LimitExceededError where the answer rests on its own opposite.
        """
        if node not in self._known:
            try:
                for circle in self._circles(self.reached(node, self._seen)):
                    self._solve(circle)
            except LimitExceededError:
                self._seen.intersection_update(self._known)
                raise
        return self._known[node]

    def reached(self, node: Node, seen: set[Node]) -> list[Node]:
        """A name and all that its answer is made of and that is not `seen`, parts first.

        What is found is added to `seen`.
        """
        if node in seen:
            return []
        seen.add(node)
        found: list[Node] = []
        way = [(node, self._parts(node))]
        while way:
            above, parts = way[-1]
            part = next((part for part, _ in parts if part not in seen), None)
            if part is None:
                found.append(above)
                way.pop()
            else:
                seen.add(part)
                way.append((part, self._parts(part)))
        return found

    def _circles(self, nodes: Sequence[Node]) -> list[list[Node]]:
        """The names that are made of each other, together, each circle behind what it needs."""
        graph: nx.DiGraph[Node] = nx.DiGraph()
        graph.add_nodes_from(nodes)
        within = set(nodes)
        graph.add_edges_from(
            (above, part) for above in nodes for part, _ in self._parts(above) if part in within
        )
        order = {node: number for number, node in enumerate(nodes)}
        circles = nx.condensation(graph)
        return [
            sorted(circles.nodes[circle]["members"], key=order.__getitem__)
            for circle in reversed(list(nx.topological_sort(circles)))
        ]

    def _parts(self, node: Node) -> Iterator[tuple[Node, bool]]:
        """The names that an answer is made of directly, and whether each is taken away."""
        resource, name = node
        permission = self._schema.definitions[resource.type].permissions.get(name)
        if permission is not None:
            yield from self._parts_of(resource, permission.expression, taken_away=False)
            return
        for item in self._stored.get(node, ()):
            if item.subject.relation:
                yield (item.subject.object, item.subject.relation), False

    def _parts_of(
        self, resource: ObjectRef, expression: Expression, *, taken_away: bool
    ) -> Iterator[tuple[Node, bool]]:
        match expression:
            case Computed(name):
                yield (resource, name), taken_away
            case Arrow(relation, target):
                yield (resource, relation), taken_away
                for item in self._stored.get((resource, relation), ()):
                    if self.has((item.subject.object, target)):
                        yield (item.subject.object, target), taken_away
            case Union(children) | Intersection(children):
                for child in children:
                    yield from self._parts_of(resource, child, taken_away=taken_away)
            case Exclusion(base, subtracted):
                yield from self._parts_of(resource, base, taken_away=taken_away)
                yield from self._parts_of(resource, subtracted, taken_away=True)

    def _solve(self, circle: Sequence[Node]) -> None:
        """Evaluate names that are made of each other until nothing changes."""
        within = set(circle)
        if any(away and part in within for node in circle for part, away in self._parts(node)):
            raise LimitExceededError("it is taken away from itself, so nobody can be listed")
        self._known.update(dict.fromkeys(circle, _NOBODY))
        changed = True
        while changed:
            changed = False
            for node in circle:
                members = self._evaluated(node)
                changed |= members != self._known[node]
                self._known[node] = members

    def _evaluated(self, node: Node) -> Members:
        resource, name = node
        permission = self._schema.definitions[resource.type].permissions.get(name)
        if permission is not None:
            return self._of(node, permission.expression)
        here = frozenset({f"{resource}#{name}"})
        stored = self._stored.get(node, ())
        own = {item.subject: Found(_level_of(item), here) for item in stored}
        within = (
            _at_most(_level_of(item), self._known[item.subject.object, item.subject.relation])
            for item in stored
            if item.subject.relation
        )
        return union(own, *within)

    def _of(self, node: Node, expression: Expression) -> Members:
        resource = node[0]
        match expression:
            case Computed(name):
                return self._known[resource, name]
            case Arrow(relation, target, every):
                parts = [
                    _at_most(
                        _level_of(item), self._known.get((item.subject.object, target), _NOBODY)
                    )
                    for item in self._stored.get((resource, relation), ())
                ]
                return reduce(intersection, parts) if every and parts else union(*parts)
            case Union(children):
                return union(*(self._of(node, child) for child in children))
            case Intersection(children):
                return reduce(intersection, (self._of(node, child) for child in children))
            case Exclusion(base, subtracted):
                return exclusion(self._of(node, base), self._of(node, subtracted))
            case Self():
                here = frozenset({f"{resource}#{node[1]}"})
                return {SubjectRef(resource.type, resource.id): Found(SURELY, here)}
            case Nil():
                return _NOBODY


def union(*sets: Members) -> Members:
    """Who is in any; a wildcard leaves out whom all leave out and nothing else brings in."""
    found: dict[SubjectRef, Found] = {}
    for members in sets:
        for subject, member in members.items():
            known = found.get(subject)
            found[subject] = member if known is None else _either(known, member)
    return {
        subject: _without_named(member, found) if member.excluded else member
        for subject, member in found.items()
    }


def intersection(one: Members, two: Members) -> Members:
    """Who is in both, named in both or named in one and covered by the other's wildcard."""
    found: dict[SubjectRef, Found] = {}
    for subject in one.keys() | two.keys():
        first, second = one.get(subject), two.get(subject)
        ways: list[Found] = []
        if first is not None and second is not None:
            out = _joined(first.excluded, second.excluded)
            level = min(first.level, second.level)
            ways.append(Found(level, first.through | second.through, out))
        if not subject.is_wildcard:
            ways += _covered(subject, first, two)
            ways += _covered(subject, second, one)
        if ways:
            found[subject] = reduce(_either, ways)
    return found


def exclusion(base: Members, subtracted: Members) -> Members:
    """Who is in the base and not in the other, as surely as both allow."""
    found: dict[SubjectRef, Found] = {}
    for subject, member in base.items():
        left = (
            _wildcard_left(subject, member, subtracted)
            if subject.is_wildcard
            else _left(subject, member, subtracted)
        )
        if left is not None:
            found[subject] = left
        if subject.is_wildcard:
            for named, one in _named_left(member, subject, subtracted):
                found[named] = _either(found[named], one) if named in found else one
    return found


def _level_of(item: Relationship) -> int:
    return SURELY if item.caveat is None else MAYBE


def _at_most(level: int, members: Members) -> Members:
    if level == SURELY:
        return members
    return {
        subject: msgspec.structs.replace(member, level=min(level, member.level))
        for subject, member in members.items()
    }


def _either(one: Found, two: Found) -> Found:
    """One subject by two ways."""
    excluded = {}
    for subject in one.excluded.keys() | two.excluded.keys():
        first, second = one.excluded.get(subject), two.excluded.get(subject)
        # Left out of both: of each because it leaves out, or because it is not there itself.
        level = min(max(_level(first), SURELY - one.level), max(_level(second), SURELY - two.level))
        if level:
            excluded[subject] = Found(level, _through(first) | _through(second))
    return Found(max(one.level, two.level), one.through | two.through, excluded)


def _joined(
    one: Mapping[SubjectRef, Found], two: Mapping[SubjectRef, Found]
) -> Mapping[SubjectRef, Found]:
    """Whoever is left out of one of two wildcards."""
    return {
        subject: Found(
            max(_level(one.get(subject)), _level(two.get(subject))),
            _through(one.get(subject)) | _through(two.get(subject)),
        )
        for subject in one.keys() | two.keys()
    }


def _without_named(wildcard: Found, members: Members) -> Found:
    """A wildcard that does not leave out whom its set has by name."""
    excluded = {}
    for subject, out in wildcard.excluded.items():
        named = members.get(subject)
        level = min(out.level, SURELY - _level(named))
        if level:
            excluded[subject] = Found(level, out.through | _through(named))
    return msgspec.structs.replace(wildcard, excluded=excluded)


def _covered(subject: SubjectRef, member: Found | None, other: Members) -> list[Found]:
    """The named subject as far as the other set's wildcard covers it."""
    wildcard = _wildcard(subject, other)
    if member is None or wildcard is None:
        return []
    out = wildcard.excluded.get(subject)
    level = min(member.level, wildcard.level, SURELY - _level(out))
    if not level:
        return []
    if wildcard.level == SURELY and out is None:
        return [Found(level, member.through)]
    return [Found(level, member.through | wildcard.through | _through(out))]


def _left(subject: SubjectRef, member: Found, subtracted: Members) -> Found | None:
    """A named subject less a set."""
    same, wildcard = subtracted.get(subject), _wildcard(subject, subtracted)
    level = min(member.level, SURELY - _level(same))
    if wildcard is not None:
        level = min(level, max(SURELY - wildcard.level, _level(wildcard.excluded.get(subject))))
    return Found(level, member.through | _through(same)) if level else None


def _wildcard_left(subject: SubjectRef, member: Found, subtracted: Members) -> Found | None:
    """A wildcard less a set: it leaves out whom the set names."""
    level = min(member.level, SURELY - _level(subtracted.get(subject)))
    if not level:
        return None
    named = {
        other: found
        for other, found in subtracted.items()
        if not other.is_wildcard and _wildcard_of(other) == subject
    }
    return Found(level, member.through, _joined(member.excluded, named))


def _named_left(
    wildcard: Found, subject: SubjectRef, subtracted: Members
) -> Iterator[tuple[SubjectRef, Found]]:
    """Whom the subtracted wildcard leaves out, so that the base's wildcard still covers them."""
    other = subtracted.get(subject)
    for named, out in other.excluded.items() if other is not None else ():
        level = min(
            wildcard.level,
            SURELY - _level(wildcard.excluded.get(named)),
            SURELY - _level(subtracted.get(named)),
            out.level,
        )
        if level:
            yield named, Found(level, out.through)


def _wildcard_of(subject: SubjectRef) -> SubjectRef | None:
    return None if subject.relation else SubjectRef(subject.type, WILDCARD)


def _wildcard(subject: SubjectRef, members: Members) -> Found | None:
    key = _wildcard_of(subject)
    return None if key is None else members.get(key)


def _level(found: Found | None) -> int:
    return 0 if found is None else found.level


def _through(found: Found | None) -> frozenset[str]:
    return frozenset() if found is None else found.through


def find(subject: SubjectRef, members: Members) -> Found | None:
    """What has a subject in a set: its own entry, or the wildcard that covers it."""
    wildcard = _wildcard(subject, members)
    if subject in members or wildcard is None:
        return members.get(subject)
    out = wildcard.excluded.get(subject)
    level = min(wildcard.level, SURELY - _level(out))
    return Found(level, wildcard.through) if level else None
