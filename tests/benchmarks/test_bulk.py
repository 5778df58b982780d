"""A database that is written in bulk is the workload's, as another way would have written it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from benchmarks.bulk import AT_SCALE_1, StoredWalk, database_of, size_of
from benchmarks.growth import sizes
from benchmarks.loaded import open_loaded
from sqlalchemy import create_engine, inspect

from benchmarks import workload
from relata.authorizer import Relata

COUNT = 4_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database_of(COUNT, tmp_path_factory.mktemp("bulk"))


@pytest.fixture
def walk(path: Path) -> Iterator[StoredWalk]:
    with closing(StoredWalk(path)) as opened:
        yield opened


def test_the_relationships_are_those_of_the_workload(path: Path, walk: StoredWalk) -> None:
    """All of them, in any order, and about as many as were asked for."""
    made = workload.generate(COUNT / AT_SCALE_1, questions=0).relationships
    with Relata.open(f"sqlite:///{path}") as relata:
        stored = {str(item) for item in relata.read().relationships}
    assert stored == set(made)
    assert walk.count() == len(made)
    assert 0.95 < len(made) / COUNT < 1.05


def test_the_indexes_are_those_of_any_database(path: Path, tmp_path: Path) -> None:
    """Dropped for the writing, they are all back."""
    other = tmp_path / "other.db"
    open_loaded(other, workload.SCHEMA, ()).close()
    assert _indexes(path) == _indexes(other)


def test_a_walk_of_the_database_is_the_walk_of_the_relationships(walk: StoredWalk) -> None:
    """It draws the same questions."""
    made = workload.Walk(workload.generate(COUNT / AT_SCALE_1, questions=0).relationships)
    size = size_of(COUNT)
    assert workload.draw(walk, size, Random(5), 40) == workload.draw(made, size, Random(5), 40)


def test_a_database_that_is_there_is_used_again(path: Path) -> None:
    """It is not written anew; half a one is never there."""
    before = path.stat().st_mtime_ns
    assert database_of(COUNT, path.parent) == path
    assert path.stat().st_mtime_ns == before
    assert not list(path.parent.glob("*.part*"))


def test_a_series_goes_up_in_powers_of_ten() -> None:
    """To the largest, which may be a small one."""
    assert sizes(10_000_000) == [10_000, 100_000, 1_000_000, 10_000_000]
    assert sizes(1_000_000)[-1] == 1_000_000
    assert sizes(4_000) == [4_000]


def _indexes(path: Path) -> set[tuple[object, ...]]:
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine).get_indexes("relata_relationships")
    engine.dispose()
    return {(item["name"], tuple(item["column_names"]), item["unique"]) for item in found}
