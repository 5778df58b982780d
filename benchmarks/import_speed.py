"""How fast `relata import` takes relationships into a new SQLite file, everything included.

The relationships are those of the workload at the scale that has enough of them. `--shuffled`
is the worst order: neighbours in the file are then far from each other in every index. What is
timed is the command as a process, from its start to its end.

    python -m benchmarks.import_speed --relationships 1000000 --shuffled
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import workload
from relata.store import Store
from relata.transfer import Layout

_AT_SCALE_1 = 330_000
"""A little less than the workload has at scale 1."""


def main(
    relationships: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="How many to import.")
    ] = 1_000_000,
    shuffled: Annotated[bool, typer.Option("--shuffled", help="In a random order.")] = False,
    layout: Annotated[Layout, typer.Option("--format", help="How lines are written.")] = (
        Layout.TEXT
    ),
) -> None:
    """Import relationships into a new file, and print how long it took."""
    with tempfile.TemporaryDirectory(prefix="relata-import-") as directory:
        file = Path(directory, f"relationships.{layout}")
        database = Path(directory, "relata.db")
        _write(file, relationships, layout, shuffled=shuffled)
        _create(database)
        command = [sys.executable, "-m", "relata", "import", str(file), "--format", layout]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--database", f"sqlite:///{database}"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=None if sys.stderr.isatty() else subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
        stored = _count(database)
        size = database.stat().st_size / 1e6
    if stored != relationships:
        raise SystemExit(f"{stored:,} relationships are stored, not {relationships:,}")
    rate = relationships / seconds
    order = "shuffled" if shuffled else "in order"
    typer.echo(
        f"{relationships:,} relationships ({layout}, {order}): {seconds:.1f} s, "
        f"{rate:,.0f} a second, {size:,.0f} MB"
    )


def _write(file: Path, count: int, layout: Layout, *, shuffled: bool) -> None:
    made = workload.generate(count / _AT_SCALE_1, questions=0).relationships[:count]
    lines = list(made)
    if shuffled:
        random.Random(1).shuffle(lines)
    with file.open("w", encoding="utf-8") as target:
        target.writelines(_line(text, layout) for text in lines)


def _line(text: str, layout: Layout) -> str:
    if layout is Layout.TEXT:
        return f"{text}\n"
    resource, _, rest = text.partition("#")
    relation, _, subject = rest.partition("@")
    return f'{{"resource": "{resource}", "relation": "{relation}", "subject": "{subject}"}}\n'


def _create(database: Path) -> None:
    store = Store.open(f"sqlite:///{database}")
    store.write_schema(workload.SCHEMA, replaces=0, removed=[])
    store.close()


def _count(database: Path) -> int:
    store = Store.open(f"sqlite:///{database}")
    try:
        return sum(1 for _ in store.live()[1])
    finally:
        store.close()


if __name__ == "__main__":
    typer.run(main)
