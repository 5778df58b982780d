"""The engine as `Answers`: a world's schema compiled, its relationships held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from relata.engine import (
    Answer,
    Engine,
    FoundSubjects,
    Memory,
    Recall,
    Session,
    TextChecks,
    WorkLimits,
)
from relata.errors import CaveatFailedError
from relata.graph import Resident, View
from relata.relationships import WILDCARD, ObjectRef, Relationship, SubjectRef
from relata.schema import Schema, compile_schema
from tests.reference import evaluator
from tests.reference.compare import Found, disagreements
from tests.reference.evaluator import Reference
from tests.strategies import World

T = TypeVar("T")


class EngineAnswers:
    """Answers of one session: what it finds for one question, it may use for the next."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> evaluator.Answer:
        return unless_failed(lambda: self._session.check(resource, name, subject))

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> Found | None:
        def look_up() -> Found:
            found = self._session.lookup_resources(type_, name, subject)
            return by_answer(found.ids, found.conditional)

        return unless_failed(look_up)

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str, ids: Iterable[str]
    ) -> Found | None:
        return unless_failed(
            lambda: answers_of(
                self._session.lookup_subjects(resource, name, type_, relation),
                [*ids] if relation else [*ids, WILDCARD],
            )
        )

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> Found | None:
        def look_up() -> Found:
            found = self._session.lookup_permissions(resource, subject)
            return by_answer(found.names, found.conditional)

        return unless_failed(look_up)


def unless_failed(ask: Callable[[], T]) -> T | None:
    """What a question gives, or None where a caveat that it rests on has failed."""
    try:
        return ask()
    except CaveatFailedError:
        return None


def by_answer(allowed: Iterable[str], conditional: Mapping[str, Iterable[str]]) -> Found:
    """A list of what is allowed and what is conditional, as answers by id."""
    answers: dict[str, Answer] = dict.fromkeys(allowed, True)
    for id_, names in conditional.items():
        assert id_ not in answers
        answers[id_] = frozenset(names)
    return answers


def answers_of(found: FoundSubjects, ids: Iterable[str]) -> Found:
    """What a lookup of subjects says of each id, and of `*`: everybody else."""
    listed = by_answer(found.ids, found.conditional)
    assert listed.keys().isdisjoint(found.excluded_ids)
    everybody: Answer = found.wildcard
    if found.wildcard_waits_for is not None:
        assert not found.wildcard
        everybody = frozenset(found.wildcard_waits_for)
    assert everybody is not False or not found.excluded_ids
    others = dict.fromkeys(found.excluded_ids, False)
    return {id_: listed.get(id_, others.get(id_, everybody)) for id_ in ids}


class EngineUnderTest:
    """A graph in memory and an engine over it, which hands out sessions and remembers."""

    def __init__(
        self,
        schema: Schema,
        relationships: Iterable[Relationship],
        context: Mapping[str, Any] | None = None,
    ) -> None:
        self._engine = Engine(schema)
        self._graph = Resident()
        self._memory = Memory(0, most_answers=1_000)
        self._context = context
        self._graph.apply((True, relationship) for relationship in relationships)
        self._view = self._graph.view(self._engine.kinds)
        steps = WorkLimits().check_steps
        self._texts = TextChecks(self._engine, self._view, self._memory, steps)

    def answers(
        self,
        contextual: Iterable[Relationship] = (),
        *,
        remembering: bool = True,
        pause: Callable[[View], None] | None = None,
    ) -> EngineAnswers:
        """A session of its own over the graph and, in that session alone, contextual ones."""
        own = self._view.own()
        return EngineAnswers(
            Session(
                self._engine,
                self._engine.extend(own, contextual),
                WorkLimits(),
                context=self._context,
                recall=Recall(self._memory, self._memory.sequence) if remembering else Recall(),
                pause=None if pause is None else lambda: pause(own),
            )
        )

    def plain_answer(self, resource: ObjectRef, name: str, subject: SubjectRef) -> bool | None:
        """The answer of a check by its texts, where that is plain."""
        found = self._texts.answer(str(resource), name, str(subject))
        return None if found is None else found[0]

    def change(
        self, changes: Iterable[tuple[bool, Relationship]], kept: Sequence[View] = ()
    ) -> None:
        """Change the graph, as a replica does; `kept` views stay as they are."""
        prepared = self._graph.prepare(changes)
        with self._memory.writing(1):
            self._graph.commit(prepared, self._graph.revision + 1, kept=kept)
            self._engine.forget(self._memory, self._view, prepared.touched())


def engine_of(world: World) -> EngineUnderTest:
    """The engine over what is stored in a world, allowed or not."""
    schema = compile_schema(world.text)
    return EngineUnderTest(schema, (*world.stored, *world.stale), world.context)


def world_disagreements(world: World) -> Iterator[str]:
    """What engine and reference differ in, with contextual relationships and then without."""
    schema = compile_schema(world.text)
    engine = EngineUnderTest(schema, (*world.stored, *world.stale), world.context)
    for contextual in dict.fromkeys((world.contextual, ())):
        relationships = (*world.stored, *world.stale, *contextual)
        reference = Reference(schema, relationships, world.objects, context=world.context)
        yield from disagreements(reference, engine.answers(contextual))
