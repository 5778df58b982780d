"""Reads: pages at a revision, everything live, the changes, and single objects."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain

from sqlalchemy import insert

from relata.relationships import Kind, RelationshipFilter, create, delete, touch
from relata.store import State, Store
from relata.store.tables import relationships, revisions
from tests.store.suite.base import Base, live, put, rel, replayed, stored

A = "document:a#viewer@user:anne"
B = "document:b#viewer@user:anne"
C = "document:c#viewer@user:anne"


class ReadSuite(Base):
    def test_every_revision_can_be_read(self, store: Store) -> None:
        store.write([create(A)], schema_revision=0)
        store.write([create(B), delete(A)], schema_revision=0)
        store.write([create(A), create(C)], schema_revision=0)
        assert [set(stored(store, revision)) for revision in range(4)] == [
            set(),
            {A},
            {B},
            {A, B, C},
        ]

    def test_pages_are_in_the_order_of_rows_and_skip_nothing(self, store: Store) -> None:
        texts = [f"document:d{number}#viewer@user:anne" for number in range(10)]
        for start in (5, 0):
            put(store, *texts[start : start + 5])
        for filter_ in (None, RelationshipFilter(resource_type="document")):
            pages, after = [], 0
            while page := store.read(filter_, revision=2, after=after, limit=3):
                pages.append([str(item.relationship) for item in page])
                after = page[-1].row
            assert [len(page) for page in pages] == [3, 3, 3, 1]
            assert list(chain(*pages)) == texts[5:] + texts[:5]

    def test_pages_that_an_index_serves_are_in_the_order_of_rows_too(self, store: Store) -> None:
        texts = [
            f"document:a#{relation}@user:{name}"
            for name in ("zoe", "anne")
            for relation in ("viewer", "editor")
        ]
        put(store, *texts)
        page = store.read(RelationshipFilter("document", "a"), revision=1, limit=3)
        assert sorted(page, key=lambda item: item.row) == page
        rest = store.read(
            RelationshipFilter("document", "a"), revision=1, after=page[-1].row, limit=3
        )
        assert {str(item.relationship) for item in page + rest} == set(texts)
        assert len(rest) == 1

    def test_pages_of_one_revision_do_not_see_later_writes(self, store: Store) -> None:
        put(store, A, B, C)
        first = store.read(None, revision=1, limit=1)
        store.write([delete(B), touch("document:z#viewer@user:anne")], schema_revision=0)
        rest = store.read(None, revision=1, after=first[0].row, limit=10)
        assert [str(item.relationship) for item in rest] == [B, C]

    def test_live_is_everything_with_its_state(self, store: Store) -> None:
        put(store, A, B, "document:a#viewer@group:eng#member", "document:a#viewer@user:*")
        store.write([delete(A)], schema_revision=0)
        state, rows = store.live()
        assert state == State(head=2, schema_revision=0, keys_version=0)
        assert sorted(rows) == [
            ("document", "a", "viewer", "group", "eng", "member", "", "", None),
            ("document", "a", "viewer", "user", "*", "", "", "", None),
            ("document", "b", "viewer", "user", "anne", "", "", "", None),
        ]

    def test_live_is_one_snapshot_however_long_it_takes_to_read(self, store: Store) -> None:
        """More rows than are fetched at once, and a write after the first of them."""
        put(store, *(f"document:d{number}#viewer@user:anne" for number in range(10_500)))
        state, rows = store.live()
        first = next(rows)
        store.delete(RelationshipFilter(resource_type="document"), limit=None, schema_revision=0)
        put(store, A)
        rest = list(rows)
        assert state.head == 1
        assert len({first, *rest}) == 10_500
        assert ("document", "a", "viewer", "user", "anne", "", "", "", None) not in rest
        assert live(store) == {rel(A)}

    def test_an_abandoned_live_read_gives_its_connection_back(self, store: Store) -> None:
        put(store, A, B)
        _, rows = store.live()
        next(rows)
        rows.close()  # type: ignore[attr-defined]  # the iterator is a generator
        assert live(store) == {rel(A), rel(B)}
        assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool

    def test_changes_are_in_the_order_of_revisions(self, store: Store) -> None:
        store.write([create(A), create(B)], schema_revision=0)
        store.write([create(C), delete(A)], schema_revision=0)
        store.write([create(A), delete(B)], schema_revision=0)
        changes = [(it.revision, it.added, str(it.relationship)) for it in store.changes(after=0)]
        assert changes == [
            (1, True, A),
            (1, True, B),
            (2, False, A),
            (2, True, C),
            (3, False, B),
            (3, True, A),
        ]
        assert replayed(store.changes(after=0)) == live(store)

    def test_changes_are_those_after_one_revision_through_another(self, store: Store) -> None:
        for text in (A, B, C):
            put(store, text)
        store.write([delete(A)], schema_revision=0)
        between = {
            (after, through): [it.revision for it in store.changes(after=after, through=through)]
            for after, through in ((0, 2), (1, 3), (2, None), (3, 3), (4, None), (4, 9), (9, None))
        }
        assert between == {
            (0, 2): [1, 2],
            (1, 3): [2, 3],
            (2, None): [3, 4],
            (3, 3): [],
            (4, None): [],
            (4, 9): [],
            (9, None): [],
        }

    def test_a_row_that_was_never_live_is_nowhere(self, store: Store) -> None:
        """No write makes one; were there one, a replay of the changes must not end with it."""
        put(store, A)
        with store.engine.begin() as connection:
            connection.execute(insert(revisions).values(revision=2, created_at=datetime.now(UTC)))
            connection.execute(
                insert(relationships).values(
                    resource_type="document",
                    resource_id="b",
                    relation="viewer",
                    subject_type="user",
                    subject_id="anne",
                    subject_relation="",
                    created_revision=2,
                    deleted_revision=2,
                )
            )
        assert stored(store, 2) == [A]
        assert replayed(store.changes(after=0)) == live(store) == {rel(A)}

    def test_the_neighbours_of_an_object_at_a_revision(self, store: Store) -> None:
        """`user`, `user:*` and `group#member` on one relation are three kinds."""
        put(store, A, "document:a#viewer@user:*", "document:a#viewer@group:eng#member")
        put(store, "document:a#viewer@group:eng", "document:a#editor@user:bob", B)
        store.write([delete(A), touch("document:a#viewer@user:bob")], schema_revision=0)
        user = Kind("document", "viewer", "user")
        everyone = Kind("document", "viewer", "user", wildcard=True)
        members = Kind("document", "viewer", "group", "member")
        group = Kind("document", "viewer", "group")
        assert [store.subjects_at(user, "a", revision) for revision in range(4)] == [
            [],
            [("anne", "", None)],
            [("anne", "", None)],
            [("bob", "", None)],
        ]
        assert store.subjects_at(everyone, "a", 3) == [("*", "", None)]
        assert store.subjects_at(members, "a", 1) == [("eng", "", None)]
        assert store.subjects_at(group, "a", 1) == []
        assert store.subjects_at(group, "a", 2) == [("eng", "", None)]
        assert sorted(store.resources_at(user, "anne", 2)) == [("a", "", None), ("b", "", None)]
        assert store.resources_at(user, "anne", 3) == [("b", "", None)]
        assert store.resources_at(everyone, "*", 3) == [("a", "", None)]
        assert store.resources_at(user, "*", 3) == []
        assert store.resources_at(members, "eng", 1) == [("a", "", None)]
        assert store.resources_at(group, "eng", 1) == []
