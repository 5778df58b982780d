"""Is this subject in that permission of this resource? A plan compiled to closures.

Each name becomes a function of a `Run` and a node:

- a name that cannot reach itself is a *straight* composition of the functions of its parts;
- a *looping* name (recursive through unions alone: nested groups, folders in folders) is one loop
  over a stack with a set of what it has seen, so cycles end and depth costs no Python frames;
- a *tangled* name (recursive through an intersection, an exclusion or `.all()`) is solved as
  equations (`solve.py`).

A function answers for sure. What an exclusion subtracts is asked of a second function that
answers "possibly"; it differs only where an answer can be undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from relata.engine.lookup_resources import BackwardSearch
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
    references,
)
from relata.engine.solve import Fixed, Grounding, solve
from relata.errors import LimitExceededError
from relata.graph import Adjacency, View


class Run:
    """What one subject's questions over one view share: a budget, and what is already known.

    A `steps` is one relationship followed from one node to another. What is known is keyed by
    function and node, so it holds for this subject and this view only.
    """

    __slots__ = ("forward", "found", "known", "searching", "steps", "subject", "view")

    def __init__(self, view: View, subject: int, steps: int) -> None:
        self.view = view
        self.forward: Sequence[Adjacency] = view.forward
        self.subject = subject
        self.steps = steps
        self.known: dict[int, dict[int, bool]] = {}
        self.found: dict[int, set[int]] = {}
        self.searching: set[int] = set()

    def spend(self, steps: int) -> None:
        """Take steps from the budget. Raises LimitExceededError when it is used up."""
        self.steps -= steps
        if self.steps < 0:
            raise LimitExceededError(
                "the question follows more relationships than the limit on work allows; "
                "ask a narrower one, or raise the limit"
            )

    def known_to(self, function: int) -> dict[int, bool]:
        """What one function has found so far, by node."""
        known = self.known.get(function)
        if known is None:
            known = self.known[function] = {}
        return known


Check = Callable[[Run, int], bool]
Search = Callable[[Run, Collection[int]], bool]
"""Whether a looping name is true of any of some nodes."""


class Booleans:
    """The two values of a check, as an algebra."""

    bottom = False

    def is_top(self, value: bool) -> bool:
        """Whether the value is true."""
        return value

    def join(self, values: Sequence[bool]) -> bool:
        """Or."""
        return True in values

    def meet(self, values: Sequence[bool]) -> bool:
        """And."""
        return False not in values

    def minus(self, base: bool, subtracted: bool) -> bool:
        """And not."""
        return base and not subtracted


class Checks:
    """The functions of one plan, compiled when they are first wanted."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._functions: dict[tuple[int, bool], Check] = {}
        self._remembering: dict[tuple[int, bool], Check] = {}
        self._searches: dict[tuple[int, bool], Search] = {}
        self._numbers = 0

    def of(self, number: int, *, possibly: bool = False) -> Check:
        """The function that checks a name. With `possibly`, undefined counts as true."""
        key = self._key(number, possibly)
        function = self._functions.get(key)
        if function is None:
            function = self._functions[key] = self._compile(*key)
        return function

    def _key(self, number: int, possibly: bool) -> tuple[int, bool]:
        return number, possibly and number in self._plan.undefinable

    def _compile(self, number: int, possibly: bool) -> Check:
        if number in self._plan.tangled:
            return self._tangled(number, possibly)
        if number in self._plan.looping:
            return self._loop(number, possibly)
        return self._straight(self._plan.terms[number], possibly)

    def _straight(self, term: Term, possibly: bool) -> Check:
        match term:
            case Direct(kind):
                return _direct(kind)
            case Public(kind):
                return _public(kind)
            case Same():
                return _same
            case Call(target):
                return self.of(target, possibly=possibly)
            case Through(kind, target) if target in self._plan.looping:
                self.of(target, possibly=possibly)
                return _through_search(kind, self._searches[self._key(target, possibly)])
            case Through(kind, target):
                return self._through(kind, target, possibly)
            case Every(steps):
                return _every(
                    [
                        (kind, None if target is None else self._remembered(target, possibly))
                        for kind, target in steps
                    ]
                )
            case AnyOf(children):
                return _any_of(self._cheapest_first(children, possibly))
            case AllOf(children):
                return _all_of(self._cheapest_first(children, possibly))
            case Minus(base, subtracted):
                return _minus(
                    self._straight(base, possibly), self._straight(subtracted, not possibly)
                )

    def _through(self, kind: int, number: int, possibly: bool) -> Check:
        target = self._remembered(number, possibly)
        exact = number not in self._plan.undefinable

        def through(run: Run, node: int) -> bool:
            others = run.forward[kind].get(node)
            if others is None:
                return False
            if exact and len(others) >= _WIDE:
                found = self._found_backwards(run, number, len(others))
                if found is not None:
                    run.spend(len(found))
                    return any(other in others for other in found)
            run.spend(len(others))
            for other in others:  # noqa: SIM110  a generator would double the cost of the hot path
                if target(run, other):
                    return True
            return False

        return through

    def _found_backwards(self, run: Run, number: int, width: int) -> set[int] | None:
        """All nodes that a name is true of, where those are fewer than the `width` nodes to ask.

        A product may have ten thousand subscribers and the question be about one of them. What is
        fewer is a guess, so the search may cost as much as asking would, and no more.
        """
        found = run.found.get(number)
        if found is not None or number in run.searching:
            return found
        search = BackwardSearch(self._plan, self, run)
        if search.estimate(number) * _WORTHWHILE > width:
            return None
        steps, run.steps = run.steps, min(run.steps, width)
        allowance = run.steps
        run.searching.add(number)
        try:
            found = run.found[number] = search.find(number)
        except LimitExceededError:
            steps -= allowance
        else:
            steps -= allowance - run.steps
        finally:
            run.searching.discard(number)
            run.steps = steps
        return found

    def _cheapest_first(self, terms: Sequence[Term], possibly: bool) -> list[Check]:
        ordered = sorted(terms, key=lambda term: any(True for _ in references(term)))
        return [self._straight(term, possibly) for term in ordered]

    def _remembered(self, number: int, possibly: bool) -> Check:
        """The function of a name, wrapped to ask once a node where asking again may be dear.

        Without it a ladder of shared parents would be walked once for every way up.
        """
        function = self.of(number, possibly=possibly)
        term = self._plan.terms[number]
        recursive = number in self._plan.tangled or number in self._plan.looping
        if recursive or not any(True for _ in references(term)):
            return function
        key = self._key(number, possibly)
        wrapped = self._remembering.get(key)
        if wrapped is None:
            wrapped = self._remembering[key] = _remember(function, self._next_number())
        return wrapped

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _loop(self, number: int, possibly: bool) -> Check:
        """Compile all names that reach each other, and return the function of one."""
        component = self._plan.component
        members = [other for other in self._plan.looping if component[other] == component[number]]
        index = {member: position for position, member in enumerate(members)}
        leaves: list[list[Check]] = []
        edges: list[list[tuple[int, int]]] = []
        for member in members:
            inside, outside = self._split(self._plan.terms[member], index)
            edges.append(inside)
            leaves.append(self._cheapest_first(outside, possibly))
        memory = self._next_number()
        for member, position in index.items():
            key = self._key(member, possibly)
            search = _search(position, len(members), leaves, edges, memory)
            self._searches[key] = search
            self._functions[key] = _from_one(search)
        return self._functions[self._key(number, possibly)]

    def _split(self, term: Term, index: dict[int, int]) -> tuple[list[tuple[int, int]], list[Term]]:
        """The parts of a union that stay among the names of `index`, and the others."""
        inside: list[tuple[int, int]] = []
        outside: list[Term] = []
        for part in term.children if isinstance(term, AnyOf) else (term,):
            match part:
                case Call(target) if target in index:
                    inside.append((_SAME_NODE, index[target]))
                case Through(kind, target) if target in index:
                    inside.append((kind, index[target]))
                case _:
                    outside.append(part)
        return inside, outside

    def _tangled(self, number: int, possibly: bool) -> Check:
        plan = self._plan
        home = plan.component[number]
        low_memory, high_memory = self._memories(home)

        def solve_at(run: Run, node: int) -> None:
            lows, highs = run.known_to(low_memory), run.known_to(high_memory)

            def outside(target: int, other: int) -> Fixed[bool] | None:
                if plan.component[target] != home:
                    return self._both(run, target, other)
                key = other * len(plan.terms) + target
                low = lows.get(key)
                return None if low is None else Fixed(low, highs[key])

            grounding = Grounding(
                run.view,
                plan.terms,
                _BOOLEANS,
                lambda term, other: self._straight(term, possibly=False)(run, other),
                outside,
                run.spend,
            )
            values = solve(grounding.ground(number, node), _BOOLEANS, run.spend)
            for (name, other, part), value in values.items():
                if part == 0:
                    key = other * len(plan.terms) + name
                    lows[key], highs[key] = value.low, value.high

        def tangled(run: Run, node: int) -> bool:
            key = node * len(plan.terms) + number
            memory = high_memory if possibly else low_memory
            if key not in run.known_to(memory):
                solve_at(run, node)
            return run.known_to(memory)[key]

        return tangled

    def _both(self, run: Run, number: int, node: int) -> Fixed[bool]:
        """Whether a name is surely, and whether it is possibly, true at a node."""
        surely = self.of(number)(run, node)
        if surely or number not in self._plan.undefinable:
            return Fixed(surely, surely)
        return Fixed(surely, self.of(number, possibly=True)(run, node))

    def _memories(self, component: int) -> tuple[int, int]:
        """Where a tangled component's answers are known, for sure and possibly."""
        return -2 * component - 1, -2 * component - 2


_BOOLEANS = Booleans()
_SAME_NODE = -1

_WIDE = 32
"""From how many related objects on it is worth asking which of them could matter."""
_WORTHWHILE = 4
"""How many times fewer nodes a backward search should find than there are to ask."""


def _same(run: Run, node: int) -> bool:
    return node == run.subject


def _direct(kind: int) -> Check:
    def direct(run: Run, node: int) -> bool:
        subjects = run.forward[kind].get(node)
        return subjects is not None and run.subject in subjects

    return direct


def _public(kind: int) -> Check:
    def public(run: Run, node: int) -> bool:
        return run.forward[kind].get(node) is not None

    return public


def _every(steps: Sequence[tuple[int, Check | None]]) -> Check:
    def every(run: Run, node: int) -> bool:
        found = False
        for kind, target in steps:
            others = run.forward[kind].get(node)
            if others is None:
                continue
            if target is None:
                return False
            found = True
            run.spend(len(others))
            for other in others:
                if not target(run, other):
                    return False
        return found

    return every


def _any_of(children: Sequence[Check]) -> Check:
    if len(children) == 2:
        first, second = children
        return lambda run, node: first(run, node) or second(run, node)

    def any_of(run: Run, node: int) -> bool:
        for child in children:  # noqa: SIM110  as in `through`
            if child(run, node):
                return True
        return False

    return any_of


def _all_of(children: Sequence[Check]) -> Check:
    def all_of(run: Run, node: int) -> bool:
        for child in children:  # noqa: SIM110  as in `through`
            if not child(run, node):
                return False
        return True

    return all_of


def _minus(base: Check, subtracted: Check) -> Check:
    return lambda run, node: base(run, node) and not subtracted(run, node)


def _remember(function: Check, memory: int) -> Check:
    def remembering(run: Run, node: int) -> bool:
        known = run.known_to(memory)
        answer = known.get(node)
        if answer is None:
            answer = known[node] = function(run, node)
        return answer

    return remembering


def _through_search(kind: int, search: Search) -> Check:
    """As `Checks._through`, with one search from all the related objects at once."""

    def through(run: Run, node: int) -> bool:
        others = run.forward[kind].get(node)
        if others is None:
            return False
        run.spend(len(others))
        return search(run, others)

    return through


def _from_one(search: Search) -> Check:
    return lambda run, node: search(run, (node,))


def _search(
    entry: int,
    size: int,
    leaves: Sequence[Sequence[Check]],
    edges: Sequence[Sequence[tuple[int, int]]],
    memory: int,
) -> Search:
    """Search from one member at some nodes: true as soon as any leaf met is true.

    A search that ends without one has met everything that could make any node it met true, so
    all of them are known to be false. That is all it remembers, and it is exact for this run.
    """

    def search(run: Run, starts: Collection[int]) -> bool:
        false = run.known_to(memory)
        stack = [key for start in starts if (key := start * size + entry) not in false]
        seen = set(stack)
        while stack:
            node, member = divmod(stack.pop(), size)
            for leaf in leaves[member]:
                if leaf(run, node):
                    return True
            for kind, target in edges[member]:
                others = (node,) if kind == _SAME_NODE else run.forward[kind].get(node)
                if others is None:
                    continue
                run.spend(len(others))
                for other in others:
                    key = other * size + target
                    if key not in seen and key not in false:
                        seen.add(key)
                        stack.append(key)
        false.update(dict.fromkeys(seen, False))
        return False

    return search
