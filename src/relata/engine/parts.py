"""Parts of the schema's expressions, each at a node, as a person who explains them walks them.

A plan prunes and merges; what is walked here are the expressions as they are written. What a part
says of the subject is read from the same checks as every answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from relata.caveats import Outcome
from relata.engine.check import WIDE, Checks, Run
from relata.engine.conditions import Missing
from relata.engine.plan import NOBODY, AnyOf, Every, Plan, Term, Through
from relata.engine.reading import HOPEFULLY, SURELY, Reading
from relata.engine.unknown import gather
from relata.errors import RelataError
from relata.relationships import Kind
from relata.schema import (
    Arrow,
    Computed,
    Definition,
    Exclusion,
    Expression,
    Intersection,
    Relation,
    Self,
    Union,
)


class Part(NamedTuple):
    """A part of a name's expression at a node; with an empty `path`, the whole name."""

    name: int
    node: int
    path: tuple[int, ...] = ()
    """Which child, of which child, and so on."""


class Followed(NamedTuple):
    """A relationship, by its kind and nodes, and what it leads to.

    That is a part; or the subject asked about itself (True); or nothing (False), where an arrow's
    target is not of the object's type.
    """

    kind: int
    resource: int
    subject: int
    leads_to: Part | bool


Failure = tuple[Followed, RelataError]
"""A relationship whose caveat has failed, and how."""

_At = tuple[Part, bool]
"""A part, and whether it is subtracted."""
_PART_STEPS = 5
"""What looking at a part that may be unknown costs of a question's budget."""


class Parts:
    """What every part says of one subject, in one run."""

    def __init__(self, plan: Plan, checks: Checks, run: Run) -> None:
        self.plan = plan
        self.run = run
        self._checks = checks
        self._schema = plan.numbering.schema
        self._declared: dict[tuple[int, tuple[int, ...]], Relation | Expression] = {}
        self._arrows: dict[tuple[int, tuple[int, ...]], Term] = {}
        self._known: dict[tuple[Part, Reading], bool] = {}
        self._missing: dict[_At, Missing[Failure]] = {}

    # The schema

    def definition(self, part: Part) -> Definition:
        """The definition that a part is of."""
        return self._schema.definitions[self.plan.numbering.names[part.name][0]]

    def declared(self, part: Part) -> Relation | Expression:
        """What the schema has in a part's place."""
        key = (part.name, part.path)
        declared = self._declared.get(key)
        if declared is None:
            declared = self._declared[key] = self._find(part)
        return declared

    def _find(self, part: Part) -> Relation | Expression:
        if part.path:
            above = self.declared(part._replace(path=part.path[:-1]))
            return _operands(above)[part.path[-1]]
        definition = self.definition(part)
        name = self.plan.numbering.names[part.name][1]
        relation = definition.relations.get(name)
        return definition.permissions[name].expression if relation is None else relation

    def operands(self, part: Part) -> list[Part]:
        """What a part is made of at the same node; an exclusion of its base and the subtracted."""
        declared = self.declared(part)
        if isinstance(declared, Computed):
            return [self._named(part, declared)]
        operands = []
        for index, operand in enumerate(_operands(declared)):
            if isinstance(operand, Computed):
                operands.append(self._named(part, operand))
            else:
                operands.append(part._replace(path=(*part.path, index)))
        return operands

    def _named(self, part: Part, computed: Computed) -> Part:
        name = (self.definition(part).name, computed.name)
        return Part(self.plan.numbering.name_number[name], part.node)

    def is_subject(self, part: Part) -> bool:
        """Whether a part is the userset that is asked about."""
        plan = self.plan
        name = (plan.subject_type, plan.subject_relation)
        is_whole = not part.path and part.node == self.run.subject
        return is_whole and plan.numbering.names[part.name] == name

    def is_possible(self, part: Part) -> bool:
        """Whether, with the right relationships, a subject of this kind could be in a part."""
        declared = self.declared(part)
        if isinstance(declared, Arrow):
            return any(self._could_be(target) for _, _, target in self._targets(part, declared))
        return bool(part.path) or self._could_be(part.name)

    def takes_directly(self, kind: Kind) -> bool:
        """Whether the subject can stand in a relationship of a kind, by name or by wildcard."""
        plan = self.plan
        asked = (plan.subject_type, plan.subject_relation)
        return (kind.subject_type, kind.subject_relation) == asked

    def kinds(self, part: Part) -> Iterator[tuple[int, Kind]]:
        """The kinds of relationships that a relation or an arrow follows."""
        declared = self.declared(part)
        if isinstance(declared, Arrow):
            declared = self.definition(part).relations[declared.relation]
        if isinstance(declared, Relation):
            yield from self.plan.numbering.kinds_of(self.definition(part).name, declared)

    def _targets(self, part: Part, arrow: Arrow) -> Iterator[tuple[int, Kind, int | None]]:
        names = self.plan.numbering.name_number
        for number, kind in self.kinds(part):
            yield number, kind, names.get((kind.subject_type, arrow.target))

    def _could_be(self, name: int | None) -> bool:
        return name is not None and self.plan.terms[name] != NOBODY

    # The relationships

    def followed(self, part: Part, *, granting: bool = False) -> Iterator[Followed]:
        """The relationships of a relation or an arrow that lead to the subject or away from it.

        With `granting`, at least those that lead to where the subject is.
        """
        declared = self.declared(part)
        if isinstance(declared, Arrow):
            for number, _, target in self._targets(part, declared):
                yield from self._leading(part, number, target, granting=granting)
            return
        for number, kind in self.kinds(part):
            if kind.subject_relation:
                name = (kind.subject_type, kind.subject_relation)
                target = self.plan.numbering.name_number[name]
                yield from self._leading(part, number, target, granting=granting)
            elif self.takes_directly(kind):
                yield from self._direct(part, number, kind)

    def _direct(self, part: Part, number: int, kind: Kind) -> Iterator[Followed]:
        subjects = self.run.forward[number].get(part.node) or ()
        found = subjects if kind.wildcard else (self.run.subject,)
        for subject in found:
            if subject in subjects:
                yield Followed(number, part.node, subject, True)

    def _leading(
        self, part: Part, number: int, target: int | None, *, granting: bool
    ) -> Iterator[Followed]:
        if granting and not self._could_be(target):
            return
        others = self.run.forward[number].get(part.node) or ()
        if granting and target is not None:
            others = self._narrowed(target, others)
        self.run.spend(len(others))
        for other in others:
            leads_to = False if target is None else Part(target, other)
            yield Followed(number, part.node, other, leads_to)

    def _narrowed(self, target: int, others: Collection[int]) -> Collection[int]:
        """Of many nodes, those where the target grants, if searching for them is cheap."""
        plan = self.plan
        if len(others) < WIDE or target in plan.undefinable or target in plan.uncertain:
            return others
        found = self._checks.found_backwards(self.run, target, len(others))
        return others if found is None else [node for node in found if node in others]

    def outcome(self, followed: Followed) -> Outcome:
        """Whether a relationship holds, as far as it is known."""
        if followed.kind not in self.plan.numbering.conditional:
            return True
        return self.run.outcome(followed.kind, followed.resource, followed.subject)

    def is_there(self, followed: Followed) -> bool:
        """Whether a relationship has not expired."""
        if followed.kind not in self.plan.numbering.conditional:
            return True
        return self.run.is_there(followed.kind, followed.resource, followed.subject)

    # What they say

    def reads(self, part: Part, reading: Reading) -> bool:
        """Whether the subject is in a part, in a reading."""
        key = (part, reading)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._read(part, reading)
        return known

    def learn(self, parts: Iterable[Part], reading: Reading) -> None:
        """Note that the subject is in some parts, in a reading."""
        self._known.update(((part, reading), True) for part in parts)

    def _read(self, part: Part, reading: Reading) -> bool:
        if not part.path:
            return self._checks.of(part.name, reading)(self.run, part.node)
        match self.declared(part):
            case Union():
                return any(self.reads(it, reading) for it in self.operands(part))
            case Intersection():
                return all(self.reads(it, reading) for it in self.operands(part))
            case Exclusion():
                base, subtracted = self.operands(part)
                removed = reading.subtracted()
                return self.reads(base, reading) and not self.reads(subtracted, removed)
            case Arrow() as arrow:
                term = self._arrow(part, arrow)
                return self._checks.part(term, reading)(self.run, part.node)
            case Self():
                return part.node == self.run.subject and not self.plan.subject_relation
            case _:
                return False

    def _arrow(self, part: Part, arrow: Arrow) -> Term:
        key = (part.name, part.path)
        term = self._arrows.get(key)
        if term is None:
            steps = [
                (number, target if self._could_be(target) else None)
                for number, _, target in self._targets(part, arrow)
            ]
            through = (Through(kind, target) for kind, target in steps if target is not None)
            term = Every(tuple(steps)) if arrow.every else AnyOf(tuple(through))
            self._arrows[key] = term
        return term

    def follows(self, followed: Followed, reading: Reading) -> bool:
        """Whether a relationship holds and leads to the subject, in a reading."""
        leads_to = followed.leads_to
        if leads_to is False:
            return False
        if isinstance(leads_to, Part) and not self.reads(leads_to, reading):
            return False
        outcome = self.outcome(followed)
        return outcome is True or (outcome is not False and reading.unknown)

    # What is not known

    def is_open(self, part: Part, *, subtracted: bool) -> bool:
        """Whether unknown caveats decide what a part says, where it adds or is subtracted."""
        against, favourably = readings(subtracted=subtracted)
        return self.reads(part, against) != self.reads(part, favourably)

    def open_followed(self, part: Part, *, subtracted: bool) -> list[Followed]:
        """The relationships of a part by which unknown caveats decide what it says."""
        if not isinstance(self.declared(part), Relation | Arrow):
            return []
        against, favourably = readings(subtracted=subtracted)
        return [
            it
            for it in self.followed(part)
            if self.follows(it, against) != self.follows(it, favourably)
        ]

    def open_operands(self, part: Part, *, subtracted: bool) -> Iterator[tuple[Part, bool]]:
        """The operands of a part that unknown caveats decide, and whether each is subtracted."""
        is_exclusion = isinstance(self.declared(part), Exclusion)
        for index, operand in enumerate(self.operands(part)):
            turned = subtracted != (is_exclusion and index == 1)
            if self.is_open(operand, subtracted=turned):
                yield operand, turned

    def missing(self, part: Part, *, subtracted: bool) -> Missing[Failure]:
        """What a part waits for, where it adds or is subtracted."""
        return gather((part, subtracted), self._look, self._missing)

    def _look(self, at: _At) -> tuple[Missing[Failure], Collection[_At]]:
        """What a part waits for by itself, and the parts that it waits for."""
        part, subtracted = at
        self.run.spend(_PART_STEPS)
        if not self.is_open(part, subtracted=subtracted):
            return Missing(), ()
        followed = self.open_followed(part, subtracted=subtracted)
        further = {(it.leads_to, subtracted) for it in followed if isinstance(it.leads_to, Part)}
        further.update(self.open_operands(part, subtracted=subtracted))
        return Missing.of_all([self._missing_of(it) for it in followed]), further

    def _missing_of(self, followed: Followed) -> Missing[Failure]:
        outcome = self.outcome(followed)
        if isinstance(outcome, RelataError):
            return Missing(failed=(followed, outcome))
        return Missing() if isinstance(outcome, bool) else Missing(outcome)


def readings(*, subtracted: bool) -> tuple[Reading, Reading]:
    """A part with the unknown caveats against the question, and with them for it."""
    if subtracted:
        return SURELY.subtracted(), HOPEFULLY.subtracted()
    return SURELY, HOPEFULLY


def _operands(declared: Relation | Expression) -> Sequence[Expression]:
    match declared:
        case Union(children) | Intersection(children):
            return children
        case Exclusion(base, subtracted):
            return (base, subtracted)
        case _:
            return ()
