"""The store: relationships by revision, schemas, keys and settings, in one SQL database.

One write is one transaction is one revision. A revision is head + 1, taken while the write lock
is held, so revisions have no gaps and whoever sees one has seen all before it. A write that
changes nothing makes none. A deleted relationship's row stays, with the revision that deleted it;
so the store answers for any revision, and the changes between two of them are a query.

The store takes relationships as they are: whether the schema allows them is decided above it,
under the schema revision that each write names and that the write's own transaction checks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Select, func, or_, select, update
from sqlalchemy.engine.interfaces import DBAPICursor

from relata.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    SchemaStrandsError,
)
from relata.relationships import (
    Kind,
    Precondition,
    Relationship,
    RelationshipFilter,
    Update,
    to_microseconds,
)
from relata.slices import let_others_run
from relata.store.database import Database, Watch, translated
from relata.store.issued import IssuedTokens
from relata.store.loading import Loader
from relata.store.queries import (
    Values,
    alive_at,
    matching,
    of_kind,
    to_relationship,
    unexpired,
)
from relata.store.records import Records
from relata.store.replays import Replays
from relata.store.revisions import HEAD, SCHEMA_REVISION, add_revision, refuse_moved
from relata.store.tables import (
    FIELDS,
    LIVE,
    TRAITS,
    api_keys,
    relationships,
    schemas,
    settings,
    signing_keys,
)
from relata.store.values import (
    Change,
    DeleteOutcome,
    State,
    StoredKey,
    StoredRelationship,
    StoredSchema,
    StoredSigningKey,
)
from relata.store.writes import apply, refuse_repeated

Neighbour = tuple[str, str, int | None]
"""An object's id, and the stored context (or empty) and the expiration (or None) of the
relationship that leads to it."""

_row = relationships.c
_ROWS_AT_ONCE = 10_000

_KEYS_VERSION = select(settings.c.value).where(settings.c.name == "keys_version")
_STATE = select(
    HEAD.scalar_subquery(), SCHEMA_REVISION.scalar_subquery(), _KEYS_VERSION.scalar_subquery()
)
_LIVE_ROWS = select(*FIELDS, *TRAITS).where(LIVE)


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
        self.records = Records(database)
        self.issued = IssuedTokens(database)
        self.replays = Replays(database)

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
        """Where the database stands; one query."""
        with self._database.reading() as connection:
            return _state(connection)

    def watch(self) -> Watch:
        """Give what tells whether others have committed anything since it was last asked.

        It is far cheaper than `state`, and says less. Whoever takes it closes it.
        """
        return self._database.watch()

    def write(
        self,
        updates: Sequence[Update],
        preconditions: Sequence[Precondition] = (),
        *,
        schema_revision: int,
        connection: Connection | None = None,
        now: datetime | None = None,
    ) -> int:
        """Apply all updates or none; return their revision, or the head where nothing changed.

        A touched relationship that is there with the same caveat and expiration stays as it is;
        with others, the new ones take their place. One that has expired may be created again.

        Raises InvalidArgumentError where two updates are of one relationship,
        RelationshipExistsError, PreconditionFailedError, and SchemaMovedError where
        `schema_revision` is not the newest schema's.
        """
        refuse_repeated(updates)
        moment = _moment(now)
        with self._database.writing(connection) as transaction:
            connection = transaction.connection
            revision = _start_revision(connection, preconditions, schema_revision, moment)
            if apply(connection, updates, revision, moment):
                return revision
            transaction.rollback()
            return revision - 1

    @contextlib.contextmanager
    def loading(self) -> Iterator[Loader]:
        """Give what takes relationships in bulk, on a connection kept for it until the end."""
        with self._database.loading() as connection:
            yield Loader(self._database, connection)

    def delete(
        self,
        filter: RelationshipFilter,  # noqa: A002  the word of the published interface
        preconditions: Sequence[Precondition] = (),
        *,
        limit: int | None,
        schema_revision: int,
        connection: Connection | None = None,
        now: datetime | None = None,
    ) -> DeleteOutcome:
        """Delete the live relationships that match, at most `limit` of them, in no certain order.

        Raises InvalidArgumentError, PreconditionFailedError and SchemaMovedError.
        """
        _refuse_limit(limit)
        moment = _moment(now)
        chosen = select(_row.id).where(LIVE, unexpired(moment), matching(filter))
        with self._database.writing(connection) as transaction:
            connection = transaction.connection
            revision = _start_revision(connection, preconditions, schema_revision, moment)
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
        now: datetime | None = None,
    ) -> list[StoredRelationship]:
        """Read relationships that were live at `revision`, in the order of their rows.

        At most `limit`, from the row after `after` on; no filter means all of them.
        """
        _refuse_limit(limit)
        statement = (
            select(_row.id, *FIELDS, *TRAITS)
            .where(alive_at(revision), unexpired(_moment(now)), _row.id > after)
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

    def live(self) -> tuple[State, Iterator[Values]]:
        """Everything that is live, and the state that it belongs to: one consistent read.

        A row is (resource type, resource id, relation, subject type, subject id, subject
        relation, caveat's name or empty, its stored context or empty, expiration in microseconds
        since the epoch or None), in no certain order. What has expired is among them. The
        iterator holds a connection until its end.
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
        removed = select(_row.deleted_revision, *FIELDS, *TRAITS).where(
            _row.deleted_revision > after
        )
        added = select(_row.created_revision, *FIELDS, *TRAITS).where(_row.created_revision > after)
        if through is not None:
            removed = removed.where(_row.deleted_revision <= through)
            added = added.where(_row.created_revision <= through)
        with self._database.reading() as connection:
            changes = []
            for is_addition, statement in ((False, removed), (True, added)):
                rows = connection.execute(statement.where(lived).order_by(_row.id).limit(limit))
                for number, (revision, *fields) in enumerate(rows):
                    changes.append(Change(revision, is_addition, to_relationship(fields)))
                    let_others_run(number)
        return sorted(changes, key=lambda change: change.revision)  # stable: removals stay first

    def subjects_at(self, kind: Kind, resource_id: str, revision: int) -> list[Neighbour]:
        """A resource's subjects of one kind at a revision, those that have expired too."""
        of_resource = _row.resource_id == resource_id
        return self._neighbours(_row.subject_id, of_resource, kind, revision)

    def resources_at(self, kind: Kind, subject_id: str, revision: int) -> list[Neighbour]:
        """The resources that a subject has by one kind at a revision, also what has expired."""
        of_subject = _row.subject_id == subject_id
        return self._neighbours(_row.resource_id, of_subject, kind, revision)

    def _neighbours(
        self, id_: ColumnElement[str], near: ColumnElement[bool], kind: Kind, revision: int
    ) -> list[Neighbour]:
        statement = select(id_, _row.caveat_context, _row.expires_at).where(
            of_kind(kind), near, alive_at(revision)
        )
        with self._database.reading() as connection:
            return [(one, context, end) for one, context, end in connection.execute(statement)]

    def using(
        self, kinds: Iterable[Kind], *, now: datetime | None = None
    ) -> dict[Kind, Relationship]:
        """Those of the kinds that relationships are stored of, each with one of these."""
        moment = _moment(now)
        with self._database.reading() as connection:
            found = {kind: _one_of(connection, kind, moment) for kind in kinds}
        return {kind: one for kind, one in found.items() if one is not None}

    def contexts(self, caveat: str, *, now: datetime | None = None) -> Iterator[Relationship]:
        """One stored relationship for each context that is stored with a caveat.

        The iterator holds a connection until its end.
        """
        moment = _moment(now)
        with self._database.reading() as connection:
            yield from _contexts(connection, caveat, moment)

    def write_schema(
        self,
        text: str,
        *,
        replaces: int,
        removed: Iterable[Kind],
        rechecked: Mapping[str, Callable[[Relationship], str | None]] | None = None,
        now: datetime | None = None,
    ) -> int:
        """Store a schema; return its revision, or the newest one's where the text is the same.

        `replaces` is the schema revision that the rest was worked out against: `removed`, the
        kinds of relationships that are no longer allowed, and `rechecked`, which has for each
        caveat that takes other parameters than before a function that says what is wrong with a
        stored relationship's context, or None. It is asked once for each context.

        Raises SchemaMovedError where `replaces` is not the newest, and SchemaStrandsError where
        a relationship of a removed kind, or one with a context that no longer fits, is stored.
        """
        moment = _moment(now)
        with self._database.writing() as transaction:
            connection = transaction.connection
            current = _schema(connection, None)
            if current is not None and current.text == text:
                return current.revision
            refuse_moved(connection, replaces)
            for kind in removed:
                _refuse_stranded(connection, kind, moment)
            for caveat, fault in (rechecked or {}).items():
                _refuse_unfit(connection, caveat, fault, moment)
            revision = add_revision(connection)
            connection.execute(schemas.insert().values(revision=revision, text=text))
            return revision

    def collect_expired(self, *, before: datetime, limit: int) -> int:
        """End relationships that had expired by a moment, at most `limit`; return how many.

        They are gone for every question already; ending them makes a revision, by which those
        who keep them in memory let go of them too.
        """
        _refuse_limit(limit)
        expired = select(_row.id).where(LIVE, _row.expires_at <= to_microseconds(before))
        ending = update(relationships).where(_row.id.in_(expired.limit(limit)))
        with self._database.writing() as transaction:
            connection = transaction.connection
            revision = add_revision(connection)
            ended = connection.execute(ending.values(deleted_revision=revision)).rowcount
            if not ended:
                transaction.rollback()
            return ended

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
                StoredKey(id_, name, digest, tuple(scopes.split()), *rest)
                for id_, name, digest, scopes, *rest in connection.execute(statement)
            ]

    def revoke_key(self, id: str) -> bool:  # noqa: A002  the word of the published interface
        """Revoke an API key; return whether there was one to revoke."""
        return self._revoke_keys(api_keys.c.id == id) > 0

    def revoke_keys_of(self, organization: str) -> int:
        """Revoke the API keys that are bound to an organization; return how many."""
        return self._revoke_keys(api_keys.c.organization == organization)

    def _revoke_keys(self, which: ColumnElement[bool]) -> int:
        active = api_keys.update().where(which, api_keys.c.revoked_at.is_(None))
        with self._database.writing() as transaction:
            revoked = transaction.connection.execute(active.values(revoked_at=datetime.now(UTC)))
            if revoked.rowcount:
                _count_keys_change(transaction.connection)
            return revoked.rowcount

    def add_signing_key(self, key: StoredSigningKey) -> None:
        """Store a key that signs tokens."""
        with self._database.writing() as transaction:
            values = msgspec.structs.asdict(key)
            transaction.connection.execute(signing_keys.insert().values(values))

    def retire_signing_key(self, kid: str, at: datetime) -> None:
        """Note when a key that signs tokens does so for the last time."""
        this = signing_keys.update().where(signing_keys.c.kid == kid)
        with self._database.writing() as transaction:
            transaction.connection.execute(this.values(retired_at=at))

    def replace_signing_key(self, key: StoredSigningKey) -> None:
        """Store a key that signs tokens in another form."""
        this = signing_keys.update().where(signing_keys.c.kid == key.kid)
        with self._database.writing() as transaction:
            transaction.connection.execute(this.values(msgspec.structs.asdict(key)))

    def delete_signing_key(self, kid: str) -> None:
        """Forget a key that signs tokens."""
        with self._database.writing() as transaction:
            transaction.connection.execute(signing_keys.delete().where(signing_keys.c.kid == kid))

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

    def set_setting(self, name: str, value: str, *, renews_schema: bool = False) -> None:
        """Set a setting.

        With `renews_schema` the schema, if there is one, is written again as it is, in the same
        transaction: who follows it learns of the setting, and writes that do not know it are
        refused.
        """
        with self._database.writing() as transaction:
            connection = transaction.connection
            _set(connection, name, value)
            current = _schema(connection, None) if renews_schema else None
            if current is not None:
                revision = add_revision(connection)
                connection.execute(schemas.insert().values(revision=revision, text=current.text))


def _state(connection: Connection) -> State:
    head, schema_revision, keys_version = connection.execute(_STATE).one()
    return State(head, schema_revision, int(keys_version))


def _moment(now: datetime | None) -> int:
    """What decides which relationships have expired: a moment given, or the present one."""
    return to_microseconds(now or datetime.now(UTC))


def _start_revision(
    connection: Connection, preconditions: Sequence[Precondition], schema_revision: int, now: int
) -> int:
    """Check what a write depends on; make its revision."""
    refuse_moved(connection, schema_revision)
    for index, precondition in enumerate(preconditions):
        _refuse_unmet(connection, precondition, now, f"preconditions[{index}]")
    return add_revision(connection)


def _exists(connection: Connection, statement: Select[int]) -> bool:
    return connection.execute(statement.limit(1)).first() is not None


def _refuse_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InvalidArgumentError(f"the limit `{limit}` is below 1", field="limit")


def _refuse_unmet(connection: Connection, precondition: Precondition, now: int, field: str) -> None:
    try:
        statement = select(_row.id).where(LIVE, unexpired(now), matching(precondition.filter))
    except InvalidArgumentError as error:
        raise error.within(field) from None
    found = _exists(connection, statement)
    if found != (precondition.operation == "must_match"):
        what = "a relationship matches" if found else "no relationship matches"
        raise PreconditionFailedError(f"{what} `{precondition.filter}`", field=field)


def _refuse_stranded(connection: Connection, kind: Kind, now: int) -> None:
    stranded = _one_of(connection, kind, now)
    if stranded is not None:
        relationship = str(stranded)
        raise SchemaStrandsError(
            f"`{relationship}` is stored, and the new schema does not allow `{kind}`; "
            "delete such relationships first, or keep allowing them",
            relationship=relationship,
        )


def _refuse_unfit(
    connection: Connection,
    caveat: str,
    fault: Callable[[Relationship], str | None],
    now: int,
) -> None:
    for stored in _contexts(connection, caveat, now):
        complaint = fault(stored)
        if complaint is not None:
            relationship = str(stored)
            raise SchemaStrandsError(
                f"`{relationship}` is stored, and does not fit the new caveat `{caveat}`: "
                f"{complaint}; write such relationships anew or delete them first",
                relationship=relationship,
            )


def _one_of(connection: Connection, kind: Kind, now: int) -> Relationship | None:
    row = connection.execute(_LIVE_ROWS.where(of_kind(kind), unexpired(now)).limit(1)).first()
    return None if row is None else to_relationship(row)


def _contexts(connection: Connection, caveat: str, now: int) -> Iterator[Relationship]:
    chosen = (
        select(func.min(_row.id))
        .where(LIVE, unexpired(now), _row.caveat_name == caveat)
        .group_by(_row.caveat_context)
    )
    with connection.execute(_LIVE_ROWS.where(_row.id.in_(chosen))) as result:
        yield from map(to_relationship, result)


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


def _stream(connection: Connection, cursor: DBAPICursor) -> Iterator[Values]:
    with translated(), connection:
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield from rows
