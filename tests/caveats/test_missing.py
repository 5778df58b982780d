"""Missing values: what decides without them, and which names an undecided answer gives.

Every answer here was asked of SpiceDB 1.54 too.
"""

from __future__ import annotations

from typing import Any

import pytest

from relata.caveats import Outcome
from tests.caveats.asking import ask, missing, reason

NUMBERS = {"a": "int", "b": "int"}
FLAGS = {"a": "bool", "b": "bool", "c": "bool"}
ITEMS = {"l": "list<int>", "y": "int", "z": "int"}
MAPS = {"m": "map<int>", "x": "string", "b": "int"}
ASKED: list[tuple[dict[str, str], str, dict[str, Any], Outcome]] = [
    (NUMBERS, "a == 1 && b == 2", {}, missing("a", "b")),
    (NUMBERS, "a == 1 && b == 2", {"a": 1}, missing("b")),
    (NUMBERS, "a == 1 && b == 2", {"a": 2}, False),
    (NUMBERS, "a == 1 && b == 2", {"b": 3}, False),
    (NUMBERS, "a == 1 && b == 2", {"a": 1, "b": 2}, True),
    (NUMBERS, "a == 1 || b == 2", {}, missing("a", "b")),
    (NUMBERS, "a == 1 || b == 2", {"b": 2}, True),
    (NUMBERS, "a == 1 || b == 2", {"b": 3}, missing("a")),
    (NUMBERS, "a in [1, b]", {}, missing("a")),
    (NUMBERS, "a in [1, b]", {"a": 1}, missing("b")),
    (NUMBERS, "a in [1, b]", {"b": 1}, missing("a")),
    (NUMBERS, "a + b == 3", {}, missing("a")),
    (NUMBERS, "a + b == 3", {"a": 1}, missing("b")),
    (NUMBERS, "{'k': a, 'l': b} == {}", {}, missing("a")),
    (NUMBERS, "!(a == 1 && b == 1)", {}, missing("a", "b")),
    (NUMBERS, "(a == 1 && b == 1) == true", {}, missing("a", "b")),
    (NUMBERS, "(a == 1 && b == 1) == (b == 1)", {"a": 1}, missing("b")),
    (NUMBERS, "(a == 1 || true) == (b == 1)", {}, missing("b")),
    (FLAGS, "a ? b : c", {}, missing("a")),
    (FLAGS, "a ? b : c", {"a": True}, missing("b")),
    (FLAGS, "a ? b : c", {"a": False}, missing("c")),
    (FLAGS, "a ? b : c", {"b": True, "c": True}, missing("a")),
    (FLAGS, "(a || b) ? (b && c) : a", {"a": True}, missing("b", "c")),
    (MAPS, "m.k == 1 && x == '' && b == 1", {"x": "", "b": 1}, missing("m")),
    (MAPS, "m[x] == b", {}, missing("m")),
    (MAPS, "m[x] == b", {"m": {"k": 1}}, missing("x")),
    (MAPS, "m[x] == b", {"x": "k"}, missing("m")),
    (MAPS, "m[x] == b", {"x": "k", "m": {"k": 1}}, missing("b")),
    (MAPS, "has(m.k) && x == '' && b == 1", {"x": "", "b": 1}, missing("m")),
    (MAPS, "m.?k.orValue(b) == 1 || x == 'x'", {"x": ""}, missing("m")),
    (MAPS, "m.?k.orValue(b) == 1 || x == 'x'", {"x": "", "m": {}}, missing("b")),
    (MAPS, "m.?k.orValue(b) == 1 || x == 'x'", {"x": "", "m": {"k": 1}}, True),
    (MAPS, "m.?k.optMap(v, v + b).orValue(1) == 1 || x == 'x'", {"x": "", "m": {}}, True),
    (MAPS, "m.?k.optMap(v, v + b).orValue(1) == 1 || x == 'x'", {"m": {"k": 1}}, missing("b", "x")),
    (ITEMS, "l.all(i, i > y && z > i)", {}, missing("l")),
    (ITEMS, "l.all(i, i > y && z > i)", {"l": []}, True),
    (ITEMS, "l.all(i, i > y && z > i)", {"l": [1]}, missing("y", "z")),
    (ITEMS, "l.all(i, i > y && z > i)", {"l": [1], "y": 1}, False),
    (ITEMS, "l.all(i, i > y && z > i)", {"l": [1], "y": 0}, missing("z")),
    (ITEMS, "l.exists(i, i == y || i == z)", {"l": [1, 2], "y": 2}, True),
    (ITEMS, "l.exists(i, i == y || i == z)", {"l": [1, 2], "y": 3}, missing("z")),
    (ITEMS, "l.exists_one(i, i > y || z > i)", {"l": []}, False),
    (ITEMS, "l.exists_one(i, i > y || z > i)", {"l": [1, 2]}, missing("y", "z")),
    (ITEMS, "l.exists_one(i, i > y || z > i)", {"l": [1], "y": 0}, True),
    (ITEMS, "l.map(i, i > 1 ? y : z) == [1, 2]", {"l": []}, False),
    (ITEMS, "l.map(i, i > 1 ? y : z) == [1, 2]", {"l": [1, 2]}, missing("z")),
    (ITEMS, "l.map(i, i > 1 ? y : z) == [1, 2]", {"l": [2, 1]}, missing("y")),
    (ITEMS, "l.filter(i, i > y || z > i) != []", {"l": [1, 2], "y": 1}, missing("z")),
    (ITEMS, "[[1], []].all(r, r.all(i, i > y)) || l == [z]", {}, missing("l", "y")),
    (ITEMS, "[1, 2].exists(l, l == y) && l == [z]", {"y": 2}, missing("l")),
    (NUMBERS, "1 / a == 1 && b == 2", {}, missing("a", "b")),
    (NUMBERS, "1 / a == 1 && b == 2", {"a": 0}, missing("b")),
    (NUMBERS, "1 / a == 1 && b == 2", {"a": 0, "b": 3}, False),
    (NUMBERS, "b == 2 && 1 / a == 1", {"a": 0}, missing("b")),
    (NUMBERS, "b == 1 / a", {"a": 0}, missing("b")),
    ({"t": "timestamp", "u": "timestamp"}, "t < u", {"u": "2030-01-01T00:00:00Z"}, missing("t")),
    ({"p": "ipaddress", "c": "string"}, "p.in_cidr(c)", {}, missing("p")),
    ({"p": "ipaddress", "c": "string"}, "p.in_cidr(c)", {"p": "::1"}, missing("c")),
    ({"p": "ipaddress", "c": "string"}, "p.in_cidr(c)", {"c": "no block"}, missing("p")),
    ({"m": "map<any>", "n": "map<any>"}, "m.isSubtreeOf(n)", {}, missing("m")),
    ({"m": "map<any>", "n": "map<any>"}, "m.isSubtreeOf(n)", {"m": {}}, missing("n")),
]
FAILING: list[tuple[dict[str, str], str, dict[str, Any], str]] = [
    (NUMBERS, "1 / a == 1 && b == 2", {"a": 0, "b": 2}, "it divides by zero"),
    (NUMBERS, "1 / a == b", {"a": 0}, "it divides by zero"),
    (MAPS, "m['k'] == b && x == ''", {"m": {}, "x": ""}, "the map has no key `k`"),
    ({"l": "list<int>", "a": "int"}, "l[1 / a] == 1", {"a": 0}, "it divides by zero"),
]


@pytest.mark.parametrize(("parameters", "expression", "given", "answer"), ASKED)
@pytest.mark.parametrize("stored", [False, True], ids=["asked", "stored"])
def test_answers_with_values_missing(
    parameters: dict[str, str], expression: str, given: Any, answer: Outcome, stored: bool
) -> None:
    if stored:
        assert ask(parameters, expression, {}, given) == answer
    else:
        assert ask(parameters, expression, given) == answer


@pytest.mark.parametrize(("parameters", "expression", "given", "why"), FAILING)
def test_a_failure_that_no_missing_value_prevents(
    parameters: dict[str, str], expression: str, given: Any, why: str
) -> None:
    assert reason(ask(parameters, expression, given)) == why


def test_what_is_stored_wins() -> None:
    assert ask(NUMBERS, "a == 1 && b == 2", {"a": 2, "b": 2}, {"a": 1}) is True
    assert ask(NUMBERS, "a == 1 && b == 2", {"a": "no number", "b": 2}, {"a": 1}) is True


def test_a_question_may_hold_other_values() -> None:
    assert ask(NUMBERS, "a == b", {"a": 1, "b": 1, "else": object()}) is True


def test_a_name_that_a_macro_gives_is_not_missing() -> None:
    """SpiceDB 1.54 takes the macro's name for the parameter."""
    assert ask({"a": "int", "b": "bool"}, "[1].all(a, a > 0) && (b || a == 1)", {"b": True}) is True


def test_an_item_as_an_index_of_what_is_missing() -> None:
    """SpiceDB 1.54 knows no such attribute as the item's name."""
    parameters = {"l": "list<int>", "m": "map<int>"}
    answer = ask(parameters, "l.all(i, m[string(i)] == 1)", {"l": [1]})
    assert answer == missing("m")
