"""The command as a whole: help, usage errors, which database, how failures look."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relata.cli import app
from tests.cli.commands import Commands
from tests.cli.test_documentation import command_names
from tests.cli.transcripts import shell_environment

COMMANDS = [name.split()[1:] for name in command_names()]


def test_the_help_lists_every_command_with_one_line() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).stdout
    lines = [line.strip("│ ").split(maxsplit=1) for line in text.splitlines() if line[:1] == "│"]
    summaries = {words[0]: words[-1] for words in lines}
    for name in {command[0] for command in COMMANDS}:
        assert summaries[name].endswith("."), name


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_an_example(command: list[str], empty: Commands) -> None:
    printed = empty(*command, "--help")
    assert printed.code == 0
    if "COMMAND [ARGS]" not in printed.out:
        assert f"Example: relata {' '.join(command)}" in " ".join(printed.out.split())


def test_the_version_is_the_package_s(empty: Commands) -> None:
    assert empty("--version") == (0, f"relata {version('relata')}\n", "")


@pytest.mark.parametrize("arguments", [("chek",), ("check", "document:readme"), ("keys", "create")])
def test_a_usage_error_exits_with_2(empty: Commands, arguments: tuple[str, ...]) -> None:
    printed = empty(*arguments)
    assert (printed.code, printed.out) == (2, "")
    assert "Usage: relata" in printed.err


def test_the_option_goes_before_the_environment(cli: Commands, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert "other.db" in cli.fails("read", "--database", other, "--relation", "owner")


@pytest.mark.parametrize(
    "command",
    [
        "read",
        "write document:readme#owner@user:anne",
        "delete --relation owner",
        "check document:readme view user:anne",
        "expand document:readme view",
        "lookup resources document view user:anne",
        "lookup subjects document:readme view user",
        "lookup permissions document:readme user:anne",
        "schema show",
        "keys list",
        "keys revoke 1",
    ],
)
def test_a_mistyped_database_is_named_and_not_made(
    empty: Commands, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "relata.db"
    assert empty.fails(*command.split()) == (
        f"there is no database `{file}`; make it with `relata schema write`, "
        "or name another with `--database`"
    )
    assert not file.exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "the database's URL is malformed"),
        ("postgresql://somebody:secret@db/relata", "`postgresql` is not a database that"),
        ("sqlite:////nowhere/at/all.db", "check that its directory exists"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_its_password(
    empty: Commands, url: str, message: str
) -> None:
    said = empty.fails("keys", "create", "--name", "a", "--scope", "read", "--database", url)
    assert message in said
    assert "secret" not in said
    assert "\n" not in said


def test_nothing_that_is_said_commands_the_terminal(cli: Commands) -> None:
    said = cli.fails("check", "document:readme", "\x1b]0;title\x07\x1b[2J", "user:anne")
    assert said.isprintable()


def test_the_module_is_the_command(cli: Commands) -> None:
    """`python -m relata`, in a process of its own, answers and fails without a traceback."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "relata", *arguments, "--database", cli.url],
            capture_output=True,
            text=True,
            env=shell_environment(),
            check=False,
        )

    denied = run("check", "document:readme", "edit", "user:anne")
    assert (denied.returncode, denied.stdout, denied.stderr) == (1, "denied\n", "")
    failed = run("check", "document:readme", "veiw", "user:anne")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1
