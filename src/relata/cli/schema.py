"""The schema: show it, write it, check a file before it is written."""

from __future__ import annotations

from typing import Annotated

import typer

from relata.cli.options import (
    DATABASE_URL,
    Database,
    Json,
    open_database,
    read_text,
    source_name,
)
from relata.cli.output import json_line, line
from relata.engine import Engine
from relata.schema import compile_schema

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

    Example: `relata schema write schema.zed`
    """
    text = read_text(file)
    with open_database(database, create=True) as relata:
        result = relata.write_schema(text, source=source_name(file))
    if json:
        json_line({"zed_token": result.zed_token})
    else:
        line(f"written at {result.zed_token}")


def check(file: File) -> None:
    """Check a schema's file without a database.

    Example: `relata schema check schema.zed`
    """
    schema = compile_schema(read_text(file), source=source_name(file))
    Engine(schema).require_shallow()
    line(f"{source_name(file)}: {len(schema.definitions)} definitions, no errors")
