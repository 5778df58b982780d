"""Several threads and several processes on one database."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from relata.errors import RelationshipExistsError
from relata.relationships import RelationshipFilter, create, touch
from relata.store import SchemaMovedError, Store
from tests.store.suite.base import Base, live, put, rel, replayed

T = TypeVar("T")

THREADS = 8
WRITES = 20

WRITER = """
import sys
from relata.relationships import create
from relata.store import Store

url, name, count = sys.argv[1:]
store = Store.open(url)
print(store.datastore_id, flush=True)
sys.stdin.readline()
for number in range(int(count)):
    update = create(f"document:{name}-{number}#viewer@user:anne")
    print(store.write([update], schema_revision=0), flush=True)
store.close()
"""


class ConcurrencySuite(Base):
    def test_threads_write_gapless_revisions_and_lose_nothing(self, store: Store) -> None:
        """Each write's relationship is in the change feed under the revision it was told."""

        def work(name: int) -> dict[int, str]:
            texts = [f"document:{name}-{number}#viewer@user:anne" for number in range(WRITES)]
            return {store.write([create(text)], schema_revision=0): text for text in texts}

        told = in_threads(work)
        assert all(list(part) == sorted(part) for part in told)
        everything = {revision: text for part in told for revision, text in part.items()}
        assert sorted(everything) == list(range(1, THREADS * WRITES + 1))
        assert {it.revision: str(it.relationship) for it in store.changes(after=0)} == everything
        assert live(store) == {rel(text) for text in everything.values()}

    def test_one_of_the_threads_that_create_the_same_wins(self, store: Store) -> None:
        def work(_: int) -> bool:
            try:
                store.write([create("document:a#viewer@user:anne")], schema_revision=0)
            except RelationshipExistsError:
                return False
            return True

        assert sorted(in_threads(work)) == [False] * (THREADS - 1) + [True]
        assert store.state().head == 1

    def test_one_of_the_threads_that_replace_a_schema_wins(self, store: Store) -> None:
        def work(name: int) -> bool:
            try:
                store.write_schema(f"schema {name}", replaces=0, removed=[])
            except SchemaMovedError:
                return False
            return True

        assert sorted(in_threads(work)) == [False] * (THREADS - 1) + [True]
        assert store.state().schema_revision == 1

    def test_who_sees_a_revision_has_seen_all_before_it(self, store: Store) -> None:
        """A follower takes what is new, over and over, while others write and delete."""
        writing = threading.Event()
        writing.set()

        def follow() -> list[int]:
            seen = 0
            feed = []
            while True:
                last_round = not writing.is_set()
                head = store.state().head
                changes = store.changes(after=seen, through=head)
                assert {it.revision for it in changes} == set(range(seen + 1, head + 1))
                feed.extend(changes)
                seen = head
                if last_round:
                    assert replayed(feed) == live(store)
                    return sorted({it.revision for it in feed})

        def write(name: int) -> None:
            for number in range(WRITES):
                put(store, f"document:{name}-{number}#viewer@user:anne")
                if number % 4 == 3:
                    mine = RelationshipFilter(resource_id_prefix=f"{name}-")
                    store.delete(mine, limit=2, schema_revision=0)

        with ThreadPoolExecutor(1) as pool:
            follower = pool.submit(follow)
            in_threads(write, threads=4)
            writing.clear()
            assert follower.result() == list(range(1, 4 * (WRITES + WRITES // 4) + 1))

    def test_a_snapshot_is_one_state_while_others_write(self, store: Store) -> None:
        """Every write moves one relationship, so each snapshot has exactly one."""
        put(store, "document:0#viewer@user:anne")
        done = threading.Event()

        def move() -> None:
            for number in range(60):
                with store.engine.begin() as connection:
                    everything = RelationshipFilter(resource_type="document")
                    store.delete(everything, limit=None, schema_revision=0, connection=connection)
                    update = touch(f"document:{number + 1}#viewer@user:anne")
                    store.write([update], schema_revision=0, connection=connection)
            done.set()

        with ThreadPoolExecutor(1) as pool:
            mover = pool.submit(move)
            while not done.is_set() and not mover.done():
                state, rows = store.live()
                ((_, resource_id, *_),) = rows
                assert state.head == 1 + 2 * int(resource_id)
            mover.result()

    def test_two_processes_write_gapless_revisions(self, store: Store, url: str) -> None:
        command = [sys.executable, "-c", WRITER, url]
        writers = [
            subprocess.Popen(
                [*command, name, "40"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for name in ("left", "right")
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline().strip() == store.datastore_id
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        told = [[int(line) for line in writer.communicate()[0].split()] for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0]
        assert all(part == sorted(part) and len(part) == 40 for part in told)
        assert sorted(told[0] + told[1]) == list(range(1, 81))
        assert len(live(store)) == 80
        assert store.state().head == 80


def in_threads(work: Callable[[int], T], threads: int = THREADS) -> list[T]:
    """Do the work in threads that start together."""
    together = threading.Barrier(threads)

    def start(name: int) -> T:
        together.wait()
        return work(name)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(start, range(threads)))
