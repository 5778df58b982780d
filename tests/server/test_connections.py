"""Connections: kept alive, with several requests on their way, many at a time, and slow ones."""

from __future__ import annotations

import asyncio
import json
import re
import resource
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp

from relata.server.short_protocol import ShortProtocol
from tests.server.live import serving
from tests.server.world import CHECK, MAX_BODY_BYTES

ALLOWED, DENIED = CHECK, {**CHECK, "subject": "user:bob"}
UNKNOWN = {**CHECK, "permission": "fly"}
IN_A_THREAD = {**CHECK, "consistency": "fully_consistent"}
BATCH = {"checks": [ALLOWED, DENIED]}
MANY_CONNECTIONS = 500
MANY_REQUESTS = 3_000
SECONDS = 60
"""How long a test may take, however busy the machine is."""


class Client:
    """A connection to the server, and what goes over it."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, key: str) -> None:
        self.reader = reader
        self.writer = writer
        self._key = key

    def request(self, body: dict[str, Any], more: str = "") -> bytes:
        """A check, or a batch, with more headers."""
        content = json.dumps(body).encode()
        path = "/check/batch" if "checks" in body else "/check"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n{more}\r\n"
        )
        return head.encode() + content

    async def ask(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Send a request and wait for its answer."""
        self.writer.write(self.request(body))
        return await self.answer()

    async def answer(self) -> tuple[int, Any]:
        """The next answer: its status, and whether it allows, or its code."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        content = json.loads(await self.reader.readexactly(int(headers["content-length"])))
        return int(status.split()[1]), content.get("allowed", content.get("code"))


@asynccontextmanager
async def connection(address: str, key: str) -> AsyncIterator[Client]:
    """A connection of its own."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield Client(reader, writer, key)
    finally:
        writer.close()
        await writer.wait_closed()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(SECONDS):
            await test

    asyncio.run(in_time())


@pytest.fixture(params=["auto", ShortProtocol], scope="module", ids=["uvicorn's", "ours"])
def address(app: ASGIApp, request: pytest.FixtureRequest) -> Iterator[str]:
    """The server's, over either protocol."""
    with serving(app, request.param) as address:
        yield address


@pytest.fixture
def key(keys: dict[str, str]) -> str:
    return keys["check"]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of many connections in one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * MANY_CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may have no more than {hard} files open here")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_is_kept_for_thousands_of_requests(address: str, key: str) -> None:
    async def test() -> None:
        async with connection(address, key) as client:
            for number in range(MANY_REQUESTS // 2):
                assert await client.ask(ALLOWED) == (200, True), number
                assert await client.ask(DENIED) == (200, False), number

    run(test())


def test_refusals_and_the_long_way_keep_a_connection_too(address: str, key: str) -> None:
    async def test() -> None:
        async with connection(address, key) as client:
            for _ in range(20):
                assert await client.ask(UNKNOWN) == (400, "unknown_relation")
                assert await client.ask(IN_A_THREAD) == (200, True)
                assert await client.ask(BATCH) == (200, None)
                assert await client.ask(DENIED) == (200, False)

    run(test())


def test_requests_that_are_sent_at_once_are_answered_in_their_order(address: str, key: str) -> None:
    """HTTP pipelining (RFC 9112 section 9.3.2), also where one takes longer than the next."""
    asked: list[dict[str, Any]] = [
        ALLOWED,
        DENIED,
        IN_A_THREAD,
        ALLOWED,
        UNKNOWN,
        DENIED,
        BATCH,
        DENIED,
        ALLOWED,
    ] * 5
    expected = {
        json.dumps(ALLOWED): (200, True),
        json.dumps(DENIED): (200, False),
        json.dumps(IN_A_THREAD): (200, True),
        json.dumps(UNKNOWN): (400, "unknown_relation"),
        json.dumps(BATCH): (200, None),
    }

    async def test() -> None:
        async with connection(address, key) as client:
            client.writer.write(b"".join(map(client.request, asked)))
            for body in asked:
                assert await client.answer() == expected[json.dumps(body)]
            assert await client.ask(ALLOWED) == (200, True), "the connection goes on"

    run(test())


def test_as_many_as_like_are_answered_in_one_go(address: str, key: str) -> None:
    async def test() -> None:
        async with connection(address, key) as client:
            client.writer.write(client.request(ALLOWED) * 200 + client.request(DENIED))
            assert [await client.answer() for _ in range(200)] == [(200, True)] * 200
            assert await client.answer() == (200, False)

    run(test())


@pytest.mark.parametrize("body", [ALLOWED, DENIED, BATCH, UNKNOWN, IN_A_THREAD])
@pytest.mark.parametrize("more", ["", "Connection: close\r\n", "Origin: https://a.example\r\n"])
def test_both_protocols_send_the_same(
    app: ASGIApp, key: str, body: dict[str, Any], more: str
) -> None:
    """Byte for byte, but for the date."""

    async def whole_answer(address: str) -> list[bytes]:
        async with connection(address, key) as client:
            client.writer.write(client.request(body, more))
            head = await client.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            content = await client.reader.readexactly(int(length[1]))
            return [*re.sub(rb"date: [^\r]*", b"date", head).split(b"\r\n"), content]

    with serving(app) as theirs, serving(app, ShortProtocol) as ours:
        answers = [asyncio.run(whole_answer(address)) for address in (theirs, ours)]
    assert answers[0] == answers[1]
    assert b"date" in answers[0]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_requests_come_in_whatever_pieces(address: str, key: str, size: int) -> None:
    """Where one ends and the next begins has nothing to do with how they are sent."""

    async def test() -> None:
        async with connection(address, key) as client:
            sent = b"".join(map(client.request, [ALLOWED, DENIED, ALLOWED]))
            for start in range(0, len(sent), size):
                client.writer.write(sent[start : start + size])
                await client.writer.drain()
                await asyncio.sleep(0)
            answers = [await client.answer() for _ in range(3)]
            assert answers == [(200, True), (200, False), (200, True)]

    run(test())


@pytest.mark.usefixtures("many_files")
def test_many_connections_are_answered_at_a_time(address: str, key: str) -> None:
    """Each gets its own answers, while all of them are open."""

    async def test() -> None:
        async with AsyncExitStack() as stack:
            opened = [
                await stack.enter_async_context(connection(address, key))
                for _ in range(MANY_CONNECTIONS)
            ]
            for _ in range(3):
                for number, client in enumerate(opened):
                    client.writer.write(client.request(ALLOWED if number % 3 else DENIED))
                answers = await asyncio.gather(*(client.answer() for client in opened))
                assert answers == [(200, number % 3 != 0) for number in range(MANY_CONNECTIONS)]

    run(test())


def test_who_stalls_holds_up_nobody_else(address: str, key: str) -> None:
    """Half a head, half a body, and nothing at all; what was begun is answered when it comes."""

    async def test() -> None:
        async with AsyncExitStack() as stack:
            slow = [await stack.enter_async_context(connection(address, key)) for _ in range(30)]
            whole = slow[0].request(ALLOWED)
            sent = (0, 30, len(whole) - 20)
            for number, client in enumerate(slow):
                client.writer.write(whole[: sent[number % 3]])
                await client.writer.drain()
            async with connection(address, key) as quick:
                for _ in range(50):
                    assert await quick.ask(DENIED) == (200, False)
            for number, client in enumerate(slow):
                client.writer.write(whole[sent[number % 3] :])
                assert await client.answer() == (200, True)

    run(test())


def test_who_leaves_in_the_middle_spoils_nothing(address: str, key: str) -> None:
    """Half a body and then no more, and a request whose answer nobody waits for."""

    async def test() -> None:
        async with connection(address, key) as client:
            for _ in range(10):
                async with connection(address, key) as gone:
                    gone.writer.write(gone.request(ALLOWED)[:-20])
                    await gone.writer.drain()
                async with connection(address, key) as gone:
                    gone.writer.write(gone.request(ALLOWED) * 3)
                    await gone.writer.drain()
                assert await client.ask(ALLOWED) == (200, True)

    run(test())


def test_a_body_may_wait_until_it_is_asked_for(address: str, key: str) -> None:
    """`Expect: 100-continue` (RFC 9110 section 10.1.1)."""

    async def test() -> None:
        async with connection(address, key) as client:
            request = client.request(ALLOWED, "Expect: 100-continue\r\n")
            head, end, body = request.partition(b"\r\n\r\n")
            client.writer.write(head + end)
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.writer.write(body)
            assert await client.answer() == (200, True)

    run(test())


def test_a_body_that_is_too_large_ends_its_own_connection_alone(address: str, key: str) -> None:
    async def test() -> None:
        async with connection(address, key) as client, connection(address, key) as large:
            large.writer.write(large.request({**ALLOWED, "subject": "x" * MAX_BODY_BYTES}))
            assert await large.answer() == (413, "body_too_large")
            assert await large.reader.read() == b""
            assert await client.ask(ALLOWED) == (200, True)

    run(test())
