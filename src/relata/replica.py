"""What a process has of its database: the graph in memory, the schema in force, how fresh both are.

A replica is fed by the store's changes, in revision order: after each write of this process, when
a question asks for freshness, and every so often for the writes of others. Every question sees one
revision:

- a short one that waits for nothing goes on beside a change, and its answer counts only if none
  was made meanwhile (`try_ask`, `texts`); the memory's sequence tells;
- every other one takes turns with changes under one lock. A long one lets go of it every so many
  steps, and goes on at its revision: what a change is about to replace is kept in its view;
- one about the past gets the graph with later changes undone, or a snapshot from the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from relata.api_keys import ApiKeys
from relata.consistency import Consistency, Freshness, decode_zed_token
from relata.engine import NOTHING_REMEMBERED, Engine, Memory, Recall, TextChecks
from relata.errors import (
    NotFreshError,
    SchemaMissingError,
    SnapshotUnavailableError,
    StoreError,
)
from relata.graph import Resident, View, snapshot_view
from relata.question_only import question_only_of
from relata.schema import compile_schema
from relata.store import Change, SchemaMovedError, Store
from relata.turns import Turns

if TYPE_CHECKING:
    from sqlalchemy import Connection, RootTransaction

T = TypeVar("T")

_SCHEMA_RACES = 5
_GRAPH_RACES = 3
_UNDONE = 10_000
"""How many changes are undone in memory for a question about the past."""
_ENGINES_KEPT = 3
"""How many engines of earlier schemas are kept for such questions."""
_LONGEST_PAUSE = 5.0
"""Seconds between two tries to follow a database that is away."""
_COLLECTION_PAUSE = 60.0
"""Seconds between two collections of expired relationships."""
_AT_ONCE = 2_000
"""How many changes are taken in between two questions, where they are of several revisions."""
_COLLECTED_AT_ONCE = 1_000
"""How many one write removes, so that no other write waits long."""
_log = logging.getLogger(__name__)


class Ready(NamedTuple):
    """What a question is asked of: an engine, the graph as it reads it, what is remembered of it,
    and what lets others have a turn."""

    engine: Engine
    view: View
    recall: Recall = NOTHING_REMEMBERED
    pause: Callable[[], None] | None = None


class Current(NamedTuple):
    """The schema in force, the graph as it is read under it, and what is remembered of that.
    Replaced as one."""

    engine: Engine | None
    view: View | None
    schema_revision: int
    memory: Memory

    def require(self) -> Ready:
        """What there is to ask. Raises SchemaMissingError where there is no schema."""
        if self.engine is None or self.view is None:
            raise SchemaMissingError("no schema has been written; write one first")
        return Ready(self.engine, self.view.own())


Ask = Callable[[Ready], T]
"""A question. It must be done with what it is asked of when it returns."""


class Replica:
    """A graph that follows a store, and the keys that it keeps. Threads may share it."""

    def __init__(
        self,
        store: Store,
        keys: ApiKeys,
        *,
        question_only: frozenset[str],
        follow_seconds: float | None,
        steps_at_once: int,
        answers_kept: int,
    ) -> None:
        self._store = store
        self._steps_at_once = steps_at_once
        self._answers_kept = answers_kept
        self._keys = keys
        self.question_only = question_only
        self._graph = Resident()
        self.current = Current(None, None, 0, Memory(0))
        self._engines: dict[int, Engine] = {}
        self._turns = Turns()
        self._refresh_lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._joined: list[RootTransaction] = []
        self._joined_lock = threading.Lock()
        self._stopping = threading.Event()
        self.texts: TextChecks | None = None
        """For plain checks; None where a question has to wait, or cannot be asked."""
        self._load()
        self._follower = self._start_following(follow_seconds)

    def close(self) -> None:
        """Stop following, for good; questions and writes then raise StoreError."""
        self._stopping.set()
        self.texts = None
        if self._follower is not None:
            self._follower.join()

    def ask(self, question: Ask[T], consistency: Consistency) -> tuple[T, int]:
        """Ask a question at a revision that is fresh enough; return its answer and the revision."""
        self._require_open()
        exact = self._wait_until_fresh(consistency)
        with self._turns.taken() as turn:
            revision = self._graph.revision
            if exact is None or exact == revision:
                current, ready = self.current, self.current.require()
                recall = Recall(current.memory, current.memory.sequence)
                pause = partial(turn.pause, ready.view)
                return question(ready._replace(recall=recall, pause=pause)), revision
        return self._ask_the_past(question, exact), exact

    def try_ask(self, question: Ask[T]) -> tuple[T, int] | None:
        """Ask a question at the graph's revision, or return None where that has to be waited for.

        It waits neither for a lock nor for the database: the question goes on beside changes that
        are taken in, and what it finds is thrown away if there was one. So it must be short.
        """
        self._require_open()
        current = self.current
        memory, sequence, revision = current.memory, current.memory.sequence, self._graph.revision
        if sequence & 1 or current is not self.current or self._joined:
            return None
        try:
            answer = question(current.require()._replace(recall=Recall(memory, sequence)))
        except Exception:
            if memory.sequence != sequence:
                return None
            raise
        return (answer, revision) if memory.sequence == sequence else None

    def settled_revision(self) -> int | None:
        """The graph's revision; None where something has to be waited for."""
        return None if self.texts is None else self._graph.revision

    def remembered(self, question: tuple[object, ...]) -> object | None:
        """The list that a question finds at the graph's revision; None where that has to be waited
        for, or is not remembered."""
        return None if self.texts is None else self.current.memory.answers.lists.get(question)

    def remember(
        self, question: tuple[object, ...], found: object, size: int, revision: int
    ) -> None:
        """Remember a list of so many items that a question has found at a revision."""
        self.current.memory.keep_list(revision, question, found, size)

    def _ask_the_past(self, question: Ask[T], revision: int) -> T:
        """Ask at an earlier revision: of the graph, with what has changed since undone, or of
        the store, where too much has."""
        engine = self._engine_at(revision)
        for _ in range(_GRAPH_RACES):
            present = self._graph.revision
            changes = self._store.changes(after=revision, through=present, limit=_UNDONE + 1)
            if len(changes) > _UNDONE:
                break
            undone = [(change.added, change.relationship) for change in changes]
            with self._turns.taken() as turn:
                if self._graph.revision == present:
                    view = self._graph.view(engine.kinds)
                    past = engine.without_stored(engine.before(view, undone), self.question_only)
                    return question(Ready(engine, past, pause=partial(turn.pause, view)))
        view = snapshot_view(self._store, revision, engine.kinds)
        return question(Ready(engine, engine.without_stored(view, self.question_only)))

    def refresh(self) -> None:
        """Take in what has been committed to the database since the last time."""
        if self._take_in():
            for listener in tuple(self._listeners):
                listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change of the graph, in the thread that took it in; return
        what ends that. It must be quick, and must not raise."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _take_in(self) -> bool:
        """Bring the graph to the newest revision; whether it was not there yet."""
        with self._refresh_lock:
            state = self._store.state()
            self._keys.refresh(state.keys_version)
            if state.head == self._graph.revision:
                return False
            changes = self._store.changes(after=self._graph.revision, through=state.head)
            schema_moved = state.schema_revision != self.current.schema_revision
            if schema_moved:
                self.question_only = question_only_of(self._store)
                # In one step: no revision of the new schema may be seen under the old one.
                self._commit(changes, state.head, state.schema_revision)
                return True
            for revision, batch in _batches(changes, state.head):
                self._commit(batch, revision, None)
            return True

    def _commit(
        self, changes: Sequence[Change], revision: int, schema_revision: int | None
    ) -> None:
        """Bring the graph to a revision and, with it, the schema to one."""
        prepared = self._graph.prepare((it.added, it.relationship) for it in changes)
        touched = prepared.touched()
        current = self.current
        following = current
        if schema_revision is not None:
            following = self._at_schema(schema_revision, Memory(revision, self._answers_kept))
        with self._turns.taken() as turn, current.memory.writing(revision):
            self._graph.commit(prepared, revision, kept=turn.waiting_views())
            if following is not current:
                current.memory.retire(following.memory)
                self.current = following
                self._open_texts()
            elif current.engine is not None and current.view is not None:
                current.engine.forget(current.memory, current.view, touched)

    def collect_expired(self) -> int:
        """Remove the relationships that have expired; return how many."""
        self._require_open()
        now, collected = datetime.now(UTC), 0
        while True:
            batch = self._store.collect_expired(before=now, limit=_COLLECTED_AT_ONCE)
            collected += batch
            if batch < _COLLECTED_AT_ONCE or self._stopping.is_set():
                return collected

    def ready(self) -> bool:
        """Whether the graph has all that the database had when asked."""
        return self._store.state().head <= self._graph.revision

    @property
    def revision(self) -> int:
        """The revision that the graph is at."""
        return self._graph.revision

    def _load(self) -> None:
        state, rows = self._store.live()
        self._graph.load(rows, revision=state.head)
        if state.schema_revision:
            self.current = self._at_schema(
                state.schema_revision, Memory(state.head, self._answers_kept)
            )
        self._open_texts()
        self._keys.refresh(state.keys_version)

    def _open_texts(self) -> None:
        engine, view, _, memory = self.current
        if engine is None or view is None or self._joined or self._stopping.is_set():
            self.texts = None
        else:
            self.texts = TextChecks(engine, view, memory, self._steps_at_once)
            if self._joined or self._stopping.is_set():  # since it was looked at
                self.texts = None

    def _engine_at(self, revision: int) -> Engine:
        """The engine of the schema in force at a revision."""
        stored = self._store.schema(revision)
        if stored is None:
            raise SchemaMissingError("no schema has been written; write one first")
        engine = self._engines.get(stored.revision)
        if engine is None:
            engine = Engine(compile_schema(stored.text))
            self._engines = dict(
                [*list(self._engines.items())[-_ENGINES_KEPT:], (stored.revision, engine)]
            )
        return engine

    def _at_schema(self, revision: int, memory: Memory) -> Current:
        engine = self._engine_at(revision)
        present = self.current.engine
        if present is not None:
            engine.prepare_as(present)
        return Current(engine, self._view_of(engine), revision, memory)

    def _view_of(self, engine: Engine) -> View:
        """The graph as an engine reads it, blind to stored choices: a choice comes with its
        question, even where one was stored before its relation was for questions only."""
        return engine.without_stored(self._graph.view(engine.kinds), self.question_only)

    def _start_following(self, seconds: float | None) -> threading.Thread | None:
        if seconds is None:
            return None
        thread = threading.Thread(
            target=self._follow, args=(seconds,), name="relata-follower", daemon=True
        )
        thread.start()
        return thread

    def _follow(self, seconds: float) -> None:
        failures, collect_at = 0, time.monotonic() + _COLLECTION_PAUSE
        watch = self._store.watch()
        while not self._stopping.wait(min(seconds * 2 ** min(failures, 10), _LONGEST_PAUSE)):
            try:
                if watch.moved() or failures:
                    self.refresh()
                if time.monotonic() >= collect_at:
                    collect_at = time.monotonic() + _COLLECTION_PAUSE
                    self.collect_expired()
            except Exception as error:  # noqa: BLE001  a database that is away may be back
                if not failures:
                    _log.error("cannot follow the database, answers may be stale: %s", error)
                failures += 1
            else:
                if failures:
                    _log.info("following the database again")
                failures = 0
        watch.close()

    def _wait_until_fresh(self, consistency: Consistency) -> int | None:
        """Bring the graph to where the question wants it; the exact revision, if it wants one."""
        if self._joined:
            self._settle_joined()
        match consistency.freshness:
            case Freshness.MINIMIZE_LATENCY:
                return None
            case Freshness.FULLY_CONSISTENT:
                self.refresh()
                return None
            case Freshness.AT_LEAST_AS_FRESH:
                self._reach(self._decode(consistency))
                return None
            case Freshness.AT_EXACT_SNAPSHOT:
                revision = self._decode(consistency)
                self.require_revision(revision)
                return revision

    def _decode(self, consistency: Consistency) -> int:
        return decode_zed_token(consistency.zed_token, self._store.datastore_id)

    def _reach(self, revision: int) -> None:
        if self._graph.revision < revision:
            self.refresh()
        if self._graph.revision < revision:
            raise NotFreshError(
                "the database has not reached the zed token's revision; if it comes from a "
                "transaction of your own, commit that first",
                field="consistency",
            )

    def require_revision(self, revision: int) -> None:
        """Raise SnapshotUnavailableError unless the database has reached a revision."""
        if revision > self._graph.revision:
            self.refresh()
        if revision > self._graph.revision:
            raise SnapshotUnavailableError(
                "the database has not reached that revision", field="consistency"
            )

    def revision_for(self, consistency: Consistency) -> int:
        """The revision that a question of this consistency is answered at."""
        self._require_open()
        exact = self._wait_until_fresh(consistency)
        return self._graph.revision if exact is None else exact

    def _settle_joined(self) -> None:
        """See the writes of callers' transactions that have ended since they joined.

        A transaction is forgotten when its writes have been seen, so that whoever finds none to
        wait for has them all.
        """
        with self._joined_lock:
            still_open = [transaction for transaction in self._joined if transaction.is_active]
            if len(still_open) < len(self._joined):
                self.refresh()
                self._joined = still_open
                self._open_texts()

    def after_write(self, connection: Connection | None) -> None:
        """Take in a write, or remember the caller's transaction that it joined."""
        if connection is None:
            self.refresh()
            return
        transaction = connection.get_transaction()
        if transaction is not None:
            with self._joined_lock:
                self._joined = [*self._joined, transaction]
                self.texts = None

    def against_current_schema(self, write: Callable[[Current], T]) -> T:
        """Run a write that checks itself against the schema, again if the schema has moved."""
        self._require_open()
        for _ in range(_SCHEMA_RACES):
            try:
                return write(self.current)
            except SchemaMovedError:
                self.refresh()
        return write(self.current)

    def _require_open(self) -> None:
        if self._stopping.is_set():
            raise StoreError("the authorizer is closed; open it again")


def _batches(changes: Sequence[Change], head: int) -> Iterator[tuple[int, Sequence[Change]]]:
    """Changes in batches, each with the revision that it leads to; the last leads to the head."""
    batch: list[Change] = []
    for revision, group in groupby(changes, key=lambda change: change.revision):
        if len(batch) >= _AT_ONCE:
            yield revision - 1, batch
            batch = []
        batch += group
    yield head, batch
