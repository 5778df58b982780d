"""What is missing where an answer is conditional.

The search goes down from the question through the parts whose own answer is unknown, and stops at
the relationships whose caveats are. A part whose answer is known whatever the missing values are
does not matter, and nothing below it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import TypeVar

from relata.caveats import Outcome
from relata.engine.check import Checks, Run
from relata.engine.conditions import Missing
from relata.engine.plan import (
    AllOf,
    AnyOf,
    Call,
    Direct,
    Every,
    Minus,
    Plan,
    Public,
    Term,
    Through,
)
from relata.engine.reading import HOPEFULLY, SURELY, Reading
from relata.engine.solve import in_order
from relata.errors import RelataError

N = TypeVar("N", bound=Hashable)
T = TypeVar("T")

_At = tuple[int, int, bool]
"""A name's number, a node, and whether it is subtracted."""
_NAME_STEPS = 5
"""What looking at a name costs of a question's budget, in relationships followed."""


def missing_context(plan: Plan, checks: Checks, run: Run, number: int, node: int) -> frozenset[str]:
    """The parameters that the unknown answer of a name at a node waits for.

    Raises the error of a caveat that the answer rests on, where one has failed.
    """
    search = _Search(plan, checks, run)
    missing = gather((number, node, False), search.look, run.missing)
    if missing.failed is not None:
        raise missing.failed
    return missing.names


def gather(
    start: N,
    look: Callable[[N], tuple[Missing[T], Collection[N]]],
    known: dict[N, Missing[T]],
) -> Missing[T]:
    """What a node waits for, with all that it leads to.

    `look` gives what a node waits for by itself, and what it leads to. What is found of the nodes
    on the way is added to what is known, so each is looked at once.
    """
    own: dict[N, Missing[T]] = {}
    needs: dict[N, Collection[N]] = {}
    pending = [start]
    while pending:
        node = pending.pop()
        if node in known or node in needs:
            continue
        missing, further = look(node)
        if further:
            own[node], needs[node] = missing, further
            pending.extend(further)
        else:
            known[node] = missing
    waiting = {node: [it for it in needs[node] if it not in known] for node in needs}
    for together in in_order(waiting):
        beyond = [known[it] for node in together for it in needs[node] if it in known]
        found = Missing.of_all([*(own[node] for node in together), *beyond])
        known.update(dict.fromkeys(together, found))
    return known[start]


class _Search:
    def __init__(self, plan: Plan, checks: Checks, run: Run) -> None:
        self._plan = plan
        self._checks = checks
        self._run = run
        self._reached: set[_At] = set()

    def look(self, at: _At) -> tuple[Missing[RelataError], Collection[_At]]:
        """The caveats of a name's own relationships that decide its answer, and the names that do.

        Known ones among them.
        """
        number, node, is_subtracted = at
        self._run.spend(_NAME_STEPS)
        self._reached = set()
        outcomes = self._term(self._plan.terms[number], node, is_subtracted)
        missing = Missing.of_all([_missing(outcome) for outcome in outcomes])
        return missing, self._reached

    def _reach(self, number: int, node: int, is_subtracted: bool) -> None:
        self._reached.add((number, node, is_subtracted))

    def _term(self, term: Term, node: int, is_subtracted: bool) -> Iterator[Outcome]:
        if not self._is_unknown(term, node, is_subtracted):
            return
        match term:
            case Direct(kind):
                yield self._run.outcome(kind, node, self._run.subject)
            case Public(kind):
                for wildcard in self._at(kind, node):
                    yield self._run.outcome(kind, node, wildcard)
            case Call(target):
                self._reach(target, node, is_subtracted)
            case Through(kind, target):
                yield from self._over([(kind, target)], node, is_subtracted)
            case Every(steps):
                yield from self._over(steps, node, is_subtracted)
            case AnyOf(children) | AllOf(children):
                for child in children:
                    yield from self._term(child, node, is_subtracted)
            case Minus(base, subtracted):
                yield from self._term(base, node, is_subtracted)
                yield from self._term(subtracted, node, not is_subtracted)

    def _over(
        self, steps: Iterable[tuple[int, int | None]], node: int, is_subtracted: bool
    ) -> Iterator[Outcome]:
        for kind, target in steps:
            if target is None:
                continue
            for other in self._at(kind, node):
                outcome = self._edge(kind, node, other)
                found = [
                    self._checks.remembered(target, reading)(self._run, other)
                    for reading in _readings(is_subtracted)
                ]
                holds = [
                    outcome is True or (outcome is not False and reading.unknown)
                    for reading in _readings(is_subtracted)
                ]
                if (found[0] and holds[0]) == (found[1] and holds[1]):
                    continue
                yield outcome
                if found[0] != found[1]:
                    self._reach(target, other, is_subtracted)

    def _edge(self, kind: int, node: int, other: int) -> Outcome:
        if kind not in self._plan.numbering.conditional:
            return True
        return self._run.outcome(kind, node, other)

    def _is_unknown(self, term: Term, node: int, is_subtracted: bool) -> bool:
        against, favourably = _readings(is_subtracted)
        return self._checks.part(term, against)(self._run, node) != self._checks.part(
            term, favourably
        )(self._run, node)

    def _at(self, kind: int, node: int) -> Iterable[int]:
        found = self._run.forward[kind].get(node) or ()
        self._run.spend(len(found))
        return found


def _missing(outcome: Outcome) -> Missing[RelataError]:
    if isinstance(outcome, bool):
        return Missing()
    return Missing(failed=outcome) if isinstance(outcome, RelataError) else Missing(outcome)


def _readings(is_subtracted: bool) -> tuple[Reading, Reading]:
    """The readings of a part with unknown caveats against the question, and for it."""
    if is_subtracted:
        return SURELY.subtracted(), HOPEFULLY.subtracted()
    return SURELY, HOPEFULLY
