"""The shapes that hurt are what they say, and Relata answers about them as they say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks.contest import Entrant, compete
from benchmarks.in_process import WrongAnswerError
from benchmarks.measure import QUANTILES
from benchmarks.plan import Plan
from benchmarks.shapes import Shape

from benchmarks import ask_shapes, shapes

PLAN = Plan(rounds=1, shapes=0.001, shape_seconds=0.002, rivals=())


def test_each_shape_has_its_lines(tmp_path: Path) -> None:
    """Allowed and denied apart, and lookups, each with its ratio to the plain check."""
    checks, lookups = ask_shapes.measure_shapes(PLAN, tmp_path)
    assert len(checks.measurements) == 2 * (1 + len(shapes.SHAPES))
    assert len(lookups.measurements) >= 2 * len(shapes.SHAPES)
    for line in (*checks.measurements, *lookups.measurements):
        assert line.ratio is not None, line.name
        assert line.ratio > 0, line.name
        assert len(line.quantiles) == len(QUANTILES), line.name


@pytest.mark.parametrize("make", [shapes.plain, *shapes.SHAPES])
def test_a_shape_asks_of_several(make: Callable[[float], Shape]) -> None:
    """One answer that is remembered would not do for all of them."""
    shape = make(0.001)
    assert len(set(shape.allowed)) >= 10
    assert len(set(shape.denied)) >= 10
    assert not set(shape.allowed) & set(shape.denied)
    assert len(set(shape.relationships)) == len(shape.relationships)


def test_a_full_shape_is_as_large_as_its_name_says() -> None:
    """Of the sizes that the documentation names."""
    names = {make(1.0).name for make in shapes.SHAPES}
    assert names == {
        "200 parents",
        "31 arrows deep",
        "1,000 in .all()",
        "union of 50",
        "20,000 & 20,000",
        "everybody but 10,000",
        "group of 100,000",
        "user in 10,000 groups",
        "rings of 30 groups",
    }


def test_a_wrong_answer_ends_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the rest is right."""

    def wrong(size: float) -> Shape:
        made = shapes.plain(size)
        return Shape(made.name, made.schema, made.relationships, made.allowed, made.allowed[:1])

    monkeypatch.setattr(shapes, "SHAPES", (wrong,))
    with pytest.raises(WrongAnswerError, match="answers"):
        ask_shapes.measure_shapes(PLAN, tmp_path)


def test_calls_take_turns() -> None:
    """Each is made with its own arguments, over and over, for about as long."""
    made: list[str] = []
    entrants = [Entrant("one", made.append, ["a", "b"]), Entrant("other", made.append, ["c"])]
    found = compete(entrants, rounds=3, seconds=0.0005)
    assert all(rate.low <= rate.median <= rate.high for rate, _ in found)
    assert set(made) == {"a", "b", "c"}
    runs = "".join(made).replace("b", "a")
    turns = [runs[0]] + [this for before, this in pairwise(runs) if this != before]
    assert "".join(turns) == "ac" * 5
