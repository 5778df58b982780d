"""Which resources of a type does a subject have a permission on?

The search starts at the subject and follows relationships backwards. Each step is a fact, "the
subject is in this name of this node", and each fact suggests others. A name made of unions alone
is true as soon as one part is; any other name is suggested by one chosen part and then checked.
So every fact is exact when it is passed on, and the cost follows the facts, not the data. A fact
that rests on an unknown caveat is passed on too: found is what is not denied.

Of an intersection the part that suggests is the one estimated to be the rarest for this subject.
A part that holds only for a question's own organization is then worth one organization, however
many the subject belongs to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

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
)
from relata.engine.reading import HOPEFULLY

if TYPE_CHECKING:
    from relata.engine.check import Checks, Run  # which in turn checks wide arrows from here

_Source = tuple[int, int | None]
"""A name that a fact suggests, and the kind of relationship to go back over, None for none."""


def lookup_resources(plan: Plan, checks: Checks, run: Run, number: int) -> set[int]:
    """The nodes of all resources that have, or may have, the run's subject in the name."""
    return BackwardSearch(plan, checks, run).find(number)


class BackwardSearch:
    """Searches for one run's subject, which share estimates."""

    def __init__(self, plan: Plan, checks: Checks, run: Run) -> None:
        self._plan = plan
        self._checks = checks
        self._run = run
        self._estimates: dict[int, float] = {}

    def find(self, wanted: int) -> set[int]:
        """All nodes that have the subject in the wanted name, or may have it."""
        suggested_by, starts = self._suggestions(wanted)
        seen: dict[int, set[int]] = {number: set() for number in starts}
        facts: set[int] = set()
        plain = {number for number in starts if _only_unions(self._plan.terms[number])}
        pending: list[tuple[int, set[int]]] = []

        def suggest(number: int, nodes: set[int]) -> None:
            new = nodes - seen[number]
            if not new:
                return
            seen[number] |= new
            if number not in plain:
                check, run = self._checks.of(number, HOPEFULLY), self._run
                new = {node for node in new if check(run, node)}
            if number == wanted:
                facts.update(new)
            if number in suggested_by:
                pending.append((number, new))

        for number, terms in starts.items():
            for term in terms:
                suggest(number, set(self._start(number, term)))
        while pending:
            number, nodes = pending.pop()
            for source, kind in suggested_by[number]:
                suggest(source, nodes if kind is None else self._back_from(kind, nodes))
        return facts

    def _back_from(self, kind: int, nodes: set[int]) -> set[int]:
        reverse = self._run.view.reverse[kind]
        conditional = kind in self._plan.numbering.conditional
        found: set[int] = set()
        for node in nodes:
            others = reverse.get(node)
            if others is not None:
                self._run.spend(len(others))
                found.update(self._holding(kind, node, others) if conditional else others)
        return found

    def _holding(self, kind: int, subject: int, resources: Collection[int]) -> Iterator[int]:
        """Those that are related by a relationship that holds, or may."""
        for resource in resources:
            if self._run.holds(kind, resource, subject, unknown=True):
                yield resource

    def _suggestions(self, wanted: int) -> tuple[dict[int, list[_Source]], dict[int, list[Term]]]:
        """For the names that can lead to the wanted one: what a fact of each suggests, and the
        terms of each that need no other fact."""
        suggested_by: dict[int, list[_Source]] = {}
        starts: dict[int, list[Term]] = {}
        pending = [wanted]
        while pending:
            number = pending.pop()
            if number in starts:
                continue
            starts[number] = []
            for term in self._suggesting(self._plan.terms[number]):
                match term:
                    case Call(target):
                        suggested_by.setdefault(target, []).append((number, None))
                        pending.append(target)
                    case Through(kind, target):
                        suggested_by.setdefault(target, []).append((number, kind))
                        pending.append(target)
                    case _:
                        starts[number].append(term)
        return suggested_by, starts

    def _suggesting(self, term: Term) -> Iterator[Term]:
        """The parts of a term of which at least one is true where the term is."""
        match term:
            case AnyOf(children):
                for child in children:
                    yield from self._suggesting(child)
            case AllOf(children):
                yield from self._suggesting(min(children, key=self._estimate))
            case Minus(base, _):
                yield from self._suggesting(base)
            case Every(steps):
                for kind, target in steps:
                    if target is not None:
                        yield Through(kind, target)
            case _:
                yield term

    def _start(self, number: int, term: Term) -> Iterator[int]:
        match term:
            case Same():
                subject = self._run.subject
                if self._run.view.text(subject).partition(":")[0] == self._type_of(number):
                    yield subject
            case Direct(kind):
                yield from self._back_from(kind, {self._run.subject})
            case Public(kind):
                wildcard = self._run.view.node(f"{self._plan.subject_type}:*")
                yield from self._back_from(kind, {wildcard})

    def _type_of(self, number: int) -> str:
        return self._plan.numbering.names[number][0]

    def _estimate(self, term: Term) -> float:
        """About how many nodes a term is true of for this subject."""
        match term:
            case Direct(kind):
                return float(len(self._run.view.reverse[kind].get(self._run.subject) or ()))
            case Public(kind):
                return float(len(self._run.view.forward[kind]))
            case Same():
                return 1.0
            case Call(target):
                return self.estimate(target)
            case Through(kind, target):
                return self.estimate(target) * self._resources_per_subject(kind)
            case Every(steps):
                return sum(
                    self.estimate(target) * self._resources_per_subject(kind)
                    for kind, target in steps
                    if target is not None
                )
            case AnyOf(children):
                return sum(self._estimate(child) for child in children)
            case AllOf(children):
                return min(self._estimate(child) for child in children)
            case Minus(base, _):
                return self._estimate(base)

    def estimate(self, number: int) -> float:
        """About how many nodes a name is true of for this subject."""
        estimate = self._estimates.get(number)
        if estimate is None:
            self._estimates[number] = 0.0  # a name met inside itself adds nothing to the estimate
            estimate = self._estimates[number] = self._estimate(self._plan.terms[number])
        return estimate

    def _resources_per_subject(self, kind: int) -> float:
        view = self._run.view
        return max(1.0, len(view.forward[kind]) / max(1, len(view.reverse[kind])))


def _only_unions(term: Term) -> bool:
    match term:
        case AnyOf(children):
            return all(_only_unions(child) for child in children)
        case AllOf() | Minus() | Every():
            return False
        case _:
            return True
