"""Writes that join the caller's transaction: together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine, text

from relata.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    RelataError,
    RelationshipExistsError,
    StoreError,
)
from relata.relationships import Precondition, RelationshipFilter, create, delete, touch
from relata.store import SchemaMovedError, Store
from tests.store.suite.base import Base, put, stored

A = "document:a#viewer@user:anne"
B = "document:b#viewer@user:anne"
C = "document:c#viewer@user:anne"
NOTHING = RelationshipFilter(resource_id="nothing")
EVERYTHING = RelationshipFilter(resource_type="document")


class JoinedSuite(Base):
    @pytest.fixture
    def other_url(self) -> str:
        """Another database, which no store has opened."""
        raise NotImplementedError

    @pytest.fixture(params=["the store's engine", "a plain engine"])
    def engine(self, store: Store, url: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
        """An engine of the caller's, with a table of the caller's in the same database."""
        plain = sqlalchemy.create_engine(url)
        with plain.begin() as connection:
            connection.execute(text("CREATE TABLE orders (number INTEGER)"))
        yield store.engine if request.param == "the store's engine" else plain
        plain.dispose()

    def test_both_are_committed(self, store: Store, engine: Engine) -> None:
        with engine.begin() as connection:
            order(connection)
            revision = store.write([create(A)], schema_revision=0, connection=connection)
        assert revision == 1
        assert stored(store) == [A]
        assert orders(engine) == 1

    @pytest.mark.parametrize("first", ["the caller", "the store"])
    def test_both_are_rolled_back(self, store: Store, engine: Engine, first: str) -> None:
        """Where the store writes first, SQLite's driver has not yet begun a transaction."""
        put(store, B)
        with engine.connect() as connection:
            if first == "the caller":
                order(connection)
            store.write([create(A), delete(B)], schema_revision=0, connection=connection)
            store.delete(EVERYTHING, limit=None, schema_revision=0, connection=connection)
            order(connection)
            connection.rollback()
        assert stored(store) == [B]
        assert orders(engine) == 0
        assert store.state().head == 1
        assert put(store, C) == 2

    def test_nothing_is_committed_before_the_caller_commits(
        self, store: Store, engine: Engine
    ) -> None:
        with engine.connect() as connection:
            store.write([create(A)], schema_revision=0, connection=connection)
            assert store.state().head == 0
            connection.commit()
        assert store.state().head == 1

    def test_an_exception_of_the_callers_rolls_both_back(
        self, store: Store, engine: Engine
    ) -> None:
        def fail() -> None:
            with engine.begin() as connection:
                store.write([create(A)], schema_revision=0, connection=connection)
                order(connection)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert stored(store) == []
        assert orders(engine) == 0

    @pytest.mark.parametrize("first", ["the caller", "the store"])
    def test_a_refused_write_leaves_the_callers_transaction_as_it_was(
        self, store: Store, engine: Engine, first: str
    ) -> None:
        put(store, B)
        with engine.begin() as connection:
            if first == "the caller":
                order(connection)
            for error, attempt in refused_writes(store, connection):
                with pytest.raises(error):
                    attempt()
            order(connection)
            assert store.write([create(C)], schema_revision=0, connection=connection) == 2
        assert stored(store) == [B, C]
        assert orders(engine) == (2 if first == "the caller" else 1)

    def test_a_write_that_changes_nothing_burns_no_revision(
        self, store: Store, engine: Engine
    ) -> None:
        put(store, A)
        with engine.begin() as connection:
            assert store.write([touch(A)], schema_revision=0, connection=connection) == 1
            outcome = store.delete(NOTHING, limit=1, schema_revision=0, connection=connection)
            assert (outcome.revision, outcome.deleted) == (1, 0)
            order(connection)
            assert store.write([touch(B)], schema_revision=0, connection=connection) == 2
        assert orders(engine) == 1
        assert stored(store) == [A, B]

    def test_writes_of_one_transaction_see_each_other(self, store: Store, engine: Engine) -> None:
        with engine.begin() as connection:
            first = store.write([create(A)], schema_revision=0, connection=connection)
            must = Precondition("must_match", RelationshipFilter(resource_id="a"))
            second = store.write([create(B)], [must], schema_revision=0, connection=connection)
            outcome = store.delete(EVERYTHING, limit=1, schema_revision=0, connection=connection)
        assert (first, second, outcome.revision, outcome.complete) == (1, 2, 3, False)
        assert len(stored(store)) == 1

    def test_a_transaction_that_only_read_so_far_can_be_joined(
        self, store: Store, engine: Engine
    ) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT count(*) FROM orders")).scalar_one()
            store.write([create(A)], schema_revision=0, connection=connection)
            connection.rollback()
        assert stored(store) == []

    def test_a_savepoint_of_the_callers_takes_the_write_back(
        self, store: Store, engine: Engine
    ) -> None:
        with engine.begin() as connection:
            order(connection)
            savepoint = connection.begin_nested()
            store.write([create(A)], schema_revision=0, connection=connection)
            savepoint.rollback()
            store.write([create(B)], schema_revision=0, connection=connection)
        assert stored(store) == [B]
        assert orders(engine) == 1

    @pytest.mark.parametrize("known", [True, False], ids=["of another store", "of no store"])
    def test_a_connection_to_another_database_is_refused(
        self, store: Store, other_url: str, known: bool
    ) -> None:
        """Its transaction stays usable, and nothing is written to it."""
        if known:
            Store.open(other_url).close()
        other = sqlalchemy.create_engine(other_url)
        with other.begin() as connection:
            connection.execute(text("CREATE TABLE orders (number INTEGER)"))
            with pytest.raises(StoreError, match="not to the database of this store"):
                store.write([create(A)], schema_revision=0, connection=connection)
            order(connection)
        assert orders(other) == 1
        other.dispose()
        assert stored(store) == []


def order(connection: Connection) -> None:
    connection.execute(text("INSERT INTO orders VALUES (1)"))


def orders(engine: Engine) -> int:
    with engine.connect() as connection:
        count: int = connection.execute(text("SELECT count(*) FROM orders")).scalar_one()
        return count


def refused_writes(
    store: Store, connection: Connection
) -> list[tuple[type[RelataError], Callable[[], object]]]:
    """Each way in which a write is refused, with `B` stored."""
    unmet = [Precondition("must_match", NOTHING)]
    write = partial(store.write, schema_revision=0, connection=connection)
    remove = partial(store.delete, limit=None, connection=connection)
    return [
        (RelationshipExistsError, partial(write, [touch(A), delete(C), create(B)])),
        (PreconditionFailedError, partial(write, [touch(A)], unmet)),
        (SchemaMovedError, partial(write, [touch(A)], schema_revision=7)),
        (InvalidArgumentError, partial(write, [touch(A), touch(A)])),
        (PreconditionFailedError, partial(remove, EVERYTHING, unmet, schema_revision=0)),
        (SchemaMovedError, partial(remove, EVERYTHING, schema_revision=7)),
        (InvalidArgumentError, partial(remove, RelationshipFilter(), schema_revision=0)),
    ]
