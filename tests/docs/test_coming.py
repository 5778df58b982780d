"""from-spicedb.md and from-openfga.md: their sessions run, and what they map to exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from relata import Relata
from relata.cli import app
from relata.schema import lint
from tests.cli.transcripts import DOCUMENTS, matches, read_blocks, run_blocks
from tests.docs.pages import blocks, code, page, table

PAGES = ["from-spicedb.md", "from-openfga.md"]


@pytest.mark.parametrize("name", PAGES)
def test_the_session_prints_what_the_page_says(name: str, tmp_path: Path) -> None:
    for schema in blocks(name, "zed"):
        assert lint(schema.text) == []
        (tmp_path / "schema.zed").write_text(schema.text, encoding="utf-8")
    session = read_blocks(DOCUMENTS / name)
    assert len(session) > 1
    for block, printed in zip(session, run_blocks(session, tmp_path), strict=True):
        expected = block.output or ""
        assert matches(printed, expected), f"{printed}\n-- expected --\n{expected}"


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_is_named_is_there(name: str) -> None:
    known = set(commands(get_command(app), "relata"))
    named = set(re.findall(r"`(relata(?: [a-z]+)+)", page(name)))
    assert len(named) > 10
    assert {longest(command, known) for command in named} <= known


def commands(group: object, name: str) -> Iterator[str]:
    for child_name, child in getattr(group, "commands", {}).items():
        yield f"{name} {child_name}"
        yield from commands(child, f"{name} {child_name}")


def longest(text: str, known: set[str]) -> str:
    """The command that a text begins with; the text itself where it is none."""
    return max((name for name in known if f"{text} ".startswith(f"{name} ")), key=len, default=text)


@pytest.mark.parametrize("name", PAGES)
def test_every_route_that_is_named_is_there(name: str) -> None:
    """The headings of http.md are held to the OpenAPI document."""
    headings = set(re.findall(r"^### `([A-Z]+ /.*)`$", page("http.md"), re.M))
    named = {text for row in table(name, "Calls") for text in code(row[1]) if not text.islower()}
    assert len(named) > 8
    assert named <= headings


@pytest.mark.parametrize("name", PAGES)
def test_every_method_that_is_named_is_there(name: str) -> None:
    named = {text.partition("(")[0] for row in table(name, "Calls") for text in code(row[2])}
    assert len(named) > 8
    assert named <= set(dir(Relata))
