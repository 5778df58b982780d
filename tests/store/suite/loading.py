"""Bulk: batches of rows, each touched as one revision, with a mark of how far an import is."""

from __future__ import annotations

from itertools import pairwise

import pytest

from relata.relationships import create, delete
from relata.store import SchemaMovedError, Store, Values, to_values
from tests.store.suite.base import Base, live, put, rel, replayed, stored

A = "document:a#viewer@user:anne"
B = "document:b#viewer@user:anne"
C = "document:c#viewer@group:eng#member"
CAVEATED = f'{A}[weekdays:{{"days":5}}]'
EXPIRING = f"{A}[expiration:2130-01-01T00:00:00Z]"


def rows(*texts: str) -> list[Values]:
    return [to_values(rel(text)) for text in texts]


class LoadingSuite(Base):
    def test_each_batch_is_a_revision(self, store: Store) -> None:
        with store.loading() as loader:
            assert loader.load(rows(A, B), schema_revision=0) == 1
            assert loader.load(rows(C), schema_revision=0) == 2
        assert [stored(store, revision) for revision in range(3)] == [[], [A, B], [A, B, C]]
        assert [it.revision for it in store.changes(after=0)] == [1, 1, 2]

    def test_what_is_there_already_makes_no_revision(self, store: Store) -> None:
        put(store, A, CAVEATED.replace("document:a", "document:b"))
        with store.loading() as loader:
            same = rows(A, CAVEATED.replace("document:a", "document:b"))
            assert loader.load(same, schema_revision=0) == 1
            assert loader.load([], schema_revision=0) == 1
            assert loader.load(rows(A, C), schema_revision=0) == 2
        assert store.write([create("document:d#viewer@user:anne")], schema_revision=0) == 3
        assert [it.revision for it in store.changes(after=0)] == [1, 1, 2, 3]

    def test_what_is_said_otherwise_replaces_what_was_said(self, store: Store) -> None:
        put(store, A)
        with store.loading() as loader:
            for before, after in pairwise([A, CAVEATED, EXPIRING, A, EXPIRING, CAVEATED, A]):
                head = store.state().head
                loader.load(rows(B, after), schema_revision=0)
                assert live(store) == {rel(B), rel(after)}
                changes = [str(it.relationship) for it in store.changes(after=head)]
                assert changes == [before, *([B] if head == 1 else []), after]

    def test_of_two_with_one_key_the_last_one_counts(self, store: Store) -> None:
        with store.loading() as loader:
            loader.load(rows(A, B, CAVEATED, B, EXPIRING), schema_revision=0)
        assert live(store) == {rel(EXPIRING), rel(B)}
        assert replayed(store.changes(after=0)) == live(store)

    def test_what_was_deleted_comes_back(self, store: Store) -> None:
        put(store, A, B)
        store.write([delete(A)], schema_revision=0)
        with store.loading() as loader:
            assert loader.load(rows(A, B), schema_revision=0) == 3
        assert live(store) == {rel(A), rel(B)}

    def test_a_batch_for_another_schema_is_refused(self, store: Store) -> None:
        store.write_schema("one", replaces=0, removed=[])
        with store.loading() as loader:
            loader.load(rows(A), schema_revision=1, name="x", mark="first")
            store.write_schema("two", replaces=1, removed=[])
            with pytest.raises(SchemaMovedError):
                loader.load(rows(B), schema_revision=1, name="x", mark="second")
            assert loader.mark("x") == "first"
        assert live(store) == {rel(A)}

    def test_a_mark_stays_until_its_import_ends(self, store: Store) -> None:
        with store.loading() as loader:
            assert loader.mark("x") is None
            loader.load(rows(A), schema_revision=0, name="x", mark="one")
            loader.load(rows(B), schema_revision=0, name="y", mark="other")
            loader.load(rows(B), schema_revision=0, name="x", mark="two")  # changes nothing else
        with store.loading() as loader:
            assert (loader.mark("x"), loader.mark("y")) == ("two", "other")
            assert loader.load(rows(A, B), schema_revision=0, name="x") == 2
            assert (loader.mark("x"), loader.mark("y")) == (None, "other")
            loader.forget("y")
            assert loader.mark("y") is None

    def test_others_write_between_batches(self, store: Store) -> None:
        with store.loading() as loader:
            loader.load(rows(A), schema_revision=0)
            assert put(store, B) == 2
            assert loader.load(rows(B, C), schema_revision=0) == 3
        assert live(store) == {rel(A), rel(B), rel(C)}
