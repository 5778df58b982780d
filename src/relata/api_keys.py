"""API keys: making them, and knowing one when it is presented.

A key reads `relata_<id>_<secret>`. The id is 12 letters and digits and no secret; the secret is
256 random bits. The store keeps SHA-256 of the secret: a slow hash protects what people choose,
and nobody can try out 2**256 secrets however fast the hash is; `authenticate` stays short.

The active keys are held in memory. What another process added or revoked counts here from the
next `refresh`. A secret is shown once, by `create`, and is in no error, `repr` or log.

What a scope permits is decided by whoever serves the operation.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from relata.errors import AuthenticationError, InvalidArgumentError
from relata.store import Store, StoredKey

SCOPES = ("check", "read", "write", "schema", "admin")
"""What a key may do; `admin` implies every other scope."""
BOUND_SCOPES = ("check", "read", "write")
"""What a key may do that is bound to an organization."""

_ADMIN = "admin"
_PREFIX = "relata"
_ID_ALPHABET = string.ascii_letters + string.digits
_ID_CHARACTERS = 12
_SECRET_BYTES = 32
_MAX_NAME_CHARACTERS = 200


class Held(NamedTuple):
    """The keys in memory: the version they were read at, and those that are active, by id."""

    version: int
    active: dict[str, StoredKey]


class ApiKeys:
    """The API keys of a store. Threads may share it.

    `held` is what authentication goes by. It is another object each time the store was read, by
    which one sees that what was found out of a key before may have changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        # What a presented secret is compared with when there is no such key, so that the answer
        # takes the same path and time. Nobody knows a secret with this digest.
        self._no_digest = secrets.token_bytes(hashlib.sha256().digest_size)
        self.held = Held(-1, {})
        self._load(store.state().keys_version)

    def create(
        self, name: str, scopes: Iterable[str], *, organization: str = ""
    ) -> tuple[StoredKey, str]:
        """Make a key; return it and its text, which cannot be had again.

        With `organization` it is bound to that organization, and good for nothing else; its
        scopes are among BOUND_SCOPES.

        Raises InvalidArgumentError for a name that is empty, too long or not printable, for an
        unknown scope, and for no scope at all.
        """
        key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS))
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        key = StoredKey(
            id=key_id,
            name=_checked_name(name),
            digest=_digest(secret),
            scopes=_checked_scopes(scopes, BOUND_SCOPES if organization else SCOPES),
            created_at=datetime.now(UTC),
            organization=organization,
        )
        self._store.add_key(key)
        self._load(self._store.state().keys_version)
        return key, f"{_PREFIX}_{key_id}_{secret}"

    def authenticate(self, presented: str) -> StoredKey:
        """Return the key whose text this is.

        Raises AuthenticationError, the same for a text that is no key, an unknown id, a wrong
        secret and a revoked key.
        """
        prefix, _, rest = presented.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self.held.active.get(key_id) if prefix == _PREFIX else None
        expected = self._no_digest if key is None else key.digest
        if not hmac.compare_digest(_digest(secret), expected) or key is None:
            raise AuthenticationError("the API key is not valid; check it or ask for a new one")
        return key

    def refresh(self, keys_version: int) -> None:
        """Follow the store: load the keys again if `keys_version` (`State`) is a new one."""
        if keys_version != self.held.version:
            self._load(keys_version)

    @staticmethod
    def allows(key: StoredKey, scope: str) -> bool:
        """Whether the key has the scope, by itself or through `admin`."""
        return scope in key.scopes or (_ADMIN in key.scopes and scope in SCOPES)

    def list(self) -> tuple[StoredKey, ...]:
        """Every key, revoked ones too, oldest first."""
        return tuple(self._store.keys())

    def revoke(self, key_id: str) -> bool:
        """Revoke a key, here at once; return whether there was one to revoke."""
        revoked = self._store.revoke_key(key_id)
        self._load(self._store.state().keys_version)
        return revoked

    def revoke_of(self, organization: str) -> int:
        """Revoke the keys that are bound to an organization; return how many."""
        revoked = self._store.revoke_keys_of(organization)
        self._load(self._store.state().keys_version)
        return revoked

    def _load(self, version: int) -> None:
        # INVARIANT: the keys are read after the version was, so they are as new or newer; keys
        # newer than their version are loaded once more, never once too seldom.
        with self._lock:
            stored = self._store.keys()
            active = {key.id: key for key in stored if key.revoked_at is None}
            self.held = Held(version, active)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > _MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidArgumentError(
            f"a key's name has 1 to {_MAX_NAME_CHARACTERS} printable characters", field="name"
        )
    return name


def _checked_scopes(scopes: Iterable[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    wanted = set(scopes)
    unknown = sorted(wanted.difference(SCOPES))
    names = ", ".join(allowed)
    if unknown:
        raise InvalidArgumentError(
            f"`{unknown[0]}` is not a scope; the scopes are {names}", field="scopes"
        )
    if not wanted:
        raise InvalidArgumentError(f"a key needs a scope; the scopes are {names}", field="scopes")
    if not wanted <= set(allowed):
        raise InvalidArgumentError(
            f"a key of an organization opens nothing outside it; its scopes are {names}",
            field="scopes",
        )
    return tuple(scope for scope in SCOPES if scope in wanted)
