"""Which subjects of a kind have a permission on a resource?

The question is grounded into equations over sets of subjects and solved (`solve.py`). A set may
hold everybody: a wildcard with exclusions. The algebra below is exact, so a subject is in the
answer just when a check of it is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from relata.engine.check import Run
from relata.engine.plan import Direct, Plan, Public, Term
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


def lookup_subjects(plan: Plan, run: Run, number: int, node: int) -> SubjectSet:
    """Everybody of the plan's kind of subject who is in the name at the node."""

    def leaf(term: Term, at: int) -> SubjectSet:
        match term:
            case Direct(kind):
                found = run.forward[kind].get(at) or ()
                run.spend(len(found))
                return SubjectSet(frozenset(found))
            case Public(kind):
                return SubjectSet(wildcard=run.forward[kind].get(at) is not None)
            case _:
                return SubjectSet(frozenset((at,)))

    def outside(_number: int, _node: int) -> Fixed[SubjectSet] | None:
        return None

    sets = SubjectSets(run.spend)
    grounding = Grounding(run.view, plan.terms, sets, leaf, outside, run.spend)
    wanted = (number, node, 0)
    return solve(grounding.ground(number, node), sets, run.spend, wanted=wanted)[wanted].low
