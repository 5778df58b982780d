"""The load client: a process of its own that asks one HTTP server the same kind of question.

It reads a `Job` as JSON from standard input and writes a `Load` to standard output. Every
connection has one request on its way at a time and sends the next when the answer is there. It
calls 127.0.0.1 alone, and stops after a number of seconds or of requests, whichever is first.

It says how much of a core it took itself: close to one, it would be what is measured.

    python -m benchmarks.load_client < job.json
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from typing import cast

import msgspec
import uvloop

from benchmarks import HOST
from benchmarks.measure import NANOSECONDS, Latency, latency, quantiles

GRACE_SECONDS = 30.0
"""How long after its time the last answers may take."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


class Job(msgspec.Struct, frozen=True):
    """What to ask. The bodies are asked in turn, from the first again after the last."""

    port: int
    path: str
    key: str
    """The API key to present."""
    bodies: list[str]
    connections: int
    seconds: float
    max_requests: int = 10_000_000
    keep: int = 0
    """How many of the first answers to return."""


class Answer(msgspec.Struct, frozen=True):
    """An answer's body, and the number of the request's body."""

    body_number: int
    text: str


class Load(msgspec.Struct, frozen=True):
    """What came back."""

    requests: int
    seconds: float
    latency: Latency
    statuses: dict[str, int]
    answers: list[Answer]
    cpu_seconds: float = 0.0
    """What this process took of a core meanwhile."""
    quantiles: tuple[float, ...] = ()
    """The latency, in microseconds, at each of `measure.QUANTILES`."""

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return self.requests / self.seconds


class _Asking:
    """What the connections share."""

    def __init__(self, job: Job) -> None:
        self.requests = [_request(job, body) for body in job.bodies]
        self.durations: list[int] = []
        self.statuses: Counter[str] = Counter()
        self.answers: list[Answer] = []
        self.sent = 0
        self.open = job.connections
        self.done = asyncio.get_running_loop().create_future()
        self._max_requests = job.max_requests
        self._keep = job.keep
        self.start = time.perf_counter_ns()
        self._deadline = self.start + round(job.seconds * NANOSECONDS)

    def next(self) -> int | None:
        """The number of the request to send now; None at the end."""
        if self.sent >= self._max_requests or time.perf_counter_ns() >= self._deadline:
            return None
        number = self.sent % len(self.requests)
        self.sent += 1
        return number

    def answered(self, number: int, started: int, status: bytes, body: bytes) -> None:
        """Take in an answer."""
        self.durations.append(time.perf_counter_ns() - started)
        self.statuses[status.decode()] += 1
        if len(self.answers) < self._keep:
            self.answers.append(Answer(number, body.decode()))

    def closed(self, error: str | None) -> None:
        """Count a connection that has ended, in good order or not."""
        self.open -= 1
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(ConnectionError(error))
        elif self.open == 0:
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._number = 0
        self._started = 0
        self._finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's protocol gets a stream's transport, but uvloop's is of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._ask(self._transport)

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        end = received.find(_END_OF_HEAD)
        if end < 0:
            return
        head = received[:end]
        body = received[end + len(_END_OF_HEAD) :]
        length = _LENGTH.search(head)
        if length is None:
            self._fail(f"an answer without a length: {head!r}")
        elif len(body) >= int(length[1]):
            self._received = b""
            self._asking.answered(self._number, self._started, head[9:12], body)
            if self._transport is not None:
                self._ask(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        reason = None if self._finished else f"the server closed a connection: {error}"
        self._asking.closed(reason)

    def _ask(self, transport: asyncio.Transport) -> None:
        number = self._asking.next()
        if number is None:
            self._finished = True
            transport.close()
            return
        self._number = number
        self._started = time.perf_counter_ns()
        transport.write(self._asking.requests[number])

    def _fail(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._asking.closed(reason)


async def load(job: Job) -> Load:
    """Do a job. Raises ConnectionError, or TimeoutError where answers stay away."""
    loop = asyncio.get_running_loop()
    asking = _Asking(job)
    cpu = time.process_time()
    async with asyncio.timeout(job.seconds + GRACE_SECONDS):
        for _ in range(job.connections):
            await loop.create_connection(lambda: _Connection(asking), HOST, job.port)
        await asking.done
    seconds = (time.perf_counter_ns() - asking.start) / NANOSECONDS
    cpu = time.process_time() - cpu
    return Load(
        len(asking.durations),
        seconds,
        latency(asking.durations),
        dict(asking.statuses),
        asking.answers,
        cpu,
        quantiles(asking.durations),
    )


def _request(job: Job, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {job.path} HTTP/1.1\r\n"
        f"Host: {HOST}:{job.port}\r\n"
        f"Authorization: Bearer {job.key}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def main() -> None:
    """Do the job of standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(load(job))))


if __name__ == "__main__":
    main()
