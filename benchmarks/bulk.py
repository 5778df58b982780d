"""A large workload, made as it is written, straight into the tables of a new database.

Nothing is kept in Python but a batch, and the indexes are made when all rows are there, which
takes a fraction of the time of `relata import`. What comes out is what an import would leave, in
one revision: the same rows, the same indexes. A file appears under its name only when it is whole,
so that one which is there can be used again.

    python -m benchmarks.bulk 10000000 /var/tmp/growth
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateIndex, DropIndex

from benchmarks import workload
from benchmarks.progress import shown
from benchmarks.workload import Size, Walk
from relata.store import Store
from relata.store.revisions import add_revision
from relata.store.tables import FIELDS, relationships

AT_SCALE_1 = 340_800
"""About as many relationships as the workload has at scale 1."""

_BATCH = 20_000
_COLUMNS = ", ".join(column.name for column in FIELDS)
_INSERT = (
    f"INSERT INTO {relationships.name} ({_COLUMNS}, created_revision) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_WITHOUT_CARE = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -256000")
"""Settings for a file that is thrown away if anything happens to it."""
_SUBJECTS = f"""
    SELECT subject_type, subject_id, subject_relation FROM {relationships.name}
    WHERE resource_type = ? AND resource_id = ? AND relation = ? ORDER BY id
"""

Row = tuple[str, str, str, str, str, str, int]


class StoredWalk(Walk):
    """A walk of relationships that are too many to keep: each step asks the database."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}")
        self._connection = self._engine.connect()

    def subjects(self, resource: str, relation: str) -> list[str]:
        """The subjects that are written for a relation, usersets as they stand."""
        type_, _, id_ = resource.partition(":")
        found = self._connection.exec_driver_sql(_SUBJECTS, (type_, id_, relation))
        return [f"{type_}:{id_}#{of}" if of else f"{type_}:{id_}" for type_, id_, of in found]

    def count(self) -> int:
        """How many relationships there are."""
        live = f"SELECT count(*) FROM {relationships.name} WHERE deleted_revision IS NULL"
        count: int = self._connection.exec_driver_sql(live).scalar_one()
        return count

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
        self._engine.dispose()


def size_of(count: int) -> Size:
    """The size of a workload of about so many relationships."""
    return workload.size_at(count / AT_SCALE_1)


def database_of(count: int, directory: Path, *, seed: int = 1) -> Path:
    """The database of about so many relationships in a directory, made if it is not there yet."""
    path = directory / (f"{count}.db" if seed == 1 else f"{count}-{seed}.db")
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        fill(part, workload.SCHEMA, workload.stream(size_of(count), Random(seed)), count)
        part.rename(path)
    return path


def fill(path: Path, schema: str, texts: Iterable[str], expected: int) -> None:
    """Make a database of a schema and relationships, of which there are about so many."""
    store = Store.open(f"sqlite:///{path}")
    store.write_schema(schema, replaces=0, removed=[])
    store.close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        for setting in _WITHOUT_CARE:
            connection.exec_driver_sql(f"PRAGMA {setting}")
        indexes = sorted(relationships.indexes, key=lambda index: str(index.name))
        for index in indexes:
            connection.execute(DropIndex(index))
        rows = _rows(texts, add_revision(connection))
        what = f"writing {expected:,} relationships"
        for batch in shown(_batches(rows), what, expected // _BATCH + 1):
            connection.exec_driver_sql(_INSERT, batch)
        for index in shown(indexes, f"making indexes of {expected:,} relationships"):
            connection.execute(CreateIndex(index))
        connection.commit()
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    engine.dispose()


def _rows(texts: Iterable[str], revision: int) -> Iterator[Row]:
    for text in texts:
        place, _, subject = text.partition("@")
        resource, _, relation = place.partition("#")
        resource_type, _, resource_id = resource.partition(":")
        subject_type, _, rest = subject.partition(":")
        subject_id, _, subject_relation = rest.partition("#")
        yield (
            resource_type,
            resource_id,
            relation,
            subject_type,
            subject_id,
            subject_relation,
            revision,
        )


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def main(
    count: Annotated[int, typer.Argument(min=1_000, help="About how many relationships.")],
    directory: Annotated[Path, typer.Argument(help="Where the database goes.")],
) -> None:
    """Make a database of many relationships, and print its path."""
    typer.echo(database_of(count, directory))


if __name__ == "__main__":
    typer.run(main)
