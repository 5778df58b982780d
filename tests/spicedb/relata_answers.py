"""Relata as its callers meet it, moved from world to scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from relata import Relata
from relata.engine import ExpandNode, FoundSubjects
from relata.errors import InvalidArgumentError
from relata.relationships import WILDCARD, ObjectRef, Relationship, RelationshipFilter, SubjectRef
from tests.reference import evaluator
from tests.reference.compare import Found
from tests.reference.engine_answers import answers_of, by_answer, unless_failed
from tests.spicedb.questions import Leaves
from tests.spicedb.scene import Scene


class RelataAnswers:
    """One database in memory, which holds one scene at a time."""

    def __init__(self) -> None:
        self._relata = Relata.open("sqlite://", schema="definition user {}", follow_seconds=None)
        self._context: Mapping[str, Any] = {}
        self._contextual: tuple[Relationship, ...] = ()

    def close(self) -> None:
        """Give up the database."""
        self._relata.close()

    def enter(self, scene: Scene) -> None:
        """Forget the last scene; store this one's schema and relationships."""
        for type_ in self._relata.schema.definitions:
            self._relata.delete(RelationshipFilter(resource_type=type_))
        self._relata.write_schema(scene.schema)
        if scene.stored:
            self._relata.write(scene.stored)
        self._context, self._contextual = scene.context, scene.contextual

    def accepts(self, item: Relationship) -> bool:
        """Whether a relationship can be stored; it is."""
        try:
            self._relata.write([item])
        except InvalidArgumentError:
            return False
        return True

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> evaluator.Answer:
        def ask() -> bool | frozenset[str]:
            found = self._relata.check(
                resource, name, subject, context=self._context, contextual=self._contextual
            )
            return frozenset(found.missing_context) or found.allowed

        return unless_failed(ask)

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> Found | None:
        def ask() -> Found:
            found = self._relata.lookup_resources(
                type_, name, subject, context=self._context, contextual=self._contextual
            )
            return by_answer(found.resource_ids, found.conditional)

        return unless_failed(ask)

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str, ids: Iterable[str]
    ) -> Found | None:
        def ask() -> Found:
            found = self._relata.lookup_subjects(
                resource,
                name,
                type_,
                relation,
                context=self._context,
                contextual=self._contextual,
            )
            who = FoundSubjects(
                found.subject_ids,
                found.wildcard,
                found.excluded_ids,
                found.conditional,
                found.wildcard_missing_context,
            )
            return answers_of(who, [*ids] if relation else [*ids, WILDCARD])

        return unless_failed(ask)

    def expand(self, resource: ObjectRef, name: str) -> Leaves | None:
        """The subjects in the leaves, also those that wait for context."""

        def ask() -> Leaves:
            expansion = self._relata.expand(
                resource, name, context=self._context, contextual=self._contextual
            )
            return tuple(sorted(set(_leaves(expansion.tree))))

        return unless_failed(ask)


def _leaves(tree: ExpandNode) -> Iterator[SubjectRef]:
    yield from tree.subjects
    yield from tree.conditional
    for child in tree.children:
        yield from _leaves(child)
