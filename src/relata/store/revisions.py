"""Revisions: the newest, the newest schema's, and the next one, which a write makes.

A revision is head + 1, taken while the write lock is held, so revisions have no gaps and whoever
sees one has seen all before it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from relata.store.tables import revisions, schemas
from relata.store.values import SchemaMovedError

HEAD = select(func.coalesce(func.max(revisions.c.revision), 0))
SCHEMA_REVISION = select(func.coalesce(func.max(schemas.c.revision), 0))


def add_revision(connection: Connection) -> int:
    """Make the next revision."""
    revision: int = connection.execute(HEAD).scalar_one() + 1
    connection.execute(revisions.insert().values(revision=revision, created_at=datetime.now(UTC)))
    return revision


def drop_revision(connection: Connection, revision: int) -> None:
    """Take back a revision that this transaction has made and that nothing came of."""
    connection.execute(revisions.delete().where(revisions.c.revision == revision))


def refuse_moved(connection: Connection, expected: int) -> None:
    """Raise SchemaMovedError unless the newest schema is the one of a revision."""
    current = connection.execute(SCHEMA_REVISION).scalar_one()
    if current != expected:
        raise SchemaMovedError(
            f"the schema was changed meanwhile, by revision `{current}`; "
            "try again against the new one"
        )
