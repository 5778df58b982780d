"""What a request may be: its parts are parsed, held to the limits and to the schema.

Every error names the field that is wrong. Nothing here asks or writes anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from relata.engine import WorkLimits
from relata.errors import (
    ContextError,
    InvalidArgumentError,
    LimitExceededError,
    QuestionOnlyError,
    RelataError,
)
from relata.relationships import (
    ObjectRef,
    Operation,
    Precondition,
    Relationship,
    SubjectRef,
    Update,
    context_text,
    parse_object,
    parse_relationship,
    parse_subject,
    touch,
)
from relata.schema import Schema, require_allowed, require_filter
from relata.slices import let_others_run

Object = ObjectRef | str
Subject = SubjectRef | ObjectRef | str
Context = Mapping[str, Any]
"""Values for the parameters of caveats: what JSON has."""

NO_CONTEXT: Context = {}


class Limits(msgspec.Struct, frozen=True):
    """What one request may ask for; more is answered by LimitExceededError."""

    work: WorkLimits = WorkLimits()
    updates: int = 1_000
    """Updates a write."""
    preconditions: int = 100
    """Preconditions a write or delete."""
    checks: int = 1_000
    """Questions a `check_many`."""
    contextual: int = 100
    """Contextual relationships a question."""
    page: int = 10_000
    """Items that a `limit` may ask for."""
    context_bytes: int = 4_096
    """Size of a question's context, as JSON."""


class Question(msgspec.Struct, frozen=True):
    """One check of a `check_many`; without a `context` of its own it has that of all."""

    resource: Object
    permission: str
    subject: Subject
    context: Context | None = None


class ParsedQuestion(msgspec.Struct, frozen=True):
    """A question whose parts are well formed."""

    resource: ObjectRef
    permission: str
    subject: SubjectRef
    context: Context | None
    context_key: str | None


class Requests:
    """The parts of requests, parsed and held to the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def updates(self, updates: Iterable[Update | Relationship | str]) -> list[Update]:
        """The updates of a write."""
        _refuse_text(updates, "updates")
        parsed = []
        for index, update in enumerate(updates):
            let_others_run(index)
            _require_at_most(index + 1, self._limits.updates, "updates")
            try:
                parsed.append(_parsed_update(update))
            except RelataError as error:
                raise error.within(f"updates[{index}]") from None
        if not parsed:
            raise InvalidArgumentError("a write has at least one update", field="updates")
        return parsed

    def contextual(self, contextual: Iterable[Relationship | str]) -> list[Relationship]:
        """The contextual relationships of a question."""
        _refuse_text(contextual, "contextual_relationships")
        parsed = []
        for index, relationship in enumerate(contextual):
            _require_at_most(index + 1, self._limits.contextual, "contextual_relationships")
            field = f"contextual_relationships[{index}]"
            parsed.append(parse_relationship(relationship, field=field))
        if len(parsed) > 1:
            _refuse_two_of_one(parsed)
        return parsed

    def question(self, question: Question) -> ParsedQuestion:
        """One question of several."""
        context = question.context
        return ParsedQuestion(
            object_of(question.resource),
            question.permission,
            subject_of(question.subject),
            context,
            None if context is None else self.context_key(context),
        )

    def context_key(self, context: Context) -> str:
        """A context as a text that is equal for equal contexts.

        Raises ContextError where it is not what JSON has, LimitExceededError where it is too long.
        """
        if not isinstance(context, Mapping):
            raise ContextError("the context is not an object", field="context")
        try:
            text = context_text(context)
        except ContextError as error:
            raise error.within("context") from None
        most = self._limits.context_bytes
        if len(text.encode()) > most:
            raise LimitExceededError(f"the context is longer than {most} bytes", field="context")
        return text

    def preconditions(self, preconditions: Iterable[Precondition]) -> list[Precondition]:
        """The preconditions of a write or delete."""
        parsed: list[Precondition] = []
        for index, precondition in enumerate(preconditions):
            _require_at_most(index + 1, self._limits.preconditions, "preconditions")
            parsed.append(precondition)
        return parsed

    def require_page(self, limit: int | None) -> None:
        """Refuse a page of no items, and one of too many."""
        if limit is None:
            return
        if limit < 1:
            raise InvalidArgumentError("a limit is at least 1", field="limit")
        _require_at_most(limit, self._limits.page, "limit")

    def require_checks(self, count: int) -> None:
        """Refuse too many questions at a time."""
        _require_at_most(count, self._limits.checks, "checks")


@lru_cache(maxsize=16_384)
def object_of(value: Object) -> ObjectRef:
    """An object, parsed where it is a text."""
    return parse_object(value)


@lru_cache(maxsize=16_384)
def subject_of(value: Subject) -> SubjectRef:
    """A subject, parsed where it is a text."""
    return parse_subject(value)


def require_updates(
    schema: Schema, updates: Sequence[Update], question_only: Collection[str]
) -> None:
    """Refuse updates that the schema does not allow, and those of what is never stored."""
    for index, update in enumerate(updates):
        let_others_run(index)
        relationship = update.relationship
        field = f"updates[{index}].relationship"
        deleting = update.operation is Operation.DELETE
        require_allowed(schema, relationship, field=field, deleting=deleting)
        name = _relation_name(relationship)
        if name in question_only and not deleting:
            raise QuestionOnlyError(
                f"`{name}` exists only for a question and can't be stored; "
                "send it as a contextual relationship",
                field=field,
            )


def require_preconditions(schema: Schema, preconditions: Sequence[Precondition]) -> None:
    """Refuse preconditions that name what the schema does not have."""
    for index, precondition in enumerate(preconditions):
        require_filter(schema, precondition.filter, field=f"preconditions[{index}].filter")


def require_own(
    relationship: Relationship,
    asking: Sequence[SubjectRef],
    question_only: Collection[str],
    field: str,
) -> None:
    """Refuse a question-only relationship of another subject than those that are asked about."""
    if _relation_name(relationship) in question_only and any(
        relationship.subject != who for who in asking or (None,)
    ):
        raise QuestionOnlyError(
            f"`{relationship}` chooses for another subject than the one asked about",
            field=field,
        )


def _relation_name(relationship: Relationship) -> str:
    return f"{relationship.resource.type}#{relationship.relation}"


def _parsed_update(update: Update | Relationship | str) -> Update:
    if not isinstance(update, Update):
        return touch(update)
    return Update(update.operation, parse_relationship(update.relationship))


def _refuse_two_of_one(contextual: Sequence[Relationship]) -> None:
    """One relationship with two caveats or expirations: which one is meant?"""
    seen: dict[Relationship, Relationship] = {}
    for index, relationship in enumerate(contextual):
        if seen.setdefault(relationship.key, relationship) != relationship:
            raise InvalidArgumentError(
                f"`{relationship.key}` is given twice, with different caveats or expirations",
                field=f"contextual_relationships[{index}]",
            )


def _refuse_text(items: object, field: str) -> None:
    if isinstance(items, str):
        raise InvalidArgumentError(f"`{items[:80]}` is one text; give a list of them", field=field)


def _require_at_most(count: int, most: int, field: str) -> None:
    if count > most:
        raise LimitExceededError(f"at most {most} are allowed", field=field)
