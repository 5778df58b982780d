"""docs/cli.md: its session runs as printed, and it has a heading for every command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.main import get_command

from relata.cli import app
from relata.server import Settings
from tests.cli.transcripts import DOCUMENTS, matches, read_blocks, run_blocks

CLI = DOCUMENTS / "cli.md"
BLOCKS = read_blocks(CLI)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return run_blocks(BLOCKS, tmp_path_factory.mktemp("session"))


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_session_prints_what_the_page_says(number: int, printed: list[str]) -> None:
    expected = BLOCKS[number].output
    assert expected is not None, BLOCKS[number].commands
    assert matches(printed[number], expected), f"{printed[number]}\n-- expected --\n{expected}"


def command_names() -> list[str]:
    """Every command with the groups it is in, such as `relata keys create`."""

    def within(group: object, name: str) -> Iterator[str]:
        for child_name, child in getattr(group, "commands", {}).items():
            yield f"{name} {child_name}"
            yield from within(child, f"{name} {child_name}")

    return list(within(get_command(app), "relata"))


def test_every_command_has_a_heading_and_every_heading_a_command() -> None:
    lines = CLI.read_text(encoding="utf-8").splitlines()
    headings = [line.strip("# `") for line in lines if line.startswith(("## `", "### `"))]
    assert sorted(headings) == sorted(command_names())


def test_every_setting_of_the_server_is_named() -> None:
    text = CLI.read_text(encoding="utf-8")
    missing = [name for name in Settings.model_fields if f"`RELATA_{name.upper()}`" not in text]
    assert missing == []
