"""The one object an application holds: schema, store, graph, engine, consistency and limits.

`Relata` is synchronous and safe to share between threads. Questions are answered from memory by
one thread at a time, each at one revision; a write is acknowledged when the database has it, and
the graph has it before the write returns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from relata.api_keys import ApiKeys
from relata.caveats import Caveat
from relata.consistency import (
    MINIMIZE_LATENCY,
    Consistency,
    Freshness,
    encode_zed_token,
)
from relata.cursors import Cursor, decode_cursor, encode_cursor, question_digest
from relata.engine import (
    Answer,
    Engine,
    FoundResources,
    FoundSubjects,
    Permissionship,
    Session,
)
from relata.errors import (
    ContextError,
    InvalidArgumentError,
    RelataError,
)
from relata.graph import View
from relata.pages import KeptLists
from relata.question_only import agree_on_question_only
from relata.relationships import (
    Precondition,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    Update,
    relationship_kind,
)
from relata.replica import Ask, Current, Ready, Replica
from relata.requests import (
    NO_CONTEXT,
    Context,
    Limits,
    Object,
    ParsedQuestion,
    Question,
    Requests,
    Subject,
    object_of,
    require_own,
    require_preconditions,
    require_updates,
    subject_of,
)
from relata.results import (
    CheckManyResult,
    CheckResult,
    DeleteResult,
    ExpandResult,
    PermissionsResult,
    ReadResult,
    ResourcesResult,
    SchemaDiffResult,
    SchemaResult,
    SubjectsResult,
    WriteResult,
)
from relata.schema import Schema, compile_file, compile_schema, require_allowed, require_filter
from relata.schema.diff import diff_schemas
from relata.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

ANSWERS_KEPT = 100_000
"""Answers that are remembered if nothing else is said."""
_STEPS_AT_ONCE = 2_000
"""Relationships that a check may follow where it must not take long."""


class Relata:
    """A permission engine on one database. Open one a process, with `Relata.open`."""

    def __init__(
        self,
        store: Store,
        *,
        limits: Limits,
        question_only: frozenset[str],
        follow_seconds: float | None,
        answers_kept: int = ANSWERS_KEPT,
    ) -> None:
        self.store = store
        self.limits = limits
        self._requests = Requests(limits)
        self.keys = ApiKeys(store)
        self._last_zed_token = (-1, "")
        self._lists = KeptLists[FoundResources | FoundSubjects]()
        self._last_results: tuple[str, tuple[CheckResult, ...]] = ("", ())
        self._replica = Replica(
            store,
            self.keys,
            question_only=question_only,
            follow_seconds=follow_seconds,
            steps_at_once=min(_STEPS_AT_ONCE, limits.work.check_steps),
            answers_kept=answers_kept,
        )

    @classmethod
    def open(
        cls,
        url: str = "sqlite:///relata.db",
        *,
        schema: str | Path | None = None,
        limits: Limits | None = None,
        question_only: Iterable[str] | None = None,
        follow_seconds: float | None = 0.01,
        answers_kept: int = ANSWERS_KEPT,
    ) -> Relata:
        """Open a database, made and migrated as needed, and load its relationships.

        `url` is SQLAlchemy's; `sqlite://` is a private temporary database. `schema` is a text, or
        the path of a file that ends in `.zed` and may import others; it is written if it differs
        from the stored one. `question_only` names relations (`organization#chosen_by`) that come
        with a question and can't be stored; it is kept in the database and holds for everybody
        who opens it, and may grow and never shrink. The graph follows other processes' writes
        every `follow_seconds`, or not at all with None. Up to `answers_kept` answers of plain
        checks are remembered until the next write, at some 170 bytes each, and lists that take as
        much again.

        Raises StoreError, SchemaError, and InvalidArgumentError where the schema's file cannot be
        read.
        """
        store = Store.open(url)
        try:
            relata = cls(
                store,
                limits=limits or Limits(),
                question_only=agree_on_question_only(store, question_only),
                follow_seconds=follow_seconds,
                answers_kept=answers_kept,
            )
        except BaseException:
            store.close()
            raise
        try:
            if schema is not None:
                path = str(schema).endswith(".zed")
                relata.write_schema(Path(schema) if path else schema)
        except BaseException:
            relata.close()
            raise
        return relata

    def close(self) -> None:
        """Stop following the database and close it; questions and writes then raise StoreError."""
        self._replica.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def question_only(self) -> frozenset[str]:
        """The relations (`organization#chosen_by`) that are never stored."""
        return self._replica.question_only

    # Schema

    @property
    def schema(self) -> Schema:
        """The compiled schema. Raises SchemaMissingError where none has been written."""
        return self._replica.current.require().engine.schema

    def read_schema(self) -> SchemaResult:
        """The schema's text as it was written."""
        text, revision = self._replica.ask(lambda ready: ready.engine.schema.text, MINIMIZE_LATENCY)
        return SchemaResult(text, self._zed_token(revision))

    def write_schema(self, schema: str | Path, *, source: str = "schema") -> SchemaResult:
        """Replace the schema by a text, or by a file and what it imports.

        Nothing changes where the text is the stored one. `source` is what errors call a text.
        Raises SchemaParseError and SchemaTypeError (with line and column), SchemaStrandsError
        where a stored relationship would lose its meaning, and InvalidArgumentError where a file
        cannot be read.
        """
        engine = _engine(schema, source)
        compiled = engine.schema

        def write(current: Current) -> int:
            present = () if current.engine is None else current.engine.kinds
            return self.store.write_schema(
                compiled.text,
                replaces=current.schema_revision,
                removed=sorted(set(present) - set(engine.kinds)),
                rechecked=_rechecked(current, compiled),
            )

        revision = self._replica.against_current_schema(write)
        self.refresh()
        return SchemaResult(compiled.text, self._zed_token(revision))

    def diff_schema(self, schema: str | Path, *, source: str = "schema") -> SchemaDiffResult:
        """What another schema would change, and which stored relationships are in its way.

        Raises what `write_schema` raises, but for SchemaStrandsError; SchemaMissingError where
        there is no schema to compare with.
        """
        new, current = _engine(schema, source).schema, self._replica.current
        diff = diff_schemas(current.require().engine.schema, new)
        blocked_by = self.store.using(diff.removed_kinds)
        for caveat, fault in _rechecked(current, new).items():
            for stored in self.store.contexts(caveat):
                if fault(stored) is not None:
                    blocked_by.setdefault(relationship_kind(stored), stored)
        return SchemaDiffResult(diff, blocked_by, self._zed_token(current.schema_revision))

    # Writing

    def write(
        self,
        updates: Iterable[Update | Relationship | str],
        *,
        preconditions: Iterable[Precondition] = (),
        connection: Connection | None = None,
    ) -> WriteResult:
        """Create, touch and delete relationships: all of them or none.

        A bare relationship is touched. With `connection`, the write joins the transaction that
        is open there, on the same database, and is seen when the caller has committed; the zed
        token is good from then on.

        Raises InvalidArgumentError (and its children), RelationshipExistsError,
        PreconditionFailedError, WriteConflictError, LimitExceededError.
        """
        parsed = self._requests.updates(updates)
        required = self._requests.preconditions(preconditions)

        def write(current: Current) -> int:
            schema = current.require().engine.schema
            require_updates(schema, parsed, self.question_only)
            require_preconditions(schema, required)
            return self.store.write(
                parsed,
                required,
                schema_revision=current.schema_revision,
                connection=connection,
            )

        revision = self._replica.against_current_schema(write)
        self._replica.after_write(connection)
        return WriteResult(self._zed_token(revision))

    def delete(
        self,
        filter: RelationshipFilter,  # noqa: A002  the field's word for it
        *,
        preconditions: Iterable[Precondition] = (),
        limit: int | None = None,
        connection: Connection | None = None,
    ) -> DeleteResult:
        """Delete the relationships that match a filter, or the first `limit` of them.

        Raises what `write` raises.
        """
        required = self._requests.preconditions(preconditions)
        if limit is not None and limit < 1:
            raise InvalidArgumentError("a limit is at least 1", field="limit")

        def write(current: Current) -> DeleteResult:
            schema = current.require().engine.schema
            require_filter(schema, filter, field="filter")
            require_preconditions(schema, required)
            outcome = self.store.delete(
                filter,
                required,
                limit=limit,
                schema_revision=current.schema_revision,
                connection=connection,
            )
            return DeleteResult(
                self._zed_token(outcome.revision), outcome.deleted, outcome.complete
            )

        result = self._replica.against_current_schema(write)
        self._replica.after_write(connection)
        return result

    # Reading

    def read(
        self,
        filter: RelationshipFilter | None = None,  # noqa: A002  the field's word for it
        *,
        consistency: Consistency = MINIMIZE_LATENCY,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ReadResult:
        """Stored relationships that match a filter, all or `limit` a page.

        Pages continue at the revision of the first one.
        """
        if filter is not None:
            require_filter(self.schema, filter, field="filter")
        self._requests.require_page(limit)
        question = question_digest("read", filter)
        if cursor is None:
            revision, after = self._replica.revision_for(consistency), 0
        else:
            place = decode_cursor(cursor, question)
            revision, after = place.revision, place.row
            self._replica.require_revision(revision)
        read_at = self._zed_token(revision)
        if limit is None:
            return ReadResult(self._read_all(filter, revision, after), read_at)
        rows = self.store.read(filter, revision=revision, after=after, limit=limit + 1)
        page = tuple(row.relationship for row in rows[:limit])
        if len(rows) <= limit:
            return ReadResult(page, read_at)
        last = str(rows[limit - 1].row)
        return ReadResult(page, read_at, encode_cursor(Cursor(question, revision, last)))

    # Questions

    def check(
        self,
        resource: Object,
        permission: str,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
        steps: int | None = None,
        explain: bool = False,
    ) -> CheckResult:
        """Whether the subject has the permission (or relation) on the resource.

        `context` has values for the parameters of caveats; those stored with a relationship come
        before it. Contextual relationships are seen by this question only, must be ones that the
        schema allows, and take the place of a stored one with the same resource, relation and
        subject. With `steps`, at most so many relationships are followed, if that is less than
        the limit. With `explain`, the answer has its explanation, which takes far more work.
        Raises InvalidArgumentError (and its children), CaveatFailedError, LimitExceededError,
        NotFreshError, SnapshotUnavailableError.
        """
        if (
            consistency is MINIMIZE_LATENCY
            and context is NO_CONTEXT
            and contextual == ()
            and steps is None
            and not explain
            and type(resource) is type(subject) is str
        ):
            found = self.answer_at_once(resource, permission, subject)
            if found is not None:
                return self._plain_result(*found)
        object_, asking = object_of(resource), subject_of(subject)
        if explain:
            tree, revision = self._ask(
                lambda session: session.explain(object_, permission, asking, steps=steps),
                consistency,
                context,
                contextual,
                (asking,),
            )
            return CheckResult(tree.answer, self._zed_token(revision), tree.missing_context, tree)
        answer, revision = self._ask(
            lambda session: session.check(object_, permission, asking, steps=steps),
            consistency,
            context,
            contextual,
            (asking,),
        )
        return _check_result(answer, self._zed_token(revision))

    def _plain_result(self, allowed: bool, token: str) -> CheckResult:
        known, results = self._last_results  # read as one: other threads replace it
        if known is not token:
            results = (
                CheckResult(Permissionship.DENIED, token),
                CheckResult(Permissionship.ALLOWED, token),
            )
            self._last_results = (token, results)
        return results[allowed]

    def check_at_once(
        self,
        resource: Object,
        permission: str,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        steps: int | None = None,
    ) -> CheckResult | None:
        """Check as `check` does, but only if nothing has to be waited for; otherwise None.

        For a thread that must not stand still behind a long question or a large write, such as
        one with an event loop. Raises what `check` raises, but for NotFreshError and
        SnapshotUnavailableError.
        """
        object_, asking = object_of(resource), subject_of(subject)
        answered = self._replica.try_ask(
            self._prepared(
                lambda session: session.check(object_, permission, asking, steps=steps),
                context,
                contextual,
                (asking,),
            )
        )
        if answered is None:
            return None
        answer, revision = answered
        return _check_result(answer, self._zed_token(revision))

    def answer_at_once(
        self, resource: str, permission: str, subject: str
    ) -> tuple[bool, str] | None:
        """The answer of a plain check and its zed token; None where it takes a longer way.

        Plain is what asks of known objects what no caveat and no expiration can be reached from.
        It waits for nothing and follows few relationships, so it is for an event loop.
        """
        texts = self._replica.texts
        found = None if texts is None else texts.answer(resource, permission, subject)
        if found is None:
            return None
        allowed, revision = found
        known, token = self._last_zed_token  # read as one: other threads replace it
        return allowed, token if known == revision else self._zed_token(revision)

    def answers_at_once(
        self, questions: Sequence[tuple[str, str, str]]
    ) -> tuple[list[bool], str] | None:
        """The answers of plain checks at one revision; None where any takes a longer way."""
        texts = self._replica.texts
        if texts is None or not questions:
            return None
        answer = texts.answer
        answers: list[bool] = []
        first: int | None = None
        for resource, permission, subject in questions:
            found = answer(resource, permission, subject)
            if found is None:
                return None
            allowed, revision = found
            if revision != first:
                if first is not None:
                    return None
                first = revision
            answers.append(allowed)
        return answers, self._zed_token(revision)

    def check_many(
        self,
        questions: Sequence[Question],
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> CheckManyResult:
        """Several checks at one revision, answered in order; see CheckManyResult for errors."""
        self._requests.require_checks(len(questions))
        parsed = [_attempt(self._requests.question, question) for question in questions]
        asking = {question.subject for question in parsed if not isinstance(question, RelataError)}

        answers, revision = self._ask(
            lambda session: _answers(session, parsed),
            consistency,
            context,
            contextual,
            tuple(asking),
        )
        checked_at = self._zed_token(revision)
        return CheckManyResult(_check_results(answers, checked_at), checked_at)

    def foresee(
        self,
        updates: Iterable[Update | Relationship | str],
        questions: Sequence[Question],
        *,
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> CheckManyResult:
        """Several checks as they would be answered after a write, which is not made.

        Raises what `write` raises where the schema does not allow the updates; whether they
        conflict with what is stored is not looked at.
        """
        self._requests.require_checks(len(questions))
        parsed = self._requests.updates(updates)
        asked = [_attempt(self._requests.question, question) for question in questions]

        def ask(ready: Ready) -> list[Answer | RelataError]:
            require_updates(ready.engine.schema, parsed, self.question_only)
            after = ready._replace(view=ready.engine.after(ready.view, parsed))
            return _answers(self._session(after), asked)

        answers, revision = self._replica.ask(ask, consistency)
        checked_at = self._zed_token(revision)
        return CheckManyResult(_check_results(answers, checked_at), checked_at)

    def expand(
        self,
        resource: Object,
        permission: str,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> ExpandResult:
        """The tree of who is in the permission of the resource, down to stored subjects."""
        object_ = object_of(resource)
        tree, revision = self._ask(
            lambda session: session.expand(object_, permission),
            consistency,
            context,
            contextual,
            (),
        )
        return ExpandResult(tree, self._zed_token(revision))

    def lookup_resources(
        self,
        resource_type: str,
        permission: str,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ResourcesResult:
        """The ids of all resources of a type that the subject has the permission on."""
        asked = ("resources", resource_type, permission, subject, limit, cursor)
        plain = isinstance(subject, str) and _is_plain(consistency, context, contextual)
        if plain and isinstance(known := self._replica.remembered(asked), ResourcesResult):
            return ResourcesResult(known.resource_ids, known.looked_up_at, known.cursor)
        asking = subject_of(subject)
        parsed = self._requests.contextual(contextual)
        question = question_digest(
            "resources",
            resource_type,
            permission,
            asking,
            sorted(parsed),
            self._requests.context_key(context),
        )
        consistency, after, kept = self._page(consistency, limit, cursor, question, plain)
        if kept is not None and isinstance(kept[0], FoundResources):
            found, revision = kept[0], kept[1]
        else:
            found, revision = self._ask(
                lambda session: session.lookup_resources(resource_type, permission, asking),
                consistency,
                context,
                parsed,
                (asking,),
            )
        page, more = _cut(_merged(found.ids, found.conditional), after, limit)
        if more:
            self._lists.keep(question, revision, found, len(found.ids) + len(found.conditional))
        result = ResourcesResult(
            _without(page, found.conditional),
            self._zed_token(revision),
            _next_cursor(question, revision, page, more),
            _within(page, found.conditional),
        )
        if plain and found.lasting:
            self._replica.remember(asked, result, len(page), revision)
        return result

    def lookup_subjects(
        self,
        resource: Object,
        permission: str,
        subject_type: str,
        subject_relation: str = "",
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> SubjectsResult:
        """The ids of all subjects of a kind that have the permission on the resource.

        With `subject_relation`, the subjects are usersets: `group`, `member` looks for
        `group:...#member`. A page has the next `limit` ids, be they of subjects that have the
        permission, have it on a condition, or are excluded.
        """
        asked = ("subjects", resource, permission, subject_type, subject_relation, limit, cursor)
        plain = isinstance(resource, str) and _is_plain(consistency, context, contextual)
        if plain and isinstance(known := self._replica.remembered(asked), SubjectsResult):
            ids, excluded_ids = known.subject_ids, known.excluded_ids
            return SubjectsResult(
                ids, known.wildcard, excluded_ids, known.looked_up_at, known.cursor
            )
        object_ = object_of(resource)
        parsed = self._requests.contextual(contextual)
        question = question_digest(
            "subjects",
            object_,
            permission,
            subject_type,
            subject_relation,
            sorted(parsed),
            self._requests.context_key(context),
        )
        consistency, after, kept = self._page(consistency, limit, cursor, question, plain)
        if kept is not None and isinstance(kept[0], FoundSubjects):
            found, revision = kept[0], kept[1]
        else:
            found, revision = self._ask(
                lambda session: session.lookup_subjects(
                    object_, permission, subject_type, subject_relation
                ),
                consistency,
                context,
                parsed,
                (),
            )
        excluded = frozenset(found.excluded_ids)
        page, more = _cut(_merged(found.ids, found.conditional, excluded), after, limit)
        if more:
            size = len(found.ids) + len(found.conditional) + len(excluded)
            self._lists.keep(question, revision, found, size)
        result = SubjectsResult(
            _without(page, found.conditional, excluded),
            found.wildcard,
            tuple(id_ for id_ in page if id_ in excluded) if excluded else (),
            self._zed_token(revision),
            _next_cursor(question, revision, page, more),
            _within(page, found.conditional),
            found.wildcard_waits_for,
        )
        if plain and found.lasting:
            self._replica.remember(asked, result, len(page), revision)
        return result

    def lookup_permissions(
        self,
        resource: Object,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> PermissionsResult:
        """Every permission that the subject has on the resource."""
        object_, asking = object_of(resource), subject_of(subject)
        found, revision = self._ask(
            lambda session: session.lookup_permissions(object_, asking),
            consistency,
            context,
            contextual,
            (asking,),
        )
        return PermissionsResult(found.names, self._zed_token(revision), found.conditional)

    # Following the store

    def refresh(self) -> None:
        """Take in what has been committed to the database since the last time."""
        self._replica.refresh()

    def collect_expired(self) -> int:
        """Remove the relationships that have expired; return how many.

        No question has seen them since; removing them gives their room back. A database that is
        followed is kept so by itself, every minute.
        """
        collected = self._replica.collect_expired()
        self.refresh()
        return collected

    def ready(self) -> bool:
        """Whether the graph has all that the database had when asked."""
        return self._replica.ready()

    @property
    def revision(self) -> int:
        """The revision that the graph is at."""
        return self._replica.revision

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change of the graph, in the thread that took it in.

        Returns what ends that. The function must be quick, and must not raise.
        """
        return self._replica.listen(listener)

    def inspect(
        self,
        question: Callable[[Engine, View], T],
        *,
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> T:
        """Ask a question of the engine and the graph themselves.

        It must be short, for others wait until it is answered, and done with the view when it
        returns.
        """
        return self._replica.ask(lambda ready: question(ready.engine, ready.view), consistency)[0]

    # What a session is

    def _ask(
        self,
        ask: Callable[[Session], T],
        consistency: Consistency,
        context: Context,
        contextual: Iterable[Relationship | str],
        asking: Sequence[SubjectRef],
    ) -> tuple[T, int]:
        """Ask a question, with contextual relationships, at a revision that is fresh enough."""
        return self._replica.ask(self._prepared(ask, context, contextual, asking), consistency)

    def _prepared(
        self,
        ask: Callable[[Session], T],
        context: Context,
        contextual: Iterable[Relationship | str],
        asking: Sequence[SubjectRef],
    ) -> Ask[T]:
        """A question as the replica takes it; what comes with it has been checked.

        `asking` are the subjects of the question, of whom alone a contextual relationship of a
        question-only relation may speak.
        """
        known = self._requests.contextual(contextual)
        if context:
            self._requests.context_key(context)

        def asked(ready: Ready) -> T:
            if known:
                self._require_own(ready, known, asking)
                ready = ready._replace(view=ready.engine.extend(ready.view, known))
            return ask(self._session(ready, context))

        return asked

    def _require_own(
        self, ready: Ready, contextual: Sequence[Relationship], asking: Sequence[SubjectRef]
    ) -> None:
        for index, relationship in enumerate(contextual):
            field = f"contextual_relationships[{index}]"
            require_allowed(ready.engine.schema, relationship, field=field)
            require_own(relationship, asking, self.question_only, field)

    def _session(self, ready: Ready, context: Context = NO_CONTEXT) -> Session:
        return Session(
            ready.engine,
            ready.view,
            self.limits.work,
            context=context,
            recall=ready.recall,
            pause=ready.pause,
        )

    # Pages

    def _page(
        self,
        consistency: Consistency,
        limit: int | None,
        cursor: str | None,
        question: bytes,
        plain: bool,
    ) -> tuple[Consistency, str, tuple[FoundResources | FoundSubjects, int] | None]:
        """The consistency of a page, the id it goes on after, and the list with its revision,
        where that is kept."""
        self._requests.require_page(limit)
        if cursor is None:
            revision = self._replica.settled_revision() if plain else None
            kept = None if revision is None else self._lists.get(question, revision)
            if kept is None or revision is None or not kept.lasting:
                return consistency, "", None
            return consistency, "", (kept, revision)
        place = decode_cursor(cursor, question)
        kept = self._lists.get(question, place.revision)
        exact = Consistency(Freshness.AT_EXACT_SNAPSHOT, self._zed_token(place.revision))
        return exact, place.after, None if kept is None else (kept, place.revision)

    def _read_all(
        self, filter_: RelationshipFilter | None, revision: int, after: int
    ) -> tuple[Relationship, ...]:
        found: list[Relationship] = []
        while rows := self.store.read(
            filter_, revision=revision, after=after, limit=self.limits.page
        ):
            found.extend(row.relationship for row in rows)
            after = rows[-1].row
        return tuple(found)

    def _zed_token(self, revision: int) -> str:
        known, token = self._last_zed_token  # read as one: other threads replace it
        if known != revision:
            token = encode_zed_token(self.store.datastore_id, revision)
            self._last_zed_token = (revision, token)
        return token


class _Sessions:
    """The sessions of a batch: one for each context, so that equal contexts share what is found."""

    def __init__(self, first: Session) -> None:
        self._first = first
        self._others: dict[str, Session] = {}

    def of(self, question: ParsedQuestion) -> Session:
        """The session of a question's context; the batch's own for none."""
        if question.context is None or question.context_key is None:
            return self._first
        session = self._others.get(question.context_key)
        if session is None:
            session = self._first.with_context(question.context)
            self._others[question.context_key] = session
        return session


_ALLOWED = (Permissionship.DENIED, Permissionship.ALLOWED)


def _answers(
    session: Session, questions: Sequence[ParsedQuestion | RelataError]
) -> list[Answer | RelataError]:
    """The answers of a session to several questions, and the errors of those without one."""
    sessions = _Sessions(session)
    return [
        question
        if isinstance(question, RelataError)
        else _attempt(
            sessions.of(question).check, question.resource, question.permission, question.subject
        )
        for question in questions
    ]


def _check_results(
    answers: Sequence[Answer | RelataError], checked_at: str
) -> tuple[CheckResult | RelataError, ...]:
    return tuple(
        answer if isinstance(answer, RelataError) else _check_result(answer, checked_at)
        for answer in answers
    )


def _check_result(answer: Answer, checked_at: str) -> CheckResult:
    if isinstance(answer, frozenset):
        return CheckResult(Permissionship.CONDITIONAL, checked_at, tuple(sorted(answer)))
    return CheckResult(_ALLOWED[answer], checked_at)


def _is_plain(
    consistency: Consistency, context: Context, contextual: Iterable[Relationship | str]
) -> bool:
    """Whether a question brings nothing of its own."""
    return not context and contextual in ((), []) and consistency == MINIMIZE_LATENCY


def _merged(ids: Sequence[str], *further: Collection[str]) -> Sequence[str]:
    return sorted(chain(ids, *further)) if any(further) else ids


def _attempt(function: Callable[..., T], *arguments: object) -> T | RelataError:
    try:
        return function(*arguments)
    except RelataError as error:
        return error


def _without(ids: tuple[str, ...], *others: Collection[str]) -> tuple[str, ...]:
    for left_out in filter(None, others):
        ids = tuple(id_ for id_ in ids if id_ not in left_out)
    return ids


def _within(
    ids: Iterable[str], conditional: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    if not conditional:
        return {}
    return {id_: conditional[id_] for id_ in ids if id_ in conditional}


def _cut(ids: Sequence[str], after: str, limit: int | None) -> tuple[tuple[str, ...], bool]:
    """The ids of a page, of those in order, and whether there are more."""
    start = bisect_right(ids, after) if after else 0
    end = len(ids) if limit is None else start + limit
    return tuple(ids[start:end]), end < len(ids)


def _next_cursor(question: bytes, revision: int, page: Sequence[str], more: bool) -> str | None:
    return encode_cursor(Cursor(question, revision, page[-1])) if more else None


def _engine(schema: str | Path, source: str) -> Engine:
    """The engine of a schema that may be written."""
    engine = Engine(
        compile_file(schema) if isinstance(schema, Path) else compile_schema(schema, source=source)
    )
    engine.require_shallow()
    return engine


def _rechecked(current: Current, schema: Schema) -> dict[str, Callable[[Relationship], str | None]]:
    """For each caveat that takes other parameters than now, how to find what no longer fits it."""
    present = {} if current.engine is None else current.engine.schema.caveats
    return {
        name: partial(_context_fault, new.caveat)
        for name, new in schema.caveats.items()
        if name in present and present[name].caveat.parameters != new.caveat.parameters
    }


def _context_fault(caveat: Caveat, relationship: Relationship) -> str | None:
    """What is wrong with a stored context under a new form of its caveat."""
    stored = relationship.caveat
    try:
        caveat.require_context({} if stored is None else stored.values, field="schema")
    except ContextError as error:
        return error.message
    return None
