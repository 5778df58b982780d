"""The ways between a name and the subjects in it, laid out once for all questions.

The `Ways` to a name are the *places* that its answer can come from: names, and the intersections,
exclusions and `.all()` inside them. A lookup of resources goes over them from the subject to the
name, a lookup of subjects from the name to the subjects. Places are in an order in which what
others come from is first; those that lead to each other are together.

A place that is a union has whatever comes to it. Any other has, of what comes to it, what
satisfies its parts. To an intersection comes what one chosen part has; ways differ by what was
chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from relata.engine.plan import (
    AllOf,
    AnyOf,
    Call,
    Direct,
    Every,
    Minus,
    Plan,
    Public,
    Same,
    Term,
    Through,
    kinds_read,
    references,
)
from relata.engine.reading import HOPEFULLY
from relata.engine.solve import in_order

if TYPE_CHECKING:
    from relata.engine.check import Check, Checks  # which in turn has the ways of its plan

_MOST_KEPT = 1_000
"""How many ways are kept. Of one name there are as many as choices for its intersections."""

Step = tuple[int | None, int]
"""A kind of relationship to follow, or None for none, and the index of a place."""


class Part(msgspec.Struct, frozen=True):
    """A part of a place's term that a node must satisfy or, `subtracted`, must not."""

    term: Term
    check: Check
    subtracted: bool
    exact: bool
    """Its answer is yes or no, and does not wait for the place's own."""


class Place(msgspec.Struct, frozen=True):
    """What can bring a node to a place.

    Relationships of these kinds with the subject, or with a wildcard; being the subject; and steps
    from other places, those in its own group left out.
    """

    direct: tuple[int, ...]
    public: tuple[int, ...]
    same: bool
    steps: tuple[Step, ...]
    parts: tuple[Part, ...]
    """What a node that came must satisfy."""


class Group(msgspec.Struct, frozen=True):
    """A place, or places that lead to each other.

    The steps inside are kept by where they come from, with where they go (`inside`), and the other
    way about (`ahead`).
    """

    members: tuple[int, ...]
    inside: dict[int, tuple[Step, ...]]
    ahead: dict[int, tuple[Step, ...]]


class Ways(msgspec.Struct, frozen=True):
    """Places, and their groups in order. Plain are unions of relationships that always hold."""

    places: tuple[Place, ...]
    groups: tuple[Group, ...]
    wanted: int
    plain: bool


Choose = Callable[[Sequence[Term]], int]
"""Of the parts of an intersection, the index of the one to come from."""


class AllWays:
    """The ways to the names of one plan, laid out when they are first wanted."""

    def __init__(self, plan: Plan, checks: Checks) -> None:
        self._plan = plan
        self._checks = checks
        self._known: dict[tuple[Term, tuple[int, ...]], Ways | Sequence[Term]] = {}

    def to(self, wanted: Term, choose: Choose) -> Ways:
        """The ways to a name, or to a part of one."""
        choices: tuple[int, ...] = ()
        while True:
            found = self._known.get((wanted, choices))
            if found is None:
                if len(self._known) >= _MOST_KEPT:
                    self._known.clear()
                found = self._known[wanted, choices] = self._lay_out(wanted, choices)
            if isinstance(found, Ways):
                return found
            choices += (choose(found),)

    def _lay_out(self, wanted: Term, choices: Sequence[int]) -> Ways | Sequence[Term]:
        """The ways, or the parts of the first intersection that nothing is chosen for."""
        try:
            return _Layout(self._plan, self._checks, wanted, choices).ways()
        except _UndecidedError as undecided:
            return undecided.parts


class _UndecidedError(Exception):
    """The parts of an intersection of which one has yet to be chosen."""

    def __init__(self, parts: Sequence[Term]) -> None:
        super().__init__(parts)
        self.parts = parts


class _Draft:
    """A place before it has an index, with the terms that lead to it."""

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self.parts = tuple(parts)
        self.leaves: list[Direct | Public | Same] = []
        self.steps: list[tuple[int | None, Term]] = []


class _Layout:
    """Places by the term that they stand for: a name's is its `Call`."""

    def __init__(self, plan: Plan, checks: Checks, wanted: Term, choices: Sequence[int]) -> None:
        self._plan = plan
        self._checks = checks
        self._wanted = wanted
        self._choices = iter(choices)
        self._drafts: dict[Term, _Draft] = {}

    def ways(self) -> Ways:
        """What the wanted term leads to. Raises _UndecidedError."""
        self._draft_all()
        self._join()
        drafts = self._drafts
        needs = {term: {source for _, source in draft.steps} for term, draft in drafts.items()}
        together = [tuple(members) for members in in_order(needs)]
        index = {term: at for at, term in enumerate(term for some in together for term in some)}
        group_of = {term: number for number, some in enumerate(together) for term in some}
        inside: list[dict[int, tuple[Step, ...]]] = [{} for _ in together]
        ahead: list[dict[int, tuple[Step, ...]]] = [{} for _ in together]
        places: list[Place] = []
        for term in index:
            draft, home = drafts[term], group_of[term]
            for kind, source in draft.steps:
                if group_of[source] == home:
                    at, start = index[term], index[source]
                    inside[home][start] = (*inside[home].get(start, ()), (kind, at))
                    ahead[home][at] = (*ahead[home].get(at, ()), (kind, start))
            outer = tuple((kind, index[s]) for kind, s in draft.steps if group_of[s] != home)
            places.append(_place(draft, outer))
        groups = tuple(
            Group(tuple(index[term] for term in some), *steps)
            for some, *steps in zip(together, inside, ahead, strict=True)
        )
        return Ways(tuple(places), groups, index[self._wanted], self._is_plain())

    def _is_plain(self) -> bool:
        conditional = self._plan.numbering.conditional
        return not any(
            draft.parts
            or any(kind in conditional for kind, _ in draft.steps)
            or any(not isinstance(leaf, Same) and leaf.kind in conditional for leaf in draft.leaves)
            for draft in self._drafts.values()
        )

    def _draft_all(self) -> None:
        pending = [self._wanted]
        while pending:
            term = pending.pop()
            if term not in self._drafts:
                draft = self._drafts[term] = self._draft(term)
                pending.extend(source for _, source in draft.steps)

    def _draft(self, term: Term) -> _Draft:
        match term:
            case Call(target) if target in self._plan.tangled:
                # What leads to itself through an intersection is checked whole.
                draft = _Draft([self._part(term)])
                self._come_from(self._plan.terms[target], draft, whole=True)
            case Call(target):
                draft = _Draft()
                self._come_from(self._plan.terms[target], draft)
            case AllOf(children):
                chosen = self._chosen(children)
                rest = [child for at, child in enumerate(children) if at != chosen]
                draft = _Draft(self._part(child) for child in rest)
                self._come_from(children[chosen], draft)
            case Minus(base, subtracted):
                draft = _Draft([self._part(subtracted, subtracted=True)])
                self._come_from(base, draft)
            case Every():
                draft = _Draft([self._part(term)])
                self._come_from(term, draft, whole=True)
            case _:
                draft = _Draft()
                self._come_from(term, draft)
        return draft

    def _come_from(self, term: Term, draft: _Draft, *, whole: bool = False) -> None:
        """Note what leads to a term. With `whole`, what may lead there and is then checked."""
        match term:
            case Direct() | Public() | Same():
                draft.leaves.append(term)
            case Call():
                draft.steps.append((None, term))
            case Through(kind, target):
                draft.steps.append((kind, Call(target)))
            case AnyOf(children):
                for child in children:
                    self._come_from(child, draft, whole=whole)
            case AllOf(children) if whole:
                self._come_from(children[self._chosen(children)], draft, whole=True)
            case Minus(base, _) if whole:
                self._come_from(base, draft, whole=True)
            case Every(steps) if whole:
                draft.steps += [(kind, Call(to)) for kind, to in steps if to is not None]
            case _:
                draft.steps.append((None, term))

    def _chosen(self, parts: Sequence[Term]) -> int:
        chosen = next(self._choices, None)
        if chosen is None:
            raise _UndecidedError(parts)
        return chosen

    def _part(self, term: Term, *, subtracted: bool = False) -> Part:
        reading = HOPEFULLY.subtracted() if subtracted else HOPEFULLY
        return Part(term, self._checks.part(term, reading), subtracted, self._is_exact(term))

    def _is_exact(self, term: Term) -> bool:
        plan = self._plan
        waits = plan.tangled | plan.undefinable | plan.uncertain
        return (
            not isinstance(term, Every)
            and all(target not in waits for target, _ in references(term))
            and all(kind not in plan.numbering.conditional for kind in kinds_read(term))
        )

    def _join(self) -> None:
        """Put unions that one place alone comes from, over no relationship, into that place.

        A permission is mostly made of relations that nothing else asks for.
        """
        uses = Counter(source for draft in self._drafts.values() for _, source in draft.steps)
        uses[self._wanted] += 1
        for term in list(self._drafts):
            draft = self._drafts.get(term)
            while draft is not None and (alone := self._alone(draft, uses)):
                joined = self._drafts.pop(alone)
                draft.steps.remove((None, alone))
                draft.steps += joined.steps
                draft.leaves += joined.leaves

    def _alone(self, draft: _Draft, uses: Mapping[Term, int]) -> Term | None:
        for kind, source in draft.steps:
            if kind is None and uses[source] == 1 and not self._drafts[source].parts:
                return source
        return None


def _place(draft: _Draft, steps: tuple[Step, ...]) -> Place:
    leaves = dict.fromkeys(draft.leaves)
    return Place(
        tuple(leaf.kind for leaf in leaves if isinstance(leaf, Direct)),
        tuple(leaf.kind for leaf in leaves if isinstance(leaf, Public)),
        any(isinstance(leaf, Same) for leaf in leaves),
        tuple(dict.fromkeys(steps)),
        draft.parts,
    )
