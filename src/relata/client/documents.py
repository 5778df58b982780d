"""Documents that verifying needs, fetched and kept: keys, status lists, permission lists.

What verifies is written once, as generators that yield a `Fetch` where they need a document and
are sent its body, or have a FetchError raised in them. `run` drives one for threads, `run_async`
for an event loop.

A document is *fresh* for a while and then still *usable* for a while. One that is no longer fresh
is fetched again by whoever asks first, while the others use what is there; one that cannot be
fetched is used as long as it is usable, and tried again after a few seconds. Redirects are not
followed.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import Any, Generic, NamedTuple, TypeVar

import httpx
import msgspec

from relata.errors import OAuthError

RETRY_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
_FETCH_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(5.0)

T = TypeVar("T")


class Fetch(msgspec.Struct, frozen=True):
    """A document that is needed."""

    url: str
    accept: str
    bearer: str = ""
    """A token to ask with; empty for none."""
    form: tuple[tuple[str, str], ...] = ()
    """What to send in a POST; empty for a GET."""

    def __repr__(self) -> str:
        return f"Fetch(url={self.url!r})"


class FetchError(Exception):
    """The document cannot be had, or is not what it should be; the message is for a log."""


Steps = Generator[Fetch, bytes, T]
"""What yields fetches and returns a result."""


class Kept(NamedTuple, Generic[T]):
    """What was read of a document, and for how many seconds it is fresh and usable."""

    value: T
    fresh: float
    usable: float


class _Entry(NamedTuple, Generic[T]):
    value: T
    fresh_until: float
    usable_until: float


class Documents(Generic[T]):
    """Documents of one kind, at most `size` of them. Safe to share between threads and loops.

    `read` makes the value of a body; it raises FetchError for a body that is not as it should be.
    """

    def __init__(
        self,
        read: Callable[[Fetch, bytes], Steps[Kept[T]]],
        *,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Fetch, _Entry[T]] = OrderedDict()
        self._not_before: dict[Fetch, float] = {}

    def get(self, wanted: Fetch) -> Steps[T]:
        """Return a document. Raises OAuthError `temporarily_unavailable` where there is none."""
        entry = self._usable(wanted)
        if entry is not None and self._clock() < entry.fresh_until:
            return entry.value
        return (yield from self._renewed(wanted, entry))

    def renew(self, wanted: Fetch) -> Steps[T]:
        """Return a document that is fetched now. Raises as `get` does."""
        return (yield from self._renewed(wanted, self._usable(wanted)))

    def _renewed(self, wanted: Fetch, entry: _Entry[T] | None) -> Steps[T]:
        if not self._may_fetch(wanted, usable=entry is not None):
            if entry is None:
                raise _unavailable()
            return entry.value
        try:
            body = yield wanted
            kept = yield from self._read(wanted, body)
        except FetchError as error:
            self._wait(wanted)
            if entry is None:
                raise _unavailable() from error
            return entry.value
        self._keep(wanted, kept)
        return kept.value

    def _usable(self, wanted: Fetch) -> _Entry[T] | None:
        with self._lock:
            entry = self._entries.get(wanted)
            if entry is None or self._clock() >= entry.usable_until:
                return None
            self._entries.move_to_end(wanted)
            return entry

    def _may_fetch(self, wanted: Fetch, *, usable: bool) -> bool:
        """Whether it is time to try, and nobody else is trying while there is something to use."""
        now = self._clock()
        with self._lock:
            if now < self._not_before.get(wanted, now):
                return False
            if usable:
                self._not_before[wanted] = now + RETRY_SECONDS
            return True

    def _wait(self, wanted: Fetch) -> None:
        with self._lock:
            self._not_before[wanted] = self._clock() + RETRY_SECONDS
            while len(self._not_before) > self._size:
                self._not_before.pop(next(iter(self._not_before)))

    def _keep(self, wanted: Fetch, kept: Kept[T]) -> None:
        now = self._clock()
        with self._lock:
            self._not_before.pop(wanted, None)
            self._entries[wanted] = _Entry(kept.value, now + kept.fresh, now + kept.usable)
            self._entries.move_to_end(wanted)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)


class Fetcher:
    """Fetches documents, and drives what needs them."""

    def __init__(self) -> None:
        self._tls: ssl.SSLContext | None = None

    def run(self, steps: Steps[T]) -> T:
        """Return the result of steps, fetching in this thread what they need."""
        try:
            wanted = next(steps)
            while True:
                try:
                    body = self._fetch(wanted)
                except FetchError as error:
                    wanted = steps.throw(error)
                else:
                    wanted = steps.send(body)
        except StopIteration as done:
            result: T = done.value
            return result

    async def run_async(self, steps: Steps[T]) -> T:
        """Return the result of steps, fetching in the event loop what they need."""
        try:
            wanted = next(steps)
            while True:
                try:
                    body = await self._fetch_async(wanted)
                except FetchError as error:
                    wanted = steps.throw(error)
                else:
                    wanted = steps.send(body)
        except StopIteration as done:
            result: T = done.value
            return result

    def _fetch(self, wanted: Fetch) -> bytes:
        document = _Document()
        try:
            with (
                httpx.Client(timeout=_TIMEOUT, verify=self._context()) as client,
                client.stream(**_request(wanted)) as response,
            ):
                document.begin(response)
                for chunk in response.iter_raw():
                    document.add(chunk)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(repr(error)) from error
        return bytes(document.body)

    async def _fetch_async(self, wanted: Fetch) -> bytes:
        document = _Document()
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT, verify=self._context()) as client,
                client.stream(**_request(wanted)) as response,
            ):
                document.begin(response)
                async for chunk in response.aiter_raw():
                    document.add(chunk)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(repr(error)) from error
        return bytes(document.body)

    def _context(self) -> ssl.SSLContext:
        """The certificates to trust, read once: that takes longer than a request."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


class _Document:
    """A body as it arrives, within its limits."""

    def __init__(self) -> None:
        self.body = bytearray()
        self._deadline = time.monotonic() + _FETCH_SECONDS

    def begin(self, response: httpx.Response) -> None:
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"the answer has the status {response.status_code}")

    def add(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > MAX_DOCUMENT_BYTES:
            raise FetchError(f"the answer is longer than {MAX_DOCUMENT_BYTES} bytes")
        if time.monotonic() > self._deadline:
            raise FetchError(f"the answer takes longer than {_FETCH_SECONDS:g} seconds")


def read_object(body: bytes) -> dict[str, object]:
    """Read a JSON object. Raises FetchError."""
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise FetchError("the answer is not a JSON object") from error


def _request(wanted: Fetch) -> dict[str, Any]:
    # The bytes are counted as they arrive, so they must not arrive compressed.
    headers = {"Accept": wanted.accept, "Accept-Encoding": "identity"}
    if wanted.bearer:
        headers["Authorization"] = f"Bearer {wanted.bearer}"
    method, data = ("POST", dict(wanted.form)) if wanted.form else ("GET", None)
    return {"method": method, "url": wanted.url, "headers": headers, "data": data}


def _unavailable() -> OAuthError:
    return OAuthError(
        "temporarily_unavailable", "what verifies the access token cannot be fetched; try again"
    )
