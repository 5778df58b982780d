"""The engine as `Answers`: a world's schema compiled, its relationships held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relata.engine import Engine, Session, WorkLimits
from relata.graph import Resident
from relata.relationships import ObjectRef, Relationship, SubjectRef
from relata.schema import Schema, compile_schema
from tests.reference.compare import disagreements
from tests.reference.evaluator import FoundSubjects, Reference
from tests.strategies import World


class EngineAnswers:
    """Answers of one session: what it finds for one question, it may use for the next."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> bool:
        return self._session.check(resource, name, subject)

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> tuple[str, ...]:
        return self._session.lookup_resources(type_, name, subject)

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str
    ) -> FoundSubjects:
        found = self._session.lookup_subjects(resource, name, type_, relation)
        return FoundSubjects(frozenset(found.ids), found.wildcard, frozenset(found.excluded_ids))

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> tuple[str, ...]:
        return self._session.lookup_permissions(resource, subject)


class EngineUnderTest:
    """A graph in memory and an engine over it, which hands out sessions."""

    def __init__(self, schema: Schema, relationships: Iterable[Relationship]) -> None:
        self._engine = Engine(schema)
        self._graph = Resident()
        for relationship in relationships:
            self._graph.add(relationship)
        self._view = self._graph.view(self._engine.kinds)

    def answers(self, contextual: Iterable[Relationship] = ()) -> EngineAnswers:
        """A session of its own over the graph and, in that session alone, contextual ones."""
        view = self._engine.extend(self._view, contextual)
        return EngineAnswers(Session(self._engine, view, WorkLimits()))


def engine_of(world: World) -> EngineUnderTest:
    """The engine over what is stored in a world, allowed or not."""
    return EngineUnderTest(compile_schema(world.text), (*world.stored, *world.stale))


def world_disagreements(world: World) -> Iterator[str]:
    """What engine and reference differ in, with contextual relationships and then without."""
    schema = compile_schema(world.text)
    engine = engine_of(world)
    for contextual in dict.fromkeys((world.contextual, ())):
        relationships = (*world.stored, *world.stale, *contextual)
        reference = Reference(schema, relationships, world.objects)
        yield from disagreements(reference, engine.answers(contextual))
