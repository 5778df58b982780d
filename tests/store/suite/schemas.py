"""Schemas: one after the other, none that strands what is stored."""

from __future__ import annotations

import pytest

from relata.errors import SchemaStrandsError
from relata.relationships import Kind, delete, relationship_kind
from relata.store import SchemaMovedError, Store, StoredSchema
from tests.store.suite.base import Base, put, rel, stored

KINDS = (
    "document:a#viewer@user:anne",
    "document:a#viewer@user:*",
    "document:a#viewer@group:eng",
    "document:a#viewer@group:eng#member",
)


class SchemaSuite(Base):
    def test_there_is_none_at_first(self, store: Store) -> None:
        assert store.schema() is None
        assert store.schema(5) is None
        assert store.state().schema_revision == 0

    def test_each_schema_is_a_revision_and_stays_readable(self, store: Store) -> None:
        assert store.write_schema("one", replaces=0, removed=[]) == 1
        put(store, KINDS[0])
        assert store.write_schema("two\n", replaces=1, removed=[]) == 3
        assert store.schema() == StoredSchema(3, "two\n")
        assert [store.schema(revision) for revision in range(4)] == [
            None,
            StoredSchema(1, "one"),
            StoredSchema(1, "one"),
            StoredSchema(3, "two\n"),
        ]
        state = store.state()
        assert (state.head, state.schema_revision) == (3, 3)

    def test_the_same_text_again_makes_no_revision(self, store: Store) -> None:
        store.write_schema("one", replaces=0, removed=[])
        put(store, KINDS[0])
        assert store.write_schema("one", replaces=1, removed=[]) == 1
        assert store.state().head == 2

    def test_a_schema_made_against_another_one_is_refused(self, store: Store) -> None:
        store.write_schema("one", replaces=0, removed=[])
        with pytest.raises(SchemaMovedError):
            store.write_schema("two", replaces=0, removed=[])
        assert store.schema() == StoredSchema(1, "one")
        assert store.state().head == 1

    @pytest.mark.parametrize("text", KINDS)
    def test_a_kind_in_use_cannot_be_removed(self, store: Store, text: str) -> None:
        store.write_schema("one", replaces=0, removed=[])
        put(store, *KINDS)
        with pytest.raises(SchemaStrandsError, match="`document:a#viewer@") as caught:
            store.write_schema("two", replaces=1, removed=[relationship_kind(rel(text))])
        assert caught.value.relationship == text
        assert store.schema() == StoredSchema(1, "one")
        assert store.state().head == 2

    @pytest.mark.parametrize("text", KINDS)
    def test_a_kind_out_of_use_can_be_removed(self, store: Store, text: str) -> None:
        """Its neighbours on the same relation are in use, and it was once itself."""
        store.write_schema("one", replaces=0, removed=[])
        put(store, *KINDS)
        store.write([delete(text)], schema_revision=1)
        kind = relationship_kind(rel(text))
        other = Kind("document", "editor", "user")
        assert store.write_schema("two", replaces=1, removed=[other, kind]) == 4
        assert len(stored(store)) == 3
