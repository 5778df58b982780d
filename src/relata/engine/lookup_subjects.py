"""Which subjects of a kind have a permission on a resource?

The question is grounded into equations over sets of subjects and solved (`solve.py`). A set may
hold everybody: a wildcard with exclusions. The algebra below is exact, so a subject is in the
answer just when a check of it is allowed. Where a caveat is unknown, the equations are solved a
second time with unknown caveats in the subjects' favour, and what that adds is conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from relata.engine.check import Run
from relata.engine.plan import Direct, Plan, Public, Term
from relata.engine.reading import HOPEFULLY, SURELY, Reading
from relata.engine.solve import Fixed, Grounding, solve


class SubjectSet(msgspec.Struct, frozen=True):
    """The nodes and, with `wildcard`, everybody but the excluded.

    `nodes` and `excluded` are disjoint, and `excluded` is empty without a wildcard. Beside a
    wildcard, `nodes` are those that are also there by name.
    """

    nodes: frozenset[int] = frozenset()
    wildcard: bool = False
    excluded: frozenset[int] = frozenset()

    def has(self, node: int) -> bool:
        """Whether a subject is in the set."""
        return node in self.nodes or (self.wildcard and node not in self.excluded)


NOBODY = SubjectSet()
EVERYBODY = SubjectSet(wildcard=True)
_NONE: frozenset[int] = frozenset()

SUBJECTS_PER_STEP = 8
"""How many subjects are put into a set in the time of one relationship followed."""
_MOST_KEPT = 2_000_000
"""How many subjects may be in the sets that are kept because they may be wanted again."""


class SubjectSets:
    """Sets of subjects as an algebra.

    Sets cost steps by the subjects that must be gone through to make them. What is made is kept
    for a while: resources that share a few large groups make the same set from them again and
    again, which is then one object, and known to be the same without a look at what is in it.
    """

    bottom = NOBODY

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self._made: dict[tuple[object, ...], tuple[Sequence[SubjectSet], SubjectSet]] = {}
        self._kept = 0

    def is_top(self, value: SubjectSet) -> bool:  # noqa: ARG002  the protocol's signature
        """Nothing absorbs a union: beside everybody, those there by name are still listed."""
        return False

    def join(self, values: Sequence[SubjectSet]) -> SubjectSet:
        """Who is in any set."""
        return self._of_different(self._join, values)

    def meet(self, values: Sequence[SubjectSet]) -> SubjectSet:
        """Who is in every set."""
        return self._of_different(self._meet, values)

    def minus(self, base: SubjectSet, subtracted: SubjectSet) -> SubjectSet:
        """Who is in the base and not in the subtracted."""
        return self._once(self._minus, (base, subtracted))

    def _of_different(self, make: _Make, values: Sequence[SubjectSet]) -> SubjectSet:
        different = tuple({id(value): value for value in values}.values())
        return different[0] if len(different) == 1 else self._once(make, different)

    def _once(self, make: _Make, values: Sequence[SubjectSet]) -> SubjectSet:
        # As long as the values are kept here, nothing else has their ids.
        key = (make.__name__, *map(id, values))
        made = self._made.get(key)
        if made is not None:
            return made[1]
        found = make(values)
        self._made[key] = (values, found)
        self._kept += _weight(values, found)
        while self._kept > _MOST_KEPT:
            self._kept -= _weight(*self._made.pop(next(iter(self._made))))
        return found

    def _go_through(self, *sets: Collection[int]) -> None:
        self._spend(sum(map(len, sets)) // SUBJECTS_PER_STEP)

    def _join(self, values: Sequence[SubjectSet]) -> SubjectSet:
        self._go_through(*(value.nodes for value in values), *(value.excluded for value in values))
        nodes = _NONE.union(*(value.nodes for value in values))
        everybody = [value.excluded for value in values if value.wildcard]
        if not everybody:
            return _named(nodes)
        excluded = everybody[0].intersection(*everybody[1:])
        return SubjectSet(nodes, True, excluded - nodes)

    def _meet(self, values: Sequence[SubjectSet]) -> SubjectSet:
        met = values[0]
        for value in values[1:]:
            met = self._meet_two(met, value)
        return met

    def _meet_two(self, one: SubjectSet, other: SubjectSet) -> SubjectSet:
        if one.wildcard and other.wildcard:
            self._go_through(one.nodes, other.nodes, one.excluded, other.excluded)
            excluded = one.excluded | other.excluded
            return SubjectSet((one.nodes | other.nodes) - excluded, True, excluded)
        if not one.wildcard and not other.wildcard:
            self._go_through(min(one.nodes, other.nodes, key=len))
            return _named(one.nodes & other.nodes)
        named, everybody = (other, one) if one.wildcard else (one, other)
        self._go_through(named.nodes)
        return _named(named.nodes - everybody.excluded)

    def _minus(self, values: Sequence[SubjectSet]) -> SubjectSet:
        base, subtracted = values
        if subtracted.wildcard:  # only those whom it leaves out can remain
            self._go_through(subtracted.excluded)
            left = subtracted.excluded
            return _named(left - base.excluded if base.wildcard else left & base.nodes)
        self._go_through(base.nodes)
        nodes = base.nodes - subtracted.nodes
        if not base.wildcard:
            return _named(nodes)
        self._go_through(base.excluded, subtracted.nodes)
        return SubjectSet(nodes, True, base.excluded | subtracted.nodes)


_Make = Callable[[Sequence[SubjectSet]], SubjectSet]


def _named(nodes: frozenset[int]) -> SubjectSet:
    return SubjectSet(nodes) if nodes else NOBODY


def _weight(values: Sequence[SubjectSet], found: SubjectSet) -> int:
    return sum(1 + len(value.nodes) + len(value.excluded) for value in (*values, found))


class Found(msgspec.Struct, frozen=True):
    """Who surely is in a name, who may be, and whom the data on the way speaks of at all."""

    surely: SubjectSet
    possibly: SubjectSet
    named: frozenset[int]


def lookup_subjects(plan: Plan, run: Run, number: int, node: int) -> Found:
    """Everybody of the plan's kind of subject who is in the name at the node, or may be."""
    surely, named = _solved(plan, run, number, node, SURELY)
    if not run.met_unknown:
        return Found(surely, surely, named)
    possibly, _ = _solved(plan, run, number, node, HOPEFULLY)
    return Found(surely, possibly, named)


def _solved(
    plan: Plan, run: Run, number: int, node: int, reading: Reading
) -> tuple[SubjectSet, frozenset[int]]:
    conditional = plan.numbering.conditional
    named: set[int] = set()

    def subjects(kind: int, at: int, *, is_low: bool) -> frozenset[int]:
        found = run.forward[kind].get(at) or ()
        run.spend(len(found))
        if kind not in conditional:
            return frozenset(found)
        unknown = reading.unknown is is_low
        return frozenset(other for other in found if run.holds(kind, at, other, unknown))

    def leaf(term: Term, at: int) -> Fixed[SubjectSet]:
        match term:
            case Direct(kind):
                low = _named(subjects(kind, at, is_low=True))
                named.update(low.nodes)
                if kind not in conditional:
                    return Fixed(low, low)
                high = _named(subjects(kind, at, is_low=False))
                named.update(high.nodes)
                return Fixed(low, high)
            case Public(kind):
                return Fixed(
                    EVERYBODY if subjects(kind, at, is_low=True) else NOBODY,
                    EVERYBODY if subjects(kind, at, is_low=False) else NOBODY,
                )
            case _:
                named.add(at)
                itself = SubjectSet(frozenset((at,)))
                return Fixed(itself, itself)

    def outside(_number: int, _node: int) -> Fixed[SubjectSet] | None:
        return None

    sets = SubjectSets(run.spend)
    grounding = Grounding(
        run.view,
        plan.terms,
        sets,
        leaf,
        outside,
        run.spend,
        conditional=conditional,
        guard=lambda kind, at, other: run.guard(kind, at, other, reading),
    )
    wanted = (number, node, 0)
    values = solve(grounding.ground(number, node), sets, run.spend, wanted=wanted)
    return values[wanted].low, frozenset(named)
