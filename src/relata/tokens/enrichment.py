"""Enrichment: claims about a token's subject from an outside service, asked when a token is made.

The service is asked by HTTPS POST. The body is a JWS of Relata's own (`typ` is
`enrichment-request+jwt`, so it passes for no other token; RFC 8725, section 3.11) whose `aud` is
the service's address and which names the subject, the organization and the audience. The service
verifies it with Relata's published keys, and needs no secret. It answers 200 with a JSON object,
which becomes the value of one claim: what it says there can be mistaken for nothing that Relata
says.

An address is asked only because the configuration names it; nothing of a request is in it, and
redirects are not followed, so nobody who asks for a token can choose where Relata connects to
(server-side request forgery). Whoever may configure audiences may choose it, the machine's own
network included.

Answers are kept for the time that the configuration states, in bounded memory; what many ask at
once is asked once. After a service did not answer in time for an organization, it is not asked
for that one for RETRY_SECONDS, so that a service that is down does not hold every request.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Literal, NamedTuple

import httpx
import msgspec

from relata.errors import InvalidArgumentError, OAuthError
from relata.tokens.claim_mappings import check_claim_name
from relata.tokens.issuers import check_address

REQUEST_TYPE = "enrichment-request+jwt"
REQUEST_SECONDS = 60
"""How long a signed request counts."""
MAX_ANSWER_BYTES = 6144
"""As base64url it is 8192 bytes, which is all that any token may have."""
MAX_DEPTH = 16
MAX_TIMEOUT_SECONDS = 10.0
MAX_CACHE_SECONDS = 24 * 3600
MAX_CACHED_BYTES = 16 * 1024 * 1024
RETRY_SECONDS = 2.0

_WORKERS = 16
_ENTRY_BYTES = 512
"""About what a cached answer needs besides its bytes."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_PLAIN_CLAIM = "ext"

_log = logging.getLogger("relata.tokens")

Sign = Callable[[Mapping[str, object], str], str]
"""Makes a compact JWS of claims and a `typ`, with a key that Relata publishes."""


class Enrichment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which service is asked, and what becomes of its answer.

    Raises InvalidArgumentError where a setting is unsafe or out of bounds.
    """

    url: str
    """The service's address: https, or http on this machine; without a query."""
    claim: str = _PLAIN_CLAIM
    """The claim that the answer becomes: `ext`, or a URI that nobody else uses."""
    timeout: float = 2.0
    """How many seconds the whole answer may take."""
    max_bytes: int = 2048
    """How long the answer may be."""
    cache_seconds: int = 60
    """How long an answer is used; 0 for once."""
    on_failure: Literal["refuse", "omit"] = "refuse"
    """What is issued without an answer: no token, or a token without the claim."""

    def __post_init__(self) -> None:
        """Refuse what is unsafe."""
        check_address(self.url, field="url")
        if any(mark in self.url for mark in "?#@"):
            raise InvalidArgumentError(
                f"`{self.url.rpartition('@')[2]}` has a query, a fragment or a password; leave it "
                "out, since the service knows a request by its signature",
                field="url",
            )
        check_claim_name(self.claim, field="claim")
        if self.claim != _PLAIN_CLAIM and not _URI.fullmatch(self.claim):
            raise InvalidArgumentError(
                f"the claim `{self.claim}` is neither `{_PLAIN_CLAIM}` nor a URI", field="claim"
            )
        _check_range("timeout", self.timeout, 0.05, MAX_TIMEOUT_SECONDS)
        _check_range("max_bytes", self.max_bytes, 2, MAX_ANSWER_BYTES)
        _check_range("cache_seconds", self.cache_seconds, 0, MAX_CACHE_SECONDS)


class _Asked(NamedTuple):
    """What an answer is for."""

    settings: Enrichment
    sub: str
    organization: str
    audience: str

    @property
    def place(self) -> Hashable:
        """What waits together when the service does not answer."""
        return (self.settings.url, self.organization)


class _FailedError(Exception):
    """The service did not answer as it should; the message says how, for the log."""


class _NotInTimeError(_FailedError):
    """The service cannot be reached, or is too slow."""


class Enricher:
    """Asks the services. Threads may share it.

    `issuer_url` is who the requests are from; `clock` counts seconds for the cache.
    """

    def __init__(
        self,
        issuer_url: str,
        sign: Sign,
        *,
        clock: Callable[[], float] = time.monotonic,
        cached_bytes: int = MAX_CACHED_BYTES,
    ) -> None:
        self._issuer_url = issuer_url
        self._sign = sign
        self._clock = clock
        self._lock = threading.Lock()
        self._answers = _Cache(cached_bytes)
        self._silent = _Cache(cached_bytes // 16)
        self._flights: dict[_Asked, Future[bytes]] = {}
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="relata-enrichment")
        self._client: httpx.Client | None = None

    def claims(
        self, settings: Enrichment, *, sub: str, organization: str, audience: str
    ) -> dict[str, object]:
        """Return the one claim that the service's answer becomes, or none.

        `sub` and `audience` are what the token's claims of these names will say.

        Raises OAuthError `temporarily_unavailable` where the service fails and a token may not be
        issued without it.
        """
        asked = _Asked(settings, sub, organization, audience)
        try:
            answer = self._answer(asked)
        except _FailedError as error:
            return _without(asked, error)
        return {settings.claim: msgspec.json.decode(answer)}

    def close(self) -> None:
        """Let go of connections and threads; a request that is under way ends by itself."""
        self._workers.shutdown()
        if self._client is not None:
            self._client.close()

    def _answer(self, asked: _Asked) -> bytes:
        with self._lock:
            now = self._clock()
            answer = self._answers.get(asked, now)
            if answer is not None:
                return answer
            if self._silent.get(asked.place, now) is not None:
                raise _NotInTimeError("it did not answer in time just now")
            flight = self._flights.get(asked)
            if flight is None:
                flight = self._workers.submit(self._ask, asked)
                self._flights[asked] = flight
        try:
            return _result(flight, asked.settings.timeout)
        except _NotInTimeError:
            with self._lock:
                self._silent.put(asked.place, b"", self._clock() + RETRY_SECONDS)
            raise

    def _ask(self, asked: _Asked) -> bytes:
        """Ask once, for all who wait."""
        try:
            answer = self._fetch(asked)
            with self._lock:
                self._answers.put(asked, answer, self._clock() + asked.settings.cache_seconds)
            return answer
        finally:
            with self._lock:
                del self._flights[asked]

    def _fetch(self, asked: _Asked) -> bytes:
        request = self._sign(self._request(asked), REQUEST_TYPE)
        try:
            answer = _post(self._connected(), asked.settings, request)
        except httpx.TimeoutException:
            raise _NotInTimeError("it did not answer in time") from None
        except httpx.HTTPError as error:
            raise _NotInTimeError(f"it cannot be reached: {type(error).__name__}") from None
        _check_answer(answer)
        return answer

    def _request(self, asked: _Asked) -> dict[str, object]:
        now = int(time.time())
        return {
            "iss": self._issuer_url,
            "aud": asked.settings.url,
            "sub": asked.sub,
            "organization": asked.organization,
            "audience": asked.audience,
            "iat": now,
            "exp": now + REQUEST_SECONDS,
            "jti": str(uuid.uuid4()),
        }

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = _new_client()
            return self._client


class _Cache:
    """Values until a moment, within a number of bytes; the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._entries: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()

    def get(self, key: Hashable, now: float) -> bytes | None:
        value, until = self._entries.get(key, (None, now))
        if value is None:
            return None
        if until <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: Hashable, value: bytes, until: float) -> None:
        self._drop(key)
        self._entries[key] = (value, until)
        self._room -= len(value) + _ENTRY_BYTES
        while self._room < 0:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        if key in self._entries:
            value, _ = self._entries.pop(key)
            self._room += len(value) + _ENTRY_BYTES


def _result(flight: Future[bytes], seconds: float) -> bytes:
    """Wait for an answer, also where the worker does not notice that its time is over."""
    try:
        return flight.result(seconds)
    except TimeoutError:
        raise _NotInTimeError("it did not answer in time") from None


def _new_client() -> httpx.Client:
    """Make a client that keeps connections and nothing else: a cookie would tell subjects apart."""
    return httpx.Client(
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=_WORKERS),
        headers={
            "Content-Type": "application/jwt",
            "Accept": "application/json",
            # The bytes are counted as they arrive, so they must not arrive compressed.
            "Accept-Encoding": "identity",
        },
    )


def _post(client: httpx.Client, settings: Enrichment, request: str) -> bytes:
    deadline = time.monotonic() + settings.timeout
    answer = bytearray()
    with client.stream("POST", settings.url, content=request, timeout=settings.timeout) as response:
        if response.status_code != httpx.codes.OK:
            raise _FailedError(f"it answers with the status {response.status_code}")
        for chunk in response.iter_raw():
            answer += chunk
            if len(answer) > settings.max_bytes:
                raise _FailedError(f"its answer is longer than {settings.max_bytes} bytes")
            if time.monotonic() > deadline:
                raise _NotInTimeError("it did not answer in time")
    return bytes(answer)


def _check_answer(answer: bytes) -> None:
    try:
        too_deep = _is_deeper(msgspec.json.decode(answer, type=dict[str, object]), MAX_DEPTH)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _FailedError("its answer is not a JSON object") from None
    except RecursionError:
        too_deep = True
    if too_deep:
        raise _FailedError(f"its answer is nested deeper than {MAX_DEPTH}")


def _is_deeper(value: object, depth: int) -> bool:
    match value:
        case dict():
            inner = list(value.values())
        case list():
            inner = value
        case _:
            return False
    return depth == 0 or any(_is_deeper(item, depth - 1) for item in inner)


def _without(asked: _Asked, error: _FailedError) -> dict[str, object]:
    """Issue without the claim or refuse, as configured, and have the log say which."""
    omit = asked.settings.on_failure == "omit"
    _log.warning(
        "enrichment of %r for the organization %r failed, and %s: %s",
        asked.audience,
        asked.organization,
        "the token is issued without it" if omit else "no token is issued",
        error,
    )
    if omit:
        return {}
    raise OAuthError(
        "temporarily_unavailable", "the token cannot be completed now; try again later"
    )


def _check_range(field: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InvalidArgumentError(f"`{field}` is {least:g} to {most:g}", field=field)
