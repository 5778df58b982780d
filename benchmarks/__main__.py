"""The command: makes the workload, loads it, measures, prints.

benchmarks/run --quick
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from benchmarks import report
from benchmarks.measure import Group
from benchmarks.parts import PARTS, Bench
from benchmarks.plan import Plan, at_scale, full, quick
from benchmarks.progress import say

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _known(parts: list[str] | None) -> list[str] | None:
    for part in parts or ():
        if part not in PARTS:
            raise typer.BadParameter(f"there is no part `{part}`; choose of {', '.join(PARTS)}")
    return parts


@app.command()
def main(
    quick_: Annotated[
        bool,
        typer.Option(
            "--quick", help="Ask less often, of less data; two or three minutes, and less exact."
        ),
    ] = False,
    scale: Annotated[
        float,
        typer.Option(min=0.002, max=10, help="How much data; 1 is 340,000 relationships."),
    ] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.05,
            max=600,
            show_default="5, quick 1 and less",
            help="How long a round over HTTP takes; beside long work half of it.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, show_default="5, quick 3", help="Rounds that a rate is the median of."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="What the random choices start from.")] = 1,
    growth: Annotated[
        int | None,
        typer.Option(
            min=1_000,
            max=10_000_000,
            show_default="1000000, quick 100000",
            help="Up to how many relationships the growth series goes.",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the databases of the growth series stay, for the next run."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            callback=_known,
            help=f"Measure this part alone; may be given several times: {', '.join(PARTS)}.",
        ),
    ] = None,
    json_: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the results to a file too."),
    ] = None,
) -> None:
    """Measure Relata on this machine: loading, checks, lookups, and checks over HTTP; shapes that
    hurt, many tenants, growth, fairness, tokens; and, beside it, the peers that are installed.

    Everything happens in a temporary directory and on 127.0.0.1. docs/benchmarks.md says what
    each line means.
    """
    plan = at_scale(quick() if quick_ else full(), scale)
    chosen = {
        "seed": seed,
        "seconds": seconds,
        "beside_seconds": None if seconds is None else seconds / 2,
        "rounds": rounds,
        "growth": growth,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    plan = msgspec.structs.replace(plan, **given)
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        found = None
        for found in run(plan, Path(directory), keep, list(only or PARTS)):
            if json_ is not None:
                report.save(found, json_)
    if found is not None:
        report.show(found)


def run(
    plan: Plan, directory: Path, keep: Path | None, parts: list[str]
) -> Iterator[report.Report]:
    """Do the parts of a plan, with databases and logs in a directory.

    Gives what has been found after each part, so that a later one cannot take it away.
    """
    machine = report.this_machine()
    bench = Bench(plan, directory, keep or directory)
    groups: list[Group] = []
    for name in parts:
        say(f"measuring: {name} ...")
        groups += PARTS[name](bench)
        yield report.make_report(machine, plan, bench.relationships, groups)


if __name__ == "__main__":
    app()
