"""Exporting: every relationship of a revision, in lines that import again, from any cursor on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from relata.errors import CursorError
from relata.relationships import RelationshipFilter, parse_relationship
from relata.store import Store
from relata.transfer import Layout, Page, Place, cursor_line, export, place_of
from tests.store.suite.base import live, put, stored
from tests.transfer.world import LINES, many, take, text_of, with_schema


def pages(
    store: Store,
    layout: Layout = Layout.TEXT,
    *,
    chosen: RelationshipFilter | None = None,
    place: Place | None = None,
    page: int = 3,
) -> list[Page]:
    place = place or Place(store.state().head, 0)
    return list(export(store, chosen, layout, place, page=page))


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("page", [1, 3, len(LINES), 100])
def test_what_is_exported_imports_as_it_was(
    store: Store, tmp_path: Path, layout: Layout, page: int
) -> None:
    put(store, *LINES)
    found = pages(store, layout, page=page)
    assert [it.relationships for it in found] == [
        min(page, len(LINES) - start) for start in range(0, len(LINES), page)
    ]
    with closing(with_schema(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        imported = take(other, [it.lines for it in found], layout)
        assert imported.relationships == len(LINES)
        assert live(other) == live(store)


def test_text_is_a_relationship_a_line(store: Store) -> None:
    put(store, *LINES)
    (page,) = pages(store, page=len(LINES))
    assert page.lines == text_of(LINES)


def test_json_has_only_the_members_that_are_needed(store: Store) -> None:
    put(store, LINES[0], LINES[9])
    (page,) = pages(store, Layout.JSONL)
    assert [json.loads(line) for line in page.lines.splitlines()] == [
        {"resource": "document:readme", "relation": "viewer", "subject": "user:anne"},
        {
            "resource": "document:plan",
            "relation": "guest",
            "subject": "user:dan",
            "caveat": {"name": "weekdays", "context": {"days": 3}},
            "expires_at": "2130-01-01T00:00:00.000001Z",
        },
    ]


def test_an_export_of_nothing_is_one_page(store: Store) -> None:
    assert pages(store) == [Page(b"", 0, None)]


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("chosen", [None, RelationshipFilter(subject_type="user")])
def test_an_export_goes_on_from_the_cursor_in_its_lines(
    store: Store, layout: Layout, chosen: RelationshipFilter | None
) -> None:
    """At the revision that it began at, whatever has been written since."""
    put(store, *many(10))
    found = pages(store, layout, chosen=chosen)
    assert [it.relationships for it in found] == [3, 3, 3, 1]
    for index, page in enumerate(found):
        assert cursor_line(page.lines.splitlines()[-1], layout) == page.cursor
        if page.cursor is not None:
            put(store, f"document:later{index}#owner@user:anne")
            rest = pages(store, layout, chosen=chosen, place=place_of(page.cursor, chosen))
            assert [it.lines for it in rest] == [it.lines for it in found[index + 1 :]]
    assert found[-1].cursor is None


@pytest.mark.parametrize("layout", Layout)
def test_most_lines_have_no_cursor(layout: Layout) -> None:
    for line in (b"", b"// cursors: x", b"document:a#viewer@user:b", b"{}", b"[", b"\xff"):
        assert cursor_line(line, layout) is None


def test_a_cursor_is_of_one_filter(store: Store) -> None:
    put(store, *many(4))
    cursor = pages(store)[0].cursor
    assert cursor is not None
    with pytest.raises(CursorError, match="another question"):
        place_of(cursor, RelationshipFilter(relation="viewer"))
    with pytest.raises(CursorError, match="malformed"):
        place_of("x", None)


def test_only_what_matches_and_has_not_expired(store: Store) -> None:
    put(store, *LINES, "document:old#guest@user:anne[expiration:2020-01-01T00:00:00Z]")
    everything = {str(parse_relationship(line)) for line in LINES}
    assert set(b"".join(it.lines for it in pages(store, page=100)).decode().splitlines()) == (
        everything
    )
    assert len(stored(store)) == len(LINES)
    guests = pages(store, chosen=RelationshipFilter(relation="guest"), page=100)
    assert [it.relationships for it in guests] == [2]
