"""The load client counts what really came back, in however many pieces, and knows when to stop."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

import pytest
from benchmarks.load_client import Answer, Job, Load, load

from benchmarks import HOST

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


def ask(serve: Serve, *, connections: int, max_requests: int, bodies: list[str]) -> Load:
    """What the client makes of a server."""

    async def run() -> Load:
        server = await asyncio.start_server(serve, HOST, 0)
        async with server:
            job = Job(
                port=server.sockets[0].getsockname()[1],
                path="/check",
                key="relata_key",
                bodies=bodies,
                connections=connections,
                seconds=20,
                max_requests=max_requests,
                keep=3,
            )
            return await load(job)

    return asyncio.run(run())


async def echo_in_pieces(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer each request with its own body, a few bytes at a time; 201 where it is empty."""
    while body := await _next_body(reader):
        status = b"200 OK" if body != b"{}" else b"503 Busy"
        answer = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        for start in range(0, len(answer), 7):
            writer.write(answer[start : start + 7])
            await writer.drain()
            await asyncio.sleep(0)
    writer.close()


async def hang_up(reader: StreamReader, writer: StreamWriter) -> None:
    """Close the connection without an answer."""
    await _next_body(reader)
    writer.close()


def test_answers_are_put_together_and_counted() -> None:
    """As many requests as allowed, one at a time on each connection, bodies in turn."""
    found = ask(echo_in_pieces, connections=3, max_requests=20, bodies=['{"a":1}', '{"b":2}'])
    assert found.requests == 20
    assert found.statuses == {"200": 20}
    assert len(found.answers) == 3
    assert set(map(_text, found.answers)) <= {(0, '{"a":1}'), (1, '{"b":2}')}
    assert 0 < found.latency.p50 <= found.latency.p95 <= found.latency.p99
    assert found.per_second == found.requests / found.seconds


def test_refusals_are_not_taken_for_answers() -> None:
    """Each status is counted by itself."""
    found = ask(echo_in_pieces, connections=1, max_requests=10, bodies=["{}", '{"a":1}'])
    assert found.statuses == {"200": 5, "503": 5}


def test_a_server_that_hangs_up_is_an_error() -> None:
    """Nothing is measured where answers are missing."""
    with pytest.raises(ConnectionError, match="closed a connection"):
        ask(hang_up, connections=2, max_requests=10, bodies=["{}"])


def _text(answer: Answer) -> tuple[int, str]:
    return answer.body_number, answer.text


async def _next_body(reader: StreamReader) -> bytes:
    """The next request's body; nothing at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    (length,) = (
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return await reader.readexactly(length)
