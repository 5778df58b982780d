"""The world, and its authorizer as a key of `acme` has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relata.authorizer import Relata
from relata.bounds import Bounded
from tests.bounds.world import RELATIONSHIPS, SCHEMA


@pytest.fixture
def relata() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None) as relata:
        relata.write(RELATIONSHIPS)
        yield relata


@pytest.fixture
def acme(relata: Relata) -> Bounded:
    return Bounded(relata, "acme", since=lambda: 0)
