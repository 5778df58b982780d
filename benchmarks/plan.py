"""How much a run measures."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """The amounts of a run. A quick one has as many documents, but asks less often."""

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
    token_users: int = 1_000
    """Users with ten live tokens each, some of which a write makes wrong."""
    written: int = 10_000_000
    """Relationships of the workload that are written as an application writes; the rest are
    imported."""
    growth: int = 1_000_000
    """Up to how many relationships the growth series goes, in powers of ten."""
    growth_questions: int = 10_000
    long_answer: int = 1_000_000
    """How many ids the lookup finds that goes on beside checks."""
    beside_seconds: float = 2.0
    """How long a round of checks beside a long piece of work takes."""
    organizations: int = 1_000
    """Organizations of the scenario with many tenants."""
    peers: float = 1.0
    """The share of the data that Relata and its peers are asked about side by side."""
    shapes: float = 1.0
    """How large the shapes are that are known to hurt."""
    shape_seconds: float = 0.2
    """How long a round of one of them takes, or of a peer on it."""
    rivals: tuple[str, ...] = ("pemba", "pemba SQLite", "SpiceDB")
    """The peers that are asked about them: those that take any schema, and need no socket."""


def at_scale(plan: Plan, scale: float) -> Plan:
    """The plan with so many times the data everywhere; the sizes of the growth series stay."""
    return msgspec.structs.replace(
        plan,
        scale=scale,
        writes=max(10, round(plan.writes * min(1.0, scale))),
        growth_questions=max(200, round(plan.growth_questions * scale)),
        token_users=max(20, round(plan.token_users * scale)),
        long_answer=max(2_000, round(plan.long_answer * scale)),
        organizations=max(5, round(plan.organizations * scale)),
        shapes=min(1.0, plan.shapes * scale),
        shape_seconds=plan.shape_seconds * min(1.0, max(0.1, scale)),
    )


def full() -> Plan:
    """A run to quote."""
    return Plan()


def quick() -> Plan:
    """A run of two or three minutes, to look at."""
    return Plan(
        questions=40_000,
        rounds=3,
        seconds=1.0,
        lookups=300,
        writes=100,
        token_users=100,
        written=50_000,
        growth=100_000,
        long_answer=100_000,
        growth_questions=2_000,
        beside_seconds=0.3,
        peers=0.03,
        shapes=0.1,
        shape_seconds=0.03,
        rivals=("pemba",),  # SpiceDB waits for seconds until it knows what was written
    )
