"""Writes and deletes: one transaction, one revision, all or nothing."""

from __future__ import annotations

from typing import Literal

import pytest

from relata.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    RelationshipExistsError,
    WriteConflictError,
)
from relata.relationships import (
    Precondition,
    RelationshipFilter,
    create,
    delete,
    touch,
)
from relata.store import SchemaMovedError, Store
from tests.store.suite.base import Base, live, put, rel, stored

A = "document:a#viewer@user:anne"
B = "document:b#viewer@user:anne"
C = "document:c#viewer@user:anne"


class WriteSuite(Base):
    def test_a_write_makes_the_next_revision(self, store: Store) -> None:
        assert store.state().head == 0
        assert store.write([create(A)], schema_revision=0) == 1
        assert store.write([create(B), touch(C)], schema_revision=0) == 2
        assert store.state().head == 2
        assert stored(store) == [A, B, C]

    def test_creating_what_is_there_names_it_and_writes_nothing(self, store: Store) -> None:
        put(store, A, C)
        with pytest.raises(RelationshipExistsError, match=f"`{A}`") as caught:
            store.write([touch(B), create(A), create(C)], schema_revision=0)
        assert caught.value.field == "updates[1]"
        assert stored(store) == [A, C]
        assert store.state().head == 1

    def test_a_refused_create_does_not_delete_either(self, store: Store) -> None:
        put(store, A, B)
        with pytest.raises(RelationshipExistsError):
            store.write([delete(A), create(B)], schema_revision=0)
        assert stored(store) == [A, B]

    def test_touching_what_is_there_returns_the_head_and_burns_no_revision(
        self, store: Store
    ) -> None:
        put(store, A)
        put(store, B)
        assert store.write([touch(A)], schema_revision=0) == 2
        assert store.write([create(C)], schema_revision=0) == 3
        assert [change.revision for change in store.changes(after=0)] == [1, 2, 3]

    def test_deleting_what_is_not_there_returns_the_head_and_burns_no_revision(
        self, store: Store
    ) -> None:
        assert store.write([delete(A)], schema_revision=0) == 0
        put(store, A)
        assert store.write([delete(B)], schema_revision=0) == 1
        assert store.write([delete(A)], schema_revision=0) == 2
        assert store.write([delete(A)], schema_revision=0) == 2
        assert stored(store) == []

    def test_an_empty_write_returns_the_head(self, store: Store) -> None:
        put(store, A)
        assert store.write([], schema_revision=0) == 1

    def test_a_touch_that_changes_nothing_beside_one_that_does(self, store: Store) -> None:
        put(store, A)
        assert store.write([touch(A), touch(B), delete(C)], schema_revision=0) == 2
        assert [str(change.relationship) for change in store.changes(after=1)] == [B]

    def test_two_updates_of_one_relationship_are_refused(self, store: Store) -> None:
        with pytest.raises(InvalidArgumentError, match=f"`{A}`") as caught:
            store.write([touch(A), touch(B), delete(A)], schema_revision=0)
        assert caught.value.field == "updates[2]"
        assert store.state().head == 0

    def test_a_deleted_relationship_can_be_created_again(self, store: Store) -> None:
        for revision in range(1, 5):
            update = create(A) if revision % 2 else delete(A)
            assert store.write([update], schema_revision=0) == revision
        assert [len(stored(store, revision)) for revision in range(5)] == [0, 1, 0, 1, 0]

    @pytest.mark.parametrize(
        ("operation", "text", "holds"),
        [
            ("must_match", A, True),
            ("must_match", B, False),
            ("must_not_match", A, False),
            ("must_not_match", B, True),
        ],
    )
    def test_a_precondition_decides(
        self,
        store: Store,
        operation: Literal["must_match", "must_not_match"],
        text: str,
        holds: bool,
    ) -> None:
        """`A` is live; `B` was, once."""
        put(store, A, B)
        store.write([delete(B)], schema_revision=0)
        met = Precondition("must_match", RelationshipFilter(subject_id="anne"))
        asked = Precondition(operation, RelationshipFilter(resource_id=rel(text).resource.id))
        if holds:
            assert store.write([touch(C)], [met, asked], schema_revision=0) == 3
            return
        with pytest.raises(PreconditionFailedError, match=f"`{asked.filter}`") as caught:
            store.write([touch(C)], [met, asked], schema_revision=0)
        assert caught.value.field == "preconditions[1]"
        with pytest.raises(PreconditionFailedError):
            store.delete(
                RelationshipFilter(subject_id="anne"), [asked], limit=None, schema_revision=0
            )
        assert stored(store) == [A]
        assert store.state().head == 2

    def test_a_precondition_is_checked_also_where_nothing_would_change(self, store: Store) -> None:
        put(store, A)
        unmet = Precondition("must_match", RelationshipFilter(resource_id="nothing"))
        with pytest.raises(PreconditionFailedError):
            store.write([touch(A)], [unmet], schema_revision=0)

    def test_a_precondition_with_an_empty_filter_names_itself(self, store: Store) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            store.write(
                [touch(A)], [Precondition("must_match", RelationshipFilter())], schema_revision=0
            )
        assert caught.value.field == "preconditions[0].filter"

    def test_a_write_for_another_schema_is_refused(self, store: Store) -> None:
        """A schema that moved is a conflict: whoever meets it tries again."""
        first = store.write_schema("one", replaces=0, removed=[])
        store.write_schema("two", replaces=first, removed=[])
        with pytest.raises(SchemaMovedError, match="`2`"):
            store.write([touch(A)], schema_revision=first)
        with pytest.raises(WriteConflictError):
            store.delete(RelationshipFilter(relation="viewer"), limit=None, schema_revision=0)
        assert store.write([touch(A)], schema_revision=2) == 3

    def test_a_large_write_is_one_revision(self, store: Store) -> None:
        texts = [f"document:d{number}#viewer@user:u{number % 7}" for number in range(3000)]
        assert put(store, *texts) == 1
        assert len(live(store)) == 3000
        half = [delete(text) for text in texts[::2]]
        assert store.write(half, schema_revision=0) == 2
        assert live(store) == {rel(text) for text in texts[1::2]}

    def test_delete_removes_what_matches(self, store: Store) -> None:
        put(store, A, B, "folder:a#viewer@user:anne")
        outcome = store.delete(
            RelationshipFilter(resource_type="document"), limit=None, schema_revision=0
        )
        assert (outcome.revision, outcome.deleted, outcome.complete) == (2, 2, True)
        assert stored(store) == ["folder:a#viewer@user:anne"]
        assert stored(store, 1) == [A, B, "folder:a#viewer@user:anne"]

    def test_delete_of_nothing_burns_no_revision(self, store: Store) -> None:
        put(store, A)
        outcome = store.delete(
            RelationshipFilter(resource_type="folder"), limit=5, schema_revision=0
        )
        assert (outcome.revision, outcome.deleted, outcome.complete) == (1, 0, True)
        assert put(store, B) == 2

    def test_delete_with_a_limit_says_whether_more_remain(self, store: Store) -> None:
        put(store, *(f"document:d{number}#viewer@user:anne" for number in range(5)))
        everything = RelationshipFilter(resource_type="document")
        outcomes = [store.delete(everything, limit=2, schema_revision=0) for _ in range(4)]
        assert [(it.revision, it.deleted, it.complete) for it in outcomes] == [
            (2, 2, False),
            (3, 2, False),
            (4, 1, True),
            (4, 0, True),
        ]

    def test_delete_that_just_reaches_its_limit_is_complete(self, store: Store) -> None:
        put(store, A, B)
        outcome = store.delete(RelationshipFilter(relation="viewer"), limit=2, schema_revision=0)
        assert (outcome.deleted, outcome.complete) == (2, True)

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_below_one_is_refused(self, store: Store, limit: int) -> None:
        """In SQL a limit of -1 would be none at all."""
        put(store, A)
        with pytest.raises(InvalidArgumentError) as caught:
            store.delete(RelationshipFilter(relation="viewer"), limit=limit, schema_revision=0)
        assert caught.value.field == "limit"
        with pytest.raises(InvalidArgumentError):
            store.read(None, revision=1, limit=limit)
        assert stored(store) == [A]
