"""Which subjects of a kind have a permission on a resource?

Where there are only unions, and relationships that always hold, the answer is whoever is met on the
ways from the permission to its subjects (`ways.py`).

Otherwise the question is grounded into equations over sets of subjects and solved (`solve.py`). A
set may hold everybody: a wildcard with exclusions. The algebra below is exact, so a subject is in
the answer just when a check of it is allowed. Where a caveat is unknown, the equations are solved a
second time with unknown caveats in the subjects' favour, and what that adds is conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Set

import msgspec

from relata.engine.check import Checks, Run
from relata.engine.nodes import Nodes
from relata.engine.pieces import in_both, in_one, neighbours, pieces, put, spent_pieces
from relata.engine.plan import Call, Direct, Plan, Public, Same, Term
from relata.engine.reading import HOPEFULLY, SURELY, Reading
from relata.engine.solve import Fixed, Grounding, solve
from relata.engine.ways import Group, Ways


class SubjectSet(msgspec.Struct, frozen=True):
    """The nodes and, with `wildcard`, everybody but the excluded.

    `nodes` and `excluded` are disjoint, and `excluded` is empty without a wildcard. Beside a
    wildcard, `nodes` are those that are also there by name. Either may be the graph's own set, so
    nobody changes them.
    """

    nodes: Set[int] = frozenset()
    wildcard: bool = False
    excluded: Set[int] = frozenset()

    def has(self, node: int) -> bool:
        """Whether a subject is in the set."""
        return node in self.nodes or (self.wildcard and node not in self.excluded)


NOBODY = SubjectSet()
EVERYBODY = SubjectSet(wildcard=True)
_NONE: frozenset[int] = frozenset()

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

    def _join(self, values: Sequence[SubjectSet]) -> SubjectSet:
        nodes = Nodes()
        for value in values:
            put(value.nodes, nodes, self._spend)
        everybody = [value.excluded for value in values if value.wildcard]
        if not everybody:
            return _named(nodes)
        excluded = everybody[0]
        for others in everybody[1:]:
            excluded = in_both(excluded, others, self._spend)
        return SubjectSet(nodes, True, in_one(excluded, nodes, self._spend))

    def _meet(self, values: Sequence[SubjectSet]) -> SubjectSet:
        # The fewer there are to begin with, the fewer to compare with all the others.
        met = min(values, key=lambda value: (value.wildcard, len(value.nodes)))
        for value in values:
            met = self._meet_two(met, value)
            if met is NOBODY:
                break
        return met

    def _meet_two(self, one: SubjectSet, other: SubjectSet) -> SubjectSet:
        spend = self._spend
        if one.wildcard and other.wildcard:
            excluded = _union(one.excluded, other.excluded, spend)
            named = _union(one.nodes, other.nodes, spend)
            return SubjectSet(in_one(named, excluded, spend), True, excluded)
        if not one.wildcard and not other.wildcard:
            return _named(in_both(one.nodes, other.nodes, spend))
        named, everybody = (other.nodes, one) if one.wildcard else (one.nodes, other)
        return _named(in_one(named, everybody.excluded, spend))

    def _minus(self, values: Sequence[SubjectSet]) -> SubjectSet:
        base, subtracted = values
        spend = self._spend
        if subtracted.wildcard:  # only those whom it leaves out can remain
            left = subtracted.excluded
            compare = in_one if base.wildcard else in_both
            return _named(compare(left, base.excluded if base.wildcard else base.nodes, spend))
        nodes = in_one(base.nodes, subtracted.nodes, spend)
        if not base.wildcard:
            return _named(nodes)
        return SubjectSet(nodes, True, _union(base.excluded, subtracted.nodes, spend))


def _union(one: Set[int], other: Set[int], spend: Callable[[int], None]) -> Set[int]:
    if not one or not other:
        return one or other
    joined = Nodes()
    put(one, joined, spend)
    put(other, joined, spend)
    return joined


_Make = Callable[[Sequence[SubjectSet]], SubjectSet]


def _named(nodes: Set[int]) -> SubjectSet:
    return SubjectSet(nodes) if nodes else NOBODY


def _weight(values: Sequence[SubjectSet], found: SubjectSet) -> int:
    return sum(1 + len(value.nodes) + len(value.excluded) for value in (*values, found))


class Found(msgspec.Struct, frozen=True):
    """Who surely is in a name, who may be, and whom the data on the way speaks of at all.

    The last are given where there is anybody who may be.
    """

    surely: SubjectSet
    possibly: SubjectSet
    named: Set[int]


def lookup_subjects(plan: Plan, checks: Checks, run: Run, number: int, node: int) -> Found:
    """Everybody of the plan's kind of subject who is in the name at the node, or may be."""
    ways = checks.ways.to(Call(number), lambda _parts: 0)
    if ways.plain:
        met = _met_from_memory(checks, run, number, node) or _met(ways, run, (node,))
        return Found(met, met, _NONE)
    named: list[Set[int]] = []
    surely = _solved(plan, run, number, node, SURELY, named)
    if not run.met_unknown:
        return Found(surely, surely, _NONE)
    possibly = _solved(plan, run, number, node, HOPEFULLY, named)
    everybody = Nodes()
    for some in named:
        put(some, everybody, run.spend)
    return Found(surely, possibly, everybody)


def _met_from_memory(checks: Checks, run: Run, number: int, node: int) -> SubjectSet | None:
    """Whoever is remembered to be written there, or is in a userset that is."""
    flat = checks.flats.written(run, number, node)
    if flat is None:
        return None
    met = Nodes(flat.subjects)
    wildcard = False
    for closure, nodes in flat.usersets:
        inside = _met(checks.ways.to(Call(closure.number), lambda _parts: 0), run, nodes)
        put(inside.nodes, met, run.spend)
        wildcard = wildcard or inside.wildcard
    return SubjectSet(met, wildcard)


def _met(ways: Ways, run: Run, starts: Collection[int]) -> SubjectSet:
    """Whoever is met on plain ways, on which every place is reached before those beyond it."""
    forward, spend = run.forward, run.spend
    met = Nodes()
    wildcard = False
    reached = [Nodes() for _ in ways.places]
    reached[ways.wanted].add((starts,))
    for group in reversed(ways.groups):
        if group.inside:
            _go_round(group, run, reached)
        for at in group.members:
            nodes = reached[at]
            if not nodes:
                continue
            place = ways.places[at]
            for kind in place.direct:
                for some in neighbours(forward, kind, nodes, spend):
                    met.add(some)
            for kind in place.public:
                wildcard = wildcard or any(neighbours(forward, kind, nodes, spend))
            if place.same:
                put(nodes, met, spend)
            for step, source in place.steps:
                if step is None:
                    put(nodes, reached[source], spend)
                else:
                    for some in neighbours(forward, step, nodes, spend):
                        reached[source].add(some)
    return SubjectSet(met, wildcard)


def _go_round(group: Group, run: Run, reached: Sequence[Nodes]) -> None:
    """Reach all that places reach that lead to each other."""
    pending: list[tuple[int, Collection[int]]] = [
        (at, list(piece)) for at in group.members for piece in pieces(reached[at])
    ]
    while pending:
        at, nodes = pending.pop()
        for kind, source in group.ahead.get(at, ()):
            ahead = ((nodes,),) if kind is None else neighbours(run.forward, kind, nodes, run.spend)
            for some in ahead:
                met = some[0] if len(some) == 1 else set[int]().union(*some)
                new = reached[source].lacking(met)
                if new:
                    reached[source].add((new,))
                    pending.append((source, new))


def _solved(
    plan: Plan, run: Run, number: int, node: int, reading: Reading, named: list[Set[int]]
) -> SubjectSet:
    """Who is in a name in one reading. Whomever the data on the way speaks of is `named` too."""
    conditional = plan.numbering.conditional
    leaves: dict[tuple[int, int], Fixed[SubjectSet]] = {}

    def subjects(kind: int, at: int, *, is_low: bool) -> Set[int]:
        found = run.forward[kind].get(at) or ()
        if kind in conditional:
            unknown = reading.unknown is is_low
            return {
                other
                for piece in spent_pieces(found, run.spend)
                for other in piece
                if run.holds(kind, at, other, unknown)
            }
        if isinstance(found, set | frozenset):
            run.spend(1)
            return found
        copied = Nodes()
        put(found, copied, run.spend)
        return copied

    def leaf(term: Term, at: int) -> Fixed[SubjectSet]:
        match term:
            case Direct(kind):
                low = _named(subjects(kind, at, is_low=True))
                named.append(low.nodes)
                if kind not in conditional:
                    return Fixed(low, low)
                high = _named(subjects(kind, at, is_low=False))
                named.append(high.nodes)
                return Fixed(low, high)
            case Public(kind):
                low = EVERYBODY if subjects(kind, at, is_low=True) else NOBODY
                if kind not in conditional:
                    return Fixed(low, low)
                return Fixed(low, EVERYBODY if subjects(kind, at, is_low=False) else NOBODY)
            case _:
                itself = SubjectSet(frozenset((at,)))
                named.append(itself.nodes)
                return Fixed(itself, itself)

    def outside(target: int, at: int) -> Fixed[SubjectSet] | None:
        """The value of a name that is one leaf, which is not worth an equation."""
        term = plan.terms[target]
        if not isinstance(term, Direct | Public | Same):
            return None
        known = leaves.get((target, at))
        if known is None:
            known = leaves[target, at] = leaf(term, at)
        return known

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
    return values[wanted].low
