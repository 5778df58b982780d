"""What a run found, as tables and as JSON."""

from __future__ import annotations

import os
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Group, Measurement
from benchmarks.plan import Plan

_PACKAGES = ("relata", "fastapi", "msgspec", "SQLAlchemy", "uvicorn", "uvloop", "httptools")
_CPU_INFO = Path("/proc/cpuinfo")
_WIDTH_OF_A_FILE = 120


class Machine(msgspec.Struct, frozen=True):
    """What the run ran on."""

    processor: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    load_before: float
    """The load average of the last minute, when the run began; well above 0, others were busy."""


class Report(msgspec.Struct, frozen=True):
    """A whole run."""

    started_at: datetime
    machine: Machine
    plan: Plan
    relationships: int
    groups: tuple[Group, ...]


def this_machine() -> Machine:
    """Describe the machine, now."""
    versions = {package: version(package) for package in _PACKAGES}
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={**versions, "SQLite": sqlite3.sqlite_version},
        load_before=round(os.getloadavg()[0], 2),
    )


def make_report(machine: Machine, plan: Plan, relationships: int, groups: list[Group]) -> Report:
    """Put a run together."""
    return Report(datetime.now(UTC), machine, plan, relationships, tuple(groups))


def save(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def show(report: Report) -> None:
    """Print a report."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    machine = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}\n"
        f"{versions}\n"
        f"{report.relationships:,} relationships (scale {report.plan.scale:g}, "
        f"seed {report.plan.seed}); load average before: {machine.load_before}",
        highlight=False,
    )
    for group in report.groups:
        console.print(_table(group))


def _table(group: Group) -> Table:
    shown = [_cells(measurement) for measurement in group.measurements]
    columns = ("", "a second", "ratio", "p50", "p95", "p99", "", "")
    used = [index for index in range(len(columns)) if any(cells[index] for cells in shown)]
    table = Table(title=group.title, title_justify="left", title_style="bold")
    for index in used:
        table.add_column(columns[index], justify="right" if 0 < index < 7 else "left")
    for cells in shown:
        table.add_row(*(cells[index] for index in used))
    return table


def _cells(measurement: Measurement) -> tuple[str, ...]:
    latency = measurement.latency
    durations = () if latency is None else (latency.p50, latency.p95, latency.p99)
    return (
        measurement.name,
        "" if measurement.per_second is None else _rate(measurement.per_second),
        "" if measurement.ratio is None else f"{measurement.ratio:.2f}",
        *((_duration(item) for item in durations) if durations else ("", "", "")),
        measurement.value,
        measurement.note,
    )


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def _duration(microseconds: float) -> str:
    if microseconds < 1_000:
        return f"{microseconds:.1f} µs"
    return f"{microseconds / 1_000:.2f} ms"


def _processor() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
