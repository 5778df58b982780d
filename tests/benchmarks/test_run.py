"""The whole run, on as little data and in as little time as it can be given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from benchmarks.measure import Measurement
from benchmarks.parts import PARTS
from benchmarks.report import Report

ROOT = Path(__file__).parents[2]
TINY = ["--quick", "--scale", "0.002", "--seconds", "0.05", "--rounds", "1", "--growth", "4000"]
BASIC = ("loading", "checks", "lookups", "writes", "permissions", "http")
ELSEWHERE = ("peers", "shapes")
"""The parts that have tests of their own."""


def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    """It ends well, so every answer was the right one, and each line has its number."""
    lines, report, printed = _run(tmp_path, BASIC)
    assert report.plan.scale == 0.002
    for name in (
        "open, SQLite into the graph",
        "check, allowed",
        "by hand, denied",
        "check_many, 100 users",
        "lookup_resources",
        "check, denied, for the first time",
        "write, 1 relationship of a document",
        "check, right after a write to a group",
        "1,000 organizations",
        "check, 32 connections",
        "constant, batch of 100, 4 connections",
    ):
        assert _is_measured(lines[name]), name
        assert name in printed
    assert lines["check, 32 connections"].ratio is not None
    assert lines["check, allowed"].quantiles


def test_a_quick_run_measures_scenarios(tmp_path: Path) -> None:
    """Tenants, tokens, fairness and growth end well too, with their answers compared."""
    parts = [part for part in PARTS if part not in BASIC + ELSEWHERE]
    kept = tmp_path / "kept"
    lines, _, _ = _run(tmp_path, parts, "--keep", str(kept))
    assert [path.name for path in kept.glob("*.db")] == ["4000.db"]
    for name in (
        "access, allowed",
        "capability, denied: not the role",
        "capability, denied: not there",
        "dataset, denied",
        "capabilities held, looked up",
        "token issued",
        "token of a user of 500 organizations",
    ):
        assert _is_measured(lines[name]), name
    for beginning in (
        "removed: a subscription",
        "check in process, beside a lookup of 2,000",
        "check in process, beside an import",
        "check in process, beside changes of the schema",
        "check over HTTP, beside pages of a lookup of 2,000",
        "open, 3,9",
        "memory a relationship, 3,9",
        "check, denied, for the first time, 3,9",
        "lookup_subjects, 3,9",
        "write, 3,9",
    ):
        (line,) = [line for name, line in lines.items() if name.startswith(beginning)]
        assert line.latency or line.value, beginning


def test_a_part_that_is_not_there_is_refused() -> None:
    """And those that are there are named."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "weather"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "fairness" in done.stderr


def test_pictures_are_drawn(tmp_path: Path) -> None:
    """Each says what it is of; the same numbers give the same file, and no numbers none."""
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    from benchmarks import plots

    found = plots.draw(_report(), tmp_path)
    assert [path.name for path in found] == [
        "latency.svg",
        "growth.svg",
        "shapes.svg",
        "peers.svg",
    ]
    assert all("Relata 1.2.3" in path.read_text() for path in found)
    again = plots.draw(_report(), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in found]
    assert plots.draw(_report(groups=False), tmp_path / "none") == []


def _run(
    directory: Path, parts: tuple[str, ...] | list[str], *options: str
) -> tuple[dict[str, Measurement], Report, str]:
    """Run some parts; give the lines by their names, the report, and what was printed."""
    results = directory / "results.json"
    only = [word for part in parts for word in ("--only", part)]
    command = [sys.executable, "-m", "benchmarks", *TINY, *only, *options, "--json", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(results.read_bytes(), type=Report)
    lines = {line.name: line for group in report.groups for line in group.measurements}
    return lines, report, done.stdout


def _report(*, groups: bool = True) -> Report:
    """A report of made-up numbers, which has a line for each picture."""
    times = tuple(float(number) for number in range(105))
    latency = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    lines = {
        "Checks in process": {"name": "check, allowed", "ratio": 0.5, "quantiles": times},
        "Over HTTP": {"name": "check, 32 connections", "latency": latency},
        "Growth: checks": {"name": "check, denied, 1,000", "latency": latency, "at": 1_000},
        "Growth: lookups": {"name": "lookup_subjects, 1,000", "amount": 5.0, "at": 1_000},
        "Growth: loading": {"name": "memory a relationship, 1,000", "amount": 9.0, "at": 1_000},
        "Shapes: checks": {"name": "200 parents, denied", "ratio": 3.0},
        "Peers in process": {"name": "pemba, check, denied", "ratio": 2.0},
    }
    return msgspec.convert(
        {
            "started_at": "2026-01-02T03:04:05Z",
            "machine": {
                "processor": "a processor",
                "cores": 2,
                "system": "a system",
                "python": "3.11",
                "versions": {"relata": "1.2.3"},
                "load_before": 0.1,
            },
            "plan": {},
            "relationships": 1_000,
            "groups": [
                {"title": title, "measurements": [line]} for title, line in lines.items() if groups
            ],
        },
        type=Report,
    )


def _is_measured(line: Measurement) -> bool:
    return line.per_second is not None and line.per_second > 0
