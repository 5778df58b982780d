"""docs/scenarios.md: its session runs as printed, its code runs, and it names every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relata.validation import reader
from tests.cli.transcripts import DOCUMENTS, matches, read_blocks, run_blocks

PAGE = DOCUMENTS / "scenarios.md"
BLOCKS = read_blocks(PAGE)
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[str]:
    return run_blocks(BLOCKS, folder)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_session_prints_what_the_page_says(number: int, printed: list[str]) -> None:
    expected = BLOCKS[number].output
    assert expected is not None, BLOCKS[number].commands
    assert matches(printed[number], expected), f"{printed[number]}\n-- expected --\n{expected}"


@pytest.mark.usefixtures("printed")
def test_the_code_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert CODE
    for block in CODE:
        exec(compile(block, str(PAGE), "exec"), {})


def test_every_key_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    keys = (*reader.KEYS, *reader.LEGACY, *reader.ANSWERS)
    assert [key for key in keys if f"`{key}`" not in text] == []
