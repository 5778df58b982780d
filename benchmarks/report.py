"""What a run found, as tables and as JSON."""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Group, Measurement
from benchmarks.plan import Plan

_PACKAGES = ("relata", "fastapi", "msgspec", "SQLAlchemy", "uvicorn", "uvloop", "httptools")
_PEERS = ("pemba", "zanzibar-index", "casbin", "cedarpy", "spicedb-embedded")
_CPU_INFO = Path("/proc/cpuinfo")
_WIDTH_OF_A_FILE = 160


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
    for package in _PEERS:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
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
    console = _console()
    machine = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}\n"
        f"{versions}\n"
        f"{report.relationships:,} relationships (scale {report.plan.scale:g}, "
        f"seed {report.plan.seed}); load average before: {machine.load_before}",
        highlight=False,
    )
    show_groups(report.groups, console)


def show_groups(groups: Iterable[Group], console: Console | None = None) -> None:
    """Print some groups."""
    for group in groups:
        (console or _console()).print(_table(group))


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    return console


def rows(group: Group) -> tuple[list[str], list[list[str]]]:
    """The headings of a group's table and its cells, without the columns that are empty."""
    others = list(dict.fromkeys(name for line in group.measurements for name in line.against))
    shown = [_cells(measurement, others) for measurement in group.measurements]
    beside = (f"/ {name}" for name in others)
    columns = ("", "a second", "rounds", "ratio", *beside, "p50", "p95", "p99", "", "")
    used = [index for index in range(len(columns)) if any(cells[index] for cells in shown)]
    return [columns[index] for index in used], [[cells[index] for index in used] for cells in shown]


def _table(group: Group) -> Table:
    columns, lines = rows(group)
    has_notes = any(line.note for line in group.measurements)
    table = Table(title=group.title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        is_text = index == 0 or (has_notes and index == len(columns) - 1)
        table.add_column(column, justify="left" if is_text else "right")
    for line in lines:
        table.add_row(*line)
    return table


def _cells(measurement: Measurement, others: Sequence[str]) -> tuple[str, ...]:
    latency, spread = measurement.latency, measurement.spread
    durations = () if latency is None else (latency.p50, latency.p95, latency.p99)
    against = measurement.against
    return (
        measurement.name,
        "" if measurement.per_second is None else _rate(measurement.per_second),
        ""
        if spread is None or spread[0] == spread[1]
        else f"{_short(spread[0])} to {_short(spread[1])}",
        "" if measurement.ratio is None else _ratio(measurement.ratio),
        *(_ratio(against[name]) if name in against else "" for name in others),
        *((_duration(item) for item in durations) if durations else ("", "", "")),
        measurement.value,
        measurement.note,
    )


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _short(per_second: float) -> str:
    """A rate in a few characters."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if per_second >= size:
            return f"{per_second / size:.3g}{unit}"
    return f"{per_second:.3g}"


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
