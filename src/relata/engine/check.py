"""Is this subject in that permission of this resource? A plan compiled to closures.

Each name becomes a function of a `Run` and a node:

- a name that cannot reach itself is a *straight* composition of the functions of its parts;
- a *looping* name (recursive through unions alone: nested groups, folders in folders) is one loop
  over a stack with a set of what it has seen, so cycles end and depth costs no Python frames;
- a *tangled* name (recursive through an intersection, an exclusion or `.all()`) is solved as
  equations (`solve.py`).

A function answers in one `Reading`. An answer can be undefined (a cycle through an exclusion), and
it can be unknown (a caveat that lacks context); a reading says what either counts as, and what an
exclusion subtracts is read the other way round. So a subject is allowed that is in the permission
with everything against it, and denied that is not in it even with unknown caveats in its favour;
between the two the answer is conditional. Names from which neither can be reached have one function
for all readings.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from relata.caveats import Outcome
from relata.engine.conditions import Conditions, Missing
from relata.engine.estimates import Estimators
from relata.engine.flat import ByMemory, Closure, Flats, within
from relata.engine.lookup_resources import BackwardSearch
from relata.engine.memory import Memory, Recall
from relata.engine.nodes import Nodes
from relata.engine.plan import (
    AllOf,
    AnyOf,
    Call,
    Direct,
    Every,
    Minus,
    Name,
    Plan,
    Public,
    Same,
    Term,
    Through,
    kinds_read,
    references,
)
from relata.engine.reading import SURELY, Reading
from relata.engine.solve import Fixed, Grounding, solve
from relata.engine.ways import AllWays
from relata.errors import LimitExceededError, RelataError
from relata.graph import Adjacency, Trait, View

SLICE = 1_000
"""Steps after which a question lets others have a turn: somewhat less than a millisecond."""
Pause = Callable[[], None]
NOTHING_REMEMBERED = Recall()


class Run:
    """What one subject's questions over one view share: a budget, and what is already known.

    A `steps` is one relationship followed from one node to another. What is known is keyed by
    function and node, so it holds for this subject and this view only. `fruitful` are the searches
    that have found something, and `missing` is what is known of what conditional answers wait for.

    `recall` is what the run's session may use of what is remembered of the graph.
    """

    __slots__ = (
        "_pause",
        "_pause_at",
        "changes",
        "conditions",
        "forward",
        "found",
        "fruitful",
        "known",
        "met_unknown",
        "missing",
        "recall",
        "searching",
        "steps",
        "subject",
        "view",
    )

    conditions: Conditions
    found: dict[int, Nodes]
    fruitful: set[int]
    known: dict[int, dict[int, bool]]
    missing: dict[tuple[int, int, bool], Missing[RelataError]]
    searching: set[int]

    def __init__(
        self,
        view: View,
        subject: int,
        steps: int,
        conditions: Conditions | None = None,
        recall: Recall = NOTHING_REMEMBERED,
        pause: Pause | None = None,
    ) -> None:
        self.view = view
        self.forward: Sequence[Adjacency] = view.forward
        self.changes = view.changes
        self.subject = subject
        self.steps = steps
        self.met_unknown = False
        self.recall = recall
        self._pause = pause
        self._pause_at = 0 if pause is None else max(0, steps - SLICE)
        if conditions is not None:
            self.conditions = conditions

    @property
    def memory(self) -> Memory | None:
        """What is remembered; None where there is nothing, or a write has overtaken the session."""
        return self.recall.memory

    def __getattr__(self, name: str) -> Any:
        # Most questions need none of these, and making them would be half of what those cost.
        value = _MADE_WHEN_NEEDED[name]()
        setattr(self, name, value)
        return value

    def allow(self, steps: int) -> None:
        """Let the next question follow so many relationships."""
        self.steps = steps
        self._pause_at = 0 if self._pause is None else max(0, steps - SLICE)

    def spend(self, steps: int) -> None:
        """Take steps from the budget; after some thousand of them, let others have a turn.

        Raises LimitExceededError when it is used up.
        """
        self.steps -= steps
        if self.steps < self._pause_at:
            self._end_slice()

    def _end_slice(self) -> None:
        if self.steps < 0:
            raise LimitExceededError(
                "the question follows more relationships than the limit on work allows; "
                "ask a narrower one, or raise the limit"
            )
        self._pause_at = max(0, self.steps - SLICE)
        if self._pause is not None:
            self._pause()
            self.recall.look_again()

    def follow(self, others: Collection[int]) -> Iterable[int]:
        """Related objects to go through one by one, paid for on the way."""
        if len(others) > SLICE:
            return self._in_slices(others)
        self.spend(len(others))
        return others

    def _in_slices(self, others: Collection[int]) -> Iterator[int]:
        for index, other in enumerate(others):
            if not index % SLICE:
                self.spend(SLICE)
            yield other

    def known_to(self, function: int) -> dict[int, bool]:
        """What one function has found so far, by node."""
        known = self.known.get(function)
        if known is None:
            known = self.known[function] = {}
        return known

    def outcome(self, kind: int, resource: int, subject: int) -> Outcome:
        """Whether a relationship of a conditional kind holds, as far as it is known."""
        return self.conditions.outcome(kind, self._trait(kind, resource, subject), self.spend)

    def holds(self, kind: int, resource: int, subject: int, unknown: bool) -> bool:
        """Whether it holds, where what is unknown counts as `unknown`."""
        outcome = self.outcome(kind, resource, subject)
        if outcome is True or outcome is False:
            return outcome
        self.met_unknown = True
        return unknown

    def is_there(self, kind: int, resource: int, subject: int) -> bool:
        """Whether a relationship of a conditional kind has not expired."""
        return not self.conditions.has_expired(self._trait(kind, resource, subject))

    def guard(
        self, kind: int, resource: int, subject: int, reading: Reading
    ) -> tuple[bool, bool] | None:
        """Whether a relationship holds in a reading and in the one of what that subtracts."""
        if not self.is_there(kind, resource, subject):
            return None
        unknown = reading.unknown
        return (
            self.holds(kind, resource, subject, unknown),
            self.holds(kind, resource, subject, not unknown),
        )

    def _trait(self, kind: int, resource: int, subject: int) -> Trait:
        trait = self.view.traits[kind].get((resource, subject))
        if trait is None:
            raise AssertionError("a relationship of a conditional kind has a trait")
        return trait


_MADE_WHEN_NEEDED: Mapping[str, Callable[[], object]] = {
    "found": dict,
    "fruitful": set,
    "known": dict,
    "missing": dict,
    "searching": set,
}

Check = Callable[[Run, int], bool]
Search = Callable[[Run, Iterable[int]], bool]
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
        self._conditional = plan.numbering.conditional
        self._functions: dict[tuple[int, Reading], Check] = {}
        self._remembering: dict[tuple[int, Reading], Check] = {}
        self._searches: dict[tuple[int, Reading], Search] = {}
        self._parts: dict[tuple[Term, Reading], Check] = {}
        self._numbers = itertools.count(1)
        self._compiling = threading.RLock()
        self.flats = Flats(plan)
        self.ways = AllWays(plan, self)
        self.estimators = Estimators(plan)

    def of(self, number: int, reading: Reading = SURELY) -> Check:
        """The function that checks a name."""
        key = self._key(number, reading)
        function = self._functions.get(key)
        if function is None:
            with self._compiling:
                function = self._functions.get(key) or self._compile(*key)
                self._functions[key] = function
        return function

    def by_memory(self, number: int) -> ByMemory | None:
        """The function that checks a name by what is remembered alone, if there is one."""
        with self._compiling:
            return self.flats.by_memory(number)

    def compiled(self) -> list[Name]:
        """The names that have a function."""
        return [self._plan.numbering.names[number] for number, _ in list(self._functions)]

    def part(self, term: Term, reading: Reading) -> Check:
        """The function that checks a part of a name's term."""
        function = self._parts.get((term, reading))
        if function is None:
            with self._compiling:
                function = self._parts[term, reading] = self._straight(term, reading)
        return function

    def _key(self, number: int, reading: Reading) -> tuple[int, Reading]:
        plan = self._plan
        if reading == SURELY or (number not in plan.undefinable and number not in plan.uncertain):
            return number, SURELY
        return number, Reading(
            reading.undefined and number in plan.undefinable,
            reading.unknown and number in plan.uncertain,
        )

    def _compile(self, number: int, reading: Reading) -> Check:
        if number in self._plan.tangled:
            return self._tangled(number, reading)
        if number in self._plan.looping:
            following = _from_one(self._search(number, reading))
        else:
            following = self._straight(self._plan.terms[number], reading)
        if number in self._plan.plain:
            return self.flats.check(number, following)
        return following

    def _straight(self, term: Term, reading: Reading) -> Check:
        match term:
            case Direct(kind) if kind in self._conditional:
                return _direct_if(kind, reading.unknown)
            case Direct(kind):
                return _direct(kind)
            case Public(kind) if kind in self._conditional:
                return _public_if(kind, reading.unknown)
            case Public(kind):
                return _public(kind)
            case Same():
                return _same
            case Call(target) if self._plan.calls(target) > _MANY_CALLS:
                return self.remembered(target, reading)
            case Call(target):
                return self.of(target, reading)
            case Through(kind, target) if target in self._plan.looping:
                search = self._search(target, reading)
                if target in self._plan.plain and kind not in self._conditional:
                    return _through_plain(kind, self.of, target, _through_search(kind, search))
                if kind in self._conditional:
                    return _through_search_if(kind, search, reading.unknown)
                return _through_search(kind, search)
            case Through(kind, target) if kind in self._conditional:
                return _through_if(kind, self.remembered(target, reading), reading.unknown)
            case Through(kind, target):
                return self._through(kind, target, reading)
            case Every(steps):
                return self._every(steps, reading)
            case AnyOf(children):
                return _any_of(self._cheapest_first(children, reading))
            case AllOf(children):
                return _all_of(self._cheapest_first(children, reading))
            case Minus(base, subtracted):
                return _minus(
                    self._straight(base, reading),
                    self._straight(subtracted, reading.subtracted()),
                )

    def _bound(self, number: int) -> Closure | None:
        return self.flats.bound(number)

    def _every(self, steps: Sequence[tuple[int, int | None]], reading: Reading) -> Check:
        plain = self._plan.plain
        made = [
            (kind, None if target is None else self.remembered(target, reading))
            for kind, target in steps
        ]
        if any(kind in self._conditional for kind, _ in made):
            return _every_if(made, self._conditional, reading.unknown)
        return _every(
            [
                (kind, check, None if target is None else self._bound(target), target in plain)
                for (kind, check), (_, target) in zip(made, steps, strict=True)
            ]
        )

    def _through(self, kind: int, number: int, reading: Reading) -> Check:
        target = self.remembered(number, reading)
        bound = self._bound(number)
        exact = number not in self._plan.undefinable and number not in self._plan.uncertain

        def through(run: Run, node: int) -> bool:
            others = run.forward[kind].get(node)
            if others is None:
                return False
            if len(others) >= WIDE and bound is not None:
                held = bound.held(run)
                if held is not None:
                    others = within(others, held)
            if exact and len(others) >= WIDE:
                found = self.found_backwards(run, number, len(others))
                if found is not None:
                    run.spend(len(found))
                    return any(other in others for other in found)
            for other in run.follow(others):  # noqa: SIM110  any() would double the hot path's cost
                if target(run, other):
                    return True
            return False

        return through

    def found_backwards(self, run: Run, number: int, width: int) -> Nodes | None:
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
        steps, allowance = run.steps, min(run.steps, width)
        run.allow(allowance)
        run.searching.add(number)
        try:
            found = run.found[number] = search.find(number)
        except LimitExceededError:
            steps -= allowance
        else:
            steps -= allowance - run.steps
        finally:
            run.searching.discard(number)
            run.allow(steps)
        return found

    def _cheapest_first(self, terms: Sequence[Term], reading: Reading) -> list[Check]:
        ordered = sorted(terms, key=self._dearness)
        return [self._straight(term, reading) for term in ordered]

    def _dearness(self, term: Term) -> tuple[bool, bool]:
        conditional = any(kind in self._conditional for kind in kinds_read(term))
        return any(True for _ in references(term)), conditional

    def remembered(self, number: int, reading: Reading) -> Check:
        """The function of a name, wrapped to ask once a node where asking again may be dear.

        Without it a ladder of shared parents would be walked once for every way up.
        """
        function = self.of(number, reading)
        term = self._plan.terms[number]
        recursive = number in self._plan.tangled or number in self._plan.looping
        if recursive or not any(True for _ in references(term)):
            return function
        key = self._key(number, reading)
        wrapped = self._remembering.get(key)
        if wrapped is None:
            wrapped = self._remembering[key] = _remember(function, self._next_number())
        return wrapped

    def _next_number(self) -> int:
        return next(self._numbers)

    def _search(self, number: int, reading: Reading) -> Search:
        key = self._key(number, reading)
        if key not in self._searches:
            self._loop(number, reading)
        return self._searches[key]

    def _loop(self, number: int, reading: Reading) -> None:
        """Compile the searches of all names that reach each other."""
        component = self._plan.component
        members = [other for other in self._plan.looping if component[other] == component[number]]
        index = {member: position for position, member in enumerate(members)}
        leaves: list[list[Check]] = []
        edges: list[list[_LoopEdge]] = []
        memory = self._next_number()
        for member, position in index.items():
            search = _search(position, len(members), leaves, edges, memory, reading.unknown)
            self._searches[self._key(member, reading)] = search
        for member in members:
            inside, outside = self._split(self._plan.terms[member], index)
            edges.append(inside)
            leaves.append(self._cheapest_first(outside, reading))

    def _split(self, term: Term, index: dict[int, int]) -> tuple[list[_LoopEdge], list[Term]]:
        """The parts of a union that stay among the names of `index`, and the others."""
        inside: list[_LoopEdge] = []
        outside: list[Term] = []
        for part in term.children if isinstance(term, AnyOf) else (term,):
            match part:
                case Call(target) if target in index:
                    inside.append((_SAME_NODE, index[target], False))
                case Through(kind, target) if target in index:
                    inside.append((kind, index[target], kind in self._conditional))
                case _:
                    outside.append(part)
        return inside, outside

    def _tangled(self, number: int, reading: Reading) -> Check:
        plan = self._plan
        home = plan.component[number]
        low = Reading(undefined=False, unknown=reading.undefined != reading.unknown)
        if number not in plan.uncertain:
            low = SURELY
        low_memory, high_memory = self._memories(home, low)

        def solve_at(run: Run, node: int) -> None:
            lows, highs = run.known_to(low_memory), run.known_to(high_memory)

            def outside(target: int, other: int) -> Fixed[bool] | None:
                if plan.component[target] != home:
                    return self._both(run, self.of(target, low), target, other, low)
                key = other * len(plan.terms) + target
                known = lows.get(key)
                return None if known is None else Fixed(known, highs[key])

            def leaf(term: Term, other: int) -> Fixed[bool]:
                surely = self.part(term, low)(run, other)
                return Fixed(surely, self.part(term, low.subtracted())(run, other))

            grounding = Grounding(
                run.view,
                plan.terms,
                _BOOLEANS,
                leaf,
                outside,
                run.spend,
                conditional=self._conditional,
                guard=lambda kind, at, other: run.guard(kind, at, other, low),
            )
            values = solve(grounding.ground(number, node), _BOOLEANS, run.spend)
            for (name, other, part), value in values.items():
                if part == 0:
                    key = other * len(plan.terms) + name
                    lows[key], highs[key] = value.low, value.high

        memory = high_memory if reading.undefined else low_memory

        def tangled(run: Run, node: int) -> bool:
            key = node * len(plan.terms) + number
            if key not in run.known_to(memory):
                solve_at(run, node)
            return run.known_to(memory)[key]

        return tangled

    def _both(self, run: Run, function: Check, number: int, node: int, low: Reading) -> Fixed[bool]:
        """A name at a node in a reading and in the one of what that subtracts."""
        answer = function(run, node)
        if number not in self._plan.undefinable and number not in self._plan.uncertain:
            return Fixed(answer, answer)
        return Fixed(answer, self.of(number, low.subtracted())(run, node))

    def _memories(self, component: int, low: Reading) -> tuple[int, int]:
        """Where a tangled component's answers are known, in a reading and in its opposite."""
        base = -4 * component - 2 * low.unknown
        return base - 1, base - 2


_BOOLEANS = Booleans()
_SAME_NODE = -1
_LoopEdge = tuple[int, int, bool]
"""A kind to follow, the member that it leads to, and whether the kind is conditional."""

_MANY_CALLS = 16
"""From how many names on, asked for at one node, asking once is worth remembering the answer."""
WIDE = 32
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


def _direct_if(kind: int, unknown: bool) -> Check:
    def direct(run: Run, node: int) -> bool:
        subjects = run.forward[kind].get(node)
        return (
            subjects is not None
            and run.subject in subjects
            and run.holds(kind, node, run.subject, unknown)
        )

    return direct


def _public_if(kind: int, unknown: bool) -> Check:
    def public(run: Run, node: int) -> bool:
        wildcards = run.forward[kind].get(node) or ()
        return any(run.holds(kind, node, wildcard, unknown) for wildcard in wildcards)

    return public


def _public(kind: int) -> Check:
    def public(run: Run, node: int) -> bool:
        return run.forward[kind].get(node) is not None

    return public


def _every(steps: Sequence[tuple[int, Check | None, Closure | None, bool]]) -> Check:
    """For each kind the target, a closure that it lies in, and whether it is that closure."""

    def every(run: Run, node: int) -> bool:
        found = False
        for kind, target, bound, is_bound in steps:
            others = run.forward[kind].get(node)
            if others is None:
                continue
            if target is None:
                return False
            found = True
            if len(others) >= WIDE and bound is not None:
                held = bound.held(run)
                if held is not None and not held.issuperset(others):
                    return False
                if held is not None and is_bound:
                    continue
            for other in run.follow(others):
                if not target(run, other):
                    return False
        return found

    return every


def _every_if(
    steps: Sequence[tuple[int, Check | None]], conditional: Collection[int], unknown: bool
) -> Check:
    def every(run: Run, node: int) -> bool:
        found = False
        for kind, target in steps:
            for other in run.follow(run.forward[kind].get(node) or ()):
                if kind in conditional and not run.is_there(kind, node, other):
                    continue
                if target is None or not target(run, other):
                    return False
                if kind in conditional and not run.holds(kind, node, other, unknown):
                    return False
                found = True
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
        return others is not None and search(run, run.follow(others))

    return through


def _through_plain(kind: int, of: Callable[[int], Check], target: int, search: Check) -> Check:
    """As `Checks._through`, for a plain name, by what is remembered of each related object."""

    def through(run: Run, node: int) -> bool:
        others = run.forward[kind].get(node)
        if others is None:
            return False
        if run.memory is None or len(others) > WIDE:
            return search(run, node)
        run.spend(len(others))
        check = of(target)
        return any(check(run, other) for other in others)

    return through


def _through_if(kind: int, target: Check, unknown: bool) -> Check:
    """As `Checks._through`, over relationships that may not hold."""

    def through(run: Run, node: int) -> bool:
        others = run.follow(run.forward[kind].get(node) or ())
        return any(target(run, other) and run.holds(kind, node, other, unknown) for other in others)

    return through


def _through_search_if(kind: int, search: Search, unknown: bool) -> Check:
    """As `_through_search`, over relationships that may not hold."""

    def through(run: Run, node: int) -> bool:
        others = run.follow(run.forward[kind].get(node) or ())
        return search(run, [other for other in others if run.holds(kind, node, other, unknown)])

    return through


def _from_one(search: Search) -> Check:
    return lambda run, node: search(run, (node,))


def _search(
    entry: int,
    size: int,
    leaves: Sequence[Sequence[Check]],
    edges: Sequence[Sequence[_LoopEdge]],
    memory: int,
    unknown: bool,
) -> Search:
    """Search from one member at some nodes: true as soon as any leaf met is true.

    A search that ends without one has met everything that could make any node it met true, so
    all of them are known to be false. One that finds a leaf knows little of the nodes it met. A
    check seldom asks again after that; from then on a run searches thoroughly.
    """
    settle = _thorough(size, leaves, edges, unknown)

    def search(run: Run, starts: Iterable[int]) -> bool:
        known = run.known_to(memory)
        if memory in run.fruitful:
            return any(settle(run, start * size + entry, known) for start in starts)
        stack = [key for start in starts if (key := start * size + entry) not in known]
        seen = set(stack)
        while stack:
            node, member = divmod(stack.pop(), size)
            for leaf in leaves[member]:
                if leaf(run, node):
                    run.fruitful.add(memory)
                    return True
            for kind, target, conditional in edges[member]:
                others = (node,) if kind == _SAME_NODE else run.forward[kind].get(node)
                if others is None:
                    continue
                for other in run.follow(others):
                    key = other * size + target
                    if key not in seen and key not in known:
                        if conditional and not run.holds(kind, node, other, unknown):
                            continue
                        seen.add(key)
                        stack.append(key)
        known.update(dict.fromkeys(seen, False))
        return False

    return search


def _thorough(
    size: int,
    leaves: Sequence[Sequence[Check]],
    edges: Sequence[Sequence[_LoopEdge]],
    unknown: bool,
) -> Callable[[Run, int, dict[int, bool]], bool]:
    """Search from one node, depth first, so that every node met is known when the search ends.

    Nodes that lead to each other are found as Gabow does it ("Path-based depth-first search for
    strong and biconnected components", 2000); they are false when all is that they lead to. All
    nodes that are met and not known lead to the one that is looked at: if it is true, they are.
    """

    def ahead_of(run: Run, key: int, known: Mapping[int, bool]) -> list[int] | None:
        """The nodes that one leads to and that are not known to be false; None if it is true."""
        node, member = divmod(key, size)
        if any(leaf(run, node) for leaf in leaves[member]):
            return None
        ahead: list[int] = []
        for kind, target, conditional in edges[member]:
            others = (node,) if kind == _SAME_NODE else run.forward[kind].get(node) or ()
            for other in run.follow(others):
                answer = known.get(other * size + target)
                if answer is False or (conditional and not run.holds(kind, node, other, unknown)):
                    continue
                if answer:
                    return None
                ahead.append(other * size + target)
        return ahead

    def settle(run: Run, start: int, known: dict[int, bool]) -> bool:
        if start in known:
            return known[start]
        met: list[int] = []  # and not known yet
        places: dict[int, int] = {}
        bounds: list[int] = []  # places in `met`, from each of which on nodes lead to each other
        way: list[tuple[int, list[int]]] = [(-1, [start])]
        while way:
            place, ahead = way[-1]
            if not ahead:
                way.pop()
                if bounds and bounds[-1] == place:
                    bounds.pop()
                    known.update(dict.fromkeys(met[place:], False))
                    del met[place:]
                continue
            key = ahead.pop()
            if key in known:  # and false: what is true ends the search
                continue
            if key in places:
                while bounds[-1] > places[key]:
                    bounds.pop()
                continue
            further = ahead_of(run, key, known)
            if further is None:
                known.update(dict.fromkeys((*met, key), True))
                return True
            place = places[key] = len(met)
            bounds.append(place)
            way.append((place, further))
            met.append(key)
        return False

    return settle
