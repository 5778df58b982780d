"""What the command line prints, and how it fails.

Answers go to standard output, one line each unless a shape is drawn; whatever is said about them
goes to standard error, so a pipe carries answers alone. A failure is one readable line (for a
schema: its diagnostics) and the exit code 2, which no answer uses.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from typer.core import TyperGroup

from relata.errors import RelataError, SchemaError

DENIED = 1
"""The exit code of a check whose answer is not a plain yes."""
FAILED = 2
"""The exit code of what could not be done."""

_PIPE_WIDTH = 200


class ReadableErrors(TyperGroup):
    """Commands whose errors become one line on standard error and the exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except RelataError as error:
            fail(error)


def fail(error: RelataError) -> NoReturn:
    """Say what is wrong, and end with the exit code 2."""
    note(f"error: {error.message}{_where(error)}")
    raise typer.Exit(FAILED)


def note(text: str) -> None:
    """Say something to the person at the terminal, with nothing that the terminal would obey."""
    typer.echo(printable(text, keep="\n\t"), err=True)


def printable(text: str, *, keep: str = "\t") -> str:
    """A text with nothing in it that a terminal would obey, but for what is to be kept."""
    return "".join(
        letter if letter.isprintable() or letter in keep else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def line(text: str) -> None:
    """Print one line of an answer."""
    typer.echo(text)


def json_line(value: object) -> None:
    """Print an answer as JSON, on one line."""
    typer.echo(msgspec.json.encode(value))


def console() -> Console:
    """Make a console for what is drawn; a pipe is wide, so that nothing is cut off in it."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def _where(error: RelataError) -> str:
    """The part of the input that is wrong, unless the message says it itself."""
    field = error.field
    if field is None or isinstance(error, SchemaError) or field in error.message.lower():
        return ""
    return f" (in `{field}`)"
