"""The published keys of a trusted issuer (RFC 7517): fetched, kept for a while, looked up.

Keys come from the registered address and from nowhere else: what a token's header says about keys
(`jku`, `jwk`, `x5u`, `x5c`) is not read, and redirects are not followed. They are fetched again
when they have grown old, so that a withdrawn key stops counting, and when a token names a key that
is not among them, so that a new one counts at once; the latter no more often than a limit, since
anybody can make up a token. While keys are needed and cannot be fetched nobody is believed.

Nothing is fetched before the first token.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import httpx
import jwt
import msgspec

from relata.errors import OAuthError
from relata.tokens.issuers import KEY_TYPES, TrustedIssuer

MAX_AGE = timedelta(minutes=10)
REFRESH_LIMIT = timedelta(seconds=30)
_RETRY_SECONDS = 5.0
_FETCH_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(5.0)
_MAX_DOCUMENT_BYTES = 256 * 1024
_MIN_RSA_BITS = 2048

_Jwk = dict[str, object]


class _Published(msgspec.Struct, frozen=True):
    """What the issuer published, and when it was fetched, in seconds of the monotonic clock."""

    keys: tuple[_Jwk, ...]
    fetched_at: float


class _FetchError(Exception):
    """The address did not answer with a set of keys."""


class IssuerKeys:
    """The keys of one issuer. Safe to share between threads.

    `max_age` is how long fetched keys are used, `refresh_limit` how far apart at least two
    fetches for keys that are not known lie.
    """

    def __init__(
        self,
        issuer: TrustedIssuer,
        *,
        max_age: timedelta = MAX_AGE,
        refresh_limit: timedelta = REFRESH_LIMIT,
    ) -> None:
        self._uri = issuer.jwks_uri
        self._max_age = max_age.total_seconds()
        self._refresh_limit = refresh_limit.total_seconds()
        self._lock = threading.Lock()
        self._published: _Published | None = None
        self._refreshed_at = float("-inf")
        self._failed_at = float("-inf")

    def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the published key that has the id and fits the algorithm, or None.

        Raises OAuthError `temporarily_unavailable` where the keys cannot be fetched.
        """
        published = self._current()
        key = _select(published.keys, kid, algorithm)
        if key is None:
            key = _select(self._refreshed(published).keys, kid, algorithm)
        return key

    def _current(self) -> _Published:
        published = self._published
        if published is not None and self._is_fresh(published):
            return published
        with self._lock:
            published = self._published
            if published is not None and self._is_fresh(published):
                return published
            return self._fetch()

    def _refreshed(self, seen: _Published) -> _Published:
        with self._lock:
            if self._published is not None and self._published is not seen:
                return self._published
            now = time.monotonic()
            if now - self._refreshed_at < self._refresh_limit:
                return seen
            self._refreshed_at = now
            return self._fetch()

    def _is_fresh(self, published: _Published) -> bool:
        return time.monotonic() - published.fetched_at < self._max_age

    def _fetch(self) -> _Published:
        """Fetch once, remembering a failure so that those who wait do not all repeat it."""
        if time.monotonic() - self._failed_at < _RETRY_SECONDS:
            raise _unavailable()
        try:
            keys = _fetch_keys(self._uri)
        except (_FetchError, httpx.HTTPError) as error:
            self._failed_at = time.monotonic()
            raise _unavailable() from error
        self._published = _Published(keys, time.monotonic())
        return self._published


def _fetch_keys(uri: str) -> tuple[_Jwk, ...]:
    deadline = time.monotonic() + _FETCH_SECONDS
    document = bytearray()
    # The bytes are counted as they arrive, so they must not arrive compressed.
    headers = {
        "Accept": "application/jwk-set+json, application/json",
        "Accept-Encoding": "identity",
    }
    with (
        httpx.Client(timeout=_TIMEOUT, follow_redirects=False, headers=headers) as client,
        client.stream("GET", uri) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise _FetchError(f"status {response.status_code}")
        for chunk in response.iter_raw():
            document += chunk
            if len(document) > _MAX_DOCUMENT_BYTES:
                raise _FetchError("too large")
            if time.monotonic() > deadline:
                raise _FetchError("too slow")
    return _read_keys(bytes(document))


def _read_keys(document: bytes) -> tuple[_Jwk, ...]:
    try:
        keys = msgspec.json.decode(document, type=dict[str, object]).get("keys")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _FetchError("not JSON") from error
    if not isinstance(keys, list):
        raise _FetchError("no keys")
    return tuple(key for key in keys if isinstance(key, dict))


def _select(keys: tuple[_Jwk, ...], kid: str, algorithm: str) -> jwt.PyJWK | None:
    for jwk in keys:
        if jwk.get("kid") == kid and _fits(jwk, algorithm):
            key = _load(jwk, algorithm)
            if key is not None:
                return key
    return None


def _fits(jwk: _Jwk, algorithm: str) -> bool:
    """Whether a key is a public one for exactly this algorithm (RFC 8725, section 3.1)."""
    key_type, curve = KEY_TYPES[algorithm]
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") == key_type
        and (curve is None or jwk.get("crv") == curve)
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in jwk
    )


def _load(jwk: _Jwk, algorithm: str) -> jwt.PyJWK | None:
    """Make the key usable; None where its members are not those of a strong enough key."""
    try:
        key = jwt.PyJWK(jwk, algorithm=algorithm)
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    if jwk["kty"] == "RSA" and key.key.key_size < _MIN_RSA_BITS:
        return None
    return key


def _unavailable() -> OAuthError:
    return OAuthError(
        "temporarily_unavailable",
        "the keys of the subject token's issuer cannot be fetched; try again later",
    )
