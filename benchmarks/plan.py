"""How much a run measures."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """The amounts of a run. A quick one is as large in data, but asks less often."""

    scale: float = 1.0
    seed: int = 1
    questions: int = 80_000
    """Questions in the stream, half of them allowed; at most twice as many as documents."""
    rounds: int = 5
    """Rounds of which a rate is the median."""
    seconds: float = 5.0
    """How long a round over HTTP takes."""
    lookups: int = 2_000
    writes: int = 500


def full() -> Plan:
    """A run to quote."""
    return Plan()


def quick() -> Plan:
    """A run of a minute or so, to look at."""
    return Plan(questions=40_000, rounds=3, seconds=1.0, lookups=300, writes=100)
