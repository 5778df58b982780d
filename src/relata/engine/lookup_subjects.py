"""Which subjects of a kind have a permission on a resource?

The question is grounded into equations over sets of subjects and solved (`solve.py`). A set may
hold everybody: a wildcard with exclusions. The algebra below is exact, so a subject is in the
answer just when a check of it is allowed. Where a caveat is unknown, the equations are solved a
second time with unknown caveats in the subjects' favour, and what that adds is conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
_NONE: frozenset[int] = frozenset()


class SubjectSets:
    """Sets of subjects as an algebra. Joining costs steps, one for each subject joined."""

    bottom = NOBODY

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend

    def is_top(self, value: SubjectSet) -> bool:  # noqa: ARG002  the protocol's signature
        """Nothing absorbs a union: beside everybody, those there by name are still listed."""
        return False

    def join(self, values: Sequence[SubjectSet]) -> SubjectSet:
        """Who is in any set."""
        self._spend(sum(len(value.nodes) for value in values))
        nodes = _NONE.union(*(value.nodes for value in values))
        everybody = [value.excluded for value in values if value.wildcard]
        if not everybody:
            return SubjectSet(nodes)
        excluded = everybody[0].intersection(*everybody[1:])
        return SubjectSet(nodes, True, excluded - nodes)

    def meet(self, values: Sequence[SubjectSet]) -> SubjectSet:
        """Who is in every set."""
        met = values[0]
        for value in values[1:]:
            met = _meet(met, value)
        return met

    def minus(self, base: SubjectSet, subtracted: SubjectSet) -> SubjectSet:
        """Who is in the base and not in the subtracted."""
        if not subtracted.wildcard:
            nodes = base.nodes - subtracted.nodes
            if not base.wildcard:
                return SubjectSet(nodes)
            return SubjectSet(nodes, True, base.excluded | subtracted.nodes)
        # Only those whom the subtracted wildcard leaves out can remain.
        return SubjectSet(frozenset(node for node in subtracted.excluded if base.has(node)))


def _meet(one: SubjectSet, other: SubjectSet) -> SubjectSet:
    if one.wildcard and other.wildcard:
        excluded = one.excluded | other.excluded
        return SubjectSet((one.nodes | other.nodes) - excluded, True, excluded)
    if not one.wildcard and not other.wildcard:
        return SubjectSet(one.nodes & other.nodes)
    named, everybody = (other, one) if one.wildcard else (one, other)
    return SubjectSet(named.nodes - everybody.excluded)


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
                low = SubjectSet(subjects(kind, at, is_low=True))
                named.update(low.nodes)
                if kind not in conditional:
                    return Fixed(low, low)
                high = SubjectSet(subjects(kind, at, is_low=False))
                named.update(high.nodes)
                return Fixed(low, high)
            case Public(kind):
                return Fixed(
                    SubjectSet(wildcard=bool(subjects(kind, at, is_low=True))),
                    SubjectSet(wildcard=bool(subjects(kind, at, is_low=False))),
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
