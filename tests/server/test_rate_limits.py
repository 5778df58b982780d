"""Rate limits: what a bucket holds, who is counted, and what the answer is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from relata.errors import InvalidArgumentError
from relata.server.rate_limits import (
    Proxies,
    RateLimits,
    TooManyRequestsError,
    too_many_requests,
)
from tests.server.live import serving

SECOND = 1_000_000_000


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passed(limits: RateLimits, client: str | None, address: str | None, tries: int) -> int:
    """How many of so many requests pass."""
    return sum(wait(limits, client, address) == 0 for _ in range(tries))


def wait(limits: RateLimits, client: str | None, address: str | None) -> int:
    """How long a request is asked to wait; 0 where it passes."""
    try:
        limits.admit(client, address)
    except TooManyRequestsError as error:
        return error.retry_after
    return 0


# Buckets


@pytest.mark.parametrize("limit", [1, 7, 60, 600, 9_973])
def test_a_minutes_worth_passes_at_once_and_then_at_its_rate(clock: Clock, limit: int) -> None:
    limits = RateLimits(0, limit, clock=clock)
    assert passed(limits, None, "192.0.2.1", limit + 1) == limit
    clock.forward(60 / limit)
    assert passed(limits, None, "192.0.2.1", 2) == 1
    clock.forward(30)
    assert passed(limits, None, "192.0.2.1", limit) == limit // 2
    clock.forward(10_000)
    assert passed(limits, None, "192.0.2.1", limit + 1) == limit


def test_the_answer_says_when_the_next_one_passes(clock: Clock) -> None:
    limits = RateLimits(0, 4, clock=clock)
    assert passed(limits, None, "192.0.2.1", 4) == 4
    assert wait(limits, None, "192.0.2.1") == 15
    clock.forward(14.2)
    assert wait(limits, None, "192.0.2.1") == 1
    clock.forward(0.8)
    assert wait(limits, None, "192.0.2.1") == 0


def test_clients_and_addresses_have_buckets_of_their_own(clock: Clock) -> None:
    limits = RateLimits(2, 3, clock=clock)
    assert passed(limits, "a", None, 3) == 2
    assert passed(limits, "b", None, 3) == 2
    assert passed(limits, None, "a", 4) == 3
    assert passed(limits, None, "b", 4) == 3


def test_what_is_refused_for_one_counts_for_neither(clock: Clock) -> None:
    limits = RateLimits(1, 2, clock=clock)
    assert passed(limits, "a", "192.0.2.1", 5) == 1
    assert passed(limits, "b", "192.0.2.1", 5) == 1
    assert passed(limits, "c", "192.0.2.1", 5) == 0
    assert passed(limits, "c", "192.0.2.2", 5) == 1
    assert wait(limits, "a", "192.0.2.1") == 60, "the longer of 60 and 30 seconds"


def test_zero_is_no_limit_and_who_is_not_named_is_not_counted(clock: Clock) -> None:
    assert passed(RateLimits(0, 0, clock=clock), "a", "192.0.2.1", 100) == 100
    assert passed(RateLimits(1, 1, clock=clock), None, None, 100) == 100


def test_only_so_many_are_remembered(clock: Clock) -> None:
    """Whoever asked longest ago is forgotten first, and begins anew."""
    limits = RateLimits(0, 1, max_buckets=2, clock=clock)
    assert [wait(limits, None, name) for name in ("a", "b")] == [0, 0]
    assert [wait(limits, None, name) for name in ("a", "b")] == [60, 60]
    assert wait(limits, None, "c") == 0
    assert [wait(limits, None, name) for name in ("c", "b", "a")] == [60, 60, 0]
    assert len(limits._full_at) == 2  # it is the memory that is bounded


@pytest.mark.parametrize("limit", [1, 2])
def test_who_keeps_asking_is_remembered(clock: Clock, limit: int) -> None:
    """Whether it passes or is refused: nobody gets a new bucket by asking more often."""
    limits = RateLimits(0, limit, max_buckets=2, clock=clock)
    for name in ("a", "b", "a", "c"):
        wait(limits, None, name)
    assert wait(limits, None, "a") > 0


def test_threads_share_a_bucket(clock: Clock) -> None:
    limits = RateLimits(0, 100, clock=clock)
    counted: list[int] = []
    threads = [
        threading.Thread(target=lambda: counted.append(passed(limits, None, "a", 50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 100


# Addresses


def scope_of(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": None if peer is None else (peer, 4711), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.9",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5, 198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5", "198.51.100.9"), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5, 198.51.100.9, 10.0.0.2",), "198.51.100.9"),
        ("10.0.0.1", ("10.0.0.3,10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("198.51.100.9, unknown",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.9:51234",), "198.51.100.9"),
        ("10.0.0.1", ("[2001:db8:1:2::7]:51234",), "2001:db8:1:2::/64"),
        ("10.0.0.1", ("\xff",), "10.0.0.1"),
        ("::ffff:10.0.0.1", ("198.51.100.9",), "198.51.100.9"),
        ("2001:db8:1:2:3:4:5:6", (), "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", (), "2001:db8:1:2::/64"),
        ("fd00::1", ("2001:db8:1:2::7",), "2001:db8:1:2::/64"),
        ("fe80::1%eth0", (), "fe80::/64"),
        ("testclient", ("198.51.100.9",), "testclient"),
        (None, ("198.51.100.9",), None),
    ],
)
def test_whose_address_counts(
    peer: str | None, forwarded: tuple[str, ...], counted: str | None
) -> None:
    """The peer's, unless it is a proxy that is trusted; never what anybody else has written."""
    proxies = Proxies(["10.0.0.0/8", "fd00::1"])
    assert proxies.address_of(scope_of(peer, *forwarded)) == counted


def test_by_default_no_proxy_is_trusted() -> None:
    assert Proxies().address_of(scope_of("127.0.0.1", "198.51.100.9")) == "127.0.0.1"


@pytest.mark.parametrize("network", ["", "*", "proxy.example", "10.0.0.1/8", "10.0.0.0/33"])
def test_a_proxy_is_named_by_its_network(network: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a network") as caught:
        Proxies([network])
    assert caught.value.field == "trusted_proxies"


# The answer


@pytest.fixture
def client(clock: Clock) -> Iterator[httpx.Client]:
    """A server that lets pass two requests a minute from an address."""
    limits, proxies = RateLimits(0, 2, clock=clock), Proxies()

    def answer(request: Request) -> Response:
        limits.admit(None, proxies.address_of(request.scope))
        return PlainTextResponse("passed")

    app = Starlette(
        routes=[Route("/", answer)], exception_handlers={TooManyRequestsError: too_many_requests}
    )
    with serving(app) as address, httpx.Client(base_url=address) as client:
        yield client


def test_a_limit_is_answered_in_the_words_of_oauth(client: httpx.Client, clock: Clock) -> None:
    """429 with Retry-After (RFC 6585, section 4) and a body as of RFC 6749, section 5.2."""
    answers = [client.get("/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.json() == {
        "error": "temporarily_unavailable",
        "error_description": "too many requests; try again in 30 s",
    }
    clock.forward(30)
    assert client.get("/").status_code == 200
