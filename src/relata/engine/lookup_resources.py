"""Which resources of a type does a subject have a permission on?

The search starts at the subject and goes the ways to the permission (`ways.py`) backwards, from
place to place, with all nodes at once. A union has as its nodes whatever comes to it. Of an
intersection one part is searched, the one estimated to be the rarest for this subject; a part that
holds only for a question's own organization is then worth one organization, however many the
subject belongs to. The other parts are checked at each node, or searched too where that is
cheaper. So every node is exact when it is passed on, and the cost follows what is found, not the
data. A node that rests on an unknown caveat is passed on too: found is what is not denied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING

from relata.engine.estimates import Estimates
from relata.engine.nodes import Nodes
from relata.engine.pieces import in_both, in_one, neighbours, pieces, put, spent_pieces
from relata.engine.plan import Call, Plan, Term
from relata.engine.ways import Group, Part, Place
from relata.errors import LimitExceededError
from relata.relationships import WILDCARD

if TYPE_CHECKING:
    from relata.engine.check import Checks, Run  # which in turn checks wide arrows from here

_MANY = 32
"""From how many nodes on it is worth asking whether to search a part instead of checking it."""
_DEARER = 4
"""How many times more nodes than are to be checked a search may find and still be cheaper."""
_STEPS_A_NODE = 16
"""How many steps such a search may take, for each node that is to be checked, before it is given
up: what is found is an estimate."""


def lookup_resources(plan: Plan, checks: Checks, run: Run, number: int) -> Nodes:
    """The nodes of all resources that have, or may have, the run's subject in the name."""
    return BackwardSearch(plan, checks, run).find(number)


class BackwardSearch:
    """Searches for one run's subject, which share estimates and what parts were found to have."""

    def __init__(self, plan: Plan, checks: Checks, run: Run) -> None:
        self._plan = plan
        self._checks = checks
        self._run = run
        self._reverse = run.view.reverse
        self._estimates = Estimates(checks.estimators, run.view, run.subject)
        self._searched: dict[Term, Nodes | None] = {}

    def find(self, wanted: int) -> Nodes:
        """All nodes that have the subject in the wanted name, or may have it."""
        return self._find(Call(wanted))

    def _find(self, wanted: Term) -> Nodes:
        ways = self._checks.ways.to(wanted, self._rarest)
        found = [Nodes() for _ in ways.places]
        for group in ways.groups:
            if group.inside:
                self._go_round(group, ways.places, found)
            else:
                (at,) = group.members
                place = ways.places[at]
                found[at] = self._satisfying(place.parts, self._coming(place, found))
        return found[ways.wanted]

    def _coming(self, place: Place, found: Sequence[Nodes]) -> Nodes:
        """What comes to a place from elsewhere."""
        subject = self._run.subject
        coming = Nodes((subject,) if place.same else ())
        for kind in place.direct:
            self._put_behind(kind, (subject,), coming)
        if place.public:
            wildcard = self._run.view.known_node(f"{self._plan.subject_type}:{WILDCARD}")
            everybody = () if wildcard is None else (wildcard,)
            for kind in place.public:
                self._put_behind(kind, everybody, coming)
        for step, source in place.steps:
            nodes = found[source]
            if not nodes:
                continue
            if step is None:
                put(nodes, coming, self._run.spend)
            else:
                self._put_behind(step, nodes, coming)
        return coming

    def _go_round(self, group: Group, places: Sequence[Place], found: Sequence[Nodes]) -> None:
        """Search places that lead to each other until nothing new is found."""
        # What came and does not satisfy a place need not be asked again.
        came = {at: Nodes() if places[at].parts else found[at] for at in group.members}
        pending: list[tuple[int, Collection[int]]] = []

        def come(at: int, nodes: Collection[int]) -> None:
            new: Set[int] = came[at].lacking(nodes)
            if not new:
                return
            came[at].add((new,))
            if places[at].parts:
                new = self._satisfying(places[at].parts, Nodes(new))
                found[at].add((new,))
            pending.append((at, new))

        for at in group.members:
            for piece in pieces(self._coming(places[at], found)):
                come(at, piece)
        while pending:
            at, nodes = pending.pop()
            for kind, target in group.inside.get(at, ()):
                if kind is None:
                    come(target, nodes)
                else:
                    for some in self._behind(kind, nodes):
                        come(target, some[0] if len(some) == 1 else set[int]().union(*some))

    def _put_behind(self, kind: int, nodes: Collection[int], into: Nodes) -> None:
        for some in self._behind(kind, nodes):
            into.add(some)

    def _behind(self, kind: int, nodes: Collection[int]) -> Iterable[Sequence[Collection[int]]]:
        """The resources of relationships of a kind with some subjects, in pieces."""
        if kind in self._plan.numbering.conditional:
            return self._held_behind(kind, nodes)
        return neighbours(self._reverse, kind, nodes, self._run.spend)

    def _held_behind(
        self, kind: int, nodes: Collection[int]
    ) -> Iterator[Sequence[Collection[int]]]:
        """Those of relationships that hold, or may."""
        run = self._run
        for node in nodes:
            for piece in spent_pieces(self._reverse[kind].get(node) or (), run.spend):
                yield ([other for other in piece if run.holds(kind, other, node, unknown=True)],)

    def _satisfying(self, parts: Sequence[Part], nodes: Nodes) -> Nodes:
        """The nodes that satisfy every part: those that are searched first."""
        checked: list[Part] = []
        for part in parts:
            others = self._worth_searching(part, len(nodes))
            if others is None:
                checked.append(part)
            else:
                narrow = in_one if part.subtracted else in_both
                nodes = narrow(nodes, others, self._run.spend)
        for part in checked:
            nodes = self._checked(part, nodes)
        return nodes

    def _checked(self, part: Part, nodes: Nodes) -> Nodes:
        run, check, wanted = self._run, part.check, not part.subtracted
        satisfying = Nodes()
        for some in spent_pieces(nodes, run.spend):
            satisfying.add(([node for node in some if check(run, node) is wanted],))
        return satisfying

    def _worth_searching(self, part: Part, width: int) -> Nodes | None:
        """All nodes that a part is true of, where they are found sooner than so many checked."""
        if width < _MANY or not part.exact:
            return None
        if part.term not in self._searched:
            if self._estimates.of(part.term) > width * _DEARER:
                return None
            self._searched[part.term] = self._searched_within(part.term, width * _STEPS_A_NODE)
        return self._searched[part.term]

    def _searched_within(self, term: Term, allowance: int) -> Nodes | None:
        run = self._run
        left, allowed = run.steps, min(run.steps, allowance)
        run.allow(allowed)
        try:
            return self._find(term)
        except LimitExceededError:
            return None
        finally:
            run.allow(left - (allowed - max(0, run.steps)))

    def _rarest(self, parts: Sequence[Term]) -> int:
        estimates = [self._estimates.of(part) for part in parts]
        return estimates.index(min(estimates))

    def estimate(self, number: int) -> float:
        """About how many nodes a name is true of for this subject."""
        return self._estimates.of_name(number)
