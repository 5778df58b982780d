"""The whole run, on as little data and in as little time as it can be given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
from benchmarks.measure import Measurement
from benchmarks.report import Report

ROOT = Path(__file__).parents[2]
TINY = ["--quick", "--scale", "0.002", "--seconds", "0.05", "--rounds", "1"]


def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    """It ends well, so every answer was the right one, and each line has its number."""
    results = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *TINY, "--json", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(results.read_bytes(), type=Report)
    assert report.plan.scale == 0.002
    lines = {line.name: line for group in report.groups for line in group.measurements}
    for name in (
        "open, SQLite into the graph",
        "check, allowed",
        "by hand, denied",
        "check_many, 100 users",
        "lookup_resources",
        "write, 1 relationship",
        "1,000 organizations",
        "check, 32 connections",
        "constant, batch of 100, 4 connections",
    ):
        assert _is_measured(lines[name]), name
        assert name in done.stdout
    assert lines["check, 32 connections"].ratio is not None


def _is_measured(line: Measurement) -> bool:
    return line.per_second is not None and line.per_second > 0
