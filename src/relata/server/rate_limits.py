"""Rate limits: how often one client, or one address, may ask the OAuth endpoints.

Each has a bucket of tokens: a request takes one, and they come back at a steady rate up to the
bucket's size, which is a minute's worth. So a minute's worth may come at once, and no more than
that a minute from then on. An empty bucket answers 429 with `Retry-After` (RFC 6585, section 4).

Who is counted:

- *An address* is counted before anything is read, so guessing secrets is as slow as it is. It is
  the peer's; where the peer is a proxy that the settings name, the one that the proxy names
  (`X-Forwarded-For`), and so on from proxy to proxy. What anybody else writes there counts for
  nothing, or everybody could choose an address. Of IPv6 the first 64 bits are counted: whoever has
  one address there has them all.
- *A client* is counted when it is authenticated, or others could use up what it may ask. A public
  client proves nothing, so it is not counted: its users are, each by their address.

Buckets are in memory, a bounded number; the least recently used are forgotten, which fills them
up. Each process counts for itself: with several, a limit holds for each.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from relata.errors import InvalidArgumentError, OAuthError

CLIENT_REQUESTS_PER_MINUTE = 3_000
ADDRESS_REQUESTS_PER_MINUTE = 600
MAX_BUCKETS = 50_000
"""How many clients and addresses are remembered: some ten megabytes."""

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_NETWORK_BITS = 64
_FORWARDED = b"x-forwarded-for"

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class TooManyRequestsError(OAuthError):
    """A limit was hit. `retry_after` is in seconds: when the next request would pass.

    RFC 6749 has no code for it; of those that OAuth has, `temporarily_unavailable` (section
    4.1.2.1) says what is meant, and the status says why.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "temporarily_unavailable", f"too many requests; try again in {retry_after} s"
        )
        self.retry_after = retry_after


class RateLimits:
    """Counts requests. Safe to share between threads.

    A limit is in requests a minute; 0 is no limit. `clock` gives nanoseconds that only go forward.
    """

    def __init__(
        self,
        per_client: int = CLIENT_REQUESTS_PER_MINUTE,
        per_address: int = ADDRESS_REQUESTS_PER_MINUTE,
        *,
        max_buckets: int = MAX_BUCKETS,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._limits = {"client": per_client, "address": per_address}
        self._max_buckets = max_buckets
        self._clock = clock
        self._lock = threading.Lock()
        # When each bucket would be full, which says all about it: an empty one is a minute away.
        self._full_at: OrderedDict[tuple[str, str], int] = OrderedDict()

    def admit(self, client_id: str | None, address: str | None) -> None:
        """Count a request by its client and by its address, those that are given.

        Raises TooManyRequestsError where either may not ask now; then it counts for neither.
        """
        now = self._clock()
        asked = [("client", client_id), ("address", address)]
        with self._lock:
            taken = [
                ((kind, name), self._after_one_more(kind, name, now))
                for kind, name in asked
                if name is not None and self._limits[kind]
            ]
            for bucket, _ in taken:
                if bucket in self._full_at:  # also who is refused is remembered for longer
                    self._full_at.move_to_end(bucket)
            wait = max((full_at - now - _MINUTE for _, full_at in taken), default=0)
            if wait > 0:
                raise TooManyRequestsError(math.ceil(wait / _SECOND))
            self._full_at.update(taken)
            while len(self._full_at) > self._max_buckets:
                self._full_at.popitem(last=False)

    def _after_one_more(self, kind: str, name: str, now: int) -> int:
        """When a bucket would be full if one more token were taken now."""
        return max(now, self._full_at.get((kind, name), now)) + _MINUTE // self._limits[kind]


class Proxies:
    """The proxies whose word about addresses is taken, by their networks (`10.0.0.0/8`).

    Raises InvalidArgumentError where one is no network.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(_network(text) for text in networks)

    def address_of(self, scope: Scope) -> str | None:
        """The address that a request is counted by; None where the server knows of none."""
        peer = scope.get("client")
        if peer is None:
            return None
        address = _address(peer[0])
        if address is None:
            return str(peer[0])
        return _counted(self._origin(address, scope))

    def _origin(self, address: _Address, scope: Scope) -> _Address:
        """The nearest address that is no proxy's, going back from the peer."""
        for text in reversed(_forwarded(scope)):
            if not self._is_proxy(address):
                break
            before = _address(text) or _address(_without_port(text))
            if before is None:
                break
            address = before
        return address

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


async def too_many_requests(_request: Request, error: Exception) -> Response:
    """Answer a request that hit a limit: 429, with the body of RFC 6749 section 5.2."""
    if not isinstance(error, TooManyRequestsError):
        raise error
    headers = {
        "Retry-After": str(error.retry_after),
        "Cache-Control": "no-store",
        "Pragma": "no-cache",
    }
    return JSONResponse(error.body(), 429, headers)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise InvalidArgumentError(
            f"`{text}` is not a network, such as `10.0.0.0/8` or `192.0.2.7`",
            field="trusted_proxies",
        ) from None


def _address(text: str) -> _Address | None:
    """Read an address; one of IPv4 that is written as one of IPv6 is the former."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _without_port(text: str) -> str:
    """The host of `192.0.2.7:4711` or `[2001:db8::7]:4711`, as some proxies write it."""
    host, _, _ = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]")


def _counted(address: _Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), _NETWORK_BITS), strict=False))


def _forwarded(scope: Scope) -> list[str]:
    """What the proxies wrote, the nearest last; a header may come in several lines."""
    values = (value for name, value in scope["headers"] if name == _FORWARDED)
    return [part.strip() for part in b",".join(values).decode("latin-1").split(",")]
