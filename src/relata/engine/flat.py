"""Plain names, whose checks take a few look-ups however deep the data is nested.

A name is *plain* where all that it leads to are unions of relationships that hold always. For those
two things are found once and remembered (`memory.py`), as Zanzibar's Leopard index flattens groups
(Pang and others, "Zanzibar", 2019, section 3.2.4):

- a *closure*: of a subject, all the nodes that it is in by a userset's name (`group#member`): the
  groups that it is in, by way of other groups too;
- a *flat*: of a node, all the subjects and usersets that are written at it and at whatever its
  arrows lead to: everybody who views a document, its folder or a folder above that.

A check looks for its subject in the flat, and for a common element of the flat's usersets and the
subject's closure. What is asked about for the first time has no flat yet; its relationships are
looked at, and the flats of what its arrows lead to.

What takes part in none of that falls back to the function that follows every relationship: views
that differ from the graph in a kind that matters, and nodes that lead to too much to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from relata.engine.memory import Memory, Tables
from relata.engine.plan import (
    AllOf,
    AnyOf,
    Call,
    Direct,
    Minus,
    Plan,
    Public,
    Same,
    Term,
    Through,
)
from relata.graph import Adjacency, Touched, View
from relata.relationships import WILDCARD

if TYPE_CHECKING:
    from relata.engine.check import Check, Run

_MOST_RELATED = 1_000
"""Related objects that a check looks at one by one."""
_MOST_IN_A_FLAT = 256
"""Subjects and usersets in a flat, and nodes that one is made from."""
_MOST_IN_A_CLOSURE = 50_000
_MOST_CALLS = 16
"""Names that a check by memory alone asks for at one node."""
_MOST_ASKED = 250_000
"""Nodes in a table, of some of which it is only known that they have been asked about."""
_FLAT_STEPS = 20
"""What making a flat costs of a question's budget, beside the relationships it follows."""
_MOST_FORGOTTEN = 2_000
"""Nodes that a write looks at to forget their flats, before it forgets all of them."""
_MOST_LOOKED_THROUGH = 5_000
"""Closures that a write looks through for those that it changes, before it forgets all of them."""


class NotRememberedError(Exception):
    """Something is not remembered, or is too much to be."""


class _TooWide(frozenset[int]):
    """In the place of what is too much to be remembered."""

    def __contains__(self, node: object) -> bool:
        raise NotRememberedError

    def isdisjoint(self, other: Iterable[object]) -> bool:  # noqa: ARG002  a set's signature
        raise NotRememberedError


class _Everybody(frozenset[int]):
    """The subjects of a node that has a wildcard."""

    def __contains__(self, node: object) -> bool:
        return True


class Flat(NamedTuple):
    """Who is written at a node and at what it leads to."""

    subjects: Collection[int]
    usersets: tuple[tuple[Closure, Collection[int]], ...]


Held = frozenset[int]
"""The nodes that a subject is in."""

_NOBODY: Held = frozenset()
_TOO_WIDE = _TooWide()
_TOO_WIDE_FLAT = Flat(_TOO_WIDE, ())
_PUBLIC_FLAT = Flat(_Everybody(), ())
_ASKED_ONCE = Flat((), ())
"""In the place of a flat that the next question makes: what is asked once may never be again."""


class Closure:
    """Which nodes a subject is in, by one name."""

    def __init__(self, plan: Plan, number: int, table: int) -> None:
        self._plan = plan
        self.number = number
        self.table = table
        self.kinds: set[int] = set()
        self._directs: list[tuple[int, int]] = []
        self._publics: list[tuple[int, int]] = []
        self._same: list[int] = []
        self._back: dict[int, list[tuple[int, int | None]]] = {}
        self._through: dict[int, set[int]] = {}
        self._read(number, set())

    def _read(self, number: int, seen: set[int]) -> None:
        seen.add(number)
        for term in _parts(self._plan.terms[number]):
            match term:
                case Direct(kind):
                    self._directs.append((number, kind))
                    self.kinds.add(kind)
                case Public(kind):
                    self._publics.append((number, kind))
                    self.kinds.add(kind)
                case Same():
                    self._same.append(number)
                case Call(target):
                    self._back.setdefault(target, []).append((number, None))
                    if target not in seen:
                        self._read(target, seen)
                case Through(kind, target):
                    self._back.setdefault(target, []).append((number, kind))
                    self._through.setdefault(kind, set()).add(target)
                    self.kinds.add(kind)
                    if target not in seen:
                        self._read(target, seen)

    def held(self, run: Run) -> Held | None:
        """The nodes that the run's subject is in; None where there are too many, or where the
        run's view is not what is remembered."""
        if run.memory is None or (run.changes and not run.changes.isdisjoint(self.kinds)):
            return None
        held = run.memory.tables[self.table].get(run.subject)
        if held is None:
            try:
                held = self.of(run)
            except NotRememberedError:
                return None
        return None if held is _TOO_WIDE else held

    def of(self, run: Run | None) -> Held:
        """Find which nodes the run's subject is in, and remember it.

        Raises NotRememberedError where there is no run, and where a write has overtaken it.
        """
        if run is None or run.memory is None:
            raise NotRememberedError
        memory, found = run.memory, self._find(run)
        if run.memory is None:
            raise NotRememberedError
        held: Held = _TOO_WIDE if found is None else frozenset(found) if found else _NOBODY
        memory.keep(self.table, run.subject, held, len(held), run.recall.sequence)
        return held

    def _find(self, run: Run) -> set[int] | None:
        reverse, subject = run.view.reverse, run.subject
        found: dict[int, set[int]] = {}
        pending: list[tuple[int, Collection[int]]] = [
            (number, nodes)
            for number, kind in self._directs
            if (nodes := reverse[kind].get(subject))
        ]
        everybody = run.view.known_node(f"{self._plan.subject_type}:{WILDCARD}")
        if everybody is not None:
            pending += [
                (number, nodes)
                for number, kind in self._publics
                if (nodes := reverse[kind].get(everybody))
            ]
        text = run.view.text(subject)
        pending += [(number, (subject,)) for number in self._same if self._is_of(number, text)]
        while pending:
            number, nodes = pending.pop()
            if len(nodes) > _MOST_IN_A_CLOSURE:
                return None
            run.spend(len(nodes))
            known = found.setdefault(number, set())
            new = [node for node in nodes if node not in known]
            if not new:
                continue
            known.update(new)
            if len(known) > _MOST_IN_A_CLOSURE:
                return None
            for source, through in self._back.get(number, ()):
                if through is None:
                    pending.append((source, new))
                    continue
                back = reverse[through]
                pending += [(source, others) for node in new if (others := back.get(node))]
        return found.get(self.number, set())

    def _is_of(self, number: int, text: str) -> bool:
        return text.partition(":")[0] == self._plan.numbering.names[number][0]

    def forget(self, memory: Memory, kind: int, touched: Touched) -> None:
        """Forget what a change of relationships of a kind may have made untrue."""
        if kind not in self.kinds:
            return
        held_by = memory.tables[self.table]
        if any(kind == public for _, public in self._publics):
            memory.tables.drop(self.table)
            return
        if any(kind == direct for _, direct in self._directs):
            for _, subject in touched:
                held_by.pop(subject, None)
        targets = self._through.get(kind)
        if targets is None:
            return
        if targets != {self.number} or len(held_by) > _MOST_LOOKED_THROUGH:
            memory.tables.drop(self.table)
            return
        within = {subject for _, subject in touched}
        for subject, held in list(held_by.items()):
            if held is _TOO_WIDE or not held.isdisjoint(within):
                del held_by[subject]


class State:
    """What a plain name reads of a node, through the names that it calls there."""

    def __init__(self, number: int, table: int) -> None:
        self.number = number
        self.table = table
        self.is_same = False
        self.directs: list[int] = []
        self.publics: list[int] = []
        self.usersets: list[tuple[int, Closure]] = []
        self.edges: list[tuple[int, State]] = []
        self.sources: list[tuple[int, State]] = []
        """The states that have an edge to this one, with its kind."""

    def flat(self, run: Run | None, node: int) -> Flat:
        """Find who is written at a node and at what it leads to, and remember it.

        Raises NotRememberedError where there is no run, and where a write has overtaken it.
        """
        if run is None or run.memory is None:
            raise NotRememberedError
        memory = run.memory
        run.spend(_FLAT_STEPS)
        found = self._find(run, memory, node)
        if run.memory is None:
            raise NotRememberedError
        size = len(found.subjects) + sum(len(nodes) for _, nodes in found.usersets)
        memory.keep(self.table, node, found, size, run.recall.sequence)
        return found

    def _find(self, run: Run, memory: Memory, start: int) -> Flat:
        written = _Written(run)
        pending: list[tuple[State, int]] = [(self, start)]
        seen = {(self.table, start)}
        try:
            while pending:
                state, node = pending.pop()
                known = memory.tables[state.table].get(node)
                if known is not None and known is not _ASKED_ONCE:
                    written.add_flat(known)
                    continue
                for kind, target in written.add(state, node):
                    for other in written.at(kind, node):
                        if (target.table, other) not in seen:
                            seen.add((target.table, other))
                            pending.append((target, other))
                if len(seen) > _MOST_IN_A_FLAT:
                    return _TOO_WIDE_FLAT
        except NotRememberedError:
            return _TOO_WIDE_FLAT
        return written.flat()


class _Written:
    """Subjects and usersets collected into a flat. Raises NotRememberedError at too many."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._is_public = False
        self._subjects: set[int] = set()
        self._usersets: dict[Closure, set[int]] = {}

    def add(self, state: State, node: int) -> list[tuple[int, State]]:
        """Take in what a state reads of a node itself; return its edges."""
        if state.is_same:
            self._subjects.add(node)
        self._is_public = self._is_public or any(self.at(kind, node) for kind in state.publics)
        for kind in state.directs:
            self._collect(self._subjects, self.at(kind, node))
        for kind, closure in state.usersets:
            if others := self.at(kind, node):
                self._collect(self._usersets.setdefault(closure, set()), others)
        return state.edges

    def add_flat(self, flat: Flat) -> None:
        """Take in what is known of a node."""
        if flat is _PUBLIC_FLAT:
            self._is_public = True
            return
        if isinstance(flat.subjects, _TooWide | _Everybody):
            raise NotRememberedError
        self._collect(self._subjects, flat.subjects)
        for closure, nodes in flat.usersets:
            self._collect(self._usersets.setdefault(closure, set()), nodes)

    def at(self, kind: int, node: int) -> Collection[int]:
        """The related objects of a node."""
        others = self._run.forward[kind].get(node) or ()
        if len(others) > _MOST_IN_A_FLAT:
            raise NotRememberedError
        self._run.spend(len(others))
        return others

    def _collect(self, into: set[int], nodes: Collection[int]) -> None:
        into.update(nodes)
        if len(into) > _MOST_IN_A_FLAT:
            raise NotRememberedError

    def flat(self) -> Flat:
        """All of it."""
        if self._is_public:
            return _PUBLIC_FLAT
        return Flat(
            _collected(self._subjects),
            tuple((closure, _collected(nodes)) for closure, nodes in self._usersets.items()),
        )


def within(nodes: Collection[int], held: Held) -> Collection[int]:
    """Those of the nodes that are held."""
    if isinstance(nodes, tuple) or len(nodes) < len(held):
        return [node for node in nodes if node in held]
    return [node for node in held if node in nodes]


def _collected(nodes: set[int]) -> Collection[int]:
    return tuple(nodes) if len(nodes) <= 8 else frozenset(nodes)


ByMemory = Callable[[Sequence[Adjacency], Tables, int, int, "Run | None"], bool]
"""A check by forward adjacency, tables, subject and node. What is not remembered is found by the
run; where there is none, NotRememberedError is raised."""


def _remembering(state: State) -> ByMemory:
    is_same, directs, publics = state.is_same, tuple(state.directs), tuple(state.publics)
    usersets = tuple((kind, closure, closure.table) for kind, closure in state.usersets)
    edges = tuple((kind, target, target.table) for kind, target in state.edges)
    own_table, is_worth_it = state.table, bool(usersets or edges)

    def check(
        forward: Sequence[Adjacency], tables: Tables, subject: int, node: int, run: Run | None
    ) -> bool:
        held: Held | None
        if is_worth_it:
            known = tables[own_table]
            flat = known.get(node)
            if flat is _ASKED_ONCE:
                flat = state.flat(run, node)
            if flat is None:
                if len(known) > _MOST_ASKED:
                    tables.drop(own_table)
                known[node] = _ASKED_ONCE
            elif flat is not _TOO_WIDE_FLAT:
                subjects, sets = flat
                if subject in subjects:
                    return True
                for closure, written in sets:
                    held = tables[closure.table].get(subject)
                    if held is None:
                        held = closure.of(run)
                    if not held.isdisjoint(written):
                        return True
                return False
        for kind in directs:
            others = forward[kind].get(node)
            if others is not None and subject in others:
                return True
        if is_same and node == subject:
            return True
        for kind in publics:
            if forward[kind].get(node) is not None:
                return True
        for kind, closure, table in usersets:
            others = forward[kind].get(node)
            if others is not None:
                held = tables[table].get(subject)
                if held is None:
                    held = closure.of(run)
                if not held.isdisjoint(others):
                    return True
        for kind, target, table in edges:
            others = forward[kind].get(node)
            if others is None:
                continue
            if len(others) > _MOST_RELATED:
                raise NotRememberedError
            flats = tables[table]
            # As above, and written out again: this is where a check spends its time.
            for other in others:
                flat = flats.get(other)
                if flat is None or flat is _ASKED_ONCE:
                    flat = target.flat(run, other)
                subjects, sets = flat
                if subject in subjects:
                    return True
                for closure, written in sets:
                    held = tables[closure.table].get(subject)
                    if held is None:
                        held = closure.of(run)
                    if not held.isdisjoint(written):
                        return True
        return False

    return check


def _direct_by_memory(kind: int) -> ByMemory:
    def check(
        forward: Sequence[Adjacency], _tables: Tables, subject: int, node: int, _run: Run | None
    ) -> bool:
        others = forward[kind].get(node)
        return others is not None and subject in others

    return check


def _combined(
    combine: Callable[..., ByMemory], parts: Iterable[ByMemory | None]
) -> ByMemory | None:
    made = list(parts)
    return None if None in made else combine(*made)


def _any(*parts: ByMemory) -> ByMemory:
    return lambda *asked: any(part(*asked) for part in parts)


def _all(*parts: ByMemory) -> ByMemory:
    return lambda *asked: all(part(*asked) for part in parts)


def _minus(base: ByMemory, subtracted: ByMemory) -> ByMemory:
    return lambda *asked: base(*asked) and not subtracted(*asked)


class Flats:
    """The plain names of one plan, and what is remembered of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._closures: dict[int, Closure] = {}
        self._states: dict[int, State] = {}
        self._bounds: dict[int, Closure | None] = {}

    def check(self, number: int, following: Check) -> Check:
        """The function that checks a plain name; `following` follows every relationship."""
        state = self._state(number)
        kinds, remembering = self._kinds(state), _remembering(state)

        def check(run: Run, node: int) -> bool:
            memory = run.memory
            if memory is None or (run.changes and not run.changes.isdisjoint(kinds)):
                return following(run, node)
            try:
                return remembering(run.forward, memory.tables, run.subject, node, run)
            except NotRememberedError:
                return following(run, node)

        return check

    def written(self, run: Run, number: int, node: int) -> Flat | None:
        """Who is written at a node, and at what it leads to, for a plain name.

        None for any other name, and where there is too much, or everybody, or the run's view is not
        what is remembered.
        """
        if number not in self._plan.plain or run.memory is None:
            return None
        state = self._state(number)
        if run.changes and not run.changes.isdisjoint(self._kinds(state)):
            return None
        flat = run.memory.tables[state.table].get(node)
        if flat is None or flat is _ASKED_ONCE:
            try:
                flat = state.flat(run, node)
            except NotRememberedError:
                return None
        return None if flat is _TOO_WIDE_FLAT or flat is _PUBLIC_FLAT else flat

    def by_memory(self, number: int) -> ByMemory | None:
        """The function that checks a name by what is remembered alone; None for a name that
        follows relationships to others than plain names, or comes back to itself."""
        plan = self._plan
        if number in plan.plain:
            return _remembering(self._state(number))
        if number in plan.tangled or number in plan.looping or number in plan.conditional:
            return None
        if plan.calls(number) > _MOST_CALLS:  # names that name each other twice make ever more
            return None
        return self._term_by_memory(plan.terms[number])

    def _term_by_memory(self, term: Term) -> ByMemory | None:
        match term:
            case Direct(kind):
                return _direct_by_memory(kind)
            case Call(target):
                return self.by_memory(target)
            case AnyOf(children):
                return _combined(_any, map(self._term_by_memory, children))
            case AllOf(children):
                return _combined(_all, map(self._term_by_memory, children))
            case Minus(base, subtracted):
                return _combined(_minus, map(self._term_by_memory, (base, subtracted)))
            case _:
                return None

    def bound(self, number: int) -> Closure | None:
        """The closure of a plain name which a subject is in wherever it is in this name."""
        if number not in self._bounds:
            self._bounds[number] = self._find_bound(number)
        return self._bounds[number]

    def _find_bound(self, number: int) -> Closure | None:
        if number in self._plan.plain:
            return self._closure(number)
        if number in self._plan.tangled or number in self._plan.looping:
            return None
        return self._bound(self._plan.terms[number])

    def _bound(self, term: Term) -> Closure | None:
        match term:
            case Call(target):
                return self.bound(target)
            case AnyOf((child,)):
                return self._bound(child)
            case AllOf(children):
                found = (self._bound(child) for child in children)
                return next((closure for closure in found if closure is not None), None)
            case Minus(base, _):
                return self._bound(base)
            case _:
                return None

    def forget(self, memory: Memory, view: View, touched: Mapping[int, Touched]) -> None:
        """Forget what changed relationships, by kind, may have made untrue."""
        for closure in list(self._closures.values()):
            for kind, edges in touched.items():
                closure.forget(memory, kind, edges)
        states = list(self._states.values())
        pending: list[tuple[State, int]] = []
        for state in states:
            for kind, edges in touched.items():
                if kind in _own_kinds(state):
                    pending += [(state, resource) for resource, _ in edges]
        if not self._forget_above(memory, view, pending):
            for state in states:
                memory.tables.drop(state.table)

    def _forget_above(self, memory: Memory, view: View, pending: list[tuple[State, int]]) -> bool:
        """Forget the flats of nodes and of all that lead to them; whether they are few enough."""
        seen = {(state.table, node) for state, node in pending}
        while pending:
            if len(seen) > _MOST_FORGOTTEN:
                return False
            state, node = pending.pop()
            memory.tables[state.table].pop(node, None)
            for kind, source in state.sources:
                others = view.reverse[kind].get(node) or ()
                if len(others) > _MOST_FORGOTTEN:
                    return False
                for other in others:
                    key = (source.table, other)
                    if key not in seen:
                        seen.add(key)
                        pending.append((source, other))
        return True

    def _state(self, number: int) -> State:
        state = self._states.get(number)
        if state is None:
            state = self._states[number] = State(number, self._next_table())
            self._read(state, number, set())
        return state

    def _read(self, state: State, number: int, seen: set[int]) -> None:
        seen.add(number)
        for term in _parts(self._plan.terms[number]):
            match term:
                case Direct(kind):
                    state.directs.append(kind)
                case Public(kind):
                    state.publics.append(kind)
                case Same():
                    state.is_same = True
                case Call(target):
                    if target not in seen:
                        self._read(state, target, seen)
                case Through(kind, target) if self._is_userset(kind, target):
                    state.usersets.append((kind, self._closure(target)))
                case Through(kind, target):
                    ahead = self._state(target)
                    state.edges.append((kind, ahead))
                    ahead.sources.append((kind, state))

    def _is_userset(self, kind: int, target: int) -> bool:
        numbering = self._plan.numbering
        relation = numbering.kinds[kind].subject_relation
        return bool(relation) and numbering.names[target][1] == relation

    def _closure(self, number: int) -> Closure:
        closure = self._closures.get(number)
        if closure is None:
            closure = self._closures[number] = Closure(self._plan, number, self._next_table())
        return closure

    def _next_table(self) -> int:
        return next(self._plan.numbering.tables)

    def _kinds(self, state: State) -> frozenset[int]:
        kinds: set[int] = set()
        seen: set[int] = set()
        pending = [state]
        while pending:
            state = pending.pop()
            if state.number not in seen:
                seen.add(state.number)
                kinds |= _own_kinds(state)
                kinds.update(*(closure.kinds for _, closure in state.usersets))
                pending += [target for _, target in state.edges]
        return frozenset(kinds)


def _own_kinds(state: State) -> set[int]:
    return {
        *state.directs,
        *state.publics,
        *(kind for kind, _ in state.usersets),
        *(kind for kind, _ in state.edges),
    }


def _parts(term: Term) -> Iterable[Term]:
    if isinstance(term, AnyOf):
        for child in term.children:
            yield from _parts(child)
    else:
        yield term
