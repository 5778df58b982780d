"""The source of truth: relationships by revision, schemas and keys, in SQL.

`Store` is all there is to hold; the other names are what it gives back.
"""

from __future__ import annotations

from relata.store.loading import Loader
from relata.store.queries import Values, to_values
from relata.store.store import Store
from relata.store.values import (
    Change,
    DeleteOutcome,
    SchemaMovedError,
    State,
    StoredKey,
    StoredRelationship,
    StoredSchema,
    StoredSigningKey,
)

__all__ = [
    "Change",
    "DeleteOutcome",
    "Loader",
    "SchemaMovedError",
    "State",
    "Store",
    "StoredKey",
    "StoredRelationship",
    "StoredSchema",
    "StoredSigningKey",
    "Values",
    "to_values",
]
