"""The figure of the import, from a run on little data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [["--shuffled"], ["--format", "jsonl"]])
def test_a_run_on_little_data_prints_a_figure(arguments: list[str]) -> None:
    """It counts what is stored, so all of it arrived."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.import_speed", "--relationships", "700", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("700 relationships (")
    assert " a second, " in done.stdout
