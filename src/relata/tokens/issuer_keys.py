"""The keys of a trusted issuer (RFC 7517): pinned, or fetched, kept for a while, and looked up.

Keys come from where the registration says and from nowhere else: what a token's header says about
keys (`jku`, `jwk`, `x5u`, `x5c`) is not read, and redirects are not followed. They are fetched
again when they have grown old, so that a withdrawn key stops counting, and when a token names a key
that is not among them, so that a new one counts at once; the latter no more often than a limit,
since anybody can make up a token. An issuer that is discovered is discovered anew with each fetch,
so an address that has moved is found within the same limits. While keys are needed and cannot be
fetched nobody is believed.

Nothing is fetched before the first token. Pinned keys are never fetched.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import jwt
import msgspec

from relata.errors import OAuthError
from relata.tokens.discovery import discovered_jwks_uri
from relata.tokens.fetching import FetchError, fetch_object
from relata.tokens.issuers import TrustedIssuer
from relata.tokens.public_keys import Jwk, find_key, keys_in

MAX_AGE = timedelta(minutes=10)
REFRESH_LIMIT = timedelta(seconds=30)
_RETRY_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class IssuerKeys(Protocol):
    """The keys of one issuer. Safe to share between threads."""

    def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that has the id and fits the algorithm, or None.

        Raises OAuthError `temporarily_unavailable` where the keys cannot be fetched.
        """


def keys_of(issuer: TrustedIssuer) -> IssuerKeys:
    """Return the keys of an issuer, as it was registered."""
    pinned = issuer.pinned_keys()
    return PublishedKeys(issuer) if pinned is None else PinnedKeys(pinned)


class PinnedKeys(msgspec.Struct, frozen=True):
    """Keys that were registered with their issuer: another one takes another registration."""

    keys: tuple[Jwk, ...]

    def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that has the id and fits the algorithm, or None."""
        return find_key(self.keys, kid, algorithm)


class _Published(msgspec.Struct, frozen=True):
    """What the issuer published, and when it was fetched, in seconds of the monotonic clock."""

    keys: tuple[Jwk, ...]
    fetched_at: float


class PublishedKeys:
    """Keys that an issuer publishes.

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
        self._issuer = issuer
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
        key = find_key(published.keys, kid, algorithm)
        if key is None:
            key = find_key(self._refreshed(published).keys, kid, algorithm)
        return key

    def _current(self) -> _Published:
        published = self._published
        if published is not None and self._is_fresh(published):
            return published
        with self._alone():
            published = self._published
            if published is not None and self._is_fresh(published):
                return published
            return self._fetch()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one fetch. The others wait for it, but not until all threads of a server do."""
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            raise _unavailable()
        try:
            yield
        finally:
            self._lock.release()

    def _refreshed(self, seen: _Published) -> _Published:
        with self._alone():
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
            keys = _fetch_keys(self._issuer)
        except FetchError as error:
            self._failed_at = time.monotonic()
            _log.warning("no keys of the issuer `%s`: %s", self._issuer.issuer, error)
            raise _unavailable() from error
        self._published = _Published(keys, time.monotonic())
        return self._published


def _fetch_keys(issuer: TrustedIssuer) -> tuple[Jwk, ...]:
    address = issuer.jwks_uri or discovered_jwks_uri(issuer.issuer)
    keys = keys_in(fetch_object(address, accept="application/jwk-set+json, application/json"))
    if keys is None:
        raise FetchError("the answer is not a set of keys")
    return keys


def _unavailable() -> OAuthError:
    return OAuthError(
        "temporarily_unavailable",
        "the keys of the subject token's issuer cannot be fetched; try again later",
    )
