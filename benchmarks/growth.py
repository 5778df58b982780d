"""The same workload from ten thousand relationships to ten million: what stays flat, and what not.

Each size has a process of its own (`benchmarks.grown`), which loads its database and stays. The
rounds alternate between them, so that a machine that slows down slows all sizes. The first round
asks what nobody has asked before; it has lines of its own.

    python -m benchmarks.growth --to 1000000 --keep /var/tmp/growth
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import msgspec
import typer

from benchmarks import report
from benchmarks.bulk import database_of
from benchmarks.grown import Loaded, Round
from benchmarks.measure import Group, Latency, Measurement
from benchmarks.plan import Plan, full

SMALLEST = 10_000
COMPARED_WITH = 100_000
"""The size that the others are compared with, or the smallest, if there is none of this."""

T = TypeVar("T")

_CHECKS = ("allowed", "denied")
_LOOKUPS = ("resources", "subjects")


class _Member:
    """A process that has a database of some size loaded."""

    def __init__(self, path: Path, relationships: int, plan: Plan) -> None:
        lookups = min(plan.lookups, plan.growth_questions)
        numbers = (relationships, plan.growth_questions, lookups)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.grown", str(path), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.loaded = self._read(Loaded)
        except BaseException:
            self.close()
            raise

    def round(self, what: str) -> Round:
        assert self._process.stdin is not None  # it is a pipe
        self._process.stdin.write(f"{what}\n".encode())
        self._process.stdin.flush()
        return self._read(Round)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self, type_: type[T]) -> T:
        assert self._process.stdout is not None  # it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the growth series has ended, and has said why above")
        return msgspec.json.decode(line, type=type_)


class _Series(NamedTuple):
    """The sizes, each with what it took to load it and the rounds of each question."""

    loaded: list[Loaded]
    rounds: dict[str, list[list[Round]]]


def sizes(largest: int) -> list[int]:
    """The sizes of a series: powers of ten."""
    found = [min(SMALLEST, largest)]
    while found[-1] * 10 <= largest:
        found.append(found[-1] * 10)
    return found


def measure_growth(plan: Plan, directory: Path) -> list[Group]:
    """Measure every size, with databases that are made in a directory, or are there."""
    with ExitStack() as stack:
        members = []
        for count in sizes(plan.growth):
            path = database_of(count, directory, seed=plan.seed)
            members.append(_Member(path, count, plan))
            stack.callback(members[-1].close)
        rounds = {what: [[] for _ in members] for what in (*_CHECKS, *_LOOKUPS, "writes")}  # type: dict[str, list[list[Round]]]
        for _ in range(plan.rounds + 1):
            for what, found in rounds.items():
                for member, rounds_of_member in zip(members, found, strict=True):
                    rounds_of_member.append(member.round(what))
        series = _Series([member.loaded for member in members], rounds)
    return [
        Group("Growth: loading", tuple(_loading(series))),
        Group(
            f"Growth: checks (ratio: of p50 to that at {_base(series):,})", tuple(_checks(series))
        ),
        Group(
            f"Growth: lookups (ratio: of the time an id takes to that at {_base(series):,})",
            tuple(_lookups(series)),
        ),
        Group("Growth: writes of 1 relationship", tuple(_writes(series))),
    ]


def _loading(series: _Series) -> Iterator[Measurement]:
    for loaded in series.loaded:
        count = loaded.relationships
        yield Measurement(
            f"open, {count:,}",
            count / loaded.seconds,
            value=f"{loaded.seconds:.2f} s",
            amount=loaded.seconds,
            at=count,
            note=f"at most {loaded.peak / 1e6:,.0f} MB while it opens",
        )
    for loaded in series.loaded:
        if loaded.bytes is not None:
            each = loaded.bytes / loaded.relationships
            yield Measurement(
                f"memory a relationship, {loaded.relationships:,}",
                value=f"{each:,.0f} bytes",
                amount=each,
                at=loaded.relationships,
                note=f"{loaded.bytes / 1e6:,.0f} MB in all",
            )


def _checks(series: _Series) -> Iterator[Measurement]:
    for what in _CHECKS:
        for name, chosen in (("", slice(1, None)), (", for the first time", slice(0, 1))):
            found = [rounds[chosen] for rounds in series.rounds[what]]
            p50s = [_percentiles(rounds).p50 for rounds in found]
            base = p50s[_base_index(series)]
            for loaded, rounds, p50 in zip(series.loaded, found, p50s, strict=True):
                yield Measurement(
                    f"check, {what}{name}, {loaded.relationships:,}",
                    latency=_percentiles(rounds),
                    ratio=p50 / base,
                    at=loaded.relationships,
                )


def _lookups(series: _Series) -> Iterator[Measurement]:
    for what in _LOOKUPS:
        each = [
            statistics.median(round_.seconds / max(1, round_.ids) for round_ in rounds[1:])
            for rounds in series.rounds[what]
        ]
        base = each[_base_index(series)]
        for loaded, rounds, seconds in zip(series.loaded, series.rounds[what], each, strict=True):
            yield Measurement(
                f"lookup_{what}, {loaded.relationships:,}",
                latency=_percentiles(rounds[1:]),
                ratio=seconds / base,
                value=f"{seconds * 1e6:.2f} µs an id",
                amount=seconds * 1e6,
                at=loaded.relationships,
                note=f"{rounds[0].ids:,} ids found, at most {rounds[0].most:,} at once",
            )


def _writes(series: _Series) -> Iterator[Measurement]:
    for loaded, rounds in zip(series.loaded, series.rounds["writes"], strict=True):
        yield Measurement(
            f"write, {loaded.relationships:,}",
            latency=_percentiles(rounds),
            at=loaded.relationships,
        )


def _percentiles(rounds: Sequence[Round]) -> Latency:
    """The median of each percentile."""
    return Latency(
        *(
            statistics.median(getattr(round_.latency, name) for round_ in rounds)
            for name in Latency.__struct_fields__
        )
    )


def _base_index(series: _Series) -> int:
    """The place of the size that the others are compared with."""
    near = [abs(loaded.relationships - COMPARED_WITH) for loaded in series.loaded]
    return near.index(min(near))


def _base(series: _Series) -> int:
    return series.loaded[_base_index(series)].relationships


def main(
    to: Annotated[int, typer.Option(min=1_000, help="The largest size.")] = 1_000_000,
    keep: Annotated[
        Path | None, typer.Option(help="Where databases stay, and are used again.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds after the first.")] = 5,
) -> None:
    """Measure the growth series alone."""
    plan = msgspec.structs.replace(full(), growth=to, rounds=rounds)
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        report.show_groups(measure_growth(plan, keep or Path(directory)))


if __name__ == "__main__":
    typer.run(main)
