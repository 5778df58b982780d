"""The engine that is compared with, and the count of what was compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.spicedb import driver
from tests.spicedb.driver import SpiceDB
from tests.spicedb.relata_answers import RelataAnswers

_COUNTS = "spicedb_counts"


@pytest.fixture(scope="session")
def spicedb() -> Iterator[SpiceDB]:
    """The real engine; a reason to skip where it is not installed."""
    yield from _started(driver.SECONDS)


@pytest.fixture(scope="session")
def impatient_spicedb() -> Iterator[SpiceDB]:
    """The real engine for questions that can hang it."""
    yield from _started(seconds=4)


def _started(seconds: float) -> Iterator[SpiceDB]:
    reason = driver.absent()
    if reason is not None:
        pytest.skip(reason)
    engine = SpiceDB(seconds)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def relata() -> Iterator[RelataAnswers]:
    """Relata, which is compared."""
    answers = RelataAnswers()
    yield answers
    answers.close()


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Counter[str]]:
    """Counts of one test, which stand in the summary at the end."""
    counts: Counter[str] = Counter()
    yield counts
    record_property(_COUNTS, dict(counts))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was compared and what was not, test by test."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = dict(getattr(report, "user_properties", ()))
            if getattr(report, "when", "") == "teardown" and _COUNTS in properties:
                counts: Counter[str] = Counter(properties[_COUNTS])
                said = ", ".join(f"{number:,} {what}" for what, number in counts.most_common())
                terminalreporter.write_line(f"{report.nodeid}: {said}")
