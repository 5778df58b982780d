"""A database: opened, brought to the newest version, with transactions that keep their promises.

SQLite is set up so that an acknowledged write survives a power cut (WAL, `synchronous=FULL`), so
that a reading transaction is one snapshot (`BEGIN` before its first statement, which Python's
driver would leave out) and so that a writing transaction holds the write lock from its start
(`BEGIN IMMEDIATE`): commit order is then the order in which revisions are numbered. Whoever finds
the database locked waits for `BUSY_SECONDS`, or for the `timeout` of the URL
(`sqlite:///relata.db?timeout=1`).

Errors of the driver leave this module as StoreError or WriteConflictError, without the values
that the statement carried. Which tables there are is the business of `tables` and `migrations`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Transaction, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from relata.errors import RelataError, StoreError, WriteConflictError
from relata.store.tables import VERSION_TABLE, settings

BUSY_SECONDS = 5.0

_LOADING = {
    "cache_size": -64_000,  # 64 MB
    "wal_autocheckpoint": 20_000,  # pages: 80 MB
    "foreign_keys": 0,  # a batch makes the one revision that its rows name
}
_BEGIN = "relata_begin"
_MIGRATIONS = "relata.store:migrations"
# Alembic keeps the migration that it is running in a module, so one at a time in a process.
_MIGRATING = threading.Lock()

_PRIVATE = (None, "", ":memory:")
"""What URLs of private databases name."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ADVICE = {
    sqlite3.SQLITE_CANTOPEN: "check that its directory exists and that it may be written to",
    sqlite3.SQLITE_NOTADB: "the URL names a file of another kind; choose another path",
    sqlite3.SQLITE_READONLY: "let this process write to the file and to its directory",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup",
}


class Database:
    """An open database.

    A private one lives in a temporary directory, is removed when closed, and is not synced to
    disk, since nobody will look for it after a power cut.
    """

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if parsed.database in _PRIVATE:
            self._directory = tempfile.TemporaryDirectory(prefix="relata-")
            parsed = parsed.set(database=str(Path(self._directory.name, "relata.db")))
        _create_unreadable_to_others(parsed)
        self.engine = _engine(parsed, synchronous="OFF" if self._directory else "FULL")
        self._writer = _immediate(self.engine)
        try:
            with translated(f"the database `{parsed.database}`"):
                migrate(self.engine)
                with self.engine.connect() as connection:
                    self.id = _read_id(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of every connection; remove a private database."""
        self.engine.dispose()
        if self._directory is not None:
            self._directory.cleanup()

    def watch(self) -> Watch:
        """Give what tells whether others have committed; whoever takes it closes it."""
        return Watch(self.engine)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection whose statements all see one snapshot."""
        with translated(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, joined: Connection | None = None) -> Iterator[Transaction]:
        """Give a transaction that holds the write lock and commits at the end of the block.

        With `joined`, it is a savepoint in the transaction of that connection, which the caller
        commits or rolls back; an error takes back the savepoint alone. Raises StoreError where
        `joined` is a connection to another database.
        """
        with translated():
            if joined is None:
                with self._writer.connect() as connection, connection.begin() as transaction:
                    self._claim(connection)
                    yield transaction
            else:
                self._join(joined)
                with joined.begin_nested() as savepoint:
                    self._claim(joined)
                    yield savepoint

    @contextlib.contextmanager
    def loading(self) -> Iterator[Connection]:
        """Give a connection for large transactions, one after the other, each in a `batch`.

        A large batch changes pages all over the indexes. With a cache that holds them, and with
        the log copied into the database once it is large, a page is written once a batch and not
        a few times.
        """
        with (
            translated(),
            self._writer.connect() as connection,
            _roomy(connection.connection.dbapi_connection),
        ):
            yield connection

    @contextlib.contextmanager
    def batch(self, connection: Connection) -> Iterator[None]:
        """A transaction that holds the write lock, on a connection of `loading`."""
        with translated(), connection.begin():
            self._claim(connection)
            yield

    def _join(self, connection: Connection) -> None:
        """See to it that a transaction is open, so that a savepoint lies inside of it.

        SQLite makes a savepoint outside of a transaction a transaction of its own, and Python's
        driver opens none before INSERT, UPDATE or DELETE.
        """
        if connection.dialect.name != self.engine.dialect.name:
            raise _another_database()
        if not connection.in_transaction():
            connection.begin()
        driver = connection.connection.dbapi_connection
        if isinstance(driver, sqlite3.Connection) and not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _claim(self, connection: Connection) -> None:
        """Make sure of the database, and be its only writer until the transaction ends.

        It writes what is there already: a write, even of nothing, takes SQLite's lock, also in a
        transaction that began without it, and elsewhere the row's.
        """
        this = settings.c.name == "datastore_id", settings.c.value == self.id
        try:
            claimed = connection.execute(settings.update().where(*this).values(value=self.id))
        except DBAPIError as error:
            if _sqlite_code(error) == sqlite3.SQLITE_ERROR:  # there is no such table
                raise _another_database() from error
            raise
        if claimed.rowcount != 1:
            raise _another_database()


class Watch:
    """Tells whether others have committed since it was last asked. For one thread at a time.

    Of SQLite it asks for `data_version`, which is another number whenever another connection has
    committed, on a connection of its own: that takes microseconds, and holds no lock afterwards.
    Of what it does not know so well, it says that somebody may have.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._driver: sqlite3.Connection | None = None
        self._version: int | None = None

    def moved(self) -> bool:
        """Whether anybody may have committed since the last time; true the first time.

        Raises StoreError and WriteConflictError; it is then true the next time.
        """
        # Asked hundreds of times a second by a process that may have nothing else to do.
        try:
            if self._connection is None:
                self._connect()
            if self._driver is None:
                return True
            version: int = self._driver.execute("PRAGMA data_version").fetchone()[0]
        except (DBAPIError, sqlite3.Error) as error:
            self._let_go(broken=True)
            raise _translate(error, "the database") from error
        moved = version != self._version
        self._version = version
        return moved

    def close(self) -> None:
        """Let go of the connection. Asked again, it takes another."""
        self._let_go(broken=False)

    def _connect(self) -> None:
        self._connection = self._engine.raw_connection()
        self._connection.detach()  # it is not one of the pool's any more, whose number is limited
        driver: object = self._connection.dbapi_connection
        self._driver = driver if isinstance(driver, sqlite3.Connection) else None

    def _let_go(self, *, broken: bool) -> None:
        connection, self._connection = self._connection, None
        self._driver = self._version = None
        if connection is not None:
            if broken:
                connection.invalidate()
            connection.close()


def is_private(url: str) -> bool:
    """Whether a URL names a private database, which nobody else can open.

    Raises StoreError where it is malformed.
    """
    return _parse(url).database in _PRIVATE


@contextlib.contextmanager
def translated(what: str = "the database") -> Iterator[None]:
    """Turn the driver's errors into StoreError, and a lock held for too long by others into
    WriteConflictError.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _translate(error, what) from error


def migrate(engine: Engine) -> None:
    """Bring the database to the newest version.

    Raises StoreError where it is newer than this code. Of several processes that open a new
    database at once, one migrates it and the others wait.
    """
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    scripts = ScriptDirectory.from_config(config)
    with _MIGRATING:
        with engine.connect() as connection:
            if _version(connection, scripts) == scripts.get_current_head():
                return
        with _immediate(engine).begin() as connection:
            _version(connection, scripts)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _version(connection: Connection, scripts: ScriptDirectory) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    version = context.get_current_revision()
    if version is not None and version not in {it.revision for it in scripts.walk_revisions()}:
        raise StoreError(
            f"the database has the version `{version}`, which this version of relata does not "
            "know; upgrade relata"
        )
    return version


def _read_id(connection: Connection) -> str:
    statement = sqlalchemy.select(settings.c.value).where(settings.c.name == "datastore_id")
    id_: str = connection.execute(statement).scalar_one()
    return id_


def _parse(text: str) -> URL:
    # The URL is not repeated in the message: it may hold a password.
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreError(
            "the database's URL is malformed; write one like `sqlite:///relata.db`"
        ) from error
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(
            f"`{url.drivername}` is not a database that relata can use; "
            "write a URL like `sqlite:///relata.db`"
        )
    return url


def _create_unreadable_to_others(url: URL) -> None:
    """Create the file for its owner alone, because keys are kept in it.

    SQLite gives its companions (`-wal`, `-shm`) the same permissions. What goes wrong here goes
    wrong again, with a message, when SQLite opens the file.
    """
    if url.database and not url.database.startswith("file:"):
        with contextlib.suppress(OSError):
            os.close(os.open(url.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _engine(url: URL, *, synchronous: str) -> Engine:
    timeout = _timeout(url)
    # As many connections as threads ask for: waiting is for SQLite's lock, not for the pool.
    engine = sqlalchemy.create_engine(
        url, hide_parameters=True, max_overflow=-1, connect_args={"timeout": timeout}
    )
    event.listen(engine, "connect", partial(_set_up, synchronous, timeout))
    event.listen(engine, "begin", _begin)
    return engine


def _timeout(url: URL) -> float:
    try:
        return float(str(url.query.get("timeout", BUSY_SECONDS)))
    except ValueError as error:
        raise StoreError(
            "the `timeout` in the database's URL is not a number of seconds"
        ) from error


def _immediate(engine: Engine) -> Engine:
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def _set_up(
    synchronous: str,
    timeout: float,
    connection: sqlite3.Connection,
    entry: ConnectionPoolEntry,  # noqa: ARG001  SQLAlchemy passes it
) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
    _use_wal(connection, timeout)
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Turn on the write-ahead log; the file remembers it.

    SQLite's own waiting does not cover this statement, which fails at once while another process
    writes in the old way.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if _sqlite_code(error) not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextlib.contextmanager
def _roomy(connection: object) -> Iterator[None]:
    """Set up a connection to SQLite for large transactions, and then as it was."""
    if not isinstance(connection, sqlite3.Connection):
        yield
        return
    before = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _LOADING}
    try:
        _set_pragmas(connection, _LOADING)
        yield
    finally:
        _set_pragmas(connection, before)


def _set_pragmas(connection: sqlite3.Connection, values: Mapping[str, int]) -> None:
    for name, value in values.items():
        connection.execute(f"PRAGMA {name}={value}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _sqlite_code(error: BaseException) -> int | None:
    """The driver's primary result code; None where it gave none."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    code: int | None = getattr(origin, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _translate(error: DBAPIError | sqlite3.Error, what: str) -> RelataError:
    code = _sqlite_code(error)
    if code in _BUSY:
        return WriteConflictError(f"{what} is locked by another writer; try again")
    reason = error.orig if isinstance(error, DBAPIError) else error
    advice = _ADVICE.get(code) if code is not None else None
    return StoreError(f"{what} reports: {reason}" + (f"; {advice}" if advice else ""))


def _another_database() -> StoreError:
    return StoreError(
        "the connection is not to the database of this store; "
        "open both from the same URL, or use the store's own engine"
    )
