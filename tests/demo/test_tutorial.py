"""docs/tutorial.md: its commands, pasted, print what it says."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.transcripts import DOCUMENTS, matches, read_blocks, run_blocks
from tests.demo.running import staying_demo

BLOCKS = read_blocks(DOCUMENTS / "tutorial.md")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial needs curl")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    with staying_demo() as variables:
        return run_blocks(BLOCKS, tmp_path_factory.mktemp("tutorial"), variables)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_commands_print_what_the_tutorial_says(number: int, printed: list[str]) -> None:
    expected = BLOCKS[number].output or ""
    assert matches(printed[number], expected), f"{printed[number]}\n-- expected --\n{expected}"
