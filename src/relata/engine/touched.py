"""What a change of relationships can touch: whose answers, and which of them.

Whoever keeps answers (a token is a list of them) wants to know which ones a write has changed,
without asking all of them again. A `Watch` knows, for subjects of one type and some names of the
schema, what their answers read. Of the relationships that a write added or removed it says

- *whom* they can touch: an upper bound, found by walking down from the changed relationship's
  subject over the plan, with everything counted that could make an answer true: all of a union,
  the base of an exclusion, and of an intersection that part which leads to the fewest. An
  intersection that holds the changed relationship bounds it as well, by its other parts;
- *which* answers they can touch: walking up from the changed relationship's resource;
- whether a subject *notices* one of them, in the state after the change.

Relations that exist only for a question (`organization#chosen_by`) are true of whoever asks with
them: a walk that comes to one says so, and who that is, is known to who keeps the answers.

Why nothing is missed. Both states, before and after the write, are read as equations between names
at nodes, which differ only by the changed relationships. The walk is made in a view that has the
relationships of both states, and takes every relationship to hold, whatever its caveat and its
expiration say. So for a subject that it does not reach, the changed relationship leads to something
that is false in both states, or stands in an intersection that is; the equations without it have
the same solution as either state, and no answer differs, at any moment.

Noticing is asked of the state after the write alone: does a changed relationship lead to something
that is, or may be, true of the subject? If none does, the state after has the same answers without
them; and to add those that were removed to that state changes nothing either, since what they lead
to is false there. That holds for least solutions, stratum by stratum; where an exclusion goes round
in a circle, or a changed relationship is one of an `.all()`, everybody is taken to notice it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from relata.engine.check import Checks, Run
from relata.engine.conditions import Conditions
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
from relata.engine.reading import HOPEFULLY
from relata.engine.unknown import missing_context
from relata.graph import Edge, View

WALK_STEPS = 20_000
"""What finding whom one relationship touches may cost: names asked for, relationships followed,
answers found."""
_PART_STEPS = 5_000
"""What trying one part of an intersection may cost of it."""
_MOST_ANSWERS = 1_000
"""How many names at nodes are followed upwards, from all changed relationships together."""

_BY_NAME = -1
_NOTHING: frozenset[int] = frozenset()

Weigh = Callable[[int | None, str], int]
"""How many answers there are of whoever asks with a question-only relationship, by its kind and
resource; without a kind, of a subject."""


class Whom(NamedTuple):
    """Whose answers can be touched, at most."""

    subjects: frozenset[str]
    """Objects by their text, `user:anne`."""
    asking: frozenset[tuple[int, str]]
    """Whoever asks with a question-only relationship of this kind, at this resource."""


class Leads(NamedTuple):
    """What the relationships of a kind lead to, wherever the watched names read it."""

    is_direct: bool
    """To the subject itself."""
    is_always_noticed: bool
    """To everybody, or to a part of an `.all()`."""
    targets: frozenset[int]
    """To these names of the related object."""


class _Reads(NamedTuple):
    """What a term reads of its own node, through the names that it calls there."""

    kinds: frozenset[int]
    steps: frozenset[tuple[int | None, int]]
    """The names that it needs: by a kind, of a related object; without one, of the node."""


class Watch:
    """What the answers to some names read, for subjects of one type.

    `asked` are the kinds of relationships that come only with a question, each of them speaking of
    who asks. Nothing stored of them is in the views.
    """

    def __init__(
        self, plan: Plan, checks: Checks, names: Iterable[int], asked: Iterable[int]
    ) -> None:
        self.plan = plan
        self.checks = checks
        self.names = frozenset(names)
        self.asked = frozenset(asked)
        self._reads: dict[int, _Reads] = {}
        self._below: dict[int, frozenset[int]] = {}
        relevant = frozenset[int]().union(*(self._reach(name) for name in self.names))
        self._readers: dict[int, list[int]] = {}
        self._sources: dict[int, list[tuple[int | None, int]]] = {}
        for entry in sorted(self._entries(relevant)):
            reads = self.reads(entry)
            for kind in reads.kinds - self.asked:
                self._readers.setdefault(kind, []).append(entry)
            for step, target in reads.steps:
                self._sources.setdefault(target, []).append((step, entry))
        self._leads = {kind: self._leading(kind, relevant) for kind in self._readers}
        self._is_circular = not plan.undefinable.isdisjoint(relevant)
        self._public = {number for number in relevant if _is_public(plan.terms[number])}

    def relevant(self, edges: Iterable[Edge]) -> list[Edge]:
        """Those of some relationships that an answer could read."""
        return [edge for edge in edges if edge.kind in self._readers]

    def whom(self, view: View, edge: Edge, weigh: Weigh) -> Whom | None:
        """Whose answers a changed relationship can touch; None for possibly everybody's.

        The view has the relationships of the state before the change and of the one after.
        """
        walk = _Walk(self, view, weigh)
        try:
            for entry in self._readers[edge.kind]:
                walk.read(entry, edge)
        except (_TooManyError, RecursionError):
            return None
        return walk.whom()

    def answers(self, view: View, edges: Iterable[Edge]) -> frozenset[tuple[Name, str]] | None:
        """Which answers changed relationships can touch: watched names, each of an object.

        None where they are too many to list. The view is that of the state after the change: a
        way up over a relationship that was removed goes on from that one's own resource.
        """
        seen = {(entry, view.node(e.resource)) for e in edges for entry in self._readers[e.kind]}
        pending = list(seen)
        while pending:
            if len(seen) > _MOST_ANSWERS:
                return None
            number, node = pending.pop()
            for kind, source in self._sources.get(number, ()):
                if kind in self.asked:
                    return None
                nodes = (node,) if kind is None else view.reverse[kind].get(node) or ()
                new = {(source, other) for other in nodes} - seen
                seen |= new
                pending.extend(new)
        text, names = view.text, self.plan.numbering.names
        return frozenset((names[name], text(node)) for name, node in seen if name in self.names)

    def is_noticed(self, asker: Asker, edge: Edge) -> bool:
        """Whether a changed relationship leads to what is true of the asker, or may be.

        The asker's view is that of the state after the change. Raises LimitExceededError.
        """
        leads = self._leads[edge.kind]
        if leads.is_always_noticed or self._is_circular:
            return True
        node = asker.node(edge.subject)
        if leads.is_direct and node == asker.run.subject:
            return True
        return any(self.checks.of(name, HOPEFULLY)(asker.run, node) for name in leads.targets)

    # What is read

    def reads(self, number: int) -> _Reads:
        """What a name reads of its own node."""
        reads = self._reads.get(number)
        if reads is None:
            reads = self._reads[number] = self._term_reads(self.plan.terms[number], number)
        return reads

    def reads_kind(self, term: Term, number: int, kind: int) -> bool:
        """Whether a part of a name's term reads a kind of its own node."""
        return kind in self._term_reads(term, number).kinds

    def is_unfolded(self, number: int, target: int) -> bool:
        """Whether a name that another calls is read as a part of it.

        Names that need each other are not: each is watched on its own account.
        """
        return self.plan.component[number] != self.plan.component[target]

    def _term_reads(self, term: Term, number: int) -> _Reads:
        match term:
            case Call(target):
                if self.is_unfolded(number, target):
                    return self.reads(target)
                return _Reads(_NOTHING, frozenset({(None, target)}))
            case Through(kind, target):
                return _Reads(frozenset({kind}), frozenset({(kind, target)}))
            case AnyOf(children) | AllOf(children):
                return _joined([self._term_reads(child, number) for child in children])
            case Minus(base, subtracted):
                return _joined([self._term_reads(part, number) for part in (base, subtracted)])
            case _:
                return _Reads(
                    frozenset(kinds_read(term)),
                    frozenset((kind, target) for kind, target in _steps(term)),
                )

    def _entries(self, relevant: Iterable[int]) -> set[int]:
        """The names that are not read as a part of others alone."""
        entries = set(self.names)
        for number in relevant:
            for kind, target in self._term_reads(self.plan.terms[number], number).steps:
                if kind is not None or not self.is_unfolded(number, target):
                    entries.add(target)
        return entries

    def _leading(self, kind: int, relevant: Iterable[int]) -> Leads:
        leaves = [
            leaf
            for number in relevant
            for leaf in _leaves(self.plan.terms[number])
            if kind in kinds_read(leaf)
        ]
        return Leads(
            any(isinstance(leaf, Direct) for leaf in leaves),
            any(isinstance(leaf, Public | Every) for leaf in leaves),
            frozenset(leaf.target for leaf in leaves if isinstance(leaf, Through)),
        )

    # Which part of an intersection to try first

    def dearness(self, term: Term) -> tuple[bool, int]:
        """Whether a term may lead to everybody, and from how many names it is made."""
        names = frozenset[int]().union(*(self._reach(target) for target, _ in references(term)))
        return _is_public(term) or not names.isdisjoint(self._public), len(names)

    def _reach(self, number: int) -> frozenset[int]:
        """A name and all that it is made from."""
        known = self._below.get(number)
        if known is not None:
            return known
        seen, pending = {number}, [number]
        while pending:
            new = {target for target, _ in references(self.plan.terms[pending.pop()])} - seen
            seen |= new
            pending.extend(new)
        self._below[number] = reach = frozenset(seen)
        return reach


class Asker:
    """One subject's answers to watched names, in a view, at a moment.

    The view has the relationships that come with the subject's questions; `moment` is in
    microseconds since the epoch.
    """

    def __init__(self, watch: Watch, view: View, subject: str, *, moment: int, steps: int) -> None:
        conditions = Conditions(watch.plan.numbering.caveats, {}, moment)
        self._watch = watch
        self.run = Run(view, view.node(subject), steps, conditions)

    def node(self, text: str) -> int:
        """The node of an object."""
        return self.run.view.node(text)

    def is_allowed(self, number: int, resource: str) -> bool:
        """Whether the subject is in a name of an object, as a check answers it.

        Raises CaveatFailedError, ContextError and LimitExceededError.
        """
        checks, run, node = self._watch.checks, self.run, self.node(resource)
        if checks.of(number)(run, node):
            return True
        if run.met_unknown and checks.of(number, HOPEFULLY)(run, node):
            missing_context(self._watch.plan, checks, run, number, node)  # raises what has failed
        return False


class _TooManyError(Exception):
    """A walk costs more than it may, or has come to everybody."""


class _Walk:
    """Down from changed relationships, to everybody of whom what they lead to could be true.

    What was seen and found is kept in the order in which it came, so that a part of an
    intersection can be tried and taken back. What was seen is not walked again: whoever it leads
    to is among the found, or will be.
    """

    def __init__(self, watch: Watch, view: View, weigh: Weigh) -> None:
        self._watch = watch
        self._terms = watch.plan.terms
        self._view = view
        self._weigh = weigh
        self._left = WALK_STEPS
        """What the walk may still cost: trials of ways that were not gone cost nothing."""
        self._work = WALK_STEPS
        """What may still be done, trials and all."""
        self._seen: dict[tuple[int, int], None] = {}
        self._found: dict[tuple[int, int], None] = {}

    def whom(self) -> Whom:
        """What was found."""
        text = self._view.text
        return Whom(
            frozenset(text(node) for kind, node in self._found if kind == _BY_NAME),
            frozenset((kind, text(node)) for kind, node in self._found if kind != _BY_NAME),
        )

    def read(self, number: int, edge: Edge) -> None:
        """Find those for whom a name of the edge's resource can change with the edge.

        Raises _TooManyError.
        """
        self._read(self._terms[number], number, edge)

    def _read(self, term: Term, number: int, edge: Edge) -> None:
        match term:
            case Direct():
                self._find(_BY_NAME, self._view.node(edge.subject))
            case Public():
                raise _TooManyError
            case Through(_, target):
                self._reach(Call(target), self._view.node(edge.subject))
            case Every():
                self._reach(term, self._view.node(edge.resource))
            case Call(target):
                key = (~target, self._view.node(edge.resource))  # below the names seen on a walk
                if key not in self._seen:
                    self._seen[key] = None
                    self._read(self._terms[target], target, edge)
            case AnyOf(children):
                self._read_each(children, number, edge)
            case AllOf(children):
                self._read_any_of(children, number, edge)
            case Minus(base, subtracted):
                self._read_each((base,), number, edge)
                if self._watch.reads_kind(subtracted, number, edge.kind):
                    self._read_any_of((base, subtracted), number, edge)

    def _read_each(self, parts: Iterable[Term], number: int, edge: Edge) -> None:
        for part in parts:
            if self._watch.reads_kind(part, number, edge.kind):
                self._read(part, number, edge)

    def _read_any_of(self, parts: Sequence[Term], number: int, edge: Edge) -> None:
        """Of parts that must all be true: what those that read the edge say, or one of the rest."""
        reads, dearness = self._watch.reads_kind, self._watch.dearness
        others = [part for part in parts if not reads(part, number, edge.kind)]
        resource = self._view.node(edge.resource)
        self._fewest(
            [
                partial(self._read_each, parts, number, edge),
                *(partial(self._reach, part, resource) for part in sorted(others, key=dearness)),
            ]
        )

    def _reach(self, term: Term, node: int) -> None:
        """Find everybody of whom a term could be true at a node."""
        pending = [(term, node)]
        while pending:
            pending.extend(self._below(*pending.pop()))

    def _below(self, term: Term, node: int) -> Iterable[tuple[Term, int]]:
        """Find those of whom a term itself speaks; return what else it rests on."""
        match term:
            case Same():
                self._find(_BY_NAME, node)
            case Direct(kind) | Through(kind, _) if kind in self._watch.asked:
                self._find(kind, node)
            case Direct(kind):
                for subject in self._at(kind, node):
                    self._find(_BY_NAME, subject)
            case Public(kind):
                if self._at(kind, node):
                    raise _TooManyError
            case Call(target):
                if (target, node) not in self._seen:
                    self._spend(1)
                    self._seen[target, node] = None
                    return ((self._terms[target], node),)
            case Through(kind, target):
                called = Call(target)
                return [(called, other) for other in self._at(kind, node)]
            case Every():
                return [(Through(kind, target), node) for kind, target in _steps(term)]
            case AnyOf(children):
                return [(child, node) for child in children]
            case AllOf(children):
                ordered = sorted(children, key=self._watch.dearness)
                self._fewest([partial(self._reach, child, node) for child in ordered])
            case Minus(base, _):
                return ((base, node),)
        return ()

    def _fewest(self, ways: Iterable[Callable[[], None]]) -> None:
        """Go one of several ways, each of which finds all there are: the cheapest.

        Raises _TooManyError where every one costs too much.
        """
        best: tuple[list[tuple[int, int]], list[tuple[int, int]]] | None = None
        limit, least = _PART_STEPS, 0
        for way in ways:
            seen, found = len(self._seen), len(self._found)
            cost = self._cost(way, limit)
            taken = _taken(self._seen, seen), _taken(self._found, found)
            if cost is not None:
                best, limit, least = taken, cost - 1, cost
        if best is None:
            raise _TooManyError
        self._left -= least
        self._seen.update(dict.fromkeys(best[0]))
        self._found.update(dict.fromkeys(best[1]))

    def _cost(self, way: Callable[[], None], limit: int) -> int | None:
        """Go a way on trial; return what it costs, or None where that is more than the limit."""
        left = self._left
        self._left = allowed = min(limit, left)
        try:
            way()
        except _TooManyError:
            return None
        else:
            return allowed - self._left
        finally:
            self._left = left

    def _at(self, kind: int, node: int) -> Collection[int]:
        others = self._view.forward[kind].get(node) or ()
        self._spend(len(others))
        return others

    def _find(self, kind: int, node: int) -> None:
        if (kind, node) not in self._found:
            self._spend(self._weigh(None if kind == _BY_NAME else kind, self._view.text(node)))
            self._found[kind, node] = None

    def _spend(self, steps: int) -> None:
        self._left -= steps
        self._work -= steps
        if min(self._left, self._work) < 0:
            raise _TooManyError


def _taken(kept: dict[tuple[int, int], None], since: int) -> list[tuple[int, int]]:
    """Take out what came in after the first `since`."""
    return [kept.popitem()[0] for _ in range(len(kept) - since)]


def _joined(reads: Sequence[_Reads]) -> _Reads:
    return _Reads(
        _NOTHING.union(*(one.kinds for one in reads)),
        frozenset[tuple[int | None, int]]().union(*(one.steps for one in reads)),
    )


def _steps(term: Term) -> Iterator[tuple[int, int]]:
    """What an `.all()` goes through to; nothing for what goes nowhere."""
    if isinstance(term, Every):
        yield from ((kind, target) for kind, target in term.steps if target is not None)


def _leaves(term: Term) -> Iterator[Term]:
    match term:
        case AnyOf(children) | AllOf(children):
            for child in children:
                yield from _leaves(child)
        case Minus(base, subtracted):
            yield from _leaves(base)
            yield from _leaves(subtracted)
        case _:
            yield term


def _is_public(term: Term) -> bool:
    return any(isinstance(leaf, Public) for leaf in _leaves(term))


def asked_kinds(plan: Plan, relations: Collection[str]) -> Iterator[int]:
    """The kinds of some relations (`organization#chosen_by`)."""
    for number, kind in enumerate(plan.numbering.kinds):
        if f"{kind.resource_type}#{kind.relation}" in relations:
            yield number
