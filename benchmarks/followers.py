"""How soon a process sees what another has written, and what a second worker is good for.

Two servers follow one database, each with a graph of its own, as the workers of one server do;
since they listen on two ports, it is known which of them answers. A write is acknowledged by one,
and from that moment on the other is asked, over and over, until it knows: that is the delay. It is
measured while nobody else asks, and while many do. Other writes are followed at once by a check
with their zed token, which must know them.

Then one server with two workers is asked beside one with one. The load comes from a process of its
own, so on a machine of two cores the second worker has half a core at best.

    python -m benchmarks.followers
"""

from __future__ import annotations

import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from benchmarks import HOST
from benchmarks.load_client import Job, Load
from benchmarks.workload import SCHEMA, Workload, generate
from relata.authorizer import Relata

SCALE = 0.1
WRITES = 400
"""How many writes each delay is measured with, and how many are asked about by their token."""
OTHERS = 4
"""Connections of those who ask for checks meanwhile: enough to keep a process busy, and too few
for a queue that would be measured in place of the delay."""
CONNECTIONS = 32
"""Connections of the load on workers."""
ROUNDS = 5
SECONDS = 2.0
"""How long a round of load takes."""

_BATCH = 1_000
_LONGEST_REST = 0.02
"""Between two writes, so that they do not keep step with whoever looks for them."""
_IDLE_SECONDS = 10.0
_PATIENCE = 10.0
_BETWEEN_CHECKS = 0.0005
"""So that whoever asks does not take the processor from who is asked."""
_PROCESSES = Path("/proc")


class Server:
    """One connection to a server, which is kept open."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask. Raises AssertionError for any status but 200."""
        self._connection.request("POST", path, msgspec.json.encode(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return msgspec.json.decode(content, type=dict[str, Any])

    def write(self, relationship: str) -> str:
        """Write a relationship; return its zed token."""
        update = {"operation": "touch", "relationship": relationship}
        return str(self.post("/relationships", {"updates": [update]})["written_at"])

    def knows(self, user: str, **fields: Any) -> bool:
        """Whether a user may view the first document."""
        question = {"resource": "document:d0", "permission": "view", "subject": user, **fields}
        return bool(self.post("/check", question)["allowed"])


class Times(msgspec.Struct, frozen=True):
    """How long something took, in milliseconds."""

    p50: float
    p95: float
    p99: float
    longest: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.1f} ms, p95 {self.p95:.1f} ms, p99 {self.p99:.1f} ms, "
            f"longest {self.longest:.1f} ms"
        )


def delays(writer: Server, reader: Server, random: Random, writes: int) -> tuple[Times, Times]:
    """Write on one server, and ask the other until it knows; so many times.

    Return how long that took, and how long each of these checks did: where these are slow, it is
    the machine that is busy, and the delays are as much longer.
    """
    seconds, checks = [], []
    for _ in range(writes):
        user = f"user:late{random.getrandbits(64)}"
        time.sleep(random.uniform(0, _LONGEST_REST))
        writer.write(f"document:d0#viewer@{user}")
        acknowledged = time.perf_counter()
        knows = False
        while not knows:
            asked = time.perf_counter()
            assert asked - acknowledged < _PATIENCE, "the other never knew"
            knows = reader.knows(user)
            checks.append(time.perf_counter() - asked)
            time.sleep(0.0 if knows else _BETWEEN_CHECKS)
        seconds.append(time.perf_counter() - acknowledged)
    return _times(seconds), _times(checks)


def _times(seconds: Sequence[float]) -> Times:
    found = [value * 1_000 for value in statistics.quantiles(seconds, n=100, method="inclusive")]
    return Times(found[49], found[94], found[98], max(seconds) * 1_000)


def unseen(writer: Server, reader: Server, random: Random, writes: int) -> int:
    """Write on one server, and ask the other at once with the zed token; how often it does not
    know."""
    missed = 0
    for _ in range(writes):
        user = f"user:now{random.getrandbits(64)}"
        token = writer.write(f"document:d0#viewer@{user}")
        missed += not reader.knows(user, consistency={"at_least_as_fresh": token})
    return missed


@contextmanager
def serving(url: str, *options: str) -> Iterator[tuple[int, int]]:
    """Run a server on a free port, when all its workers answer; gives the port and the process."""
    environment = {name: text for name, text in os.environ.items() if name[:7] != "RELATA_"}
    environment["RELATA_ANSWERS_KEPT"] = "0"  # so that each answer is found
    command = [sys.executable, "-m", "relata", "serve", "--port", "0", "--database", url, *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert server.stderr is not None, "it is piped"
    try:
        yield _port(server.stderr, workers=int(options[-1]) if options else 1), server.pid
    finally:
        server.terminate()
        server.wait()


def _port(log: Any, *, workers: int) -> int:
    """Read a server's log until all is ready, and go on reading, so that it never waits."""
    port, started = 0, 0
    for line in log:
        found = re.search(r"running on http://[^:]+:(\d+)", line)
        port = int(found[1]) if found else port
        started += "Started server process" in line
        if port and started == workers:
            threading.Thread(target=log.read, daemon=True).start()
            return port
    raise RuntimeError("the server did not start")


@contextmanager
def asking(job: Job) -> Iterator[None]:
    """Have another process ask a server during the block."""
    client = _client()
    assert client.stdin is not None, "it is piped"
    client.stdin.write(msgspec.json.encode(job))
    client.stdin.close()
    try:
        yield
    finally:
        client.kill()
        client.wait()


def load(job: Job) -> Load:
    """Have another process ask a server, and return what came back."""
    output, _ = _client().communicate(msgspec.json.encode(job))
    found = msgspec.json.decode(output, type=Load)
    assert set(found.statuses) == {"200"}, found.statuses
    return found


def _client() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load_client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def idle_share(process: int) -> float:
    """The share of a core that a process takes that nobody asks anything."""
    before = _seconds_of_cpu(process)
    time.sleep(_IDLE_SECONDS)
    return (_seconds_of_cpu(process) - before) / _IDLE_SECONDS


def _seconds_of_cpu(process: int) -> float:
    stat = _PROCESSES / str(process) / "stat"
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def following(url: str, key: str, bodies: list[str]) -> None:
    """Measure and print how one server follows another."""
    random = Random(1)
    with ExitStack() as stack:
        (one, _), (two, process) = [stack.enter_context(serving(url)) for _ in range(2)]
        writer, reader = Server(one, key), Server(two, key)
        if _PROCESSES.exists():
            print(f"a server that nobody asks takes {idle_share(process):.1%} of a core")
        crowd = Job(two, "/check", key, bodies, connections=OTHERS, seconds=_PATIENCE * WRITES)
        for name, meanwhile in (
            ("nobody else asks", nullcontext()),
            (f"{OTHERS} connections keep the other busy", asking(crowd)),
        ):
            with meanwhile:
                seen, checks = delays(writer, reader, random, WRITES)
                print(f"seen by the other process, {name}: {seen} (one check: {checks})")
        missed = unseen(writer, reader, random, WRITES)
        print(f"checks with a write's zed token that did not know of it: {missed} of {WRITES}")


def workers(url: str, key: str, bodies: list[str]) -> None:
    """Measure and print what a second worker is good for."""
    with serving(url) as (one, _), serving(url, "--workers", "2") as (two, _):
        found: dict[int, list[Load]] = {one: [], two: []}
        for _ in range(ROUNDS):
            for port, loads in found.items():
                job = Job(port, "/check", key, bodies, connections=CONNECTIONS, seconds=SECONDS)
                loads.append(load(job))
    alone, both = (_median(loads, lambda it: it.per_second) for loads in found.values())
    slow_alone, slow_both = (_median(loads, lambda it: it.latency.p99) for loads in found.values())
    print(
        f"checks a second over {CONNECTIONS} connections: {alone:,.0f} with one worker (p99 "
        f"{slow_alone / 1_000:.1f} ms), {both:,.0f} with two (p99 {slow_both / 1_000:.1f} ms), "
        f"{both / alone:.2f} times as many, on {os.cpu_count()} cores"
    )


def _median(loads: Sequence[Load], value: Callable[[Load], float]) -> float:
    return statistics.median(value(one) for one in loads)


def main() -> None:
    """Make a database, and measure both."""
    made: Workload = generate(SCALE, questions=4_000)
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        url = f"sqlite:///{Path(directory) / 'relata.db'}"
        with Relata.open(url, schema=SCHEMA, follow_seconds=None) as authorizer:
            for start in range(0, len(made.relationships), _BATCH):
                authorizer.write(made.relationships[start : start + _BATCH])
            key = authorizer.keys.create("benchmark", ["check", "write"])[1]
        print(f"{len(made.relationships):,} relationships")
        asked = [
            {"resource": it.document, "permission": "view", "subject": it.user}
            for it in (*made.allowed, *made.denied)
        ]
        Random(1).shuffle(asked)
        bodies = [msgspec.json.encode(question).decode() for question in asked]
        following(url, key, bodies)
        workers(url, key, bodies)


if __name__ == "__main__":
    main()
