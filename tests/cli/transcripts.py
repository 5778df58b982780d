"""Documents whose shell blocks are run: a `sh` block, and below it the `text` that it prints.

In the expected text `…` stands for anything within its line. Blocks of other languages are shown
to the reader and not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DOCUMENTS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(
    r"^```sh\n(?P<commands>.*?)^```\n(?:```text\n(?P<output>.*?)^```\n)?", re.M | re.S
)
_END_OF_BLOCK = "--- end of block ---"


class Block(NamedTuple):
    """Commands, and what they print; None where the document does not say."""

    commands: str
    output: str | None


def read_blocks(document: Path) -> list[Block]:
    """The shell blocks of a document, in order."""
    found = _BLOCK.finditer(document.read_text(encoding="utf-8"))
    return [Block(block["commands"], block["output"]) for block in found]


def run_blocks(
    blocks: list[Block], folder: Path, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Run blocks one after the other in one shell, as a reader would; what each printed."""
    script = "".join(f"{block.commands}echo '{_END_OF_BLOCK}'\n" for block in blocks)
    finished = subprocess.run(
        ["bash"],
        input=script,
        cwd=folder,
        env={**shell_environment(), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    *printed, rest = finished.stdout.split(f"{_END_OF_BLOCK}\n")
    assert not rest, rest
    assert len(printed) == len(blocks)
    return printed


def shell_environment() -> dict[str, str]:
    """The environment with this Python's commands first, and no settings of Relata's."""
    inherited = {name: value for name, value in os.environ.items() if "RELATA" not in name}
    folders = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    return {**inherited, "PATH": folders, "PYTHONUNBUFFERED": "1"}


def matches(printed: str, expected: str) -> bool:
    """Whether a text is the expected one, where `…` is anything within a line."""
    pattern = "[^\n]*".join(map(re.escape, expected.split("…")))
    return re.fullmatch(pattern, printed) is not None
