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
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import NamedTuple

from relata.relationships import WILDCARD, ObjectRef, Relationship, SubjectRef
from relata.schema import model

Subjects = frozenset[SubjectRef]
Sets = Mapping[tuple[ObjectRef, str], Subjects]
NOBODY: Subjects = frozenset()


class FoundSubjects(NamedTuple):
    """Who of one kind of subject is allowed; `excluded` are the named ids that `*` leaves out."""

    ids: frozenset[str]
    wildcard: bool
    excluded: frozenset[str]


class Reference:
    """The sets of one schema over one collection of relationships, stored and contextual alike."""

    def __init__(
        self,
        schema: model.Schema,
        relationships: Iterable[Relationship],
        objects: Iterable[ObjectRef] = (),
    ) -> None:
        self.schema = schema
        held = [item for item in relationships if is_allowed(schema, item)]
        named = {*objects, *(r.resource for r in held), *(r.subject.object for r in held)}
        self.objects = frozenset(o for o in named if o.id != WILDCARD)
        nodes = [(o, n) for o in self.objects for n in names(schema.definitions[o.type])]
        self._related = {node: set[SubjectRef]() for node in nodes}
        for r in held:
            self._related[r.resource, r.relation].add(r.subject)
        self.sets = self._well_founded()

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> bool:
        return subject in self.sets[resource, name]

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> frozenset[str]:
        found = (o for o in self.objects if o.type == type_ and self.check(o, name, subject))
        return frozenset(o.id for o in found)

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str = ""
    ) -> FoundSubjects:
        members = self.sets[resource, name]
        allowed = {s.id for s in members if (s.type, s.relation) == (type_, relation)}
        named = {o.id for o in self.objects if o.type == type_}
        excluded = named - allowed if WILDCARD in allowed else set[str]()
        return FoundSubjects(frozenset(allowed & named), WILDCARD in allowed, frozenset(excluded))

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> frozenset[str]:
        permissions = self.schema.definitions[resource.type].permissions
        return frozenset(name for name in permissions if self.check(resource, name, subject))

    def _well_founded(self) -> Sets:
        everyone = {SubjectRef(type_, WILDCARD) for type_ in self.schema.definitions}
        everyone |= {SubjectRef(o.type, o.id) for o in self.objects}
        everyone |= {SubjectRef(o.type, o.id, name) for o, name in self._related}
        lower: Sets = dict.fromkeys(self._related, NOBODY)
        upper: Sets = dict.fromkeys(self._related, frozenset(everyone))
        while True:
            raised = self._least((upper, lower))
            if raised == lower:
                return lower
            lower, upper = raised, self._least((raised, upper))

    def _least(self, subtracted: tuple[Sets, Sets]) -> Sets:
        sets: Sets = dict.fromkeys(self._related, NOBODY)
        while True:
            larger = {node: self._members(*node, sets, subtracted) for node in self._related}
            if larger == sets:
                return sets
            sets = larger

    def _members(self, o: ObjectRef, name: str, sets: Sets, held: tuple[Sets, Sets]) -> Subjects:
        itself = frozenset({SubjectRef(o.type, o.id, name)})
        permission = self.schema.definitions[o.type].permissions.get(name)
        if permission is not None:
            return itself | self._evaluate(permission.expression, o, sets, held)
        return itself.union(*(self._meant(s, sets) for s in self._related[o, name]))

    def _meant(self, subject: SubjectRef, sets: Sets) -> Subjects:
        if subject.is_wildcard:
            named = (o for o in self.objects if o.type == subject.type)
            return frozenset({subject, *(SubjectRef(o.type, o.id) for o in named)})
        return sets[subject.object, subject.relation] if subject.relation else frozenset({subject})

    def _evaluate(
        self, e: model.Expression, o: ObjectRef, sets: Sets, held: tuple[Sets, Sets]
    ) -> Subjects:
        match e:
            case model.Self():
                return frozenset({SubjectRef(o.type, o.id)})
            case model.Computed(name):
                return sets[o, name]
            case model.Arrow(relation, target, every):
                objects = {subject.object for subject in self._related[o, relation]}
                parts = [sets.get((found, target), NOBODY) for found in objects]
                return reduce(Subjects.__and__ if every else Subjects.__or__, parts or [NOBODY])
            case model.Union(children):
                return NOBODY.union(*(self._evaluate(c, o, sets, held) for c in children))
            case model.Intersection(children):
                each = (self._evaluate(child, o, sets, held) for child in children)
                return reduce(Subjects.__and__, each)
            case model.Exclusion(base, removed):
                now, other = held
                without = self._evaluate(removed, o, now, (other, now))
                return self._evaluate(base, o, sets, held) - without
        return NOBODY  # what is left is nil


def names(definition: model.Definition) -> list[str]:
    """The relations and permissions of a definition."""
    return [*definition.relations, *definition.permissions]


def is_allowed(schema: model.Schema, item: Relationship) -> bool:
    """Whether the schema allows this kind of relationship; what it does not allow means nothing."""
    definition = schema.definitions.get(item.resource.type)
    relation = definition.relations.get(item.relation) if definition else None
    subject = item.subject
    kind = model.AllowedSubject(subject.type, subject.relation, subject.is_wildcard)
    return relation is not None and kind in relation.allowed
