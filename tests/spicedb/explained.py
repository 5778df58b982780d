"""Where SpiceDB is known to answer otherwise, each shape recognised from the world, not the answer.

`test_differences.py` pins each of them on the real engine, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from relata.errors import RelataError
from relata.relationships import ObjectRef, Relationship, SubjectRef
from relata.schema import model
from tests.reference.evaluator import Estimate, Node, Reading, Reference, Related, Subjects

READ_OTHERWISE = "a check reads relationships otherwise"
CAVEAT_NOT_NEEDED = "a failed caveat fails answers that do not need it"
EXCLUSION_LOSES = "a lookup of resources loses what `-` makes conditional"
INTERSECTION_GRANTS = "a lookup of resources grants what `&` makes conditional"
ALL_LOSES = "a lookup of resources loses what comes by `.all()`"
ALL_SKIPS_TYPES = "a lookup of subjects skips what `.all()` cannot walk"
ALL_TOGETHER = "checks asked together mix up the caveats of `.all()`"
EXPANSION_HAS_FALSE = "an expansion shows relationships whose caveat is false or has failed"
SELF_OF_ANY_KIND = "a lookup of subjects takes `self` for a subject of every kind"
ALL = ".all()"


class SpiceDBsReading(Reference):
    """The reference with the three ways in which SpiceDB's checks read relationships otherwise.

    A wildcard matches usersets of its type. And where `is_overlooked` says so, a check looks
    for its own subject among relationships without a caveat alone, and among expired ones too.
    """

    def __init__(
        self,
        schema: model.Schema,
        relationships: Iterable[Relationship],
        objects: Iterable[ObjectRef],
        *,
        context: Mapping[str, Any],
    ) -> None:
        self._items = {(r.resource, r.relation, r.subject): r for r in relationships}
        self._context = context
        super().__init__(schema, self._items.values(), objects, context=context)

    def _related(self, counts: Callable[[Any], bool]) -> Related:
        """The relationships of an estimate, and with them the expired ones."""
        related = _Related(super()._related(counts))
        for key, item in self._items.items():
            if key not in self._outcomes and counts(self._outcome(item, self._context)):
                related.expired.setdefault((item.resource, item.relation), []).append(item.subject)
        return related

    def _members(self, o: ObjectRef, name: str, now: Estimate, held: Reading) -> Subjects:
        relation = self.schema.definitions[o.type].relations.get(name)
        if relation is None:
            return super()._members(o, name, now, held)
        members = {SubjectRef(o.type, o.id, name)}
        for subject in now.related[o, name]:
            is_caveated = self._items[o, name, subject].caveat is not None
            for found in self._meant(subject, now):
                # Who is found in a userset is found there, and not by this relationship's kind.
                is_direct = subject.is_wildcard or (found == subject and not subject.relation)
                if not (is_direct and is_caveated and overlooks_caveats(relation, found)):
                    members.add(found)
        assert isinstance(now.related, _Related)
        for subject in now.related.expired.get((o, name), ()):
            meant = self._meant(subject, now) if subject.is_wildcard else {subject}
            members.update(found for found in meant if overlooks_expiration(relation, found))
        return frozenset(members)

    def _meant(self, subject: SubjectRef, now: Estimate) -> Subjects:
        meant = super()._meant(subject, now)
        if not subject.is_wildcard:
            return meant
        usersets = (SubjectRef(o.type, o.id, name) for o, name in self._nodes)
        return meant | {s for s in usersets if s.type == subject.type}


class _Related(dict[Node, Subjects]):
    """Relationships that count, and beside them those that would if they had not expired."""

    def __init__(self, related: Related) -> None:
        super().__init__(related)
        self.expired: dict[Node, list[SubjectRef]] = {}


def overlooks_caveats(relation: model.Relation, subject: SubjectRef) -> bool:
    """Whether a check finds the subject only where the relationship has no caveat."""
    return is_overlooked(relation, subject, lambda kind: bool(kind.caveat))


def overlooks_expiration(relation: model.Relation, subject: SubjectRef) -> bool:
    """Whether a check finds the subject even where the relationship has expired."""
    return is_overlooked(relation, subject, lambda kind: kind.expiration)


def is_overlooked(
    relation: model.Relation,
    subject: SubjectRef,
    has_trait: Callable[[model.AllowedSubject], bool],
) -> bool:
    """Whether a check disregards that relationships with its subject may have a trait.

    So it is where the kinds that hold the subject with the trait are as many as the kinds of the
    subject's type that do not hold it and are without: those with the trait are then taken to be
    none.
    """
    kinds = [kind for kind in relation.allowed if kind.type == subject.type]
    holding = [kind for kind in kinds if kind.wildcard or kind.relation == subject.relation]
    others = [kind for kind in kinds if kind not in holding]
    having = sum(map(has_trait, holding))
    return having > 0 and having == sum(not has_trait(kind) for kind in others)


_NOWHERE = "."
"""The name of no node."""


class Step(NamedTuple):
    """One step down from a node, by a part of an expression or by a relationship.

    `self` is a step to the object itself, without a name.
    """

    to: Node
    part: model.Expression | None = None
    outcome: Any = True
    """What the relationship's caveat says."""


def is_read_otherwise(
    reference: Reference, reading: SpiceDBsReading, node: Node, subject: SubjectRef
) -> bool:
    """Whether the readings differ about a subject at a node or on some way down from it."""
    nodes = {node, *(step.to for step in _below(reference, node))} & reference.sets.keys()
    return any(
        (subject in theirs[at]) != (subject in ours[at])
        for at in nodes
        for ours, theirs in ((reference.sets, reading.sets), (reference.possible, reading.possible))
    )


def reaches_failed_caveat(reference: Reference, node: Node) -> bool:
    """Whether a caveat that has failed is on some way down from a node."""
    return any(isinstance(step.outcome, RelataError) for step in _below(reference, node))


def may_reach_failed_caveat(reference: Reference, type_: str, name: str) -> bool:
    """Whether a caveat has failed in a relation that a name can lead down to by the schema."""
    failed = {
        (resource.type, relation)
        for (resource, relation, _), outcome in reference._outcomes.items()
        if isinstance(outcome, RelataError)
    }
    return not failed.isdisjoint(_names_below(reference.schema, (type_, name)))


def parts_below(reference: Reference, node: Node) -> set[type[model.Expression] | str]:
    """The sorts of operation on some way down from a node; `.all()` is ALL."""
    parts = (step.part for step in _below(reference, node))
    return {ALL if _is_all(part) else type(part) for part in parts if part is not None}


def reaches_untargeted_all(reference: Reference, node: Node) -> bool:
    """Whether an `.all()` below a node meets an object that does not have its target."""
    steps = _below(reference, node)
    return any(_is_all(step.part) and step.to not in reference.sets for step in steps)


def ids_of_self(reference: Reference, node: Node) -> set[str]:
    """The ids of the objects whose `self` is on some way down from a node."""
    return {step.to[0].id for step in _below(reference, node) if not step.to[1]}


def _is_all(part: model.Expression | None) -> bool:
    return isinstance(part, model.Arrow) and part.every


def _names_below(schema: model.Schema, start: tuple[str, str]) -> set[tuple[str, str]]:
    """The relations and permissions that one can lead down to, itself among them."""
    seen: set[tuple[str, str]] = set()
    left = [start]
    while left:
        type_, name = left.pop()
        definition = schema.definitions[type_]
        if (type_, name) in seen or name not in definition:
            continue
        seen.add((type_, name))
        if name in definition.relations:
            left += [(kind.type, kind.relation) for kind in definition.relations[name].allowed]
            continue
        for part in _operands(definition.permissions[name].expression):
            if isinstance(part, model.Computed):
                left.append((type_, part.name))
            elif isinstance(part, model.Arrow):
                left.append((type_, part.relation))
                kinds = definition.relations[part.relation].allowed
                left += [(kind.type, part.target) for kind in kinds]
    return seen


def _operands(e: model.Expression) -> Iterator[model.Expression]:
    match e:
        case model.Union(children) | model.Intersection(children):
            for child in children:
                yield from _operands(child)
        case model.Exclusion(base, removed):
            yield from _operands(base)
            yield from _operands(removed)
        case _:
            yield e


def _below(reference: Reference, start: Node) -> Iterator[Step]:
    """Every step that can be taken on the way down from a node."""
    seen: set[Node] = set()
    left = [start]
    while left:
        node = left.pop()
        if node in seen or node not in reference.sets:
            continue
        seen.add(node)
        for step in _steps(reference, node):
            yield step
            left.append(step.to)


def _steps(reference: Reference, node: Node) -> Iterator[Step]:
    o, name = node
    permission = reference.schema.definitions[o.type].permissions.get(name)
    if permission is not None:
        yield from _steps_of(reference, permission.expression, o)
        return
    for subject, outcome in _related(reference, node):
        yield Step((subject.object, subject.relation or _NOWHERE), None, outcome)


def _steps_of(reference: Reference, e: model.Expression, o: ObjectRef) -> Iterator[Step]:
    match e:
        case model.Computed(name):
            yield Step((o, name), e)
        case model.Self():
            yield Step((o, ""), e)
        case model.Arrow(relation, target):
            for subject, outcome in _related(reference, (o, relation)):
                yield Step((subject.object, target), e, outcome)
        case model.Union(children):
            for child in children:
                yield from _steps_of(reference, child, o)
        case model.Intersection(children):
            yield Step((o, _NOWHERE), e)
            for child in children:
                yield from _steps_of(reference, child, o)
        case model.Exclusion(base, removed):
            yield Step((o, _NOWHERE), e)
            yield from _steps_of(reference, base, o)
            yield from _steps_of(reference, removed, o)


def _related(reference: Reference, node: Node) -> list[tuple[SubjectRef, Any]]:
    return [(s, outcome) for (*at, s), outcome in reference._outcomes.items() if (*at,) == node]
