"""What is missing where an answer is conditional.

The search goes down from the question through the parts whose own answer is unknown, and stops at
the relationships whose caveats are. A part whose answer is known whatever the missing values are
does not matter, and nothing below it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relata.caveats import Outcome
from relata.engine.check import Checks, Run
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
from relata.errors import RelataError


def missing_context(plan: Plan, checks: Checks, run: Run, number: int, node: int) -> frozenset[str]:
    """The parameters that the unknown answer of a name at a node waits for.

    Raises the error of a caveat that the answer rests on, where one has failed.
    """
    outcomes = list(_Search(plan, checks, run).outcomes(number, node))
    for outcome in outcomes:
        if isinstance(outcome, RelataError):
            raise outcome
    return frozenset[str]().union(*(it for it in outcomes if isinstance(it, frozenset)))


class _Search:
    def __init__(self, plan: Plan, checks: Checks, run: Run) -> None:
        self._plan = plan
        self._checks = checks
        self._run = run
        self._pending: list[tuple[int, int, bool]] = []
        self._seen: set[tuple[int, int, bool]] = set()

    def outcomes(self, number: int, node: int) -> Iterator[Outcome]:
        """The outcomes of the caveats that decide the answer, known ones among them."""
        self._reach(number, node, False)
        while self._pending:
            name, at, is_subtracted = self._pending.pop()
            yield from self._term(self._plan.terms[name], at, is_subtracted)

    def _reach(self, number: int, node: int, is_subtracted: bool) -> None:
        key = (number, node, is_subtracted)
        if key not in self._seen:
            self._seen.add(key)
            self._pending.append(key)

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
                    self._checks.of(target, reading)(self._run, other)
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


def _readings(is_subtracted: bool) -> tuple[Reading, Reading]:
    """The readings of a part with unknown caveats against the question, and for it."""
    if is_subtracted:
        return SURELY.subtracted(), HOPEFULLY.subtracted()
    return SURELY, HOPEFULLY
