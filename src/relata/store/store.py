"""The store: relationships by revision, schemas, keys and settings, in one SQL database.

One write is one transaction is one revision. A revision is head + 1, taken while the write lock
is held, so revisions have no gaps and whoever sees one has seen all before it. A write that
changes nothing makes none. A deleted relationship's row stays, with the revision that deleted it;
so the store answers for any revision, and the changes between two of them are a query.

The store takes relationships as they are: whether the schema allows them is decided above it,
under the schema revision that each write names and that the write's own transaction checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Engine, Select, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_skip
from sqlalchemy.engine.interfaces import DBAPICursor

from relata.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    RelationshipExistsError,
    SchemaStrandsError,
)
from relata.relationships import (
    Kind,
    Operation,
    Precondition,
    Relationship,
    RelationshipFilter,
    Update,
)
from relata.store.database import Database, translated
from relata.store.queries import alive_at, matching, of_kind, to_relationship, to_row
from relata.store.tables import (
    FIELDS,
    LIVE,
    api_keys,
    relationships,
    revisions,
    schemas,
    settings,
    signing_keys,
)
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

Row = tuple[str, str, str, str, str, str]

_row = relationships.c
_ROWS_AT_ONCE = 10_000

_HEAD = select(func.coalesce(func.max(revisions.c.revision), 0))
_SCHEMA_REVISION = select(func.coalesce(func.max(schemas.c.revision), 0))
_KEYS_VERSION = select(settings.c.value).where(settings.c.name == "keys_version")
_STATE = select(
    _HEAD.scalar_subquery(), _SCHEMA_REVISION.scalar_subquery(), _KEYS_VERSION.scalar_subquery()
)
_LIVE_ROWS = select(*FIELDS).where(LIVE)

_SAME = and_(*(column == bindparam(f"this_{column.name}") for column in FIELDS), LIVE)
_ADD = (
    insert_or_skip(relationships)
    .inline()
    .on_conflict_do_nothing(index_elements=FIELDS, index_where=LIVE)
    .execution_options(preserve_rowcount=True)
)
_REMOVE = update(relationships).where(_SAME).values(deleted_revision=bindparam("revision"))
_CREATED_REVISION = select(_row.created_revision).where(_SAME)


class Store:
    """An open store. Threads may share it; processes may open the same database.

    Every method raises StoreError where the database cannot be used, and WriteConflictError
    where other writers kept it locked for longer than five seconds.

    `write` and `delete` join a transaction of the caller's when given its `connection`: what they
    did is committed or rolled back with it, and an error in them takes back their part alone. The
    connection comes from `engine`, or from an engine of the caller's on the same database. In a
    transaction of `engine` that has read before it writes, another process's write in between is
    a WriteConflictError at once: roll back and start again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Store:
        """Open a database, creating its tables or bringing them to the newest version.

        `sqlite:///relata.db` is a file, `sqlite://` a private database that `close` removes.
        Raises StoreError where it cannot be opened, is no database, or was written by a newer
        version of this program.
        """
        return cls(Database(url))

    def close(self) -> None:
        """Let go of the database. Calling it again does nothing."""
        self._database.close()

    @property
    def engine(self) -> Engine:
        """The engine, for transactions of the caller's that `write` and `delete` join."""
        return self._database.engine

    @property
    def datastore_id(self) -> str:
        """What tells this database from every other."""
        return self._database.id

    def state(self) -> State:
        """Where the database stands; one query, cheap enough to poll."""
        with self._database.reading() as connection:
            return _state(connection)

    def write(
        self,
        updates: Sequence[Update],
        preconditions: Sequence[Precondition] = (),
        *,
        schema_revision: int,
        connection: Connection | None = None,
    ) -> int:
        """Apply all updates or none; return their revision, or the head where nothing changed.

        Raises InvalidArgumentError where two updates are of one relationship,
        RelationshipExistsError, PreconditionFailedError, and SchemaMovedError where
        `schema_revision` is not the newest schema's.
        """
        _refuse_repeated(updates)
        with self._database.writing(connection) as transaction:
            connection = transaction.connection
            revision = _start_revision(connection, preconditions, schema_revision)
            if _apply(connection, updates, revision):
                return revision
            transaction.rollback()
            return revision - 1

    def delete(
        self,
        filter: RelationshipFilter,  # noqa: A002  the word of the published interface
        preconditions: Sequence[Precondition] = (),
        *,
        limit: int | None,
        schema_revision: int,
        connection: Connection | None = None,
    ) -> DeleteOutcome:
        """Delete the live relationships that match, at most `limit` of them, in no certain order.

        Raises InvalidArgumentError, PreconditionFailedError and SchemaMovedError.
        """
        _refuse_limit(limit)
        chosen = select(_row.id).where(LIVE, matching(filter))
        with self._database.writing(connection) as transaction:
            connection = transaction.connection
            revision = _start_revision(connection, preconditions, schema_revision)
            within = update(relationships).where(_row.id.in_(chosen.limit(limit)))
            deleted = connection.execute(within.values(deleted_revision=revision)).rowcount
            if not deleted:
                transaction.rollback()
                return DeleteOutcome(revision - 1, 0, complete=True)
            complete = deleted != limit or not _exists(connection, chosen)
            return DeleteOutcome(revision, deleted, complete)

    def read(
        self,
        filter: RelationshipFilter | None,  # noqa: A002  the word of the published interface
        *,
        revision: int,
        after: int = 0,
        limit: int,
    ) -> list[StoredRelationship]:
        """Read relationships that were live at `revision`, in the order of their rows.

        At most `limit`, from the row after `after` on; no filter means all of them.
        """
        _refuse_limit(limit)
        statement = (
            select(_row.id, *FIELDS)
            .where(alive_at(revision), _row.id > after)
            .order_by(_row.id)
            .limit(limit)
        )
        if filter is not None:
            statement = statement.where(matching(filter, by_id=True))
        with self._database.reading() as connection:
            return [
                StoredRelationship(row, to_relationship(fields))
                for row, *fields in connection.execute(statement)
            ]

    def live(self) -> tuple[State, Iterator[Row]]:
        """Everything that is live, and the state that it belongs to: one consistent read.

        A row is (resource type, resource id, relation, subject type, subject id, subject
        relation), in no certain order. The iterator holds a connection until its end.
        """
        with translated():
            connection = self.engine.connect()
            try:
                state = _state(connection)
                # The driver's own rows: three times as fast as SQLAlchemy's, at this size.
                cursor = connection.connection.cursor()
                cursor.execute(str(_LIVE_ROWS.compile(self.engine)))
            except BaseException:
                connection.close()
                raise
        return state, _stream(connection, cursor)

    def changes(
        self, *, after: int, through: int | None = None, limit: int | None = None
    ) -> list[Change]:
        """What the revisions after `after`, up to and with `through`, did, in their order.

        Where there are more than `limit`, at least `limit` of them: enough to know, not to use.
        Within a revision what it removed comes before what it added.
        """
        # A row that one revision both created and deleted was never live.
        lived = or_(LIVE, _row.deleted_revision != _row.created_revision)
        removed = select(_row.deleted_revision, *FIELDS).where(_row.deleted_revision > after)
        added = select(_row.created_revision, *FIELDS).where(_row.created_revision > after)
        if through is not None:
            removed = removed.where(_row.deleted_revision <= through)
            added = added.where(_row.created_revision <= through)
        with self._database.reading() as connection:
            changes = [
                Change(revision, is_addition, to_relationship(fields))
                for is_addition, statement in ((False, removed), (True, added))
                for revision, *fields in connection.execute(
                    statement.where(lived).order_by(_row.id).limit(limit)
                )
            ]
        return sorted(changes, key=lambda change: change.revision)  # stable: removals stay first

    def subjects_at(self, kind: Kind, resource_id: str, revision: int) -> list[str]:
        """The ids of a resource's subjects of one kind at a revision."""
        statement = select(_row.subject_id).where(
            of_kind(kind), _row.resource_id == resource_id, alive_at(revision)
        )
        with self._database.reading() as connection:
            return list(connection.execute(statement).scalars())

    def resources_at(self, kind: Kind, subject_id: str, revision: int) -> list[str]:
        """The ids of the resources that a subject has by one kind at a revision."""
        statement = select(_row.resource_id).where(
            of_kind(kind), _row.subject_id == subject_id, alive_at(revision)
        )
        with self._database.reading() as connection:
            return list(connection.execute(statement).scalars())

    def write_schema(self, text: str, *, replaces: int, removed: Sequence[Kind]) -> int:
        """Store a schema; return its revision, or the newest one's where the text is the same.

        `replaces` is the schema revision that `removed`, the kinds of relationships that are no
        longer allowed, was worked out against. Raises SchemaMovedError where it is not the
        newest, and SchemaStrandsError where a relationship of a removed kind is live.
        """
        with self._database.writing() as transaction:
            connection = transaction.connection
            current = _schema(connection, None)
            if current is not None and current.text == text:
                return current.revision
            _refuse_moved(connection, replaces)
            for kind in removed:
                _refuse_stranded(connection, kind)
            revision = _add_revision(connection)
            connection.execute(schemas.insert().values(revision=revision, text=text))
            return revision

    def schema(self, revision: int | None = None) -> StoredSchema | None:
        """The schema in force at a revision, or the newest; None where there was none."""
        with self._database.reading() as connection:
            return _schema(connection, revision)

    def add_key(self, key: StoredKey) -> None:
        """Store an API key."""
        values = {**msgspec.structs.asdict(key), "scopes": " ".join(key.scopes)}
        with self._database.writing() as transaction:
            transaction.connection.execute(api_keys.insert().values(values))
            _count_keys_change(transaction.connection)

    def keys(self) -> list[StoredKey]:
        """Every API key, revoked ones too, oldest first."""
        columns = [api_keys.c[name] for name in StoredKey.__struct_fields__]
        statement = select(*columns).order_by(api_keys.c.created_at, api_keys.c.id)
        with self._database.reading() as connection:
            return [
                StoredKey(id_, name, digest, tuple(scopes.split()), created_at, revoked_at)
                for id_, name, digest, scopes, created_at, revoked_at in connection.execute(
                    statement
                )
            ]

    def revoke_key(self, id: str) -> bool:  # noqa: A002  the word of the published interface
        """Revoke an API key; return whether there was one to revoke."""
        active = api_keys.update().where(api_keys.c.id == id, api_keys.c.revoked_at.is_(None))
        with self._database.writing() as transaction:
            revoked = transaction.connection.execute(active.values(revoked_at=datetime.now(UTC)))
            if revoked.rowcount:
                _count_keys_change(transaction.connection)
            return revoked.rowcount > 0

    def add_signing_key(self, key: StoredSigningKey) -> None:
        """Store a key that signs tokens."""
        with self._database.writing() as transaction:
            values = msgspec.structs.asdict(key)
            transaction.connection.execute(signing_keys.insert().values(values))

    def signing_keys(self) -> list[StoredSigningKey]:
        """Every key that signs tokens, oldest first."""
        columns = [signing_keys.c[name] for name in StoredSigningKey.__struct_fields__]
        statement = select(*columns).order_by(signing_keys.c.created_at, signing_keys.c.kid)
        with self._database.reading() as connection:
            return [StoredSigningKey(*row) for row in connection.execute(statement)]

    def setting(self, name: str) -> str | None:
        """The value of a setting; None where it was never set."""
        statement = select(settings.c.value).where(settings.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(statement).scalar()

    def set_setting(self, name: str, value: str) -> None:
        """Set a setting."""
        with self._database.writing() as transaction:
            _set(transaction.connection, name, value)


def _state(connection: Connection) -> State:
    head, schema_revision, keys_version = connection.execute(_STATE).one()
    return State(head, schema_revision, int(keys_version))


def _start_revision(
    connection: Connection, preconditions: Sequence[Precondition], schema_revision: int
) -> int:
    """Check what a write depends on; make its revision."""
    _refuse_moved(connection, schema_revision)
    for index, precondition in enumerate(preconditions):
        _refuse_unmet(connection, precondition, f"preconditions[{index}]")
    return _add_revision(connection)


def _add_revision(connection: Connection) -> int:
    revision: int = connection.execute(_HEAD).scalar_one() + 1
    connection.execute(revisions.insert().values(revision=revision, created_at=datetime.now(UTC)))
    return revision


def _apply(connection: Connection, updates: Sequence[Update], revision: int) -> bool:
    """Apply updates of different relationships; return whether anything changed."""
    rows: dict[Operation, list[dict[str, str]]] = {operation: [] for operation in Operation}
    for item in updates:
        rows[item.operation].append(to_row(item.relationship))
    created = _add(connection, rows[Operation.CREATE], revision)
    if created < len(rows[Operation.CREATE]):
        raise _already_there(connection, updates, revision)
    touched = _add(connection, rows[Operation.TOUCH], revision)
    deleted = _remove(connection, rows[Operation.DELETE], revision)
    return created + touched + deleted > 0


def _add(connection: Connection, rows: list[dict[str, str]], revision: int) -> int:
    if not rows:
        return 0
    parameters = [{**row, "created_revision": revision} for row in rows]
    return connection.execute(_ADD, parameters).rowcount


def _remove(connection: Connection, rows: list[dict[str, str]], revision: int) -> int:
    if not rows:
        return 0
    parameters = [{**_this(row), "revision": revision} for row in rows]
    return connection.execute(_REMOVE, parameters).rowcount


def _this(row: dict[str, str]) -> dict[str, str]:
    return {f"this_{name}": value for name, value in row.items()}


def _already_there(
    connection: Connection, updates: Sequence[Update], revision: int
) -> RelationshipExistsError:
    """The error for the first `create` whose relationship an earlier revision created."""
    for index, item in enumerate(updates):
        if item.operation is Operation.CREATE:
            this = _this(to_row(item.relationship))
            if connection.execute(_CREATED_REVISION, this).scalar_one() != revision:
                return RelationshipExistsError(
                    f"`{item.relationship}` exists already; touch it to have it either way",
                    field=f"updates[{index}]",
                )
    raise AssertionError("the database skipped a row that was not there")


def _exists(connection: Connection, statement: Select[int]) -> bool:
    return connection.execute(statement.limit(1)).first() is not None


def _refuse_repeated(updates: Sequence[Update]) -> None:
    seen: set[Relationship] = set()
    for index, item in enumerate(updates):
        if item.relationship in seen:
            raise InvalidArgumentError(
                f"`{item.relationship}` is in the write twice; give it one update",
                field=f"updates[{index}]",
            )
        seen.add(item.relationship)


def _refuse_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InvalidArgumentError(f"the limit `{limit}` is below 1", field="limit")


def _refuse_moved(connection: Connection, expected: int) -> None:
    current = connection.execute(_SCHEMA_REVISION).scalar_one()
    if current != expected:
        raise SchemaMovedError(
            f"the schema was changed meanwhile, by revision `{current}`; "
            "try again against the new one"
        )


def _refuse_unmet(connection: Connection, precondition: Precondition, field: str) -> None:
    try:
        statement = select(_row.id).where(LIVE, matching(precondition.filter))
    except InvalidArgumentError as error:
        raise error.within(field) from None
    found = _exists(connection, statement)
    if found != (precondition.operation == "must_match"):
        what = "a relationship matches" if found else "no relationship matches"
        raise PreconditionFailedError(f"{what} `{precondition.filter}`", field=field)


def _refuse_stranded(connection: Connection, kind: Kind) -> None:
    row = connection.execute(_LIVE_ROWS.where(of_kind(kind)).limit(1)).first()
    if row is not None:
        relationship = str(to_relationship(row))
        raise SchemaStrandsError(
            f"`{relationship}` is stored, and the new schema does not allow `{kind}`; "
            "delete such relationships first, or keep allowing them",
            relationship=relationship,
        )


def _schema(connection: Connection, revision: int | None) -> StoredSchema | None:
    statement = select(schemas.c.revision, schemas.c.text).order_by(schemas.c.revision.desc())
    if revision is not None:
        statement = statement.where(schemas.c.revision <= revision)
    row = connection.execute(statement.limit(1)).first()
    return None if row is None else StoredSchema(*row)


def _count_keys_change(connection: Connection) -> None:
    version = int(connection.execute(_KEYS_VERSION).scalar_one())
    _set(connection, "keys_version", str(version + 1))


def _set(connection: Connection, name: str, value: str) -> None:
    changed = connection.execute(
        settings.update().where(settings.c.name == name).values(value=value)
    )
    if not changed.rowcount:
        connection.execute(settings.insert().values(name=name, value=value))


def _stream(connection: Connection, cursor: DBAPICursor) -> Iterator[Row]:
    with translated(), connection:
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield from rows
