"""The comparison bites: every broken engine is told from the reference.

The search is the one of `tests/engine/test_agreement.py`, with fixed seeds, and stops at the first
world in which the broken engine and the reference differ.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from tests.engine.test_memory import wrongly_remembered
from tests.engine.test_shapes import (
    BUILT_ON_IT,
    operator_shapes,
    shape_disagreements,
    undefined_shape,
)
from tests.mutants.mutants import COMMON, CONDITIONAL, FORGETFUL, RARE, Mutant
from tests.reference.engine_answers import world_disagreements
from tests.strategies import World, worlds

enough = settings(
    max_examples=1000,
    phases=[Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def differs(world: World) -> bool:
    """Whether engine and reference disagree anywhere in a world."""
    return next(world_disagreements(world), None) is not None


@pytest.mark.parametrize("mutant", COMMON, ids=lambda mutant: mutant.__name__)
def test_a_random_world_finds(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some world among the first thousand shows the fault; `find` raises where none does."""
    mutant(monkeypatch)
    find(worlds(traits=False), differs, settings=enough, random=Random(0))


@pytest.mark.parametrize("mutant", CONDITIONAL, ids=lambda mutant: mutant.__name__)
def test_a_random_world_with_caveats_finds(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, in worlds whose relationships may not hold."""
    mutant(monkeypatch)
    find(worlds(traits=True), differs, settings=enough, random=Random(0))


@pytest.mark.parametrize("mutant", FORGETFUL, ids=lambda mutant: mutant.__name__)
def test_a_write_between_questions_finds(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some world is answered by what a write has made untrue."""
    mutant(monkeypatch)
    find(
        worlds(),
        lambda world: next(wrongly_remembered(world, Random(0)), None) is not None,
        settings=enough,
        random=Random(0),
    )


@pytest.mark.parametrize("mutant", RARE, ids=lambda mutant: mutant.__name__)
def test_an_exhaustive_shape_finds(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some shape shows the fault, of one cycle or built on an undefined answer."""
    mutant(monkeypatch)
    undefined = (undefined_shape(expression, "pq") for expression in BUILT_ON_IT)
    shapes = (*undefined, *operator_shapes("over-all", "one", "object"))
    assert any(shape_disagreements(shape) for shape in shapes)
