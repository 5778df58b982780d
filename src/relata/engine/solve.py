"""Answers over cycles: equations between nodes, solved by fixpoints.

Where a question can come back to itself, its answer is the least fixpoint of equations, one for
each (name, node) that the question reaches. Where it can come back through the right side of an
exclusion, it is the well-founded model (Van Gelder, Ross and Schlipf, "The well-founded semantics
for general logic programs", 1991), found by alternating an underestimate and an overestimate; what
stays undefined is in the overestimate only, and is not granted.

A relationship of which it is not known whether it holds is an equation of its own, `Guarded`: its
value is nobody in one estimate and what it leads to in the other.

The values may be booleans (is the subject in it?) or sets of subjects (who is in it?): anything
with a join, a meet and a difference.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Generic, Protocol, TypeVar

import msgspec

from relata.engine.pieces import spent_pieces
from relata.engine.plan import AllOf, AnyOf, Call, Every, Minus, Term, Through
from relata.graph import View

T = TypeVar("T")
N = TypeVar("N", bound=Hashable)

EQUATION_STEPS = 50
"""What making an equation costs of a question's budget, in relationships followed."""
EVALUATION_STEPS = 5
"""What evaluating one again costs, besides one for each of its parts."""

Key = tuple[int, int, int]
"""A name's number, a node, and 0; or for the n-th subtracted part of its term, n from 1."""


class Algebra(Protocol[T]):
    """What a value must be able to do."""

    bottom: T

    def is_top(self, value: T) -> bool:
        """Whether joining anything to the value gives the value."""
        ...

    def join(self, values: Sequence[T]) -> T:
        """What is in any."""
        ...

    def meet(self, values: Sequence[T]) -> T:
        """What is in every one, of at least one."""
        ...

    def minus(self, base: T, subtracted: T) -> T:
        """What is in the base and not in the subtracted."""
        ...


class Fixed(msgspec.Struct, Generic[T], frozen=True):
    """A known value: what is surely in it, and what is possibly in it."""

    low: T
    high: T


class Variable(msgspec.Struct, frozen=True):
    """The value of another equation."""

    key: Key


class Join(msgspec.Struct, Generic[T], frozen=True):
    """A union of equations."""

    children: tuple[Equation[T], ...]


class Meet(msgspec.Struct, Generic[T], frozen=True):
    """An intersection of equations."""

    children: tuple[Equation[T], ...]


class Less(msgspec.Struct, Generic[T], frozen=True):
    """An exclusion. The subtracted part is a variable of its own, never nested: so a permission
    means the same whether its parts are named or written out."""

    base: Equation[T]
    subtracted: Variable


class Guarded(msgspec.Struct, Generic[T], frozen=True):
    """An equation behind a relationship: whether that one holds in either estimate."""

    inner: Equation[T]
    low: bool
    high: bool


Equation = Fixed[T] | Variable | Join[T] | Meet[T] | Less[T] | Guarded[T]

Guard = Callable[[int, int, int], tuple[bool, bool] | None]
"""By kind, resource and subject: whether a relationship holds in the underestimate and in the
overestimate, or None where it is not there at all."""


class Grounding(Generic[T]):
    """Turns the terms that a question reaches into equations.

    `leaf` gives the value of a Direct, Public or Same term at a node. `outside` gives the value
    of a name at a node where it is known without an equation, or None. `guard` is asked of the
    relationships of conditional kinds.
    """

    def __init__(
        self,
        view: View,
        terms: Sequence[Term],
        algebra: Algebra[T],
        leaf: Callable[[Term, int], Fixed[T]],
        outside: Callable[[int, int], Fixed[T] | None],
        spend: Callable[[int], None],
        *,
        conditional: Collection[int],
        guard: Guard,
    ) -> None:
        self._view = view
        self._terms = terms
        self._conditional = conditional
        self._guard = guard
        self._algebra = algebra
        self._leaf = leaf
        self._outside = outside
        self._spend = spend
        self._nobody = Fixed(algebra.bottom, algebra.bottom)
        self._pending: deque[tuple[int, int]] = deque()
        self._subtracted = 0
        self.equations: dict[Key, Equation[T]] = {}

    def ground(self, number: int, node: int) -> Mapping[Key, Equation[T]]:
        """All equations that the value of a name at a node depends on."""
        self._reach(number, node)
        while self._pending:
            number, node = self._pending.popleft()
            self._spend(EQUATION_STEPS)
            self._subtracted = 0
            equation = self._equation(self._terms[number], number, node)
            self.equations[number, node, 0] = equation
        return self.equations

    def _reach(self, number: int, node: int) -> Variable:
        key = (number, node, 0)
        if key not in self.equations:
            self.equations[key] = self._nobody
            self._pending.append((number, node))
        return Variable(key)

    def _value_of(self, number: int, node: int) -> Equation[T]:
        return self._outside(number, node) or self._reach(number, node)

    def _equation(self, term: Term, number: int, node: int) -> Equation[T]:
        match term:
            case Call(target):
                return self._value_of(target, node)
            case Through(kind, target):
                return self._join(self._over(kind, target, node))
            case Every(steps):
                return self._every(steps, node)
            case AnyOf(children):
                return self._join(self._equation(child, number, node) for child in children)
            case AllOf(children):
                return self._meet(self._equation(child, number, node) for child in children)
            case Minus(base, subtracted):
                return self._less(base, subtracted, number, node)
            case _:
                return self._leaf(term, node)

    def _every(self, steps: Iterable[tuple[int, int | None]], node: int) -> Equation[T]:
        parts = [part for kind, target in steps for part in self._over(kind, target, node)]
        return self._meet(parts) if parts else self._nobody

    def _over(self, kind: int, target: int | None, node: int) -> Iterator[Equation[T]]:
        """The values that relationships of a kind lead to, one each; nobody without a target."""
        for other in self._at(kind, node):
            if kind not in self._conditional:
                yield self._nobody if target is None else self._value_of(target, other)
                continue
            holds = self._guard(kind, node, other)
            if holds is None:
                continue
            if target is None or not any(holds):
                yield self._nobody
            elif all(holds):
                yield self._value_of(target, other)
            else:
                yield Guarded(self._value_of(target, other), *holds)

    def _at(self, kind: int, node: int) -> Iterable[int]:
        found = self._view.forward[kind].get(node) or ()
        return chain.from_iterable(spent_pieces(found, self._spend))

    def _join(self, parts: Iterable[Equation[T]]) -> Equation[T]:
        kept: list[Equation[T]] = []
        for part in parts:
            if isinstance(part, Fixed):
                if self._is_top(part):
                    return part
                if self._is_nobody(part):
                    continue
            kept.append(part)
        if not kept:
            return self._nobody
        return kept[0] if len(kept) == 1 else Join(tuple(kept))

    def _meet(self, parts: Iterable[Equation[T]]) -> Equation[T]:
        kept: list[Equation[T]] = []
        for part in parts:
            if isinstance(part, Fixed):
                if self._is_nobody(part):
                    return part
                if self._is_top(part):
                    top = part
                    continue
            kept.append(part)
        if not kept:
            return top
        return kept[0] if len(kept) == 1 else Meet(tuple(kept))

    def _is_top(self, part: Fixed[T]) -> bool:
        return self._algebra.is_top(part.low) and self._algebra.is_top(part.high)

    def _is_nobody(self, part: Fixed[T]) -> bool:
        bottom = self._algebra.bottom
        return part.low is bottom and part.high is bottom

    def _less(self, base: Term, subtracted: Term, number: int, node: int) -> Equation[T]:
        kept = self._equation(base, number, node)
        if isinstance(kept, Fixed) and self._is_nobody(kept):
            return kept
        removed = self._equation(subtracted, number, node)
        if isinstance(removed, Fixed) and self._is_nobody(removed):
            return kept
        if not isinstance(removed, Variable):
            self._subtracted += 1
            key = (number, node, self._subtracted)
            self.equations[key] = removed
            removed = Variable(key)
        return Less(kept, removed)


def solve(
    equations: Mapping[Key, Equation[T]],
    algebra: Algebra[T],
    spend: Callable[[int], None],
    *,
    wanted: Key | None = None,
) -> dict[Key, Fixed[T]]:
    """The values of all equations, those that others depend on first.

    With `wanted`, of that equation alone; others are forgotten as soon as nothing needs them, so
    that sets as large as the answer are not kept for every node on the way to it.
    """
    needs: dict[Key, Collection[Key]] = {}
    needing = Counter[Key]()
    for keys in spent_pieces(equations, spend):
        for key in keys:
            needed = needs[key] = _needed(equations[key], spend)
            if wanted is not None:
                for piece in spent_pieces(needed, spend):
                    needing.update(piece)
    values: dict[Key, Fixed[T]] = {}
    for members in in_order(needs, spend):
        spend(1)
        if len(members) == 1 and (first := members[0]) not in needs[first]:
            values[first] = _evaluate(equations[first], values, algebra, spend)
        else:
            inside = {key: equations[key] for key in members}
            _Component(inside, values, algebra, spend).solve()
        if needing:
            _forget(values, needing, needs, members, wanted)
    return values


def in_order(
    needs: Mapping[N, Collection[N]], spend: Callable[[int], None] | None = None
) -> list[list[N]]:
    """The nodes that need each other, together; those that others need come first.

    As Gabow does it ("Path-based depth-first search for strong and biconnected components", 2000).
    Most questions are a few nodes, for which a graph of NetworkX takes ten times as long. Each node
    costs a step.
    """
    ordered: list[list[N]] = []
    done: set[N] = set()
    met: list[N] = []  # and not in order yet
    places: dict[N, int] = {}
    bounds: list[int] = []  # places in `met`, from each of which on nodes lead to each other
    way: list[tuple[N, Iterator[N]]] = []

    def enter(node: N) -> None:
        places[node] = len(met)
        bounds.append(len(met))
        met.append(node)
        way.append((node, iter(needs[node])))

    for start in needs:
        if start not in done:
            enter(start)
        while way:
            node, ahead = way[-1]
            for further in ahead:
                if further in done:
                    continue
                if further not in places:
                    enter(further)
                    break
                while bounds[-1] > places[further]:
                    bounds.pop()
            else:
                if spend is not None:
                    spend(1)
                way.pop()
                place = places[node]
                if bounds[-1] == place:
                    bounds.pop()
                    together = met[place:]
                    del met[place:]
                    done.update(together)
                    ordered.append(together)
    return ordered


def _forget(
    values: dict[Key, Fixed[T]],
    needing: Counter[Key],
    needs: Mapping[Key, Collection[Key]],
    solved: Iterable[Key],
    wanted: Key | None,
) -> None:
    """Drop the values that only the equations just solved still needed."""
    for key in solved:
        for needed in needs[key]:
            needing[needed] -= 1
            if not needing[needed] and needed != wanted:
                values.pop(needed, None)


def _needed(equation: Equation[T], spend: Callable[[int], None]) -> Collection[Key]:
    match equation:
        case Fixed():
            return ()
        case Variable(key):
            return (key,)
        case Join(children) | Meet(children):
            needed: set[Key] = set()
            for piece in spent_pieces(children, spend):
                for child in piece:
                    if isinstance(child, Variable):
                        needed.add(child.key)
                    elif not isinstance(child, Fixed):
                        needed.update(_needed(child, spend))
            return needed
        case _:
            return {key for key, _ in _variables(equation)}


def _variables(equation: Equation[T], subtracted: bool = False) -> Iterator[tuple[Key, bool]]:
    match equation:
        case Variable(key):
            yield key, subtracted
        case Join(children) | Meet(children):
            for child in children:
                yield from _variables(child, subtracted)
        case Less(base, removed):
            yield from _variables(base, subtracted)
            yield removed.key, True
        case Guarded(inner):
            yield from _variables(inner, subtracted)


def _is_union(equation: Equation[T]) -> bool:
    if isinstance(equation, Join):
        return all(map(_is_union, equation.children))
    return isinstance(equation, Fixed | Variable)


def _united(union: Equation[T]) -> Iterator[Fixed[T] | Variable]:
    if isinstance(union, Join):
        for child in union.children:
            yield from _united(child)
    elif isinstance(union, Fixed | Variable):
        yield union


def _parts(equation: Equation[T]) -> int:
    match equation:
        case Join(children) | Meet(children):
            return sum(_parts(child) for child in children)
        case Less(base, _):
            return 1 + _parts(base)
        case Guarded(inner):
            return 1 + _parts(inner)
        case _:
            return 1


def _evaluate(
    equation: Equation[T],
    values: Mapping[Key, Fixed[T]],
    algebra: Algebra[T],
    spend: Callable[[int], None],
) -> Fixed[T]:
    """The value of an equation whose variables are known."""

    def combined(combine: Callable[[Sequence[T]], T], children: Sequence[Equation[T]]) -> Fixed[T]:
        found: list[Fixed[T]] = []
        for piece in spent_pieces(children, spend):
            found += [_evaluate(child, values, algebra, spend) for child in piece]
        low = combine([value.low for value in found])
        if all(map(_exact, found)):
            return Fixed(low, low)
        return Fixed(low, combine([value.high for value in found]))

    match equation:
        case Fixed():
            return equation
        case Variable(key):
            return values[key]
        case Join(children):
            return combined(algebra.join, children)
        case Meet(children):
            return combined(algebra.meet, children)
        case Less(base, Variable(key)):
            kept, removed = _evaluate(base, values, algebra, spend), values[key]
            low = algebra.minus(kept.low, removed.high)
            if _exact(kept) and _exact(removed):
                return Fixed(low, low)
            return Fixed(low, algebra.minus(kept.high, removed.low))
        case Guarded(inner, low, high):
            value = _evaluate(inner, values, algebra, spend)
            return Fixed(
                value.low if low else algebra.bottom, value.high if high else algebra.bottom
            )


def _exact(value: Fixed[T]) -> bool:
    return value.low is value.high


def _one_side(
    equation: Equation[T],
    value: Callable[[Key], T],
    subtracted: Callable[[Key], T],
    algebra: Algebra[T],
    *,
    lower: bool,
) -> T:
    """One estimate of an equation, given estimates of its variables: `value` where they add,
    `subtracted` where they take away."""
    match equation:
        case Fixed(low, high):
            return low if lower else high
        case Variable(key):
            return value(key)
        case Join(children):
            return algebra.join(
                [_one_side(child, value, subtracted, algebra, lower=lower) for child in children]
            )
        case Meet(children):
            return algebra.meet(
                [_one_side(child, value, subtracted, algebra, lower=lower) for child in children]
            )
        case Less(base, removed):
            return algebra.minus(
                _one_side(base, value, subtracted, algebra, lower=lower), subtracted(removed.key)
            )
        case Guarded(inner, low, high):
            if not (low if lower else high):
                return algebra.bottom
            return _one_side(inner, value, subtracted, algebra, lower=lower)


class _Component(Generic[T]):
    """Equations that depend on each other, where `outer` holds what they depend on besides."""

    def __init__(
        self,
        equations: Mapping[Key, Equation[T]],
        outer: dict[Key, Fixed[T]],
        algebra: Algebra[T],
        spend: Callable[[int], None],
    ) -> None:
        self._spend = spend
        self._equations = equations
        self._outer = outer
        self._algebra = algebra
        self._costs: dict[Key, int] = {}
        self._dependents: dict[Key, list[Key]] = {key: [] for key in equations}
        self._unions_alone = True
        for keys in spent_pieces(equations, spend):
            for key in keys:
                self._note(key, equations[key])

    def _note(self, key: Key, equation: Equation[T]) -> None:
        self._costs[key] = EVALUATION_STEPS + _parts(equation)
        self._unions_alone = self._unions_alone and _is_union(equation)
        for needed, subtracted in _variables(equation):
            if needed in self._equations and not subtracted:
                self._dependents[needed].append(key)

    def solve(self) -> None:
        """Put the values of the equations into `outer`."""
        if self._unions_alone:
            self._outer.update(dict.fromkeys(self._equations, self._united()))
            return
        under = dict.fromkeys(self._equations, self._algebra.bottom)
        while True:
            over = self._least(under, lower=False)
            higher_under = self._least(over, lower=True)
            if higher_under == under:
                break
            under = higher_under
        for key in self._equations:
            self._outer[key] = Fixed(under[key], over[key])

    def _united(self) -> Fixed[T]:
        """What each of the equations has, where all are unions: since each leads to every other,
        what any of them has."""
        known: list[Fixed[T]] = []
        for key, equation in self._equations.items():
            self._spend(self._costs[key])
            for part in _united(equation):
                if isinstance(part, Fixed):
                    known.append(part)
                elif part.key not in self._equations:
                    known.append(self._outer[part.key])
        low = self._algebra.join([part.low for part in known])
        if all(map(_exact, known)):
            return Fixed(low, low)
        return Fixed(low, self._algebra.join([part.high for part in known]))

    def _least(self, assumed: Mapping[Key, T], *, lower: bool) -> dict[Key, T]:
        """The least fixpoint, where what is subtracted is taken from the opposite estimate."""
        values = dict.fromkeys(self._equations, self._algebra.bottom)
        outer = self._outer

        def value(key: Key) -> T:
            if key in values:
                return values[key]
            return outer[key].low if lower else outer[key].high

        def subtracted(key: Key) -> T:
            if key in assumed:
                return assumed[key]
            return outer[key].high if lower else outer[key].low

        queue = deque(self._equations)
        queued = set(queue)
        while queue:
            key = queue.popleft()
            queued.discard(key)
            self._spend(self._costs[key])
            found = _one_side(self._equations[key], value, subtracted, self._algebra, lower=lower)
            if found != values[key]:
                values[key] = found
                for dependent in self._dependents[key]:
                    if dependent not in queued:
                        queued.add(dependent)
                        queue.append(dependent)
        return values
