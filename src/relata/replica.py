"""What a process has of its database: the graph in memory, the schema in force, how fresh both are.

A replica is fed by the store's changes, in revision order: after each write of this process, when
a question asks for freshness, and every so often for the writes of others. Questions and changes
take turns under one lock, so a question sees one revision. A question about the past gets the
graph with later changes undone, or a snapshot straight from the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from relata.api_keys import ApiKeys
from relata.consistency import Consistency, Freshness, decode_zed_token
from relata.engine import Engine
from relata.errors import (
    NotFreshError,
    SchemaMissingError,
    SnapshotUnavailableError,
    StoreError,
)
from relata.graph import Resident, View, snapshot_view
from relata.question_only import question_only_of
from relata.schema import compile_schema
from relata.store import SchemaMovedError, Store

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
_COLLECTED_AT_ONCE = 1_000
"""How many one write removes, so that no other write waits long."""
_log = logging.getLogger(__name__)


class Ready(NamedTuple):
    """An engine, and the graph as it reads it."""

    engine: Engine
    view: View


class Current(NamedTuple):
    """The schema in force, and the graph as it is read under it. Replaced as one."""

    engine: Engine | None
    view: View | None
    schema_revision: int

    def require(self) -> Ready:
        """The engine and the view. Raises SchemaMissingError where there is no schema."""
        if self.engine is None or self.view is None:
            raise SchemaMissingError("no schema has been written; write one first")
        return Ready(self.engine, self.view)


class Replica:
    """A graph that follows a store, and the keys that it keeps. Threads may share it."""

    def __init__(
        self,
        store: Store,
        keys: ApiKeys,
        *,
        question_only: frozenset[str],
        follow_seconds: float | None,
    ) -> None:
        self._store = store
        self._keys = keys
        self.question_only = question_only
        self._graph = Resident()
        self.current = Current(None, None, 0)
        self._engines: dict[int, Engine] = {}
        self._lock = threading.Lock()
        self._refresh_lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._joined: list[RootTransaction] = []
        self._joined_lock = threading.Lock()
        self._stopping = threading.Event()
        self._load()
        self._follower = self._start_following(follow_seconds)

    def close(self) -> None:
        """Stop following, for good; questions and writes then raise StoreError."""
        self._stopping.set()
        if self._follower is not None:
            self._follower.join()

    def ask(self, question: Callable[[Engine, View], T], consistency: Consistency) -> tuple[T, int]:
        """Ask a question at a revision that is fresh enough; return its answer and the revision.

        The question must be done with the view when it returns.
        """
        self._require_open()
        exact = self._wait_until_fresh(consistency)
        with self._lock:
            revision = self._graph.revision
            if exact is None or exact == revision:
                return question(*self.current.require()), revision
        return self._ask_the_past(question, exact), exact

    def try_ask(self, question: Callable[[Engine, View], T]) -> tuple[T, int] | None:
        """Ask a question at the graph's revision, or return None where that has to be waited for.

        It waits neither for a lock (a long question, changes that are taken in) nor for the
        database. The question must be done with the view when it returns.
        """
        self._require_open()
        if self._joined or not self._lock.acquire(blocking=False):
            return None
        try:
            return question(*self.current.require()), self._graph.revision
        finally:
            self._lock.release()

    def _ask_the_past(self, question: Callable[[Engine, View], T], revision: int) -> T:
        """Ask at an earlier revision: of the graph, with what has changed since undone, or of
        the store, where too much has."""
        engine = self._engine_at(revision)
        for _ in range(_GRAPH_RACES):
            present = self._graph.revision
            changes = self._store.changes(after=revision, through=present, limit=_UNDONE + 1)
            if len(changes) > _UNDONE:
                break
            undone = [(change.added, change.relationship) for change in changes]
            with self._lock:
                if self._graph.revision == present:
                    past = engine.before(self._graph.view(engine.kinds), undone)
                    return question(engine, engine.without_stored(past, self.question_only))
        view = snapshot_view(self._store, revision, engine.kinds)
        return question(engine, engine.without_stored(view, self.question_only))

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
            current = self.current
            if state.schema_revision != current.schema_revision:
                self.question_only = question_only_of(self._store)
                current = self._at_schema(state.schema_revision)
            with self._lock:
                for change in changes:
                    if change.added:
                        self._graph.add(change.relationship)
                    else:
                        self._graph.remove(change.relationship)
                self._graph.revision = state.head
                self.current = current
            return True

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
            self.current = self._at_schema(state.schema_revision)
        self._keys.refresh(state.keys_version)

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

    def _at_schema(self, revision: int) -> Current:
        engine = self._engine_at(revision)
        return Current(engine, self._view_of(engine), revision)

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
        while not self._stopping.wait(min(seconds * 2 ** min(failures, 10), _LONGEST_PAUSE)):
            try:
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

    def after_write(self, connection: Connection | None) -> None:
        """Take in a write, or remember the caller's transaction that it joined."""
        if connection is None:
            self.refresh()
            return
        transaction = connection.get_transaction()
        if transaction is not None:
            with self._joined_lock:
                self._joined = [*self._joined, transaction]

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
