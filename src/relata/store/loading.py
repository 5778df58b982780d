"""Many relationships at once, batch after batch: the way of an import into the database.

Each batch is touched in one transaction and makes one revision. With it, in the same transaction,
the import may leave a mark that says how far it has come; so what is marked is stored, and what
is stored is marked, also after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from relata.store.database import Database
from relata.store.queries import Values
from relata.store.revisions import add_revision, drop_revision, refuse_moved
from relata.store.tables import imports
from relata.store.writes import load


class Loader:
    """Takes batches of relationships; `Store.loading` makes it."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    def load(
        self,
        rows: Iterable[Values],
        *,
        schema_revision: int,
        name: str = "",
        mark: str | None = None,
    ) -> int:
        """Touch relationships; return their revision, or the head where nothing changed.

        Of several with one key the last one counts. `mark` replaces the mark of the import `name`,
        and None removes it. Raises SchemaMovedError where `schema_revision` is not the newest
        schema's.
        """
        with self._database.batch(self._connection):
            refuse_moved(self._connection, schema_revision)
            if name:
                self._mark(name, mark)
            revision = add_revision(self._connection)
            unique = {row[:6]: row for row in rows}
            if load(self._connection, list(unique.values()), revision):
                return revision
            drop_revision(self._connection, revision)
            return revision - 1

    def mark(self, name: str) -> str | None:
        """The mark that an import left; None where there is none."""
        statement = select(imports.c.mark).where(imports.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(statement).scalar()

    def forget(self, name: str) -> None:
        """Remove the mark of an import."""
        with self._database.batch(self._connection):
            self._mark(name, None)

    def _mark(self, name: str, mark: str | None) -> None:
        self._connection.execute(imports.delete().where(imports.c.name == name))
        if mark is not None:
            self._connection.execute(imports.insert().values(name=name, mark=mark))
