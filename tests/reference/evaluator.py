"""The executable definition of what a schema and its relationships mean.

The meaning of a relation or permission of an object is a set of subjects: the least solution of
one equation a name, found by starting from empty sets and applying the equations until nothing
changes. `docs/semantics.md` states the equations; this module is their text in Python, written to
be read. It has no cache, no limit and no order, and it knows nothing of the engine: where the two
disagree, one of them is wrong.

The universe is finite: the objects named by the relationships or by the caller, each by itself and
with each of its names, and for every type the subject `type:*`: any object that is not named.

What is subtracted (`a - b`) is not read from the sets that grow. The least solution is taken with
the subtracted sets held, from below and from above in turn, until both stand still (the alternating
fixpoint of the well-founded semantics, Van Gelder 1989). Only what is in the lower sets is granted:
what rests on its own absence is not.

A caveat may be unknown, for want of context. So the lower sets are found twice: with each unknown
caveat against the question (false where it adds, true where it takes away), which gives who is
allowed, and with each for it, which gives who is not denied. Between the two is who is allowed on
a condition, and what is missing are the parameters of the unknown caveats on the ways that matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import reduce
from typing import Any, NamedTuple

from relata.errors import RelataError
from relata.relationships import WILDCARD, ObjectRef, Relationship, SubjectRef
from relata.schema import model

Subjects = frozenset[SubjectRef]
Node = tuple[ObjectRef, str]
Sets = Mapping[Node, Subjects]
Related = Mapping[Node, Subjects]
Answer = bool | frozenset[str] | None
"""Allowed, denied, the names that are missing, or None: a caveat that matters has failed."""
NOBODY: Subjects = frozenset()


class Estimate(NamedTuple):
    """Sets, and the relationships that they are made of: those that hold, or that may hold."""

    sets: Sets
    related: Related


class Reading(NamedTuple):
    """The estimate that an expression is read in, and the one for what it subtracts."""

    now: Estimate
    then: Estimate


class Position(NamedTuple):
    """Readings of a part of a question: with unknown caveats against the whole, and for it."""

    against: Reading
    favourably: Reading
    is_subtracted: bool = False

    def subtracted(self) -> Position:
        against, favourably = (Reading(r.then, r.now) for r in (self.against, self.favourably))
        return Position(against, favourably, not self.is_subtracted)


class Reference:
    """The sets of one schema over one collection of relationships, stored and contextual alike.

    Of two relationships with one key, the later replaces the earlier.
    """

    def __init__(
        self,
        schema: model.Schema,
        relationships: Iterable[Relationship],
        objects: Iterable[ObjectRef] = (),
        *,
        context: Mapping[str, Any] | None = None,
        now: datetime | None = None,
    ) -> None:
        self.schema = schema
        now = now or datetime.now(UTC)
        latest = {item.key: item for item in relationships if is_allowed(schema, item)}
        held = [r for r in latest.values() if r.expires_at is None or now < r.expires_at]
        named = {*objects, *(r.resource for r in held), *(r.subject.object for r in held)}
        self.objects = frozenset(o for o in named if o.id != WILDCARD)
        self._nodes = [(o, n) for o in self.objects for n in names(schema.definitions[o.type])]
        self._outcomes = {
            (r.resource, r.relation, r.subject): self._outcome(r, context or {}) for r in held
        }
        hold = self._related(lambda outcome: outcome is True)
        may_hold = self._related(lambda outcome: outcome is not False)
        against = self._well_founded(hold, may_hold)
        favourably = self._well_founded(may_hold, hold)
        self.sets, self.possible = against.now.sets, favourably.now.sets
        self._whole = Position(against, favourably)

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> Answer:
        node = (resource, name)
        if (subject in self.sets[node]) == (subject in self.possible[node]):
            return subject in self.sets[node]
        outcomes = set(self._unknown(node, subject, self._whole, set()))
        if any(isinstance(outcome, RelataError) for outcome in outcomes):
            return None
        return frozenset[str]().union(*(o for o in outcomes if isinstance(o, frozenset)))

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> dict[str, Answer]:
        """The answer for every object that is not denied, by id."""
        objects = [o for o in self.objects if o.type == type_]
        answers = {o.id: self.check(o, name, subject) for o in objects}
        return {id_: answer for id_, answer in answers.items() if answer is not False}

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str = ""
    ) -> dict[str, Answer]:
        """The answer for every named id, and for `*`, which is everybody else."""
        ids = [o.id for o in self.objects if o.type == type_] + [WILDCARD] * (not relation)
        return {id_: self.check(resource, name, SubjectRef(type_, id_, relation)) for id_ in ids}

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> dict[str, Answer]:
        """The answer for every permission that is not denied, by name."""
        permissions = self.schema.definitions[resource.type].permissions
        answers = {name: self.check(resource, name, subject) for name in permissions}
        return {name: answer for name, answer in answers.items() if answer is not False}

    def _outcome(self, r: Relationship, context: Mapping[str, Any]) -> Any:
        if r.caveat is None:
            return True
        return self.schema.caveats[r.caveat.name].caveat.evaluate(r.caveat.context, context)

    def _related(self, counts: Callable[[Any], bool]) -> Related:
        related: dict[Node, set[SubjectRef]] = {node: set() for node in self._nodes}
        for (resource, relation, subject), outcome in self._outcomes.items():
            if counts(outcome):
                related[resource, relation].add(subject)
        return {node: frozenset(subjects) for node, subjects in related.items()}

    def _well_founded(self, related: Related, subtracted: Related) -> Reading:
        everyone = {SubjectRef(type_, WILDCARD) for type_ in self.schema.definitions}
        everyone |= {SubjectRef(o.type, o.id) for o in self.objects}
        everyone |= {SubjectRef(o.type, o.id, name) for o, name in self._nodes}
        lower = Estimate(dict.fromkeys(self._nodes, NOBODY), related)
        upper = Estimate(dict.fromkeys(self._nodes, frozenset(everyone)), subtracted)
        while True:
            raised = self._least(related, Reading(upper, lower))
            if raised.sets == lower.sets:
                return Reading(lower, upper)
            lower, upper = raised, self._least(subtracted, Reading(raised, upper))

    def _least(self, related: Related, held: Reading) -> Estimate:
        now = Estimate(dict.fromkeys(self._nodes, NOBODY), related)
        while True:
            larger = {node: self._members(*node, now, held) for node in self._nodes}
            if larger == now.sets:
                return now
            now = Estimate(larger, related)

    def _members(self, o: ObjectRef, name: str, now: Estimate, held: Reading) -> Subjects:
        itself = frozenset({SubjectRef(o.type, o.id, name)})
        permission = self.schema.definitions[o.type].permissions.get(name)
        if permission is not None:
            return itself | self._evaluate(permission.expression, o, now, held)
        return itself.union(*(self._meant(s, now) for s in now.related[o, name]))

    def _meant(self, subject: SubjectRef, now: Estimate) -> Subjects:
        if subject.is_wildcard:
            named = (o for o in self.objects if o.type == subject.type)
            return frozenset({subject, *(SubjectRef(o.type, o.id) for o in named)})
        userset = (subject.object, subject.relation)
        return now.sets[userset] if subject.relation else frozenset({subject})

    def _evaluate(
        self, e: model.Expression, o: ObjectRef, now: Estimate, held: Reading
    ) -> Subjects:
        match e:
            case model.Self():
                return frozenset({SubjectRef(o.type, o.id)})
            case model.Computed(name):
                return now.sets[o, name]
            case model.Arrow(relation, target, every):
                parts = [self._there(o, relation, s, target, now) for s in self._at(o, relation)]
                return reduce(Subjects.__and__ if every else Subjects.__or__, parts or [NOBODY])
            case model.Union(children):
                return NOBODY.union(*(self._evaluate(c, o, now, held) for c in children))
            case model.Intersection(children):
                each = (self._evaluate(child, o, now, held) for child in children)
                return reduce(Subjects.__and__, each)
            case model.Exclusion(base, removed):
                without = self._evaluate(removed, o, held.now, Reading(held.then, held.now))
                return self._evaluate(base, o, now, held) - without
        return NOBODY  # what is left is nil

    def _at(self, o: ObjectRef, relation: str) -> list[SubjectRef]:
        """The subjects of a relation, whatever their caveats say."""
        return [subject for at, name, subject in self._outcomes if (at, name) == (o, relation)]

    def _there(
        self, o: ObjectRef, relation: str, subject: SubjectRef, target: str, now: Estimate
    ) -> Subjects:
        """Who is in the target of one related object, if the relationship holds."""
        holds = subject in now.related[o, relation]
        return now.sets.get((subject.object, target), NOBODY) if holds else NOBODY

    def _unknown(
        self, node: Node, s: SubjectRef, position: Position, seen: set[tuple[Node, bool]]
    ) -> Iterator[Any]:
        """The outcomes of the unknown caveats that a node's unknown answer rests on."""
        sides = (position.against.now, position.favourably.now)
        if (s in sides[0].sets.get(node, NOBODY)) == (s in sides[1].sets.get(node, NOBODY)):
            return
        if (node, position.is_subtracted) in seen:
            return
        seen.add((node, position.is_subtracted))
        o, name = node
        permission = self.schema.definitions[o.type].permissions.get(name)
        if permission is not None:
            yield from self._unknown_in(permission.expression, o, s, position, seen)
            return
        for r in self._at(o, name):
            holds = [r in side.related[node] and s in self._meant(r, side) for side in sides]
            if holds[0] != holds[1]:
                yield self._outcomes[o, name, r]
                yield from self._unknown((r.object, r.relation), s, position, seen)

    def _unknown_in(
        self,
        e: model.Expression,
        o: ObjectRef,
        s: SubjectRef,
        position: Position,
        seen: set[tuple[Node, bool]],
    ) -> Iterator[Any]:
        readings = (position.against, position.favourably)
        found = [s in self._evaluate(e, o, now, Reading(then, now)) for now, then in readings]
        if found[0] == found[1]:
            return
        match e:
            case model.Computed(name):
                yield from self._unknown((o, name), s, position, seen)
            case model.Union(children) | model.Intersection(children):
                for child in children:
                    yield from self._unknown_in(child, o, s, position, seen)
            case model.Exclusion(base, removed):
                yield from self._unknown_in(base, o, s, position, seen)
                yield from self._unknown_in(removed, o, s, position.subtracted(), seen)
            case model.Arrow(relation, target):
                for r in self._at(o, relation):
                    there = [s in self._there(o, relation, r, target, now) for now, _ in readings]
                    if there[0] != there[1]:
                        yield self._outcomes[o, relation, r]
                        yield from self._unknown((r.object, target), s, position, seen)


def names(definition: model.Definition) -> list[str]:
    """The relations and permissions of a definition."""
    return [*definition.relations, *definition.permissions]


def is_allowed(schema: model.Schema, item: Relationship) -> bool:
    """Whether the schema allows this kind of relationship; what it does not allow means nothing."""
    definition = schema.definitions.get(item.resource.type)
    relation = definition.relations.get(item.relation) if definition else None
    subject = item.subject
    kind = model.AllowedSubject(
        subject.type,
        subject.relation,
        subject.is_wildcard,
        item.caveat.name if item.caveat else "",
        item.expires_at is not None,
    )
    return relation is not None and kind in relation.allowed
