"""Runs commands as a user would, but for the process."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from typer.testing import CliRunner

from relata.cli import app


class Printed(NamedTuple):
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1, "an answer in JSON is one line"
        return json.loads(self.out)


class Commands:
    """The command line with a database in its environment."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str, stdin: str | None = None) -> Printed:
        """Run a command; an exception that is not meant for its user is raised here."""
        result = CliRunner().invoke(
            app, arguments, input=stdin, env={"RELATA_DATABASE": self.url}, catch_exceptions=False
        )
        return Printed(result.exit_code, result.stdout, result.stderr)

    def fails(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that cannot be done; the line that says why."""
        printed = self(*arguments, stdin=stdin)
        assert (printed.code, printed.out) == (2, ""), printed
        assert printed.err.startswith("error: "), printed.err
        return printed.err.removeprefix("error: ").removesuffix("\n")
