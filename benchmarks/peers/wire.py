"""SpiceDB and Relata, each over its own wire: gRPC on a Unix socket, and HTTP.

Each server is a process of its own with all of the data, each request one check, and each
connection sends its next request when it has the answer to the last. Rounds alternate, and answers
are compared with the workload's own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, cycle
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.in_process import mixed_questions, require_answers
from benchmarks.load_client import Job, Load
from benchmarks.measure import NANOSECONDS, Latency, Measurement, measured, rate
from benchmarks.over_http import relata_server
from benchmarks.peers.spicedb import Asker, Server, named
from benchmarks.plan import Plan
from benchmarks.workload import SCHEMA, Asked, Workload

CONNECTIONS = (1, 32)
_COMPARED = 2_000


class _Answer(NamedTuple):
    nanoseconds: int
    right: bool


class _Round(NamedTuple):
    """What the connections of a round have had."""

    per_second: float
    answers: list[_Answer]


class _Ours(NamedTuple):
    """Relata's server, and what it is asked."""

    port: int
    key: str
    mixed: Sequence[Asked]

    def round(self, connections: int, seconds: float) -> Load:
        """Ask for so long. Raises WrongAnswerError where an answer is not the workload's."""
        job = Job(
            port=self.port,
            path="/check",
            key=self.key,
            bodies=[_body(asked) for asked in self.mixed],
            connections=connections,
            seconds=seconds,
            keep=_COMPARED,
        )
        command = [sys.executable, "-m", "benchmarks.load_client"]
        encoded = msgspec.json.encode(job)
        done = subprocess.run(command, input=encoded, stdout=subprocess.PIPE, check=True)
        load = msgspec.json.decode(done.stdout, type=Load)
        asked = [self.mixed[answer.body_number] for answer in load.answers]
        answers = [msgspec.json.decode(answer.text)["allowed"] for answer in load.answers]
        require_answers(asked, answers, "the server")
        return load


class _Theirs:
    """SpiceDB's server, and what it is asked: nothing twice, until all has been asked."""

    def __init__(self, address: str, token: str, mixed: Sequence[Asked]) -> None:
        self._address = address
        self._token = token
        self._left = cycle(mixed)

    def round(self, connections: int, seconds: float) -> _Round:
        """Ask for so long, and until each connection has had an answer."""
        start = time.perf_counter_ns()
        deadline = start + round(seconds * NANOSECONDS)
        with ThreadPoolExecutor(connections) as pool:
            found = list(pool.map(self._ask, [deadline] * connections))
        taken = (time.perf_counter_ns() - start) / NANOSECONDS
        answers = list(chain.from_iterable(found))
        return _Round(len(answers) / taken, answers)

    def _ask(self, deadline: int) -> list[_Answer]:
        answers: list[_Answer] = []
        with Asker(self._address, self._token) as asker:
            while not answers or time.perf_counter_ns() < deadline:
                asked = next(self._left)
                start = time.perf_counter_ns()
                allowed = asker.check(asked.document, "view", asked.user)
                taken = time.perf_counter_ns() - start
                answers.append(_Answer(taken, allowed is asked.allowed))
        return answers


def measure(
    workload: Workload, plan: Plan, *, url: str, key: str, logs: Path
) -> tuple[Measurement, ...]:
    """The lines of both on the workload, which the database at `url` holds; `key` may check it.

    Raises Unable where SpiceDB cannot, and ImportError where its library is not there.
    """
    mixed = mixed_questions(workload)
    with ExitStack() as held:
        serving = Server(SCHEMA, workload.relationships, held).serving
        theirs = _Theirs(serving.checks, serving.token, mixed)
        ours = _Ours(held.enter_context(relata_server(url, logs)), key, mixed)
        return tuple(line for count in CONNECTIONS for line in _lines(ours, theirs, count, plan))


def _lines(ours: _Ours, theirs: _Theirs, connections: int, plan: Plan) -> Iterator[Measurement]:
    loads: list[Load] = []
    rounds: list[_Round] = []
    for _ in range(plan.rounds):
        loads.append(ours.round(connections, plan.seconds))
        rounds.append(theirs.round(connections, plan.seconds))
    what = f"check, {connections} connection{'s' if connections > 1 else ''}"
    our_rate = rate(load.per_second for load in loads)
    their_rate = rate(each.per_second for each in rounds)
    percentiles = (
        statistics.median(getattr(load.latency, name) for load in loads)
        for name in Latency.__struct_fields__
    )
    yield Measurement(
        f"Relata over HTTP, {what}",
        our_rate.median,
        Latency(*percentiles),
        our_rate.median / their_rate.median,
        spread=(our_rate.low, our_rate.high),
    )
    answers = [answer for each in rounds for answer in each.answers]
    wrong = sum(not answer.right for answer in answers)
    compared = f"{len(answers):,} answers, {f'{wrong:,} WRONG' if wrong else 'all right'}"
    durations = [answer.nanoseconds for answer in answers]
    yield measured(f"{named('gRPC')}, {what}", their_rate, durations, note=compared)


def _body(asked: Asked) -> str:
    question = {"resource": asked.document, "permission": "view", "subject": asked.user}
    return msgspec.json.encode(question).decode()
