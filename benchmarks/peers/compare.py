"""Relata beside the peers that are installed: the same questions about the same relationships.

Every peer gets as much of the data as it takes in reasonable time: a hundredth, a tenth, all of it,
as long as the next is likely to load soon enough and to leave its checks in some pace. Relata is
asked about the same share. Answers are compared first, the peer's checks with the workload's own
and its lookups with Relata's. A wrong one is told, and does not end the run. Then rounds of the two
alternate, and no question is asked again before all have been.

    python -m benchmarks.peers.compare --scale 0.1 --only pemba --seconds 2
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec
import typer

from benchmarks import report, workload
from benchmarks.in_process import WrongAnswerError
from benchmarks.loaded import open_loaded
from benchmarks.measure import (
    NANOSECONDS,
    Group,
    Measurement,
    durations,
    latency,
    measured,
    rate,
    seconds_of,
)
from benchmarks.peers import PEERS, Open, Peer, Unable
from benchmarks.plan import Plan, quick
from benchmarks.workload import Asked, Workload
from relata.authorizer import ANSWERS_KEPT, Relata

T = TypeVar("T")

IN_PROCESS = {name: open_ for name, open_ in PEERS.items() if "gRPC" not in name}
SHARES = (0.01, 0.1, 1.0)
_SMALLEST_SCALE = 0.002
_PATIENCE = 24
"""A peer may take as many times longer to load than it is then asked for."""
_SLOWEST_CHECK = 1.0
_COMPARED = 2_000
_PROBED = 3
_MOST_CALLS = 20_000
_FEW_CALLS = 1_000
_LONG_CALL = 0.000_2


class _Share(NamedTuple):
    """A share of the data, and Relata on it, finding each answer and remembering answers."""

    relationships: int
    made: Workload
    relata: Relata
    remembering: Relata
    whole: bool


class _Trial(NamedTuple):
    """A peer on a share of the data."""

    peer: Peer
    share: _Share
    load_seconds: float
    check_seconds: float
    excuse: str = ""
    """Why it is not on more of the data."""


class _Question(NamedTuple, Generic[T]):
    """One kind of question, asked of two."""

    name: str
    ours: Callable[[T], object]
    theirs: Callable[[T], object]
    arguments: Sequence[T]
    right: Callable[[T, object], bool]
    """Whether an answer of theirs is right."""


class _Shares:
    """The shares of the data, made when they are needed."""

    def __init__(self, whole: _Share, plan: Plan, held: ExitStack) -> None:
        self.wanted = [it for it in SHARES if it == 1 or it * plan.scale >= _SMALLEST_SCALE]
        self._plan = plan
        self._made = {1.0: whole}
        self._held = held

    def share(self, size: float) -> _Share:
        """A share of this size, from 0 to 1."""
        if size not in self._made:
            self._made[size] = self._make(self._plan.scale * size)
        return self._made[size]

    def _make(self, scale: float) -> _Share:
        questions = min(self._plan.questions, 2 * workload.size_at(scale).documents)
        made = workload.generate(scale, seed=self._plan.seed, questions=questions)
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="relata-")))
        relata = open_loaded(folder / "share.db", workload.SCHEMA, made.relationships)
        self._held.enter_context(closing(relata))
        remembering = self._held.enter_context(_remembering(relata))
        return _Share(len(made.relationships), made, relata, remembering, whole=False)


def measure_peers(
    workload: Workload, relata: Relata, plan: Plan, peers: Mapping[str, Open] = IN_PROCESS
) -> Group:
    """Measure every installed peer in process; `relata` has the workload's data.

    A line takes about `plan.seconds` of the peer and of Relata each.
    """
    lines: list[Measurement] = []
    with ExitStack() as held:
        remembering = held.enter_context(_remembering(relata))
        whole = _Share(len(workload.relationships), workload, relata, remembering, whole=True)
        shares = _Shares(whole, plan, held)
        for name, open_ in peers.items():
            lines += _measure(name, open_, shares, plan)
    title = "Peers in process (ratio: Relata's rate to the peer's)"
    return Group(title, tuple(lines))


def measure_wire(workload: Workload, plan: Plan, *, url: str, key: str, logs: Path) -> Group:
    """Measure SpiceDB over gRPC beside a `relata` server over HTTP, on all of the data.

    The database at `url` has the workload's data, and `key` may check it. The server writes its
    log into the directory `logs`.
    """
    title = "Each over its own wire (ratio: Relata's rate to SpiceDB's)"
    lines: tuple[Measurement, ...]
    try:
        from benchmarks.peers import wire

        lines = wire.measure(workload, plan, url=url, key=key, logs=logs)
    except ImportError as error:
        lines = (Measurement("SpiceDB", value="not installed", note=str(error)),)
    except Unable as error:
        lines = (Measurement("SpiceDB", value="unable", note=_first_line(error)),)
    return Group(title, lines)


def _measure(name: str, open_: Open, shares: _Shares, plan: Plan) -> list[Measurement]:
    try:
        trial = _open(open_, shares, plan)
    except ImportError as error:
        return [Measurement(name, value="not installed", note=str(error))]
    except Unable as error:
        return [Measurement(name, value="unable", note=_first_line(error))]
    with closing(trial.peer):
        return list(_lines(trial, plan))


def _open(open_: Open, shares: _Shares, plan: Plan) -> _Trial:
    """A peer on as much of the data as it takes."""
    trial: _Trial | None = None
    for size in shares.wanted:
        share = shares.share(size)
        if trial is not None and (excuse := _too_slow(trial, share, plan)):
            return trial._replace(excuse=excuse)
        try:
            larger = _load(open_, share)
        except Unable as error:
            if trial is None:
                raise
            return trial._replace(excuse=f"with {share.relationships:,}: {_first_line(error)}")
        if trial is not None:
            trial.peer.close()
        trial = larger
    assert trial is not None, "all of the data is a share"
    return trial


def _too_slow(trial: _Trial, next_: _Share, plan: Plan) -> str:
    """Why a peer is not to be tried with more data; empty where it is."""
    growth = next_.relationships / trial.share.relationships
    if trial.load_seconds * growth > plan.seconds * _PATIENCE:
        return f"{growth:.0f} times as many would take too long to load"
    if trial.check_seconds * growth > _SLOWEST_CHECK:
        return f"a denied check takes {trial.check_seconds:.2f} s"
    return ""


def _load(open_: Open, share: _Share) -> _Trial:
    start = time.perf_counter()
    peer = open_(workload.SCHEMA, share.made.relationships)
    loaded = time.perf_counter()
    try:
        for asked in share.made.denied[:_PROBED]:
            peer.check(asked.document, "view", asked.user)
    except BaseException:
        peer.close()
        raise
    checked = time.perf_counter()
    return _Trial(peer, share, loaded - start, (checked - loaded) / _PROBED)


def _lines(trial: _Trial, plan: Plan) -> Iterator[Measurement]:
    name, count, whole = trial.peer.name, trial.share.relationships, trial.share.whole
    yield Measurement(
        f"{name}, load",
        count / trial.load_seconds,
        value=f"{trial.load_seconds:.2f} s",
        at=count,
        note=f"all {count:,} relationships" if whole else f"only {count:,}: {trial.excuse}",
    )
    for question in _checks(trial):
        yield _line(trial, question, plan)
    for lookup in _lookups(trial, plan):
        yield _line(trial, lookup, plan)


def _remembering(relata: Relata) -> Relata:
    """The same database, opened to remember answers."""
    return Relata.open(str(relata.store.engine.url), answers_kept=ANSWERS_KEPT)


def _checks(trial: _Trial) -> Iterator[_Question[Asked]]:
    relata, remembering, peer = trial.share.relata, trial.share.remembering, trial.peer

    def ours(asked: Asked) -> bool:
        return relata.check(asked.document, "view", asked.user).allowed

    def ours_again(asked: Asked) -> bool:
        return remembering.check(asked.document, "view", asked.user).allowed

    def theirs(asked: Asked) -> bool:
        return peer.check(asked.document, "view", asked.user)

    def right(asked: Asked, answer: object) -> bool:
        return answer is asked.allowed

    for name, asked in (
        ("check, allowed", trial.share.made.allowed),
        ("check, denied", trial.share.made.denied),
    ):
        yield _Question(name, ours, theirs, asked, right)
        for question in asked:
            ours_again(question)
        yield _Question(f"{name}, of remembered answers", ours_again, theirs, asked, right)


def _lookups(trial: _Trial, plan: Plan) -> Iterator[_Question[str]]:
    peer = trial.peer
    size, random = trial.share.made.size, Random(plan.seed)

    def resources_of(relata: Relata) -> Callable[[str], Sequence[str]]:
        return lambda user: relata.lookup_resources("document", "view", user).resource_ids

    def their_resources(user: str) -> object:
        return peer.lookup_resources("document", "view", user)

    def subjects_of(relata: Relata) -> Callable[[str], Sequence[str]]:
        return lambda document: relata.lookup_subjects(document, "view", "user").subject_ids

    def their_subjects(document: str) -> object:
        return peer.lookup_subjects(document, "view", "user")

    drawn = [random.randrange(size.users) for _ in range(plan.lookups)]
    users = [f"user:u{number}" for number in dict.fromkeys(drawn)]
    drawn = [random.randrange(size.documents) for _ in range(plan.lookups)]
    documents = [f"document:d{number}" for number in dict.fromkeys(drawn)]
    for name, ours, theirs, arguments in (
        ("lookup_resources", resources_of, their_resources, users),
        ("lookup_subjects", subjects_of, their_subjects, documents),
    ):
        if not _has(theirs, arguments[0]):
            continue
        find, again = ours(trial.share.relata), ours(trial.share.remembering)
        yield _Question(name, find, theirs, arguments, _same_as(find))
        for argument in arguments:
            again(argument)
        yield _Question(f"{name}, of remembered answers", again, theirs, arguments, _same_as(find))


def _has(question: Callable[[str], object], argument: str) -> bool:
    """Whether a peer has such a question at all, be it that it fails."""
    try:
        return question(argument) is not None
    except Unable:
        return True


def _same_as(ours: Callable[[str], Sequence[str]]) -> Callable[[str, object], bool]:
    def right(argument: str, answer: object) -> bool:
        assert isinstance(answer, list | tuple | set | frozenset)
        return set(answer) == set(ours(argument)) and len(answer) == len(set(answer))

    return right


def _line(trial: _Trial, question: _Question[T], plan: Plan) -> Measurement:
    name = f"{trial.peer.name}, {question.name}"
    try:
        return _timed(name, question, plan, trial.share.relationships)
    except Unable as error:
        return Measurement(name, value="unable", note=_first_line(error))


def _timed(name: str, question: _Question[T], plan: Plan, relationships: int) -> Measurement:
    compared, wrong, seconds = _compare(question, plan.seconds)
    ours_seconds = _seconds_each(question.ours, question.arguments[:_PROBED])
    ours, theirs = _Side(question.ours, ours_seconds, plan), _Side(question.theirs, seconds, plan)
    first = compared
    for _ in range(plan.rounds):
        for side in (ours, theirs):
            side.round(_slice(question.arguments, first, side.count))
        first += max(ours.count, theirs.count)
    for side in (ours, theirs):
        side.time(_slice(question.arguments, first, side.count))
    mine, found = rate(ours.rates), rate(theirs.rates)
    notes = [
        f"Relata {mine.median:,.0f}, p50 {latency(ours.times).p50:,.1f} µs",
        f"{compared:,} compared, " + (f"{wrong:,} WRONG" if wrong else "all right"),
    ]
    if len(theirs.times) < _FEW_CALLS:
        notes.append(f"p99 of {len(theirs.times):,}")
    ratio = mine.median / found.median
    line = measured(name, found, theirs.times, ratio=ratio, note="; ".join(notes))
    return msgspec.structs.replace(line, at=relationships)


class _Side(Generic[T]):
    """One of the two: its rounds, and how long single calls took.

    Where a call takes long, the clock is read around each of a round; else in a pass of its own.
    """

    def __init__(self, call: Callable[[T], object], seconds: float, plan: Plan) -> None:
        self.count = max(1, min(_MOST_CALLS, round(plan.seconds / (plan.rounds + 1) / seconds)))
        self.rates: list[float] = []
        self.times: list[int] = []
        self._call = call
        self._slow = seconds > _LONG_CALL

    def round(self, asked: Sequence[T]) -> None:
        """Ask, and remember the rate."""
        if self._slow:
            times = durations(self._call, asked)
            self.times += times
            self.rates.append(len(asked) * NANOSECONDS / sum(times))
        else:
            self.rates.append(len(asked) / seconds_of(self._call, asked))

    def time(self, asked: Sequence[T]) -> None:
        """Ask in the pass for single calls, if there is to be one."""
        if not self._slow:
            self.times = durations(self._call, asked)


def _compare(question: _Question[T], seconds: float) -> tuple[int, int, float]:
    """How many answers were compared, how many were wrong, and the seconds that one took."""
    wrong = compared = taken = 0
    most = max(1, min(_COMPARED, len(question.arguments) // 2))
    for argument in question.arguments[:most]:
        start = time.perf_counter_ns()
        answer = question.theirs(argument)
        taken += time.perf_counter_ns() - start
        compared += 1
        wrong += not question.right(argument, answer)
        if not question.right(argument, question.ours(argument)):
            raise WrongAnswerError(f"{question.name}: Relata is wrong about {argument!r}")
        if taken > seconds * NANOSECONDS:
            break
    return compared, wrong, taken / NANOSECONDS / compared


def _seconds_each(call: Callable[[T], object], arguments: Sequence[T]) -> float:
    return seconds_of(call, arguments) / len(arguments)


def _slice(questions: Sequence[T], first: int, count: int) -> Sequence[T]:
    """So many questions from a place on, and from the start again after the last."""
    return list(islice(cycle(questions), first % len(questions), first % len(questions) + count))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def main(
    scale: Annotated[float, typer.Option(min=0.002, max=10, help="How much data.")] = 1.0,
    only: Annotated[str, typer.Option(help="A part of the peers' names.")] = "",
    seconds: Annotated[float, typer.Option(min=0.05, max=600, help="How long a line takes.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of a line.")] = 5,
    wire: Annotated[bool, typer.Option(help="Ask SpiceDB and Relata over their sockets.")] = True,
) -> None:
    """Measure the installed peers alone."""
    plan = msgspec.structs.replace(quick(), scale=scale, seconds=seconds, rounds=rounds)
    questions = min(plan.questions, 2 * workload.size_at(scale).documents)
    made = workload.generate(scale, seed=plan.seed, questions=questions)
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as name:
        folder = Path(name)
        with closing(
            open_loaded(folder / "peers.db", workload.SCHEMA, made.relationships)
        ) as relata:
            peers = {name: open_ for name, open_ in IN_PROCESS.items() if only in name}
            report.show_groups([measure_peers(made, relata, plan, peers)])
            _, key = relata.keys.create("benchmarks", ["check"])
        if wire:
            url = f"sqlite:///{folder / 'peers.db'}"
            report.show_groups([measure_wire(made, plan, url=url, key=key, logs=folder)])


if __name__ == "__main__":
    typer.run(main)
