"""Which live tokens a change of relationships can touch.

A token's answers are read with two relationships that come with its questions: who chose the
organization, and who requested the product. So a changed relationship reaches tokens by their
subjects, by their organization, or by their product: by that which leads to the fewest.

Everything is asked at one revision, in questions that are short: others wait while one is asked.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from relata.authorizer import Relata
from relata.consistency import Consistency
from relata.engine import Asker, Engine, Watch, Whom
from relata.errors import LimitExceededError
from relata.graph import Edge, View
from relata.relationships import ObjectRef, Relationship, parse_subject
from relata.tokens.ledger import LiveToken, LiveTokens
from relata.tokens.profile import TokenProfile

T = TypeVar("T")

SLICE_SECONDS = 0.005
"""How long one question may take, but for its last item."""
_MICROSECONDS = 1_000_000
_MOST_EDGES = 8
"""Of how many changed relationships it is asked whether a token's subject notices one."""

Answered = tuple[tuple[str, str], str]
"""A name of the schema (`capability`, `held`), and an object."""


class Suspect(msgspec.Struct, frozen=True):
    """A token that a change can touch."""

    token: LiveToken
    edges: tuple[Edge, ...]
    """The changed relationships that reach it; none where they were not looked for."""
    answers: tuple[Answered, ...] | None
    """The answers that they can touch, those about sessions first; None for all."""


class Slices:
    """Many small questions, a few at a time, with a rest between them."""

    def __init__(self, authorizer: Relata, rest: Callable[[], None]) -> None:
        self._authorizer = authorizer
        self._rest = rest
        self._rested_at = time.monotonic()

    def each(
        self,
        items: Iterable[T],
        prepare: Callable[[Engine, View], Callable[[T], None]],
        consistency: Consistency,
    ) -> None:
        """Do something with each item. It is prepared anew for each slice, since a view lasts no
        longer."""
        left = deque(items)

        def question(engine: Engine, view: View) -> None:
            work = prepare(engine, view)
            end = time.monotonic() + SLICE_SECONDS
            while left:
                work(left.popleft())
                if time.monotonic() > end:
                    break

        while left:
            self._authorizer.inspect(question, consistency=consistency)
            self._rest()

    def between(self) -> None:
        """Rest between two questions where enough of them were asked since the last time."""
        if time.monotonic() - self._rested_at > SLICE_SECONDS:
            self._rest()
            self._rested_at = time.monotonic()


class Suspects:
    """Finds the tokens that changes can touch. For one thread."""

    def __init__(self, authorizer: Relata, profile: TokenProfile, slices: Slices) -> None:
        self._authorizer = authorizer
        self._profile = profile
        self._slices = slices
        self._watches: tuple[Engine | None, dict[str, Watch]] = (None, {})
        self._names = (
            (profile.organization, profile.session),
            (profile.product, profile.session),
            (profile.capability, profile.held),
            (profile.role, profile.active),
        )

    def of(
        self, tokens: LiveTokens, changed: Sequence[Relationship], at: Consistency
    ) -> Iterator[Suspect]:
        """Tokens that relationships can touch which were added or removed before a revision.

        Raises UnknownRelationError and UnknownDefinitionError where the schema lacks a name.
        """
        for subject_type in sorted(tokens.subject_types()):
            yield from self._of_type(subject_type, tokens, changed, at)

    def _of_type(
        self,
        subject_type: str,
        tokens: LiveTokens,
        changed: Sequence[Relationship],
        at: Consistency,
    ) -> Iterator[Suspect]:
        edges, answers = self._authorizer.inspect(
            lambda engine, view: self._relevant(subject_type, changed, engine, view),
            consistency=at,
        )
        reached = _Reached(subject_type, tokens, self._profile)

        def walking(engine: Engine, view: View) -> Callable[[Edge], None]:
            watch = self.watch(engine, subject_type)
            asking = {
                kind: f"{it.resource_type}#{it.relation}"
                for kind, it in enumerate(engine.kinds)
                if kind in watch.asked
            }
            both = view.changed(added=edges)

            def weigh(kind: int | None, text: str) -> int:
                return reached.weigh("" if kind is None else asking[kind], text)

            def walk(edge: Edge) -> None:
                if not reached.is_everybody:
                    reached.note(edge, watch.whom(both, edge, weigh), asking)

            return walk

        self._slices.each(edges, walking, at)
        for token, reaching in reached.tokens():
            yield Suspect(token, reaching, answers)

    def _relevant(
        self, subject_type: str, changed: Sequence[Relationship], engine: Engine, view: View
    ) -> tuple[list[Edge], tuple[Answered, ...] | None]:
        watch = self.watch(engine, subject_type)
        edges = watch.relevant(engine.edges(changed))
        answers = watch.answers(view, edges)
        return edges, None if answers is None else tuple(sorted(answers, key=self._order))

    def _order(self, answer: Answered) -> tuple[int, str]:
        name, resource = answer
        return self._names.index(name), resource

    def noticing(self, suspects: Iterable[Suspect], at: Consistency) -> list[Suspect]:
        """Those whose subjects notice a change that reaches them, in the state after it."""
        noticing: list[Suspect] = []

        def asking(engine: Engine, view: View) -> Callable[[Suspect], None]:
            def ask(suspect: Suspect) -> None:
                if self._notices(suspect, engine, view):
                    noticing.append(suspect)

            return ask

        self._slices.each(suspects, asking, at)
        return noticing

    def _notices(self, suspect: Suspect, engine: Engine, view: View) -> bool:
        token = suspect.token
        if not 0 < len(suspect.edges) <= _MOST_EDGES or len(token.products) != 1:
            return True
        asker = self.asker(token, engine, view, moment=token.issued_at * _MICROSECONDS)
        watch = self.watch(engine, token.subject_type)
        try:
            return any(watch.is_noticed(asker, edge) for edge in suspect.edges)
        except (LimitExceededError, RecursionError):
            return True

    def asker(self, token: LiveToken, engine: Engine, view: View, *, moment: int) -> Asker:
        """Who a token of one product is for, in a view with what comes with its questions."""
        return Asker(
            self.watch(engine, token.subject_type),
            engine.extend(view, _contextual(token, self._profile)),
            token.subject,
            moment=moment,
            steps=self._authorizer.limits.work.check_steps,
        )

    def watch(self, engine: Engine, subject_type: str) -> Watch:
        """What tokens of subjects of a type say, as a schema has it."""
        known, watches = self._watches
        if known is not engine:
            watches = {}
            self._watches = (engine, watches)
        watch = watches.get(subject_type)
        if watch is None:
            watch = watches[subject_type] = engine.watch(
                subject_type, self._names, self._profile.question_only
            )
        return watch


class _Reached:
    """The tokens of one type of subject that relationships have reached so far."""

    def __init__(self, subject_type: str, tokens: LiveTokens, profile: TokenProfile) -> None:
        self._subject_type = subject_type
        self._tokens = tokens
        self._choice = f"{profile.organization}#{profile.chosen_by}"
        self._reaching: dict[int, list[Edge]] = {}
        self._reaching_all: list[Edge] = []

    def weigh(self, relation: str, text: str) -> int:
        """How many tokens ask with a question-only relation of an object; without one, how many a
        subject has."""
        found = self._asking(relation, text) if relation else self._tokens.of_subject(text)
        return len(found)

    def note(self, edge: Edge, whom: Whom | None, relations: Mapping[int, str]) -> None:
        """Note whom a changed relationship can touch; None is everybody."""
        if whom is None:
            self._reaching_all.append(edge)
            return
        for id_ in self._ids(whom, relations):
            self._reaching.setdefault(id_, []).append(edge)

    @property
    def is_everybody(self) -> bool:
        """Whether nothing more can be learned: all are reached, by too many to ask who notices."""
        return len(self._reaching_all) > _MOST_EDGES

    def tokens(self) -> Iterator[tuple[LiveToken, tuple[Edge, ...]]]:
        """The tokens, each with what has reached it."""
        everywhere = tuple(self._reaching_all)
        found = self._tokens if everywhere else self._tokens.find(self._reaching)
        for token in found:
            if token.subject_type == self._subject_type:
                yield token, (*everywhere, *self._reaching.get(token.id, ()))

    def _ids(self, whom: Whom, relations: Mapping[int, str]) -> set[int]:
        ids: set[int] = set()
        for subject in whom.subjects:
            ids.update(self._tokens.of_subject(subject))
        for kind, resource in whom.asking:
            ids.update(self._asking(relations[kind], resource))
        return ids

    def _asking(self, relation: str, resource: str) -> Collection[int]:
        object_id = resource.partition(":")[2]
        if relation == self._choice:
            return self._tokens.of_organization(object_id)
        return self._tokens.of_product(object_id)


def _contextual(token: LiveToken, profile: TokenProfile) -> tuple[Relationship, ...]:
    subject = parse_subject(token.subject)
    (product,) = token.products
    return (
        Relationship(
            ObjectRef(profile.organization, token.organization), profile.chosen_by, subject
        ),
        Relationship(ObjectRef(profile.product, product), profile.requested_by, subject),
    )
