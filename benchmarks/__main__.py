"""The command: makes the workload, loads it, measures, prints.

benchmarks/run --quick
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from benchmarks import in_process, organizations, report, workload
from benchmarks.measure import Group, Measurement
from benchmarks.memory import Footprint
from benchmarks.over_http import measure_http
from benchmarks.plan import Plan, full, quick
from relata.authorizer import Relata

WRITE = 1_000
"""Relationships a write, the most that one may have."""

_progress = Console(stderr=True)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quick_: Annotated[
        bool,
        typer.Option("--quick", help="Ask less often; a minute or so, and less exact."),
    ] = False,
    scale: Annotated[
        float,
        typer.Option(min=0.002, max=10, help="How much data; 1 is 340,000 relationships."),
    ] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.05, max=600, show_default="5, quick 1", help="How long a round over HTTP takes."
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, show_default="5, quick 3", help="Rounds that a rate is the median of."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="What the random choices start from.")] = 1,
    json_: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the results to a file too."),
    ] = None,
) -> None:
    """Measure Relata on this machine: loading, checks, lookups, and checks over HTTP.

    Everything happens in a temporary directory and on 127.0.0.1. docs/benchmarks.md says what
    each line means.
    """
    plan = quick() if quick_ else full()
    chosen = {"scale": scale, "seed": seed, "seconds": seconds, "rounds": rounds}
    given = {name: value for name, value in chosen.items() if value is not None}
    plan = msgspec.structs.replace(plan, **given)
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        found = run(plan, Path(directory))
    report.show(found)
    if json_ is not None:
        report.save(found, json_)


def run(plan: Plan, directory: Path) -> report.Report:
    """Do everything a plan says, with databases and logs in a directory."""
    machine = report.this_machine()
    _say("making the relationships and the questions ...")
    questions = min(plan.questions, 2 * workload.size_at(plan.scale).documents)
    made = workload.generate(plan.scale, seed=plan.seed, questions=questions)
    url = f"sqlite:///{directory / 'documents.db'}"
    groups = [_load(url, made.relationships)]
    with Relata.open(url) as relata:
        _say("asking in process ...")
        groups.append(in_process.measure_checks(relata, made, plan))
        groups.append(in_process.measure_batches(relata, made, plan))
        groups.append(in_process.measure_lookups(relata, made, plan))
        groups.append(in_process.measure_writes(relata, plan))
        _, key = relata.keys.create("benchmarks", ["check"])
    groups.append(_measure_organizations(directory, plan))
    _say("asking over HTTP ...")
    groups.append(measure_http(made, plan, url=url, key=key, logs=directory))
    return report.make_report(machine, plan, len(made.relationships), groups)


def _load(url: str, relationships: tuple[str, ...]) -> Group:
    """Write the relationships, and load them again in another process."""
    with Relata.open(url, schema=workload.SCHEMA) as relata:
        start = time.perf_counter()
        _write(relata, relationships, "writing the relationships")
        written = time.perf_counter() - start
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", url], stdout=subprocess.PIPE, check=True
    )
    loaded = msgspec.json.decode(done.stdout, type=Footprint)
    count = len(relationships)
    lines = [
        _took(f"write, {WRITE:,} relationships at a time", written, count),
        _took("open, SQLite into the graph", loaded.seconds, count),
    ]
    if loaded.bytes is not None:
        note = f"{loaded.bytes / 1_000_000:,.0f} MB in all"
        value = f"{loaded.bytes / count:,.0f} bytes"
        lines.append(Measurement("memory a relationship", value=value, note=note))
    return Group("Loading (relationships a second)", tuple(lines))


def _measure_organizations(directory: Path, plan: Plan) -> Group:
    url = f"sqlite:///{directory / 'organizations.db'}"
    with Relata.open(url, schema=organizations.SCHEMA) as relata:
        _write(relata, tuple(organizations.relationships()), "writing organizations")
        return organizations.measure_tokens(relata, plan)


def _write(relata: Relata, relationships: tuple[str, ...], what: str) -> None:
    starts = range(0, len(relationships), WRITE)
    shown = track(
        starts, what, console=_progress, transient=True, disable=not _progress.is_terminal
    )
    for start in shown:
        relata.write(relationships[start : start + WRITE])


def _took(name: str, seconds: float, count: int) -> Measurement:
    return Measurement(name, count / seconds, value=f"{seconds:.2f} s")


def _say(what: str) -> None:
    _progress.print(what, style="dim", highlight=False)


if __name__ == "__main__":
    app()
