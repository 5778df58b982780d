"""Being told of changes, and asking the graph itself."""

from __future__ import annotations

import threading

from relata.authorizer import Relata
from relata.consistency import at_exact_snapshot
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
