"""Being told of changes, and asking the graph itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from relata.authorizer import Relata
from relata.consistency import at_exact_snapshot, at_least_as_fresh
from relata.graph import View
from tests.authorizer.conftest import SCHEMA


def test_a_listener_is_told_of_each_change(relata: Relata) -> None:
    """When the graph has it, and not of writes that change nothing."""
    revisions: list[int] = []
    relata.listen(lambda: revisions.append(relata.revision))
    first = relata.revision
    relata.write(["organization:acme#member@user:anne"])
    relata.write(["organization:acme#member@user:anne"])
    relata.refresh()
    assert revisions == [first + 1]


def test_a_listener_hears_of_other_processes(relata: Relata, url: str) -> None:
    """As soon as what they wrote is taken in."""
    told: list[None] = []
    relata.listen(lambda: told.append(None))
    with Relata.open(url, follow_seconds=None) as other:
        other.write(["organization:acme#member@user:anne"])
    assert told == []
    relata.refresh()
    assert told == [None]


def test_a_follower_takes_in_what_others_write(url: str) -> None:
    """By itself: nobody asks for freshness."""
    told = threading.Event()
    with (
        Relata.open(url, schema=SCHEMA, follow_seconds=0.001) as follower,
        Relata.open(url, follow_seconds=None) as other,
    ):
        follower.listen(told.set)
        other.write(["organization:acme#member@user:anne"])
        assert told.wait(30)
        assert follower.revision == other.revision


def test_a_listener_that_has_left_is_told_nothing(relata: Relata) -> None:
    """The others still are."""
    told: list[str] = []
    leave = relata.listen(lambda: told.append("one"))
    relata.listen(lambda: told.append("two"))
    leave()
    relata.write(["organization:acme#member@user:anne"])
    assert told == ["two"]


def test_the_graph_can_be_inspected(relata: Relata) -> None:
    """As it is, or as it was at a revision."""
    before = relata.write(["organization:acme#member@user:anne"]).written_at
    relata.write(["organization:acme#member@user:bob"])
    (kind,) = [
        number
        for number, kind in enumerate(relata.inspect(lambda engine, _: engine.kinds))
        if (kind.resource_type, kind.relation) == ("organization", "member")
    ]

    def members(view: View) -> int:
        return len(view.forward[kind].get(view.node("organization:acme")) or ())

    assert relata.inspect(lambda _, view: members(view)) == 2
    exact = at_exact_snapshot(before)
    assert relata.inspect(lambda _, view: members(view), consistency=exact) == 1


def test_no_revision_of_a_new_schema_is_seen_under_the_old_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where much has changed with it, which is otherwise taken in piece by piece."""
    monkeypatch.setattr("relata.replica._AT_ONCE", 1)
    old = "definition user {}\ndefinition document {\n\trelation viewer: user\n"
    old += "\trelation banned: user\n\tpermission view = viewer\n}\n"
    with (
        Relata.open(url, schema=old, follow_seconds=None) as writing,
        Relata.open(url, follow_seconds=None) as following,
    ):
        writing.write(["document:d#viewer@user:eve", "document:d#banned@user:eve"])
        new = old.replace("view = viewer", "view = viewer - banned")
        schema_at = writing.write_schema(new).zed_token
        for number in range(5):
            writing.write([f"document:d{number}#viewer@user:anne"])
        seen: list[bool] = []
        commit = following._replica._commit

        def committing(*arguments: Any) -> None:
            commit(*arguments)
            fresh = at_least_as_fresh(schema_at)
            if following.revision >= writing.revision - 5:
                found = following.check("document:d", "view", "user:eve", consistency=fresh)
                seen.append(found.allowed)

        monkeypatch.setattr(following._replica, "_commit", committing)
        following.refresh()
        assert seen
        assert not any(seen)
