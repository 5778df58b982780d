"""Checks while a long piece of work goes on in the same process, beside the same checks alone.

A check is due every two milliseconds, whether or not the last one has been answered, and its time
counts from when it was due: so one that has to wait makes those behind it late too, as in a
server. The work is done over and over, in another thread, or by another process on the same
database, and what the note counts is how often it was done meanwhile.

    python -m benchmarks.fairness
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, count, cycle
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks import report, workload
from benchmarks.bulk import fill
from benchmarks.http_asker import HttpAsker
from benchmarks.in_process import mixed_questions, require_answers
from benchmarks.measure import NANOSECONDS, Group, Latency, Measurement, latency, quantiles
from benchmarks.over_http import relata_server
from benchmarks.plan import Plan, full, quick
from benchmarks.workload import Asked, Workload
from relata.authorizer import Relata

EVERY = 2_000_000
"""Nanoseconds from one check to the next."""

_PATIENCE = 120.0
_SCALE = 0.03
_WRITE = 1_000
_PAGE = 10_000
_LONG = "user:everywhere"

Work = Callable[[], object]
"""One piece of work. It is done again until the checks have been made.

What it returns is freed when it has ended: an answer of a million texts is the caller's, and to
free it takes what it takes Python.
"""
Check = Callable[[Asked], bool]


class _Late(NamedTuple):
    """A check: when it was due, and how many nanoseconds later it was answered."""

    due: int
    nanoseconds: int


class _Done(NamedTuple):
    """A piece of work: when it began and ended, in nanoseconds."""

    start: int
    end: int


def measure_fairness(plan: Plan, directory: Path) -> list[Group]:
    """Measure with a database of a long answer in a directory."""
    made = workload.generate(min(_SCALE, plan.scale), seed=plan.seed, questions=2_000)
    path = directory / "fairness.db"
    expected = len(made.relationships) + plan.long_answer
    fill(path, workload.SCHEMA, _relationships(made, plan.long_answer), expected)
    url = f"sqlite:///{path}"
    with Relata.open(url, answers_kept=0) as relata:
        _, key = relata.keys.create("benchmarks", ["admin"])
        lines = list(_in_process(relata, made, plan, directory))
    with relata_server(url, directory) as port:
        lines += _over_http(port, key, made, plan)
    return [Group("Checks beside long work (ratio: of p99 to that alone)", tuple(lines))]


def _relationships(made: Workload, long_answer: int) -> Iterator[str]:
    yield from made.relationships
    yield f"folder:everything#viewer@{_LONG}"
    for number in range(long_answer):
        yield f"document:long{number}#parent@folder:everything"


def _in_process(
    relata: Relata, made: Workload, plan: Plan, directory: Path
) -> Iterator[Measurement]:
    def check(asked: Asked) -> bool:
        return relata.check(asked.document, "view", asked.user).allowed

    def look_up() -> object:
        result = relata.lookup_resources("document", "view", _LONG)
        if (found := len(result.resource_ids)) != plan.long_answer:
            raise ValueError(f"a lookup has found {found:,} of {plan.long_answer:,} ids")
        return result

    batches = _new("written")

    def write() -> None:
        relata.write(next(batches))

    schemas = cycle([f"{workload.SCHEMA}\ndefinition machine {{}}\n", workload.SCHEMA])
    works: list[tuple[str, Work]] = [
        (f"a lookup of {plan.long_answer:,}", look_up),
        (f"writes of {_WRITE:,}", write),
        (f"an import of {plan.long_answer // 10:,}", _Import(relata, plan, directory)),
        ("changes of the schema", lambda: relata.write_schema(next(schemas))),
    ]
    yield from _lines("in process", check, works, made, plan)


def _new(name: str) -> Iterator[list[str]]:
    """Batches of relationships, for ever, none of which was there before."""
    for batch in count():
        yield [f"document:{name}{batch}/{number}#parent@folder:new" for number in range(_WRITE)]


def _over_http(port: int, key: str, made: Workload, plan: Plan) -> Iterator[Measurement]:
    with closing(HttpAsker(port, key)) as asker, closing(HttpAsker(port, key)) as other:

        def check(asked: Asked) -> bool:
            question = {"resource": asked.document, "permission": "view", "subject": asked.user}
            return asker.ask("/check", question)["allowed"] is True

        wish = {"resource_type": "document", "permission": "view", "subject": _LONG}
        cursors: list[str | None] = [None]

        def look_up() -> None:
            page = (
                {"limit": _PAGE} if cursors[-1] is None else {"limit": _PAGE, "cursor": cursors[-1]}
            )
            cursors.append(other.ask("/lookup/resources", {**wish, **page})["cursor"])

        batches = _new("sent")

        def write() -> None:
            updates = [{"operation": "touch", "relationship": text} for text in next(batches)]
            other.ask("/relationships", {"updates": updates})

        works: list[tuple[str, Work]] = [
            (f"pages of a lookup of {plan.long_answer:,}", look_up),
            (f"writes of {_WRITE:,}", write),
        ]
        yield from _lines("over HTTP", check, works, made, plan)


class _Import:
    """An import of new relationships by another process into the same database."""

    def __init__(self, relata: Relata, plan: Plan, directory: Path) -> None:
        self._url = str(relata.store.engine.url)
        self._file = directory / "import.txt"
        self._count = plan.long_answer // 10
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        lines = (
            f"document:import{self._done}/{number}#parent@folder:imported\n"
            for number in range(self._count)
        )
        self._file.write_text("".join(lines))
        subprocess.run(
            [sys.executable, "-m", "relata", "import", str(self._file), "--database", self._url],
            check=True,
            capture_output=True,
        )


def _lines(
    where: str, check: Check, works: Sequence[tuple[str, Work]], made: Workload, plan: Plan
) -> Iterator[Measurement]:
    """The checks alone and beside each work, in turns."""
    asked = mixed_questions(made)
    require_answers(asked, map(check, asked), f"Relata {where}")
    alone: list[list[_Late]] = []
    beside: list[list[list[_Late]]] = [[] for _ in works]
    done: list[list[_Done]] = [[] for _ in works]
    for _ in range(plan.rounds):
        alone.append(_paced(check, asked, _after(plan.beside_seconds, [True])))
        for (_, work), passes, everything in zip(works, beside, done, strict=True):
            with _going_on(work) as found:
                passes.append(_paced(check, asked, _after(plan.beside_seconds, found)))
            everything += found
    base = _line(f"check {where}, alone", alone)
    yield base
    for (name, _), passes, everything in zip(works, beside, done, strict=True):
        meanwhile = [[late for late in each if _is_within(everything, late)] for each in passes]
        line = _line(f"check {where}, beside {name}", meanwhile)
        each = sum(end - start for start, end in everything) / len(everything) / NANOSECONDS
        others = [late.nanoseconds for late in chain(*passes) if not _is_within(everything, late)]
        note = f"{len(everything)} done meanwhile, in {each:.2f} s each"
        if others:
            note += f"; between them {len(others)} checks, at most {max(others) / 1_000_000:.1f} ms"
        yield msgspec.structs.replace(line, ratio=_p99(line) / _p99(base), note=note)


def _is_within(done: Sequence[_Done], late: _Late) -> bool:
    """Whether a check was due while work was being done."""
    at = bisect(done, late.due, key=lambda it: it.start) - 1
    return at >= 0 and late.due <= done[at].end


def _line(name: str, checks: Sequence[Sequence[_Late]]) -> Measurement:
    """The medians of the passes' percentiles, and the longest check of all of them."""
    passes = [[late.nanoseconds for late in each] for each in checks if each]
    latencies = [latency(taken) for taken in passes]
    percentiles = (
        statistics.median(getattr(found, percentile) for found in latencies)
        for percentile in Latency.__struct_fields__
    )
    everything = list(chain.from_iterable(passes))
    longest = max(everything) / 1_000
    return Measurement(
        name,
        latency=Latency(*percentiles),
        value=f"at most {longest / 1_000:.2f} ms",
        amount=longest,
        quantiles=quantiles(everything),
    )


def _p99(line: Measurement) -> float:
    assert line.latency is not None, "each has one"
    return line.latency.p99


def _paced(check: Check, asked: Sequence[Asked], is_done: Callable[[], bool]) -> list[_Late]:
    """Check until it is done, and return how late each check was answered."""
    taken = []
    due = time.perf_counter_ns()
    for question in cycle(asked):
        due += EVERY
        if (early := due - time.perf_counter_ns()) > 0:
            time.sleep(early / 1_000_000_000)
        check(question)
        taken.append(_Late(due, time.perf_counter_ns() - due))
        if is_done():
            return taken
    raise AssertionError("a cycle has no end")


def _after(seconds: float, times: Sequence[object]) -> Callable[[], bool]:
    """Tell when the seconds have passed and some work has been done."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end and bool(times)


@contextmanager
def _going_on(work: Work) -> Iterator[list[_Done]]:
    """Do a piece of work in a thread, over and over, until the end of the block.

    Gives when each began and ended which is done. Raises what the work raises.
    """
    times: list[_Done] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def run() -> None:
        try:
            while not stop.is_set():
                start = time.perf_counter_ns()
                made = work()
                times.append(_Done(start, time.perf_counter_ns()))
                del made
        except Exception as error:  # noqa: BLE001  it is raised again below
            errors.append(error)
            times.append(_Done(0, 0))

    thread = threading.Thread(target=run, name="long-work")
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join(_PATIENCE)
    if errors:
        raise errors[0]


def main() -> None:
    """Measure fairness alone."""
    plan = quick() if "--quick" in sys.argv else full()
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        report.show_groups(measure_fairness(plan, Path(directory)))


if __name__ == "__main__":
    main()
