"""Importing: batches, errors that name their line, and going on after a stop."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata.errors import (
    InvalidArgumentError,
    RelataError,
    SchemaMissingError,
    WriteConflictError,
)
from relata.relationships import create, delete
from relata.store import Store
from relata.transfer import MAX_LINE_BYTES, Layout, Mark, importing
from tests.store.suite.base import live, rel, stored
from tests.transfer.world import LINES, QUESTION_ONLY, SCHEMA, feed, many, take, text_of


def test_every_line_is_stored_in_the_order_of_the_source(store: Store) -> None:
    imported = take(store, [text_of(LINES)])
    assert (imported.relationships, imported.revision) == (len(LINES), store.state().head)
    assert stored(store) == list(LINES)


def test_each_batch_is_a_revision(store: Store) -> None:
    take(store, [text_of(many(7))], batch=3)
    assert [len(stored(store, revision)) for revision in range(5)] == [0, 0, 3, 6, 7]


def test_blanks_comments_and_the_ends_of_lines_do_not_matter(store: Store) -> None:
    source = f"// first\r\n\r\n  {LINES[0]}\t\r\n\n   // {LINES[1]}\n{LINES[2]}"
    assert take(store, [source.encode()]).relationships == 2
    assert stored(store) == [LINES[0], LINES[2]]


def test_a_byte_order_mark_at_the_start_is_passed_over(store: Store) -> None:
    """There, and nowhere else; and it is a part of the source where an import goes on."""
    source = "\ufeff".encode() + text_of(many(4))
    stop_after(store, source, 2, batch=2, name="x")
    assert take(store, [source], batch=2, name="x").relationships == 4
    assert stored(store) == many(4)
    line = '\ufeff{"resource": "document:a", "relation": "viewer", "subject": "user:*"}'
    assert take(store, [line.encode()], Layout.JSONL).relationships == 1
    with pytest.raises(InvalidArgumentError, match="no relationship in JSON"):
        take(store, [f"\n{line}".encode()], Layout.JSONL)


@pytest.mark.parametrize("source", [b"", b"\n", b"// nothing\n", b"// nothing"])
def test_a_source_of_nothing(store: Store, source: bytes) -> None:
    imported = take(store, [source], name="x")
    assert (imported.relationships, imported.revision) == (0, 1)


def test_blocks_may_end_anywhere(store: Store) -> None:
    """Also within a character."""

    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(st.integers(0, len(text_of(LINES))), max_size=6), st.integers(1, 4))
    def holds(cuts: list[int], batch: int) -> None:
        for line in stored(store):
            store.write([delete(line)], schema_revision=1)
        source = text_of(LINES)
        places = [0, *sorted(cuts), len(source)]
        blocks = [source[start:end] for start, end in pairwise(places)]
        assert take(store, blocks, batch=batch, name="x").relationships == len(LINES)
        assert live(store) == {rel(line) for line in LINES}

    holds()


def test_what_is_there_already_takes_what_its_line_says(store: Store) -> None:
    store.write([create("document:plan#viewer@user:anne")], schema_revision=1)
    store.write([create("document:plan#viewer@user:bob[weekdays]")], schema_revision=1)
    take(store, [text_of(LINES)])
    assert live(store) == {rel(line) for line in LINES}
    head = store.state().head
    assert take(store, [text_of(LINES)]).revision == head


def test_the_last_of_two_lines_with_one_key_counts(store: Store) -> None:
    for batch in (1, 10):
        lines = ["document:plan#viewer@user:anne", "document:plan#viewer@user:anne[weekdays]"]
        take(store, [text_of(lines)], batch=batch)
        assert stored(store) == lines[1:]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("document:a", "invalid_argument"),
        ("document:a#viewer@user:anne extra", "invalid_argument"),
        ("folder:a#viewer@user:anne", "unknown_definition"),
        ("document:a#veiwer@user:anne", "unknown_relation"),
        ("document:a#view@user:anne", "permission_not_writable"),
        ("document:a#owner@user:*", "subject_not_allowed"),
        ("document:a#guest@user:anne", "subject_not_allowed"),
        ("document:*#viewer@user:anne", "invalid_argument"),
        ("document:a#asked_by@user:anne", "question_only_relation"),
        ('document:a#viewer@user:anne[weekdays:{"days":"x"}]', "invalid_context"),
        ("\ufeffdocument:a#viewer@user:anne", "invalid_argument"),
    ],
)
def test_a_wrong_line_is_named_and_its_batch_not_written(
    store: Store, line: str, code: str
) -> None:
    source = text_of(["// a comment", *many(4), line, *many(9)[4:]])
    with (
        importing(store, QUESTION_ONLY, Layout.TEXT, batch=3) as importer,
        pytest.raises(RelataError) as caught,
    ):
        feed(importer, [source])
    assert caught.value.code == code
    assert importer.faulty_line == 6
    assert importer.stored == 3
    assert stored(store) == many(3)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"document:a#viewer@user:\xff", "not UTF-8 at its byte 24"),
        (b"x" * (MAX_LINE_BYTES + 1), "longer than"),
        (b"x" * (3 * MAX_LINE_BYTES), "longer than"),
    ],
)
@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_a_line_that_is_no_text(store: Store, raw: bytes, message: str, size: int) -> None:
    source = text_of(many(2)) + raw
    blocks = [source[start : start + size] for start in range(0, len(source), size)]
    with (
        importing(store, QUESTION_ONLY, Layout.TEXT, batch=1) as importer,
        pytest.raises(InvalidArgumentError, match=message),
    ):
        feed(importer, blocks)
    assert importer.faulty_line == 3
    assert stored(store) == many(2)


def test_json_lines(store: Store) -> None:
    lines = [
        b'{"resource": "document:a", "relation": "viewer", "subject": "user:*"}',
        b"",
        b'{"resource":"document:a","relation":"viewer","subject":"user:x",'
        b'"caveat":{"name":"weekdays"}}',
    ]
    assert take(store, [b"\n".join(lines)], Layout.JSONL).relationships == 2
    assert stored(store) == ["document:a#viewer@user:*", "document:a#viewer@user:x[weekdays]"]
    with pytest.raises(InvalidArgumentError, match="no relationship in JSON: JSON is malformed"):
        take(store, [b"// a comment\n"], Layout.JSONL)
    with pytest.raises(InvalidArgumentError, match="no relationship in JSON: object missing"):
        take(store, [b"{}\n"], Layout.JSONL)
    deep = b'{"caveat": {"name": "weekdays", "context": {"days": %b}}}'
    with pytest.raises(InvalidArgumentError, match="it is nested too deep"):
        take(store, [deep % (b"[" * 50_000 + b"]" * 50_000)], Layout.JSONL)


def stop_after(store: Store, source: bytes, size: int, *, batch: int, name: str) -> int:
    """Feed the first bytes of a source and stop; how many relationships were said to be stored."""
    with importing(store, QUESTION_ONLY, Layout.TEXT, batch=batch, name=name) as importer:
        importer.feed(source[:size])
        return importer.stored


def test_an_import_goes_on_wherever_it_was_stopped(store: Store) -> None:
    lines = ["// header", *many(5), "", *many(12)[5:]]
    source = text_of(lines)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(st.integers(0, len(source)), max_size=4).map(sorted), st.integers(1, 5))
    def holds(stops: list[int], batch: int) -> None:
        for line in stored(store):
            store.write([delete(line)], schema_revision=1)
        already = 0
        for stop in stops:
            said = stop_after(store, source, stop, batch=batch, name="x")
            already = max(already, said)
            assert set(stored(store)) == set(many(already))
        with importing(store, QUESTION_ONLY, Layout.TEXT, batch=batch, name="x") as importer:
            resumed = importer.resumed
            assert (resumed.relationships if resumed else 0) == already
            head = store.state().head
            assert feed(importer, [source]).relationships == 12
        # What was stored is not written again: each batch that was left made its revision.
        assert store.state().head - head == -((already - 12) // batch)
        assert set(stored(store)) == set(many(12))

    holds()


def test_a_mark_says_how_far_an_import_has_come(store: Store) -> None:
    source = text_of(["// header", *many(4)])
    assert stop_after(store, source, len(source), batch=3, name="x") == 3
    with importing(store, QUESTION_ONLY, Layout.TEXT, name="x") as importer:
        mark = importer.resumed
    assert isinstance(mark, Mark)
    assert (mark.line, mark.offset) == (4, len(text_of(["// header", *many(3)])))
    with importing(store, QUESTION_ONLY, Layout.TEXT, name="y") as other:
        assert other.resumed is None


def test_a_line_that_was_wrong_is_corrected_and_the_import_goes_on(store: Store) -> None:
    wrong = text_of([*many(4), "document:a"])
    with pytest.raises(InvalidArgumentError):
        take(store, [wrong], batch=3, name="x")
    head = store.state().head
    right = text_of(many(6))
    assert take(store, [right], batch=3, name="x").relationships == 6
    assert (stored(store), store.state().head) == (many(6), head + 1)


@pytest.mark.parametrize(
    "changed",
    [
        text_of(many(3)).replace(b"d0", b"D0"),
        text_of(many(3))[:-2],
        b"",
        b"\n" + text_of(many(6)),
    ],
)
def test_another_source_does_not_go_on_with_an_import(store: Store, changed: bytes) -> None:
    source = text_of(many(6))
    stop_after(store, source, len(source), batch=3, name="x")
    lines = stored(store)
    with pytest.raises(InvalidArgumentError, match=r"has changed .*`--restart`"):
        take(store, [changed], batch=3, name="x")
    assert stored(store) == lines
    with importing(store, QUESTION_ONLY, Layout.TEXT, name="x", restart=True) as importer:
        assert importer.resumed is None
        feed(importer, [changed])


def test_an_import_that_has_ended_begins_anew(store: Store) -> None:
    source = text_of(many(6))
    take(store, [source], batch=3, name="x")
    store.write([delete(many(1)[0])], schema_revision=1)
    assert take(store, [source], batch=3, name="x").relationships == 6
    assert set(stored(store)) == set(many(6))


def test_a_schema_that_changes_meanwhile_stops_an_import(store: Store) -> None:
    source = text_of(many(6))
    with importing(store, QUESTION_ONLY, Layout.TEXT, batch=3, name="x") as importer:
        importer.feed(text_of(many(3)))
        store.write_schema(SCHEMA + "\n", replaces=1, removed=[])
        with pytest.raises(WriteConflictError, match="the schema was changed"):
            importer.feed(source[len(text_of(many(3))) :])
    assert stored(store) == many(3)
    assert take(store, [source], batch=3, name="x").relationships == 6


def test_without_a_schema_there_is_nothing_to_check_against(url: str) -> None:
    with (
        closing(Store.open(url)) as store,
        pytest.raises(SchemaMissingError),
        importing(store, QUESTION_ONLY, Layout.TEXT),
    ):
        pass
