"""The parts of a run, each of which can be measured alone.

What several of them need, the workload and its database, is made by the first that does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path

import msgspec

from benchmarks import in_process, organizations, workload
from benchmarks.ask_shapes import measure_shapes
from benchmarks.fairness import measure_fairness
from benchmarks.growth import measure_growth
from benchmarks.loaded import feed
from benchmarks.measure import Group, Measurement
from benchmarks.memory import Footprint
from benchmarks.over_http import measure_http
from benchmarks.peers.compare import measure_peers, measure_wire
from benchmarks.plan import Plan
from benchmarks.progress import say, shown
from benchmarks.staying_true import measure_staying_true
from benchmarks.tenants import measure_tenants
from benchmarks.token_issue import measure_issue
from benchmarks.two_workers import measure_workers
from benchmarks.workload import Workload
from relata.authorizer import ANSWERS_KEPT, Relata
from relata.store import Store

SMALLEST_SCALE = 0.002
WRITE = 1_000
"""Relationships a write, the most that one may have."""


class Bench:
    """What the parts share."""

    def __init__(self, plan: Plan, directory: Path, keep: Path) -> None:
        self.plan = plan
        self.directory = directory
        self.keep = keep
        """Where the databases of the growth series are."""
        self.url = f"sqlite:///{directory / 'documents.db'}"

    @cached_property
    def workload(self) -> Workload:
        """The relationships and the questions."""
        say("making the relationships and the questions ...")
        plan = self.plan
        questions = min(plan.questions, 2 * workload.size_at(plan.scale).documents)
        return workload.generate(plan.scale, seed=plan.seed, questions=questions)

    @cached_property
    def writing(self) -> Measurement:
        """Make the database of the workload; what writing took."""
        made = self.workload.relationships
        written = made[: self.plan.written]
        with Relata.open(self.url, schema=workload.SCHEMA) as relata:
            start = time.perf_counter()
            _write(relata, written, "writing the relationships")
            seconds = time.perf_counter() - start
        with closing(Store.open(self.url)) as store:
            feed(store, made[len(written) :])
        return _took(f"write, {WRITE:,} relationships at a time", seconds, len(written))

    def open(self, answers_kept: int = 0) -> Relata:
        """Open the database of the workload; so that each answer is found, unless some are kept."""
        _ = self.writing  # which makes it
        return Relata.open(self.url, answers_kept=answers_kept)

    def smaller(self, share: float) -> Bench:
        """The same with a share of the data, and rounds a third as long."""
        scale = max(SMALLEST_SCALE, self.plan.scale * share)
        plan = msgspec.structs.replace(self.plan, scale=scale, seconds=self.plan.seconds / 3)
        directory = self.directory / "smaller"
        directory.mkdir()
        return Bench(plan, directory, self.keep)

    @property
    def relationships(self) -> int:
        """How many relationships the workload has; 0 where no part has needed it."""
        return len(self.workload.relationships) if "workload" in self.__dict__ else 0


def _loading(bench: Bench) -> list[Group]:
    """Writing the relationships, and loading them again in another process."""
    lines, count = [bench.writing], len(bench.workload.relationships)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", bench.url], stdout=subprocess.PIPE, check=True
    )
    loaded = msgspec.json.decode(done.stdout, type=Footprint)
    lines.append(_took("open, SQLite into the graph", loaded.seconds, count))
    if loaded.bytes is not None:
        each = loaded.bytes / count
        lines.append(
            Measurement(
                "memory a relationship",
                value=f"{each:,.0f} bytes",
                amount=each,
                note=f"{loaded.bytes / 1_000_000:,.0f} MB in all",
            )
        )
    return [Group("Loading (relationships a second)", tuple(lines))]


def _checks(bench: Bench) -> list[Group]:
    with bench.open(ANSWERS_KEPT) as relata, bench.open() as finding:
        return [
            in_process.measure_checks(relata, finding, bench.workload, bench.plan),
            in_process.measure_batches(relata, bench.workload, bench.plan),
        ]


def _lookups(bench: Bench) -> list[Group]:
    with bench.open() as relata:
        return [in_process.measure_lookups(relata, bench.workload, bench.plan)]


def _writes(bench: Bench) -> list[Group]:
    with bench.open() as relata:
        return [in_process.measure_writes(relata, bench.workload, bench.plan)]


def _http(bench: Bench) -> list[Group]:
    with bench.open() as relata:
        _, key = relata.keys.create("benchmarks", ["check"])
    logs = bench.directory
    return [measure_http(bench.workload, bench.plan, url=bench.url, key=key, logs=logs)]


def _peers(bench: Bench) -> list[Group]:
    """Beside the peers; in a quick run with less data, and shorter."""
    if bench.plan.peers < 1:
        bench = bench.smaller(bench.plan.peers)
    with bench.open() as relata:
        _, key = relata.keys.create("benchmarks", ["check"])
        inside = measure_peers(bench.workload, relata, bench.plan)
    logs = bench.directory
    return [inside, measure_wire(bench.workload, bench.plan, url=bench.url, key=key, logs=logs)]


def _permissions(bench: Bench) -> list[Group]:
    url = f"sqlite:///{bench.directory / 'organizations.db'}"
    with Relata.open(url, schema=organizations.SCHEMA) as relata:
        _write(relata, tuple(organizations.relationships()), "writing organizations")
        return [organizations.measure_tokens(relata, bench.plan)]


def _shapes(bench: Bench) -> list[Group]:
    return measure_shapes(bench.plan, bench.directory)


def _tenants(bench: Bench) -> list[Group]:
    return measure_tenants(bench.plan, bench.directory)


def _growth(bench: Bench) -> list[Group]:
    return measure_growth(bench.plan, bench.keep)


def _fairness(bench: Bench) -> list[Group]:
    return measure_fairness(bench.plan, bench.directory)


def _workers(bench: Bench) -> list[Group]:
    return measure_workers(bench.plan, bench.directory)


def _tokens(bench: Bench) -> list[Group]:
    return [
        measure_issue(bench.plan, bench.directory),
        measure_staying_true(bench.directory, bench.plan.token_users),
    ]


PARTS: Mapping[str, Callable[[Bench], list[Group]]] = {
    "loading": _loading,
    "checks": _checks,
    "lookups": _lookups,
    "writes": _writes,
    "peers": _peers,
    "permissions": _permissions,
    "http": _http,
    "shapes": _shapes,
    "tenants": _tenants,
    "tokens": _tokens,
    "fairness": _fairness,
    "workers": _workers,
    "growth": _growth,
}
"""The parts by their names, in the order of a run."""


def _write(relata: Relata, relationships: tuple[str, ...], what: str) -> None:
    for start in shown(range(0, len(relationships), WRITE), what):
        relata.write(relationships[start : start + WRITE])


def _took(name: str, seconds: float, count: int) -> Measurement:
    return Measurement(name, count / seconds, value=f"{seconds:.2f} s", amount=seconds)
