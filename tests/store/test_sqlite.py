"""The store on SQLite: the whole suite, and what only a file can do."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from relata.errors import StoreError, WriteConflictError
from relata.relationships import Kind, RelationshipFilter, delete, touch
from relata.store import State, Store, StoredSchema
from relata.store.tables import VERSION_TABLE, metadata
from tests.store.store_suite import StoreSuite
from tests.store.suite.base import live, put, rel, stored
from tests.store.suite.concurrency import in_threads

A = "document:a#viewer@user:anne"
B = "document:b#viewer@user:anne"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relata.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store.open(f"sqlite:///{path}")) as store:
        yield store


class TestSqlite(StoreSuite):
    @pytest.fixture
    def url(self, path: Path) -> str:
        return f"sqlite:///{path}"

    @pytest.fixture
    def other_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'other.db'}"


class TestOpening:
    def test_a_database_is_there_after_reopening(self, path: Path) -> None:
        with closing(Store.open(f"sqlite:///{path}")) as store:
            put(store, A)
            id_ = store.datastore_id
        with closing(Store.open(f"sqlite:///{path}")) as store:
            assert stored(store) == [A]
            assert store.datastore_id == id_
            assert put(store, B) == 2

    def test_an_acknowledged_write_is_on_the_disk(self, store: Store) -> None:
        with store.engine.connect() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 5000,
        }

    def test_others_cannot_read_the_file(self, path: Path, store: Store) -> None:
        put(store, A)
        files = sorted(path.parent.iterdir())
        assert [it.name for it in files] == ["relata.db", "relata.db-shm", "relata.db-wal"]
        assert {stat.S_IMODE(it.stat().st_mode) for it in files} == {0o600}

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+pysqlite://"])
    def test_a_private_database_is_nobody_elses_and_is_removed(self, url: str) -> None:
        store, other = Store.open(url), Store.open(url)
        put(store, A)
        assert stored(other) == []
        assert store.datastore_id != other.datastore_id
        file = Path(str(store.engine.url.database))
        assert file.exists()
        store.close()
        store.close()
        assert not file.parent.exists()
        assert Path(str(other.engine.url.database)).exists()
        other.close()

    def test_threads_share_a_private_database(self) -> None:
        with closing(Store.open("sqlite://")) as store:
            in_threads(lambda name: put(store, f"document:{name}#viewer@user:anne"))
            assert len(stored(store)) == 8

    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"unable to open.*check that its directory exists"):
            Store.open(f"sqlite:///{tmp_path}/missing/relata.db")

    def test_a_file_that_is_no_database(self, path: Path) -> None:
        path.write_text("This is a letter, and a long one at that. " * 100)
        with pytest.raises(StoreError, match=r"not a database; .* choose another path") as caught:
            Store.open(f"sqlite:///{path}")
        assert f"`{path}`" in caught.value.message
        assert path.read_text().startswith("This is a letter")

    def test_a_new_file_that_may_not_be_written(self, path: Path) -> None:
        path.touch()
        with pytest.raises(StoreError, match="readonly database; let this process write"):
            Store.open(f"sqlite:///file:{path}?mode=ro&uri=true")

    def test_a_read_only_database_can_be_read(self, path: Path, store: Store) -> None:
        put(store, A)
        with closing(Store.open(f"sqlite:///file:{path}?mode=ro&uri=true")) as reader:
            assert stored(reader) == [A]
            with pytest.raises(StoreError, match="readonly database; let this process write"):
                put(reader, B)

    def test_an_unknown_kind_of_database(self) -> None:
        with pytest.raises(StoreError, match="`oracle` is not a database that relata can use"):
            Store.open("oracle://scott:tiger@localhost/x")

    def test_a_timeout_that_is_no_number(self, path: Path) -> None:
        with pytest.raises(StoreError, match=r"`timeout` .* is not a number of seconds"):
            Store.open(f"sqlite:///{path}?timeout=soon")

    def test_a_malformed_url_is_not_repeated(self) -> None:
        """It may hold a password."""
        with pytest.raises(StoreError, match="malformed") as caught:
            Store.open("anne:secret@relata.db")
        assert "secret" not in caught.value.message

    def test_a_database_of_a_newer_version_is_refused_and_left_alone(
        self, path: Path, store: Store
    ) -> None:
        put(store, A)
        with store.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        with pytest.raises(StoreError, match=r"`9999`.*upgrade relata"):
            Store.open(f"sqlite:///{path}")
        assert stored(store) == [A]

    def test_the_migrations_make_the_tables(self, store: Store) -> None:
        with store.engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "version_table": VERSION_TABLE,
                    "compare_type": True,
                    "compare_server_default": True,
                },
            )
            assert compare_metadata(context, metadata) == []

    def test_a_database_of_the_first_version_keeps_everything(self, path: Path) -> None:
        """Its relationships have neither caveats nor expirations, and take them from then on."""
        engine = sqlalchemy.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", "relata.store:migrations")
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            for statement in FIRST_VERSION:
                connection.exec_driver_sql(statement)
        engine.dispose()
        with closing(sqlite3.connect(path)) as before:
            (id_,) = before.execute(
                "SELECT value FROM relata_settings WHERE name = 'datastore_id'"
            ).fetchone()
        with closing(Store.open(f"sqlite:///{path}")) as store:
            assert store.datastore_id == id_
            assert store.state() == State(head=3, schema_revision=1, keys_version=0)
            assert [stored(store, revision) for revision in range(4)] == [[], [], [A, B], [B]]
            assert store.schema() == StoredSchema(1, "one")
            assert live(store) == {rel(B)}
            assert store.subjects_at(Kind("document", "viewer", "user"), "b", 3) == [
                ("anne", "", None)
            ]
            expiring = f"{B}[expiration:2130-01-01T00:00:00Z]"
            assert put(store, A, B) == put(store, expiring) - 1 == 4
            assert stored(store) == [A, expiring]

    def test_the_indexes_are_over_the_rows_they_are_meant_for(self, path: Path) -> None:
        """What autogeneration does not compare: the conditions of partial indexes."""
        with closing(Store.open(f"sqlite:///{path}")), closing(sqlite3.connect(path)) as migrated:
            other = sqlalchemy.create_engine("sqlite://")
            metadata.create_all(other)
            with other.connect() as connection:
                created = connection.exec_driver_sql(INDEXES).fetchall()
            other.dispose()
            assert migrated.execute(INDEXES).fetchall() == [tuple(row) for row in created]

    def test_the_tables_of_an_application_stay(self, path: Path) -> None:
        """Also tables with names that a store, or its migrations, might want."""
        theirs = ("alembic_version", "relationships", "settings")
        with closing(sqlite3.connect(path)) as application:
            for name in theirs:
                application.execute(f"CREATE TABLE {name} (anything TEXT)")
                application.execute(f"INSERT INTO {name} VALUES ('theirs')")
            application.commit()
            with closing(Store.open(f"sqlite:///{path}")) as store:
                put(store, A)
                assert stored(store) == [A]
            for name in theirs:
                assert application.execute(f"SELECT * FROM {name}").fetchall() == [("theirs",)]

    def test_threads_open_a_new_database_at_once(self, path: Path) -> None:
        def work(_: int) -> str:
            with closing(Store.open(f"sqlite:///{path}")) as store:
                return store.datastore_id

        assert len(set(in_threads(work))) == 1

    def test_threads_open_different_new_databases_at_once(self, tmp_path: Path) -> None:
        """Alembic knows one migration at a time in a process."""

        def work(name: int) -> str:
            with closing(Store.open(f"sqlite:///{tmp_path}/{name}.db")) as store:
                put(store, A)
                return store.datastore_id

        assert len(set(in_threads(work))) == 8

    def test_processes_open_a_new_database_at_once(self, path: Path) -> None:
        openers = [
            subprocess.Popen(
                [sys.executable, "-c", OPENER, f"sqlite:///{path}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for opener in openers:
            assert opener.stdout is not None
            assert opener.stdout.readline() == "ready\n"
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write("go\n")
            opener.stdin.flush()
        ids = {opener.communicate()[0] for opener in openers}
        assert [opener.returncode for opener in openers] == [0] * 3
        with closing(Store.open(f"sqlite:///{path}")) as store:
            assert ids == {store.datastore_id}


class TestLocks:
    def test_a_writer_that_waits_in_vain_is_told_to_try_again(self, path: Path) -> None:
        with (
            closing(Store.open(f"sqlite:///{path}?timeout=0.1")) as store,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(WriteConflictError, match="locked by another writer; try again"):
                put(store, A)
            assert stored(store) == []
            other.execute("COMMIT")
            assert put(store, A) == 1

    def test_opening_waits_for_an_application_that_writes(self, path: Path) -> None:
        """Turning on the write-ahead log would otherwise fail at once."""
        url = f"sqlite:///{path}?timeout=0.2"
        with closing(sqlite3.connect(path, isolation_level=None)) as application:
            application.execute("CREATE TABLE orders (number INTEGER)")
            application.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with pytest.raises(WriteConflictError, match="locked by another writer"):
                Store.open(url)
            assert time.monotonic() - started >= 0.2
            application.execute("COMMIT")
            with closing(Store.open(url)) as store:
                assert put(store, A) == 1

    def test_a_joined_writer_that_waits_in_vain_keeps_its_transaction(self, path: Path) -> None:
        with (
            closing(Store.open(f"sqlite:///{path}?timeout=0.1")) as store,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
            store.engine.begin() as connection,
        ):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(WriteConflictError):
                store.write([touch(A)], schema_revision=0, connection=connection)
            other.execute("COMMIT")
            assert store.write([touch(A)], schema_revision=0, connection=connection) == 1

    def test_a_transaction_that_read_what_is_past_cannot_write(self, store: Store) -> None:
        """It would write on top of what it has not seen."""
        with store.engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM relata_settings").scalar()
            put(store, A)
            with pytest.raises(WriteConflictError):
                store.write([touch(B)], schema_revision=0, connection=connection)
            connection.rollback()
            assert store.write([touch(B)], schema_revision=0, connection=connection) == 2
            connection.commit()
        assert stored(store) == [A, B]

    def test_readers_do_not_wait_for_a_writer(self, path: Path, store: Store) -> None:
        put(store, A)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert stored(store) == [A]
            assert len(list(store.live()[1])) == 1


class TestCrashes:
    def test_an_acknowledged_write_survives_a_kill(self, path: Path) -> None:
        with killed_after_first_line(ACKNOWLEDGED, path) as line:
            assert line == "1\n"
        with closing(Store.open(f"sqlite:///{path}")) as store:
            assert stored(store) == [A]
            assert put(store, B) == 2

    def test_a_write_that_was_not_finished_leaves_nothing(self, path: Path) -> None:
        with closing(Store.open(f"sqlite:///{path}")) as store:
            put(store, B)
            with killed_after_first_line(UNFINISHED, path) as line:
                assert line == "2\n"
            assert stored(store) == [B]
            assert store.state().head == 1
            assert put(store, A) == 2

    def test_a_batch_that_was_not_finished_leaves_nothing(self, path: Path) -> None:
        """Neither its relationships nor its mark, and the batch before it stays with its own."""
        with closing(Store.open(f"sqlite:///{path}")) as store:
            with killed_after_first_line(UNFINISHED_BATCH, path) as line:
                assert line == "1\n"
            assert stored(store) == [A]
            assert store.state().head == 1
            with store.loading() as loader:
                assert loader.mark("x") == "one"


class TestPlans:
    """SQLite without statistics chooses the indexes that the tables were given."""

    @pytest.mark.parametrize(
        ("filter_", "index"),
        [
            (RelationshipFilter("document", "a", relation="viewer"), "resource"),
            (RelationshipFilter("document", "a"), "resource"),
            (RelationshipFilter("document", resource_id_prefix="a"), "resource"),
            (RelationshipFilter(subject_type="user", subject_id="anne"), "subject"),
            (
                RelationshipFilter(
                    "document", relation="viewer", subject_type="user", subject_id="anne"
                ),
                "subject",
            ),
        ],
    )
    def test_a_filter_that_names_an_object_is_read_by_its_index(
        self, store: Store, filter_: RelationshipFilter, index: str
    ) -> None:
        (plan,) = plans(store, lambda: store.read(filter_, revision=1, limit=10))
        assert f"INDEX relata_relationships_{index} " in plan

    @pytest.mark.parametrize(
        "filter_",
        [
            None,
            RelationshipFilter("document"),
            RelationshipFilter("document", relation="viewer"),
            RelationshipFilter(subject_type="user", subject_relation=""),
        ],
    )
    def test_pages_over_much_are_read_in_order(
        self, store: Store, filter_: RelationshipFilter | None
    ) -> None:
        """Sorting anew for each page would cost the square of the rows."""
        (plan,) = plans(store, lambda: store.read(filter_, revision=1, limit=10))
        assert plan == "SEARCH relata_relationships USING INTEGER PRIMARY KEY (rowid>?)"

    def test_neighbours_and_changes_are_read_by_their_indexes(self, store: Store) -> None:
        kind = Kind("document", "viewer", "user")
        (subjects,) = plans(store, lambda: store.subjects_at(kind, "a", 1))
        assert "INDEX relata_relationships_resource " in subjects
        (resources,) = plans(store, lambda: store.resources_at(kind, "anne", 1))
        assert "INDEX relata_relationships_subject " in resources
        removed, added = plans(store, lambda: store.changes(after=1, through=2))
        assert "INDEX relata_relationships_deleted " in removed
        assert "INDEX relata_relationships_created " in added

    def test_what_has_expired_is_found_by_its_index(self, store: Store) -> None:
        executed = plans(store, lambda: store.collect_expired(before=datetime.now(UTC), limit=10))
        (ending,) = (it for it in executed if "relata_relationships" in it)
        assert "INDEX relata_relationships_expires (expires_at<?)" in ending

    def test_an_update_finds_its_row_by_the_whole_relationship(self, store: Store) -> None:
        executed = plans(store, lambda: store.write([delete(A)], schema_revision=0))
        (update,) = (it for it in executed if "relata_relationships" in it)
        assert "INDEX relata_relationships_live " in update
        assert "subject_relation=?" in update

    def test_the_state_is_one_query_and_reads_no_table_through(self, store: Store) -> None:
        (plan,) = plans(store, store.state)
        assert "SCAN relata" not in plan


INDEXES = """
SELECT name, tbl_name, replace(replace(replace(sql, '"', ''), '\n', ' '), char(9), '')
FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name
"""

FIRST_VERSION = (
    "INSERT INTO relata_revisions (revision, created_at) VALUES "
    "(1, '2026-01-01 00:00:00'), (2, '2026-01-01 00:00:01'), (3, '2026-01-01 00:00:02')",
    "INSERT INTO relata_schemas (revision, text) VALUES (1, 'one')",
    "INSERT INTO relata_relationships (resource_type, resource_id, relation, subject_type, "
    "subject_id, subject_relation, created_revision, deleted_revision) VALUES "
    "('document', 'a', 'viewer', 'user', 'anne', '', 2, 3), "
    "('document', 'b', 'viewer', 'user', 'anne', '', 2, NULL)",
)

OPENER = """
import sys
from relata.store import State, Store, StoredSchema

print("ready", flush=True)
sys.stdin.readline()
store = Store.open(sys.argv[1])
print(store.datastore_id, end="")
store.close()
"""

ACKNOWLEDGED = f"""
import sys
from relata.relationships import create
from relata.store import State, Store, StoredSchema

store = Store.open(sys.argv[1])
print(store.write([create("{A}")], schema_revision=0), flush=True)
sys.stdin.readline()
"""

UNFINISHED = f"""
import sys
from relata.relationships import create, delete
from relata.store import State, Store, StoredSchema

store = Store.open(sys.argv[1])
with store.engine.begin() as connection:
    updates = [create("{A}"), delete("{B}")]
    print(store.write(updates, schema_revision=0, connection=connection), flush=True)
    sys.stdin.readline()
"""


UNFINISHED_BATCH = f"""
import sys
from relata.relationships import parse_relationship
from relata.store import Store, to_values

def rows(text):
    yield to_values(parse_relationship(text))
    if text == "{B}":
        print(store.state().head, flush=True)
        sys.stdin.readline()

store = Store.open(sys.argv[1])
with store.loading() as loader:
    loader.load(rows("{A}"), schema_revision=0, name="x", mark="one")
    loader.load(rows("{B}"), schema_revision=0, name="x", mark="two")
"""


@contextmanager
def killed_after_first_line(program: str, path: Path) -> Iterator[str]:
    """Run a program that waits after its first line, and kill it there (SIGKILL)."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, f"sqlite:///{path}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.kill()
    process.communicate()
    assert process.returncode == -9
    yield line


def plans(store: Store, work: Any) -> list[str]:
    """SQLite's plans for the statements that some work executes."""
    executed: list[tuple[str, Any]] = []

    def note(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "INSERT")):
            executed.append((statement, parameters))

    sqlalchemy.event.listen(store.engine, "before_cursor_execute", note)
    work()
    sqlalchemy.event.remove(store.engine, "before_cursor_execute", note)
    with store.engine.connect() as connection:
        return [
            "; ".join(
                row.detail
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            )
            for sql, parameters in executed
        ]
