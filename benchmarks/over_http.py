"""Checks asked of a `relata` server over HTTP, beside a server with a constant answer.

Both servers are processes of their own on 127.0.0.1, each with one uvicorn worker, and the load
comes from a third. Rounds alternate between the two servers. A sample of Relata's answers in each
round is compared with the workload's own, and any status but 200 ends the run.

Each line notes what a request costs its server of a core, which does not depend on what else the
machine does as much as the rate does, and how much of a core the client had: close to one, the
client would be what is measured.
"""

from __future__ import annotations

import math
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
from benchmarks.measure import Group, Latency, Measurement, rate
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


class _Server(msgspec.Struct, frozen=True):
    """A server that runs."""

    port: int
    process: int

    def cpu_seconds(self) -> float | None:
        """What it has taken of a core so far; None where the system does not say."""
        try:
            status = Path(f"/proc/{self.process}/stat").read_text()
        except OSError:
            return None
        ticks = status.rpartition(")")[2].split()[11:13]  # proc(5): utime and stime
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


class _Round(msgspec.Struct, frozen=True):
    """What came back in a round, and what it took the server of a core."""

    load: Load
    cpu_seconds: float | None


class _Servers(msgspec.Struct, frozen=True):
    """Both servers, and how to ask them."""

    ours: _Server
    theirs: _Server
    key: str
    plan: Plan

    def compare(self, stream: _Stream) -> tuple[Measurement, Measurement]:
        """Ask both in turn."""
        for server in (self.ours, self.theirs):
            self._round(stream, server, self.plan.seconds / 2)  # to warm up
        ours, theirs = [], []
        for _ in range(self.plan.rounds):
            ours.append(self._right_round(stream))
            theirs.append(self._round(stream, self.theirs, self.plan.seconds))
        base = _median(f"constant, {_title(stream)}", theirs)
        found = _median(_title(stream), ours)
        ratio = (found.per_second or 0) / (base.per_second or 1)
        tail = _p99(found) / _p99(base)
        return (
            msgspec.structs.replace(
                found, ratio=ratio, note=f"p99 {tail:.2f} of the constant's; {found.note}"
            ),
            base,
        )

    def alone(self, stream: _Stream) -> Measurement:
        """Ask Relata's server only."""
        return _median(_title(stream), [self._right_round(stream) for _ in range(self.plan.rounds)])

    def _right_round(self, stream: _Stream) -> _Round:
        found = self._round(stream, self.ours, self.plan.seconds)
        for answer in found.load.answers:
            allowed = [item.allowed for item in _answers(stream, answer.text)]
            require_answers(stream.asked[answer.body_number], allowed, "the server")
        return found

    def _round(self, stream: _Stream, server: _Server, seconds: float) -> _Round:
        job = Job(
            port=server.port,
            path=stream.path,
            key=self.key,
            bodies=stream.bodies,
            connections=stream.connections,
            seconds=seconds,
            keep=stream.keep,
        )
        before = server.cpu_seconds()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load_client"],
            input=msgspec.json.encode(job),
            stdout=subprocess.PIPE,
            check=True,
        )
        after = server.cpu_seconds()
        load = msgspec.json.decode(done.stdout, type=Load)
        if set(load.statuses) != {"200"}:
            raise LoadError(f"{stream.path} was answered with the statuses {load.statuses}")
        return _Round(load, None if before is None or after is None else after - before)


def measure_http(workload: Workload, plan: Plan, *, url: str, key: str, logs: Path) -> Group:
    """Measure a server on the database at `url`, whose API key `key` may check.

    The servers write their logs into the directory `logs`.
    """
    mixed = mixed_questions(workload)
    checks = _check_stream("check", mixed)
    allowed = _check_stream("check, allowed", workload.allowed)
    denied = _check_stream("check, denied", workload.denied)
    alone = msgspec.structs.replace(checks, connections=1)
    fresh = _check_stream("check, fully consistent", mixed, consistency="fully_consistent")
    with _started_relata(url, logs) as ours, _started_constant(logs) as theirs:
        servers = _Servers(ours, theirs, key, plan)
        ours_batched, theirs_batched = servers.compare(_batch_stream(mixed))
        measurements = (
            *servers.compare(checks),
            *servers.compare(allowed),
            *servers.compare(denied),
            *servers.compare(alone),
            _with_checks(ours_batched),
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


def _median(name: str, rounds: Sequence[_Round]) -> Measurement:
    """The median of the rounds, of their rates and of each percentile."""
    loads = [it.load for it in rounds]
    percentiles = [
        statistics.median(getattr(load.latency, name) for load in loads)
        for name in Latency.__struct_fields__
    ]
    found = rate(load.per_second for load in loads)
    return Measurement(
        name,
        found.median,
        Latency(*percentiles),
        spread=(found.low, found.high),
        quantiles=sorted(loads, key=lambda load: load.per_second)[len(loads) // 2].quantiles,
        note=_cpu(rounds),
    )


def _cpu(rounds: Sequence[_Round]) -> str:
    """What a request cost the server, and what the client took, as medians."""
    client = statistics.median(it.load.cpu_seconds / it.load.seconds for it in rounds)
    costs = [it.cpu_seconds / it.load.requests for it in rounds if it.cpu_seconds is not None]
    cost = f"{statistics.median(costs) * 1_000_000:,.1f} µs of a core each, " if costs else ""
    return f"{cost}client {client:.2f} of one"


def _with_checks(found: Measurement) -> Measurement:
    return msgspec.structs.replace(
        with_checks(found), note=f"{with_checks(found).note}; {found.note}"
    )


def _p99(found: Measurement) -> float:
    return found.latency.p99 if found.latency is not None else math.nan


@contextmanager
def relata_server(url: str, logs: Path) -> Iterator[int]:
    """A server of Relata on a database; gives its port."""
    with _started_relata(url, logs) as server:
        yield server.port


@contextmanager
def _started_relata(url: str, logs: Path) -> Iterator[_Server]:
    port = _free_port()
    command = ["relata", "serve", "--host", HOST, "--port", str(port), "--database", url]
    with _serving(command, port, logs / "relata.log") as server:
        yield server


@contextmanager
def _started_constant(logs: Path) -> Iterator[_Server]:
    port = _free_port()
    command = ["benchmarks.constant_server", str(port)]
    with _serving(command, port, logs / "constant_server.log") as server:
        yield server


@contextmanager
def _serving(module: Sequence[str], port: int, log: Path) -> Iterator[_Server]:
    """Run a module that serves, from when it answers until the end of the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RELATA_")}
    environment["RELATA_ANSWERS_KEPT"] = "0"  # so that each answer is found
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *module], stdout=output, stderr=output, env=environment
        )
        try:
            _wait_until_ready(server, port, log)
            yield _Server(port, server.pid)
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
