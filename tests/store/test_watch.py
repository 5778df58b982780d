"""Whether others have committed: what whoever follows a database asks before all else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from relata.errors import StoreError
from relata.relationships import parse_relationship, touch
from relata.store import Store, is_private


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "relata.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{file}")
    yield store
    store.close()


def write(store: Store, text: str = "document:readme#viewer@user:anne") -> None:
    store.write([touch(parse_relationship(text))], schema_revision=0)


def test_it_has_moved_once_for_each_commit(store: Store, file: Path) -> None:
    """Also the first time, and for commits of whatever process."""
    watch, other = store.watch(), Store.open(f"sqlite:///{file}")
    assert [watch.moved(), watch.moved()] == [True, False]
    write(other)
    assert [watch.moved(), watch.moved()] == [True, False]
    write(store, "document:readme#viewer@user:bob")
    assert [watch.moved(), watch.moved()] == [True, False]
    watch.close()
    other.close()


def test_what_is_rolled_back_has_not_moved_it(store: Store) -> None:
    """A write that changes nothing is taken back."""
    write(store)
    watch = store.watch()
    assert watch.moved()
    write(store)
    assert not watch.moved()
    watch.close()


def test_a_watch_keeps_nobody_from_writing(store: Store, file: Path) -> None:
    """Neither a writer nor one who copies the whole log into the database."""
    watch = store.watch()
    assert watch.moved()
    write(store)
    assert watch.moved()
    connection = sqlite3.connect(file)
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()
    watch.close()
    assert busy == 0


def test_after_an_error_it_begins_again(store: Store) -> None:
    """With a connection that works, and counting as moved whatever it has missed."""
    watch = store.watch()
    assert watch.moved()
    assert watch._driver is not None, "it was asked before"
    watch._driver.close()
    with pytest.raises(StoreError):
        watch.moved()
    assert [watch.moved(), watch.moved()] == [True, False]
    watch.close()


def test_a_closed_watch_can_be_asked_again(store: Store) -> None:
    """It then knows of nothing that was before."""
    watch = store.watch()
    assert watch.moved()
    watch.close()
    assert watch.moved()
    watch.close()


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("sqlite://", True),
        ("sqlite:///:memory:", True),
        ("sqlite:///relata.db", False),
        ("sqlite:////srv/relata.db?timeout=1", False),
    ],
)
def test_which_databases_are_private(url: str, private: bool) -> None:
    assert is_private(url) is private
