"""A store on a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relata.store import Store
from tests.transfer.world import with_schema


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'relata.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(with_schema(url)) as store:
        yield store
