"""Import and export: many relationships between files and a database.

Both work on the database alone, without the graph that questions need, so they start at once
however much is stored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from relata.cli.options import (
    DATABASE_URL,
    STANDARD_INPUT,
    Cursor,
    Database,
    Json,
    RelationName,
    ResourceId,
    ResourceIdPrefix,
    ResourceType,
    SubjectId,
    SubjectRelation,
    SubjectType,
    filter_of,
    require_there,
    source_name,
)
from relata.cli.output import json_line, line, note
from relata.consistency import encode_zed_token
from relata.errors import InvalidArgumentError, RelataError
from relata.question_only import agree_on_question_only
from relata.relationships import RelationshipFilter
from relata.schema import compile_schema, require_filter
from relata.store import Store
from relata.transfer import (
    BATCH,
    Importer,
    Layout,
    Place,
    cursor_line,
    export,
    importing,
    place_of,
    require_schema,
)

_BLOCK_BYTES = 1 << 16
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")

_LayoutOption = Annotated[
    Layout | None,
    typer.Option(
        "--format",
        show_default="by the file's name",
        help="A relationship a line, as text or as JSON.",
    ),
]


def import_(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Relationships, one a line; - is standard input."),
    ],
    layout: _LayoutOption = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=1_000_000, help="How many to store at a time.")
    ] = BATCH,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            show_default="the file's path",
            help="What the database calls this import while it has not ended.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where an earlier one was stopped.")
    ] = False,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Store the relationships of a file, however many.

    What is there already stays. An import that was stopped, in whatever way, goes on where it
    was when the same command is given again; what it said it has stored is stored.

    Example: `relata import relationships.txt`
    """
    started = time.monotonic()
    if name is None:
        name = "" if file == STANDARD_INPUT else f"file:{Path(file).resolve()}"
    with (
        _open_input(file) as source,
        _open_store(database) as store,
        importing(
            store,
            agree_on_question_only(store, None),
            layout or _layout_of(file),
            batch=batch,
            name=name,
            restart=restart,
        ) as importer,
        _progress("importing", size=_size_of(source), already=_already(importer)) as shown,
        _at_its_line(file, importer, resumable=bool(name)),
    ):
        if importer.resumed is not None:
            note(f"going on after line {importer.resumed.line} of {source_name(file)}")
        while block := source.read(_BLOCK_BYTES):
            with _until_done():
                importer.feed(block)
            shown.update(importer.offset, importer.stored)
        with _until_done():
            imported = importer.finish()
        token = encode_zed_token(store.datastore_id, imported.revision)
    if json:
        json_line({"imported": imported.relationships, "imported_at": token})
        return
    line(f"imported {imported.relationships} at {token}")
    note(f"in {time.monotonic() - started:.1f} seconds")


def export_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to write; - is standard output.")
    ] = STANDARD_INPUT,
    layout: _LayoutOption = None,
    resource_type: ResourceType = None,
    resource_id: ResourceId = None,
    resource_id_prefix: ResourceIdPrefix = None,
    relation: RelationName = None,
    subject_type: SubjectType = None,
    subject_id: SubjectId = None,
    subject_relation: SubjectRelation = None,
    cursor: Cursor = None,
    database: Database = DATABASE_URL,
) -> None:
    """Write the relationships that match a filter, or all of them, to a file.

    They are those of one revision, however long it takes. An export that was stopped has a
    cursor in every so many lines; with the last one it goes on, in the file where there is one.

    Example: `relata export relationships.txt`
    """
    chosen = filter_of(
        resource_type,
        resource_id,
        resource_id_prefix,
        relation,
        subject_type,
        subject_id,
        subject_relation,
    )
    layout = layout or _layout_of(file)
    with _open_store(database) as store:
        if chosen is not None:
            require_filter(compile_schema(require_schema(store).text), chosen, field="filter")
        place = _place(store, cursor, chosen)
        written = 0
        with (
            _open_output(file, cursor, layout) as target,
            _progress("exporting", lines=False) as shown,
            _telling_cursor() as told,
        ):
            for page in export(store, chosen, layout, place):
                target.write(page.lines)
                target.flush()
                told.cursor = page.cursor
                written += page.relationships
                shown.update(0, written)
    note(f"exported {written} at {encode_zed_token(store.datastore_id, place.revision)}")


def _place(store: Store, cursor: str | None, chosen: RelationshipFilter | None) -> Place:
    return Place(store.state().head, 0) if cursor is None else place_of(cursor, chosen)


class _Told:
    """The cursor that an export has come to."""

    cursor: str | None = None


@contextlib.contextmanager
def _telling_cursor() -> Iterator[_Told]:
    """Say how to go on with an export that stops."""
    told = _Told()
    try:
        yield told
    except BaseException:
        if told.cursor is not None:
            note(f"stopped; go on with --cursor {told.cursor}")
        raise


def _layout_of(file: str) -> Layout:
    return Layout.JSONL if file.lower().endswith(_JSON_SUFFIXES) else Layout.TEXT


@contextlib.contextmanager
def _open_store(url: str) -> Iterator[Store]:
    """Open a database that is there; `relata schema write` makes new ones."""
    require_there(url)
    store = Store.open(url)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def _open_input(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with _opening(file), Path(file).open("rb") as source:
        yield source


@contextlib.contextmanager
def _open_output(file: str, cursor: str | None, layout: Layout) -> Iterator[BinaryIO]:
    """Open what an export writes to; with a cursor, at the end of the cursor's line."""
    if file == STANDARD_INPUT:
        yield sys.stdout.buffer
        return
    with _opening(file), Path(file).open("wb" if cursor is None else "r+b") as target:
        if cursor is not None:
            _cut_after(target, cursor, layout)
        yield target


@contextlib.contextmanager
def _opening(file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidArgumentError(f"`{file}` cannot be used: {error.strerror}") from error


def _cut_after(target: BinaryIO, cursor: str, layout: Layout) -> None:
    """Leave in a file what comes before a cursor; what follows is written anew."""
    while text := target.readline():
        if cursor.encode() in text and cursor_line(text, layout) == cursor:
            target.seek(target.tell())
            target.truncate()
            return
    raise InvalidArgumentError(
        "the file has no line with this cursor; export what follows to another file",
        field="--cursor",
    )


@contextlib.contextmanager
def _at_its_line(file: str, importer: Importer, *, resumable: bool) -> Iterator[None]:
    """Say of an error which line it is about, what is stored, and how to go on."""
    go_on = "the same command goes on from there" if resumable else "import the rest"
    try:
        yield
    except KeyboardInterrupt:
        note(f"stopped; {importer.stored} relationships are stored; {go_on}")
        raise
    except RelataError as error:
        if importer.faulty_line is not None:
            error.message = f"{source_name(file)}:{importer.faulty_line}: {error.message}"
            error.field = None
        if importer.stored:
            error.message += f"\n{importer.stored} relationships are stored; {go_on}"
        raise


@contextlib.contextmanager
def _until_done() -> Iterator[None]:
    """Hold an interrupt back until a step is done, so that what is said to be stored is all that
    is. A second one is not held back."""
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # who started this does not want it interrupted
        yield
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


def _already(importer: Importer) -> int:
    return 0 if importer.resumed is None else importer.resumed.relationships


def _size_of(source: BinaryIO) -> int | None:
    """How many bytes there are to read, where that can be known."""
    try:
        return os.fstat(source.fileno()).st_size or None
    except (OSError, ValueError):
        return None


class _Shown:
    """Progress as a bar on a terminal, and elsewhere as lines, where they are wanted."""

    def __init__(self, bar: Progress | None, what: str, already: int, *, lines: bool) -> None:
        self._bar = bar
        self._what = what
        self._lines = lines
        self._already = self._done = already
        self._started = time.monotonic()

    def update(self, offset: int, done: int) -> None:
        """Show how many bytes and relationships are done."""
        if done <= self._done:
            return
        self._done = done
        if self._bar is not None:
            rate = (done - self._already) / max(time.monotonic() - self._started, 0.001)
            for task in self._bar.task_ids:
                self._bar.update(
                    task, completed=offset, done=f"{done:,}", rate=f"{rate:,.0f} a second"
                )
        elif self._lines:
            note(f"{self._what}: {done} done")


@contextlib.contextmanager
def _progress(
    what: str, *, size: int | None = None, already: int = 0, lines: bool = True
) -> Iterator[_Shown]:
    if not sys.stderr.isatty():
        yield _Shown(None, what, already, lines=lines)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=size, done="", rate="")
        yield _Shown(bar, what, already, lines=lines)
