"""The schema: show it, write it, check a file before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relata.cli.options import (
    DATABASE_URL,
    STANDARD_INPUT,
    Database,
    Json,
    open_database,
    read_text,
    source_name,
)
from relata.cli.output import json_line, line, note
from relata.engine import Engine
from relata.schema import compile_file, compile_schema, lint, lint_file

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A schema, such as schema.zed; - is standard input.")
]


def show(database: Database = DATABASE_URL, json: Json = False) -> None:
    """Print the schema as it was written.

    Example: `relata schema show > schema.zed`
    """
    with open_database(database) as relata:
        result = relata.read_schema()
    if json:
        json_line({"schema": result.text, "zed_token": result.zed_token})
    else:
        typer.echo(result.text, nl=not result.text.endswith("\n"))


def write(file: File, database: Database = DATABASE_URL, json: Json = False) -> None:
    """Replace the schema, unless a stored relationship would lose its meaning.

    What a file imports is written with it, as one text.

    Example: `relata schema write schema.zed`
    """
    with open_database(database, create=True) as relata:
        if file == STANDARD_INPUT:
            result = relata.write_schema(read_text(file), source=source_name(file))
        else:
            result = relata.write_schema(Path(file))
    if json:
        json_line({"zed_token": result.zed_token})
    else:
        line(f"written at {result.zed_token}")


def check(
    file: File,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where there are warnings.")
    ] = False,
) -> None:
    """Check a schema's file, and what it imports, without a database.

    Prints errors and warnings. A comment `// relata-ignore-warning: NAME` before a relation or
    permission silences one.

    Example: `relata schema check schema.zed`
    """
    if file == STANDARD_INPUT:
        text, name = read_text(file), source_name(file)
        schema, warnings = compile_schema(text, source=name), lint(text, source=name)
    else:
        schema, warnings = compile_file(file), lint_file(file)
    Engine(schema).require_shallow()
    for warning in warnings:
        note(f"warning: {warning}")
    found = f"{len(warnings)} warnings" if warnings else "no warnings"
    line(f"{source_name(file)}: {len(schema.definitions)} definitions, no errors, {found}")
    if warnings and strict:
        raise typer.Exit(1)
