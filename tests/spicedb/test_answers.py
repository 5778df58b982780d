"""Relata's answers against those of the real SpiceDB, on worlds that Hypothesis draws.

    RELATA_EXAMPLES=3000 .venv/bin/python -m pytest tests/spicedb

compares three thousand worlds. The summary says how many questions were compared, how many SpiceDB
left unanswered, and how many answers are explained by which difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spicedb.comparison import COMPARED, Comparison
from tests.spicedb.driver import SpiceDB
from tests.spicedb.examples import few, thorough
from tests.spicedb.questions import TIME, Asked, Check, Found, Refusal
from tests.spicedb.relata_answers import RelataAnswers
from tests.spicedb.sample import LARGE, SMALL, Sample, Size
from tests.spicedb.scene import Scene
from tests.spicedb.straight import half_straightened, straightened
from tests.strategies import World, worlds

SEEDS = st.integers(0, 2**32)


@pytest.fixture
def nearly_all(tally: Counter[str]) -> Iterator[Counter[str]]:
    """Counts, of which nearly all must be of answers that agree: a comparison is no test if it
    is waved through."""
    yield tally
    assert tally[COMPARED] > 0.9 * (tally.total() - tally["worlds"])


@given(worlds().map(straightened), SEEDS)
@thorough
def test_answers_are_spicedbs(
    spicedb: SpiceDB,
    relata: RelataAnswers,
    nearly_all: Counter[str],
    world: World,
    seed: int,
) -> None:
    """Every kind of question, on worlds in which nothing leads back to itself."""
    assert differences(spicedb, relata, nearly_all, world, LARGE, seed) == []


@given(worlds().map(half_straightened), SEEDS)
@few
def test_answers_are_spicedbs_where_it_has_one(
    impatient_spicedb: SpiceDB,
    relata: RelataAnswers,
    tally: Counter[str],
    world: World,
    seed: int,
) -> None:
    """Data may lead back to itself; then SpiceDB mostly gives up, or takes longer than we wait."""
    assert differences(impatient_spicedb, relata, tally, world, SMALL, seed) == []


def differences(
    spicedb: SpiceDB,
    relata: RelataAnswers,
    tally: Counter[str],
    world: World,
    size: Size,
    seed: int,
) -> list[str]:
    """What SpiceDB, the reference and Relata say differently of one world."""
    scene = Scene.of(world)
    relata.enter(scene)
    comparison = Comparison(scene, relata)
    sample = Sample(comparison.reference, size, seed)
    about = (scene.schema, scene.relationships, scene.context)
    asked = Asked(
        *about, sample.checks(), sample.resources(), sample.subjects(), sample.expansions()
    )

    def alone(question: Check) -> Found:
        answer = spicedb.ask(Asked(*about, (question,), (), (), ()))
        return answer if isinstance(answer, Refusal) else answer.answers[0]

    answered = spicedb.ask(asked)
    tally["worlds"] += 1
    if isinstance(answered, Refusal) and answered.kind == TIME:
        tally[TIME] += len(asked.questions)
        return []
    if isinstance(answered, Refusal):
        return [f"SpiceDB refuses the world: {answered}", *scene.lines()]
    found = list(comparison.differences(asked, answered, tally, alone))
    return [*found, *scene.lines()] if found else []
