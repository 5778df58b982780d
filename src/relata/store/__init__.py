"""The source of truth: relationships by revision, schemas and keys, in SQL.

`Store` is all there is to hold; the other names are its parts and what it gives back, and
`Connection`, what a transaction of the caller's is open on.
"""

from __future__ import annotations

from sqlalchemy import Connection

from relata.store.database import Watch, is_private
from relata.store.issued import IssuedTokens
from relata.store.loading import Loader
from relata.store.queries import Values, to_values
from relata.store.records import UNSET, Records
from relata.store.replays import Replays
from relata.store.store import Store
from relata.store.values import (
    Change,
    DeleteOutcome,
    IssuedToken,
    SchemaMovedError,
    State,
    StoredKey,
    StoredRelationship,
    StoredSchema,
    StoredSigningKey,
    TokenEvent,
    TokenState,
)

__all__ = [
    "UNSET",
    "Change",
    "Connection",
    "DeleteOutcome",
    "IssuedToken",
    "IssuedTokens",
    "Loader",
    "Records",
    "Replays",
    "SchemaMovedError",
    "State",
    "Store",
    "StoredKey",
    "StoredRelationship",
    "StoredSchema",
    "StoredSigningKey",
    "TokenEvent",
    "TokenState",
    "Values",
    "Watch",
    "is_private",
    "to_values",
]
