"""What the store gives back, and the one error of its own.

Values only: nothing here knows SQL. A value that carries a secret, or what a secret is checked
against, leaves it out of its `repr`, so that it cannot reach a log that way.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from relata.errors import WriteConflictError
from relata.relationships import Relationship


class SchemaMovedError(WriteConflictError):
    """The stored schema is no longer the one that the write was made for."""


class StoredSchema(msgspec.Struct, frozen=True):
    """A schema's text and the revision that wrote it."""

    revision: int
    text: str


class State(msgspec.Struct, frozen=True):
    """Where the database stands, in three numbers that a process compares with its own."""

    head: int
    """The newest revision; 0 before the first write."""
    schema_revision: int
    """The revision of the newest schema; 0 where there is none."""
    keys_version: int
    """Changes whenever an API key is added or revoked."""


class Change(msgspec.Struct, frozen=True):
    """A relationship that a revision added or removed."""

    revision: int
    added: bool
    relationship: Relationship


class StoredRelationship(msgspec.Struct, frozen=True):
    """A relationship and its row, a number that grows and stays: the place to read on from."""

    row: int
    relationship: Relationship


class DeleteOutcome(msgspec.Struct, frozen=True):
    """What a delete by filter did."""

    revision: int
    """The revision it made, or the head where nothing matched."""
    deleted: int
    complete: bool
    """False where the limit was reached and more relationships match."""


class StoredKey(msgspec.Struct, frozen=True):
    """An API key without its secret."""

    id: str
    name: str
    digest: bytes
    """SHA-256 of the secret."""
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None
    organization: str = ""
    """The organization that the key is bound to; empty where it is bound to none."""

    def __repr__(self) -> str:
        state = "revoked" if self.revoked_at else "active"
        return f"StoredKey(id={self.id!r}, name={self.name!r}, scopes={self.scopes!r}, {state})"


class StoredSigningKey(msgspec.Struct, frozen=True):
    """A key that signs tokens."""

    kid: str
    algorithm: str
    private_pem: str
    created_at: datetime
    """When it was made; it may begin to sign later."""
    retired_at: datetime | None = None
    """When it signed for the last time."""

    def __repr__(self) -> str:
        return f"StoredSigningKey(kid={self.kid!r}, algorithm={self.algorithm!r})"


class TokenState(enum.IntEnum):
    """What has become of an issued token; the numbers are those of the Token Status List."""

    VALID = 0
    REVOKED = 1
    """It no longer stands. It stays so."""
    CHANGED = 3
    """What it says of permissions or roles is no longer so. It may yet be revoked."""


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was issued, and what it says; not the token itself."""

    id: int = 0
    """Its number, which grows: its place in the status lists. 0 until it is stored."""
    jti: str
    subject: str
    """Whom the graph was asked about, such as `user:anne`."""
    client: str
    organization: str
    audience: str
    """What its `aud` says."""
    products: tuple[str, ...] = ()
    issued_at: int
    """In seconds since 1970, as `expires_at`."""
    expires_at: int
    revision: int
    """The revision that it was made at."""
    parent: str = ""
    """The `jti` of the token of our own that it was exchanged from."""
    session: str = ""
    """The subject token's `sid`."""
    sub: str = ""
    """What the issuer of the subject token calls the subject."""
    issuer: str = ""
    """The `iss` of the subject token; empty for a machine with its client's credentials."""
    scope: tuple[str, ...] | None = None
    """The permissions that it may hold at most, by what was asked for and what the client may;
    None for all."""
    permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    by_product: dict[str, tuple[str, ...]] = {}
    """The permissions by product, where the audience has several."""
    extra: dict[str, object] = {}
    """The audience's own claims that it may have had no room for."""
    state: TokenState = TokenState.VALID


class TokenEvent(msgspec.Struct, frozen=True):
    """What happened to an issued token, in the order of `id`."""

    id: int
    at: int
    """In seconds since 1970."""
    kind: str
    """`token-claims-change` or `session-revoked`, as CAEP names them."""
    jti: str
    subject: str
    client: str
    organization: str
    audience: str
    session: str
    reason: str
