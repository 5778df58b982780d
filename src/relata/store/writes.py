"""What a write does to the rows of relationships, in the transaction that it is given.

A row never changes, except that a revision ends it: a relationship that gets another caveat or
expiration has its row ended and a new one added, by one revision. Rows are added with "unless a
live row is there", and only where some were there already is looked closer; so the common write
costs one statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    Connection,
    Executable,
    and_,
    bindparam,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as insert_or_skip

from relata.errors import InvalidArgumentError, RelationshipExistsError
from relata.relationships import Operation, Relationship, Update
from relata.slices import SLICE, let_others_run
from relata.store.queries import COLUMNS, Values, to_row
from relata.store.tables import FIELDS, LIVE, TRAITS, relationships

Parameters = Mapping[str, str | int | None]

_row = relationships.c

_SAME = and_(*(column == bindparam(f"this_{column.name}") for column in FIELDS), LIVE)
_ADD = (
    insert_or_skip(relationships)
    .inline()
    .on_conflict_do_nothing(index_elements=FIELDS, index_where=LIVE)
    .execution_options(preserve_rowcount=True)
)
_END = update(relationships).where(_SAME).values(deleted_revision=bindparam("revision"))
_END_OTHER = _END.where(
    or_(*(column.is_distinct_from(bindparam(f"this_{column.name}")) for column in TRAITS))
)
_END_EXPIRED = _END.where(
    _row.expires_at <= bindparam("now"), _row.created_revision != bindparam("revision")
)
_CREATED_REVISION = select(_row.created_revision).where(_SAME)


def refuse_repeated(updates: Sequence[Update]) -> None:
    """Raise InvalidArgumentError where two updates are of one relationship."""
    seen: set[Relationship] = set()
    for index, item in enumerate(updates):
        let_others_run(index)
        key = item.relationship.key
        if key in seen:
            raise InvalidArgumentError(
                f"`{key}` is in the write twice; give it one update", field=f"updates[{index}]"
            )
        seen.add(key)


def apply(connection: Connection, updates: Sequence[Update], revision: int, now: int) -> bool:
    """Apply updates of different relationships; return whether anything changed.

    `now` decides which rows have expired. Raises RelationshipExistsError.
    """
    rows: dict[Operation, list[Parameters]] = {operation: [] for operation in Operation}
    for index, item in enumerate(updates):
        let_others_run(index)
        rows[item.operation].append(to_row(item.relationship))
    created = _create(connection, rows[Operation.CREATE], revision, now)
    if created < len(rows[Operation.CREATE]):
        raise _already_there(connection, updates, revision)
    touched = _touch(connection, rows[Operation.TOUCH], revision)
    deleted = _execute(connection, _END, [_this(row, revision) for row in rows[Operation.DELETE]])
    return created + touched + deleted > 0


def load(connection: Connection, rows: Sequence[Values], revision: int) -> bool:
    """Touch different relationships, a great many; return whether anything changed."""
    if not rows:
        return False
    # The values go to the driver as they are: SQLAlchemy's own way takes three times as long.
    adding = _ADD.values(created_revision=literal_column(str(revision))).compile(
        dialect=connection.dialect, column_keys=COLUMNS
    )
    options = {"preserve_rowcount": True}
    added = connection.exec_driver_sql(str(adding), rows, execution_options=options).rowcount
    if added == len(rows):
        return True
    replaced = _touch(connection, [dict(zip(COLUMNS, row, strict=True)) for row in rows], revision)
    return added + replaced > 0


def _create(connection: Connection, rows: Sequence[Parameters], revision: int, now: int) -> int:
    added = _add(connection, rows, revision)
    if added < len(rows):
        expired = [{**_this(row, revision), "now": now} for row in rows]
        if _execute(connection, _END_EXPIRED, expired):
            added += _add(connection, rows, revision)
    return added


def _touch(connection: Connection, rows: Sequence[Parameters], revision: int) -> int:
    added = _add(connection, rows, revision)
    if added < len(rows) and _execute(
        connection, _END_OTHER, [_this(row, revision) for row in rows]
    ):
        added += _add(connection, rows, revision)
    return added


def _add(connection: Connection, rows: Sequence[Parameters], revision: int) -> int:
    return _execute(connection, _ADD, [{**row, "created_revision": revision} for row in rows])


def _execute(connection: Connection, statement: Executable, rows: Sequence[Parameters]) -> int:
    changed = 0
    for start in range(0, len(rows), SLICE):
        changed += connection.execute(statement, rows[start : start + SLICE]).rowcount
        let_others_run(start + SLICE - 1)
    return changed


def _this(row: Parameters, revision: int) -> dict[str, str | int | None]:
    return {**{f"this_{name}": value for name, value in row.items()}, "revision": revision}


def _already_there(
    connection: Connection, updates: Sequence[Update], revision: int
) -> RelationshipExistsError:
    """The error for the first `create` whose relationship an earlier revision created."""
    for index, item in enumerate(updates):
        if item.operation is Operation.CREATE:
            this = _this(to_row(item.relationship), revision)
            if connection.execute(_CREATED_REVISION, this).scalar_one() != revision:
                return RelationshipExistsError(
                    f"`{item.relationship.key}` exists already; touch it to have it either way",
                    field=f"updates[{index}]",
                )
    raise AssertionError("the database skipped a row that was not there")
