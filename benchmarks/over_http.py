"""Checks asked of a `relata` server over HTTP, beside a server with a constant answer.

Both servers are processes of their own on 127.0.0.1, each with one uvicorn worker, and the load
comes from a third. Rounds alternate between the two servers. A sample of Relata's answers in each
round is compared with the workload's own, and any status but 200 ends the run.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from benchmarks import HOST
from benchmarks.in_process import (
    BATCH,
    batches,
    mixed_questions,
    require_answers,
    with_checks,
)
from benchmarks.load_client import Job, Load
from benchmarks.measure import Group, Latency, Measurement
from benchmarks.plan import Plan
from benchmarks.workload import Asked, Workload

CONNECTIONS = 32
BATCH_CONNECTIONS = 4

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_ANSWERS_COMPARED = 2_000
_BATCHES_COMPARED = 20


class LoadError(Exception):
    """A server or the load client did not do its part."""


class _Answer(msgspec.Struct):
    allowed: bool


class _BatchAnswer(msgspec.Struct):
    answers: list[_Answer]


class _Stream(msgspec.Struct, frozen=True):
    """Bodies to send to one path over and over, and the questions in each."""

    name: str
    path: str
    bodies: list[str]
    asked: list[Sequence[Asked]]
    connections: int
    keep: int
    """How many answers of a round to compare."""


class _Servers(msgspec.Struct, frozen=True):
    """Both servers, by their ports, and how to ask them."""

    ours: int
    theirs: int
    key: str
    plan: Plan

    def compare(self, stream: _Stream) -> tuple[Measurement, Measurement]:
        """Ask both in turn."""
        for port in (self.ours, self.theirs):
            self._round(stream, port, self.plan.seconds / 2)  # to warm up
        ours, theirs = [], []
        for _ in range(self.plan.rounds):
            ours.append(self._right_round(stream))
            theirs.append(self._round(stream, self.theirs, self.plan.seconds))
        base = _median(f"constant, {_title(stream)}", theirs)
        found = _median(_title(stream), ours)
        ratio = (found.per_second or 0) / (base.per_second or 1)
        return msgspec.structs.replace(found, ratio=ratio), base

    def alone(self, stream: _Stream) -> Measurement:
        """Ask Relata's server only."""
        return _median(_title(stream), [self._right_round(stream) for _ in range(self.plan.rounds)])

    def _right_round(self, stream: _Stream) -> Load:
        load = self._round(stream, self.ours, self.plan.seconds)
        for answer in load.answers:
            found = [item.allowed for item in _answers(stream, answer.text)]
            require_answers(stream.asked[answer.body_number], found, "the server")
        return load

    def _round(self, stream: _Stream, port: int, seconds: float) -> Load:
        job = Job(
            port=port,
            path=stream.path,
            key=self.key,
            bodies=stream.bodies,
            connections=stream.connections,
            seconds=seconds,
            keep=stream.keep,
        )
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load_client"],
            input=msgspec.json.encode(job),
            stdout=subprocess.PIPE,
            check=True,
        )
        load = msgspec.json.decode(done.stdout, type=Load)
        if set(load.statuses) != {"200"}:
            raise LoadError(f"{stream.path} was answered with the statuses {load.statuses}")
        return load


def measure_http(workload: Workload, plan: Plan, *, url: str, key: str, logs: Path) -> Group:
    """Measure a server on the database at `url`, whose API key `key` may check.

    The servers write their logs into the directory `logs`.
    """
    mixed = mixed_questions(workload)
    checks = _check_stream("check", mixed)
    alone = msgspec.structs.replace(checks, connections=1)
    fresh = _check_stream("check, fully consistent", mixed, consistency="fully_consistent")
    with _relata(url, logs) as ours, _constant(logs) as theirs:
        servers = _Servers(ours, theirs, key, plan)
        ours_batched, theirs_batched = servers.compare(_batch_stream(mixed))
        measurements = (
            *servers.compare(checks),
            *servers.compare(alone),
            with_checks(ours_batched),
            theirs_batched,
            servers.alone(fresh),
        )
    return Group("Over HTTP (ratio: to the server with a constant answer)", measurements)


def _check_stream(name: str, mixed: Sequence[Asked], **fields: str) -> _Stream:
    bodies = [_json({**_question(asked), **fields}) for asked in mixed]
    return _Stream(
        name, "/check", bodies, [[asked] for asked in mixed], CONNECTIONS, _ANSWERS_COMPARED
    )


def _batch_stream(mixed: Sequence[Asked]) -> _Stream:
    asked = batches(mixed)
    bodies = [_json({"checks": [_question(item) for item in batch]}) for batch in asked]
    name = f"batch of {BATCH}"
    return _Stream(name, "/check/batch", bodies, asked, BATCH_CONNECTIONS, _BATCHES_COMPARED)


def _answers(stream: _Stream, text: str) -> list[_Answer]:
    if stream.path == "/check":
        return [msgspec.json.decode(text, type=_Answer)]
    return msgspec.json.decode(text, type=_BatchAnswer).answers


def _title(stream: _Stream) -> str:
    count = stream.connections
    return f"{stream.name}, {count} connection{'s' if count > 1 else ''}"


def _median(name: str, loads: Sequence[Load]) -> Measurement:
    """The median of the rounds, of their rates and of each percentile."""
    percentiles = [
        statistics.median(getattr(load.latency, name) for load in loads)
        for name in Latency.__struct_fields__
    ]
    per_second = statistics.median(load.per_second for load in loads)
    return Measurement(name, per_second, Latency(*percentiles))


@contextmanager
def _relata(url: str, logs: Path) -> Iterator[int]:
    port = _free_port()
    command = ["relata", "serve", "--host", HOST, "--port", str(port), "--database", url]
    with _serving(command, port, logs / "relata.log"):
        yield port


@contextmanager
def _constant(logs: Path) -> Iterator[int]:
    port = _free_port()
    command = ["benchmarks.constant_server", str(port)]
    with _serving(command, port, logs / "constant_server.log"):
        yield port


@contextmanager
def _serving(module: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a module that serves, from when it answers until the end of the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RELATA_")}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *module], stdout=output, stderr=output, env=environment
        )
        try:
            _wait_until_ready(server, port, log)
            yield
        finally:
            server.terminate()
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            answer = httpx.get(f"http://{HOST}:{port}/readyz", trust_env=False)
            if answer.status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise LoadError(f"the server did not start:\n{log.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _question(asked: Asked) -> dict[str, str]:
    return {"resource": asked.document, "permission": "view", "subject": asked.user}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
