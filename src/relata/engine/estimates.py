"""About how many nodes are a term and its subject true of?

Estimates choose where a search of resources starts, and whether it is worth while; no answer
depends on them. They are compiled, since a token's question asks for a dozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from relata.graph import View


class Estimates:
    """What is estimated for one subject, over one view."""

    __slots__ = ("_compiled", "known", "subject", "view")

    def __init__(self, compiled: Estimators, view: View, subject: int) -> None:
        self._compiled = compiled
        self.view = view
        self.subject = subject
        self.known: dict[int, float] = {}

    def of(self, term: Term) -> float:
        """For a part of a name."""
        return self._compiled.of(term)(self)

    def of_name(self, number: int) -> float:
        """For a name."""
        known = self.known.get(number)
        if known is None:
            self.known[number] = 0.0  # a name met inside itself adds nothing to the estimate
            known = self.known[number] = self._compiled.of_name(number)(self)
        return known


Estimator = Callable[[Estimates], float]


class Estimators:
    """How to estimate for the terms of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._terms = plan.terms
        self._of_terms: dict[Term, Estimator] = {}
        self._of_names: dict[int, Estimator] = {}

    def of_name(self, number: int) -> Estimator:
        """How to estimate for a name."""
        found = self._of_names.get(number)
        if found is None:
            found = self._of_names[number] = _estimator(self._terms[number])
        return found

    def of(self, term: Term) -> Estimator:
        """How to estimate for a part of a name."""
        found = self._of_terms.get(term)
        if found is None:
            found = self._of_terms[term] = _estimator(term)
        return found


def _estimator(term: Term) -> Estimator:
    match term:
        case Direct(kind):
            return lambda its: float(len(its.view.reverse[kind].get(its.subject) or ()))
        case Public(kind):
            return lambda its: float(len(its.view.forward[kind]))
        case Same():
            return lambda _its: 1.0
        case Call(target):
            return lambda its: its.of_name(target)
        case Through(kind, target):
            return _through(kind, target)
        case Every(steps):
            return _of_all(sum, [_through(kind, to) for kind, to in steps if to is not None])
        case AnyOf(children):
            return _of_all(sum, [_estimator(child) for child in children])
        case AllOf(children):
            return _of_all(min, [_estimator(child) for child in children])
        case Minus(base, _):
            return _estimator(base)


def _through(kind: int, target: int) -> Estimator:
    def through(its: Estimates) -> float:
        reached = its.of_name(target)
        if not reached:
            return 0.0
        forward, reverse = its.view.forward[kind], its.view.reverse[kind]
        return reached * max(1.0, len(forward) / max(1, len(reverse)))

    return through


def _of_all(combine: Callable[[list[float]], float], estimators: Sequence[Estimator]) -> Estimator:
    if len(estimators) == 1:
        return estimators[0]
    return lambda its: combine([estimate(its) for estimate in estimators])
