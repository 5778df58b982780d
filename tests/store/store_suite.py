"""The suite of the store: a database's tests subclass `StoreSuite` and say where the database is.

No test of it may be skipped for a database that Relata supports.
"""

from __future__ import annotations

from tests.store.suite.concurrency import ConcurrencySuite
from tests.store.suite.filters import FilterSuite
from tests.store.suite.issued import IssuedSuite
from tests.store.suite.joined import JoinedSuite
from tests.store.suite.keys import KeySuite
from tests.store.suite.loading import LoadingSuite
from tests.store.suite.reads import ReadSuite
from tests.store.suite.schemas import SchemaSuite
from tests.store.suite.traits import TraitSuite
from tests.store.suite.writes import WriteSuite


class StoreSuite(
    WriteSuite,
    FilterSuite,
    ReadSuite,
    TraitSuite,
    LoadingSuite,
    SchemaSuite,
    KeySuite,
    IssuedSuite,
    JoinedSuite,
    ConcurrencySuite,
):
    """Everything that a store promises, whatever database is under it."""
