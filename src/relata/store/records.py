"""Configuration as documents, by kind and id.

The store keeps bytes and knows nothing of what they say. What needs an index, or a constraint, has
a table of its own.
"""

from __future__ import annotations

import enum
from typing import Final, Literal

from sqlalchemy import Connection, select

from relata.store.database import Database
from relata.store.tables import records


class _Unset(enum.Enum):
    UNSET = "unset"


UNSET: Final = _Unset.UNSET
"""Stands for any value, also for none."""

_row = records.c


class Records:
    """The documents of a store. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, kind: str, id: str) -> bytes | None:  # noqa: A002  the field's word for it
        """The document; None where there is none."""
        with self._database.reading() as connection:
            return _value(connection, kind, id)

    def list(self, kind: str, *, after: str = "", limit: int = 1_000) -> list[tuple[str, bytes]]:
        """The ids and documents of a kind, at most `limit`, by id, from the one after `after`."""
        statement = (
            select(_row.id, _row.value)
            .where(_row.kind == kind, _row.id > after)
            .order_by(_row.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [(id_, value) for id_, value in connection.execute(statement)]

    def put(
        self,
        kind: str,
        id: str,  # noqa: A002  the field's word for it
        value: bytes,
        *,
        expected: bytes | Literal[_Unset.UNSET] | None = UNSET,
        connection: Connection | None = None,
    ) -> bool:
        """Store a document, if what is there is what was expected; None expects nothing there.

        Return whether it was stored. With `connection` it joins the transaction that is open there.
        """
        with self._database.writing(connection) as transaction:
            present = _value(transaction.connection, kind, id)
            if expected is not UNSET and present != expected:
                return False
            if present is None:
                change = records.insert().values(kind=kind, id=id, value=value)
                transaction.connection.execute(change)
            else:
                this = records.update().where(_row.kind == kind, _row.id == id)
                transaction.connection.execute(this.values(value=value))
            return True

    def delete(
        self,
        kind: str,
        id: str,  # noqa: A002  the field's word for it
        *,
        connection: Connection | None = None,
    ) -> bool:
        """Delete a document; return whether there was one."""
        this = records.delete().where(_row.kind == kind, _row.id == id)
        with self._database.writing(connection) as transaction:
            return transaction.connection.execute(this).rowcount > 0


def _value(connection: Connection, kind: str, id_: str) -> bytes | None:
    statement = select(_row.value).where(_row.kind == kind, _row.id == id_)
    value: bytes | None = connection.execute(statement).scalar()
    return value
