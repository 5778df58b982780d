"""A run as a page of Markdown, from the file that `benchmarks/run --json` has written.

python -m benchmarks.markdown out.json > docs/benchmarks/one-run.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.measure import Group
from benchmarks.report import Report, rows


def page(report: Report) -> str:
    """The page of a run."""
    machine = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    head = (
        f"# One run, on {report.started_at:%d %B %Y}\n\n"
        f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python};\n"
        f"{versions}.\n\n"
        f"{report.relationships:,} relationships, {report.plan.rounds} rounds, seed "
        f"{report.plan.seed}. Load average before: {machine.load_before}.\n\n"
        "[What the lines mean](../benchmarks.md#what-the-lines-mean), and\n"
        "[how to read them](../benchmarks.md#how-to-read-them). In `rounds` are the slowest and\n"
        "the fastest round; `/ pemba` is Relata's rate divided by pemba's.\n"
    )
    return "\n".join([head, *(_section(group) for group in report.groups)])


def _section(group: Group) -> str:
    return "\n".join([f"## {group.title}\n", *_table(group), ""])


def _table(group: Group) -> Iterator[str]:
    columns, lines = rows(group)
    yield f"| {' | '.join(columns)} |"
    yield f"|---|{'--:|' * (len(columns) - 1)}"
    for line in lines:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"


if __name__ == "__main__":
    sys.stdout.write(page(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Report)))
