"""Tools for the schema's text: format it, compare two of them, draw it."""

from __future__ import annotations

import enum
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from relata.cli.options import (
    DATABASE_URL,
    STANDARD_INPUT,
    Database,
    Json,
    open_database,
    read_text,
    source_name,
)
from relata.cli.output import console, json_line, line, note, printable
from relata.engine import Engine
from relata.errors import InvalidArgumentError
from relata.relationships import Kind, Relationship
from relata.schema import Schema, compile_file, compile_schema
from relata.schema.diff import Change, SchemaDiff, Severity, diff_schemas
from relata.schema.formatter import format_schema
from relata.schema.graph import affected_by, dot, mermaid

DIFFERS = 1
"""The exit code of a check that finds unformatted files, and of a difference that is breaking."""

_COLOURS = {
    Severity.BREAKING: "red",
    Severity.CHANGES_ANSWERS: "yellow",
    Severity.HARMLESS: "green",
}
_LONGEST = 60
"""How much of an expression or a comment a table shows."""


class Format(enum.StrEnum):
    """What diagrams are written in."""

    MERMAID = "mermaid"
    DOT = "dot"


SchemaFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A schema, such as schema.zed; - is standard input.")
]


def fmt(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Schemas, such as schema.zed; - formats standard input to standard output.",
            show_default=False,
        ),
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; exit with 1 if a file is not formatted."),
    ] = False,
) -> None:
    """Write schemas in the one style, in place, and show what changes.

    Every comment stays, and what the schema says. Nothing is written where one of the files does
    not parse.

    Example: `relata fmt schema.zed`
    """
    if STANDARD_INPUT in files and len(files) > 1 and not check:
        raise InvalidArgumentError("`-` goes to standard output; format files by themselves")
    texts = {file: read_text(file) for file in dict.fromkeys(files)}
    formatted = {
        file: format_schema(text, source=source_name(file)) for file, text in texts.items()
    }
    changed = [file for file in texts if formatted[file] != texts[file]]
    if check:
        for file in changed:
            line(f"{source_name(file)}: not formatted")
        raise typer.Exit(DIFFERS if changed else 0)
    if STANDARD_INPUT in formatted:
        typer.echo(formatted[STANDARD_INPUT], nl=False)
        return
    for file in changed:
        _show_difference(file, texts[file], formatted[file])
        _write(file, formatted[file])
        note(f"{file}: formatted")


def schema_diff(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[OLD] NEW",
            help="The old schema's file and the new one's, or the new one's alone, to be compared "
            "with the database's schema; - is standard input.",
            show_default=False,
        ),
    ],
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Compare two schemas: what is breaking, what changes answers, what is harmless.

    With one file, the schema in the database is the old one, and stored relationships that a
    breaking change would strand are named.

    Exits with 0 if nothing is breaking, 1 if something is.

    Example: `relata schema diff schema.zed`
    """
    match files:
        case [new]:
            given = read_text(new) if new == STANDARD_INPUT else Path(new)
            with open_database(database) as relata:
                result = relata.diff_schema(given, source=source_name(new))
            diff, blocked_by, old_name = result.diff, result.blocked_by, "database"
        case [old, new] if not old == new == STANDARD_INPUT:
            diff, blocked_by = diff_schemas(_compiled(old), _compiled(new)), {}
            old_name = source_name(old)
        case _:
            raise InvalidArgumentError(
                "give the new schema's file, or the old one's and the new one's, "
                "at most one of them as `-`"
            )
    if json:
        _print_json(diff, blocked_by)
    else:
        _print(diff, blocked_by, {"old": old_name, "new": source_name(new)})
    if diff.is_breaking:
        raise typer.Exit(DIFFERS)


def schema_graph(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A schema, such as schema.zed; - is standard input. Without it, the database's.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Draw it as this.", show_default="mermaid"),
    ] = None,
    changed: Annotated[
        str | None,
        typer.Option(
            "--changed",
            metavar="RELATION",
            help="List what would change if this did, such as document#viewer; with a --format, "
            "mark it in the diagram.",
        ),
    ] = None,
    database: Database = DATABASE_URL,
) -> None:
    """Draw the definitions with their relations and permissions, and what depends on what.

    Example: `relata schema graph schema.zed --changed document#viewer`
    """
    if file is None:
        with open_database(database) as relata:
            schema = relata.schema
    else:
        schema = _compiled(file)
    if changed is not None and format_ is None:
        for definition, name in affected_by(schema, changed):
            line(f"{definition}#{name}")
    elif format_ is Format.DOT:
        typer.echo(dot(schema, changed=changed), nl=False)
    else:
        typer.echo(mermaid(schema, changed=changed), nl=False)


def _compiled(file: str) -> Schema:
    if file == STANDARD_INPUT:
        schema = compile_schema(read_text(file), source=source_name(file))
    else:
        schema = compile_file(file)
    Engine(schema).require_shallow()
    return schema


# Formatting


def _show_difference(file: str, before: str, after: str) -> None:
    lines = unified_diff(before.splitlines(), after.splitlines(), file, file, lineterm="")
    for text in lines:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(text[:1])
        typer.secho(printable(text), fg=colour)


def _write(file: str, text: str) -> None:
    """Write a file whole or not at all: it may be the only copy of somebody's schema."""
    path = Path(file).resolve()
    try:
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".relata-")
        new = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as opened:
                opened.write(text)
            shutil.copymode(path, new)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidArgumentError(f"`{file}` cannot be written: {error.strerror}") from error


# Differences


def _print_json(diff: SchemaDiff, blocked_by: Mapping[Kind, Relationship]) -> None:
    json_line(
        {
            "changes": [_fields(change) for change in diff.changes],
            "breaking": diff.is_breaking,
            "blocked_by": [
                {"kind": str(kind), "relationship": str(relationship)}
                for kind, relationship in blocked_by.items()
            ],
        }
    )


def _print(
    diff: SchemaDiff, blocked_by: Mapping[Kind, Relationship], names: Mapping[str, str]
) -> None:
    if not diff.changes:
        line("no differences")
        return
    console().print(_table(diff, names))
    for kind, relationship in blocked_by.items():
        line(f"blocked by {relationship}, which is a {kind}")


def _fields(change: Change) -> dict[str, object]:
    return {
        "kind": change.kind,
        "severity": change.severity,
        "name": change.name,
        "old": change.old,
        "new": change.new,
        "place": change.place,
        "line": change.line,
        "column": change.column,
    }


def _table(diff: SchemaDiff, names: Mapping[str, str]) -> Table:
    table = Table("severity", "change", "of", "what", "place", box=None, pad_edge=False)
    for change in diff.changes:
        severity = Text(_words(change.severity), style=_COLOURS[change.severity])
        place = f"{names[change.place]}:{change.line}:{change.column}"
        what = " → ".join(_texts(change))
        table.add_row(severity, _words(change.kind), change.name, Text(what), Text(place))
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _texts(change: Change) -> Iterator[str]:
    for text in (change.old, change.new):
        if text and text != change.name:
            shown = " ".join(text.split())
            yield shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
