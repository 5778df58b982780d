"""What the suite's mixins share: the fixtures and a few short words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from relata.relationships import (
    CaveatRef,
    ObjectRef,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    parse_relationship,
    touch,
)
from relata.store import Change, Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Base:
    """A subclass overrides `url` with a database that is empty for each test."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        store = Store.open(url)
        yield store
        store.close()


def rel(text: str) -> Relationship:
    return parse_relationship(text)


def put(store: Store, *texts: str) -> int:
    """Touch relationships under the store's newest schema."""
    return store.write(
        [touch(text) for text in texts], schema_revision=store.state().schema_revision
    )


def stored(store: Store, revision: int | None = None) -> list[str]:
    """Every relationship at a revision, or at the head, as text in the order of rows."""
    at = store.state().head if revision is None else revision
    return [str(item.relationship) for item in store.read(None, revision=at, limit=10_000)]


def found(store: Store, filter_: RelationshipFilter) -> set[str]:
    head = store.state().head
    return {str(item.relationship) for item in store.read(filter_, revision=head, limit=10_000)}


def live(store: Store) -> set[Relationship]:
    _, rows = store.live()
    return {
        Relationship(
            ObjectRef(row[0], row[1]),
            row[2],
            SubjectRef(row[3], row[4], row[5]),
            CaveatRef(row[6], row[7]) if row[6] else None,
            None if row[8] is None else EPOCH + timedelta(microseconds=row[8]),
        )
        for row in rows
    }


def replayed(changes: list[Change]) -> set[Relationship]:
    """What is there after the changes; each must change something."""
    there: set[Relationship] = set()
    for change in changes:
        assert (change.relationship in there) != change.added, f"{change} changes nothing"
        if change.added:
            there.add(change.relationship)
        else:
            there.remove(change.relationship)
    return there
