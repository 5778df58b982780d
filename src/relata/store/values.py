"""What the store gives back, and the one error of its own.

Values only: nothing here knows SQL. A value that carries a secret, or what a secret is checked
against, leaves it out of its `repr`, so that it cannot reach a log that way.
"""

from __future__ import annotations

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

    def __repr__(self) -> str:
        state = "revoked" if self.revoked_at else "active"
        return f"StoredKey(id={self.id!r}, name={self.name!r}, scopes={self.scopes!r}, {state})"


class StoredSigningKey(msgspec.Struct, frozen=True):
    """A key that signs tokens."""

    kid: str
    algorithm: str
    private_pem: str
    created_at: datetime

    def __repr__(self) -> str:
        return f"StoredSigningKey(kid={self.kid!r}, algorithm={self.algorithm!r})"
