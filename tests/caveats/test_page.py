"""The page on caveats: every expression on it is run, and says what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relata import Relata
from relata.caveats import Caveat, Outcome
from relata.errors import CaveatFailedError, ContextError
from tests.caveats.asking import ask, missing, reason

PAGE = (Path(__file__).parents[2] / "docs" / "caveats.md").read_text(encoding="utf-8")
ZED = re.findall(r"^```zed\n(.*?)^```$", PAGE, re.M | re.S)

LANGUAGE = (
    {"a": "int", "l": "list<int>", "m": "map<string>", "s": "string", "t": "timestamp"},
    {"a": 3, "l": [1, 2, 3], "m": {"k": "v"}, "s": "abc", "t": "2030-01-01T12:00:00Z"},
)
FUNCTIONS = (
    {"ip": "ipaddress", "mapped": "ipaddress", "m": "map<map<int>>", "n": "map<map<int>>"},
    {
        "ip": "10.1.2.3",
        "mapped": "::ffff:10.1.2.3",
        "m": {"a": {"b": 1}},
        "n": {"a": {"b": 1, "c": 2}},
    },
)
NUMBERS = {"a": "int", "b": "int", "c": "int", "l": "list<int>", "m": "map<int>"}


def tables(*heads: str) -> Iterator[list[list[str]]]:
    """The rows of the tables whose head has these beginnings."""
    rows: list[list[str]] = []
    for line in [*PAGE.splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            rows.append([cell.strip().replace(r"\|", "|") for cell in cells])
        elif rows:
            if all(cell.startswith(head) for cell, head in zip(rows[0], heads, strict=False)):
                yield rows[2:]
            rows = []


def rows(*heads: str) -> list[list[str]]:
    """The rows of all such tables."""
    found = [row for table in tables(*heads) for row in table]
    assert found, heads
    return found


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def value(cell: str) -> Any:
    """The JSON in backticks."""
    return json.loads(codes(cell)[0])


def says(cell: str, outcome: Outcome) -> bool:
    """Whether a cell says that this is the answer."""
    if cell.startswith("missing: "):
        return outcome == missing(*codes(cell))
    if cell == "`invalid_context`":
        return isinstance(outcome, ContextError)
    if cell.startswith("`caveat_failed`: "):
        return reason(outcome) == cell.removeprefix("`caveat_failed`: ")
    return outcome is {"true": True, "false": False}[cell]


def used(expression: str, types: dict[str, str]) -> dict[str, str]:
    """The parameters that an expression names."""
    bare = re.sub(r'"[^"]*"', "", expression)
    return {name: kind for name, kind in types.items() if re.search(rf"(?<!\.)\b{name}\b", bare)}


def in_words(head: str) -> list[str]:
    """The expressions of a table that are said to be true."""
    return [expression for row in rows("", head) for expression in codes(row[1])]


@pytest.mark.parametrize("expression", in_words("true, where `a`"))
def test_the_language(expression: str) -> None:
    types, given = LANGUAGE
    with_parameter = f"({expression}) && a == a"
    assert ask(used(with_parameter, types), with_parameter, given) is True


@pytest.mark.parametrize("expression", in_words("true, where `ip`"))
def test_the_functions(expression: str) -> None:
    types, given = FUNCTIONS
    assert ask(used(expression, types), expression, given) is True


@pytest.mark.parametrize("row", rows("type", "in JSON", "true"))
def test_the_types(row: list[str]) -> None:
    kind, given, expression = row
    assert ask({"p": codes(kind)[0]}, codes(expression)[0], {"p": value(given)}) is True


@pytest.mark.parametrize("row", rows("stored", "the question's context", "answer"))
def test_stored_and_asked(row: list[str]) -> None:
    stored, asked, answer = row
    expression = re.search(r"caveat below\(.*?\) \{\n\t(.*)\n\}", ZED[1])
    assert expression
    types = {"limit": "int", "value": "int"}
    assert says(answer, ask(types, expression[1], value(asked), value(stored)))


@pytest.mark.parametrize("row", rows("expression", "given", "answer"))
def test_what_is_missing_and_what_fails(row: list[str]) -> None:
    cell, given, answer = row
    expression = codes(cell)[0]
    assert says(answer, ask(used(expression, NUMBERS), expression, value(given)))


@pytest.mark.parametrize("row", rows("the question's context", "may Anne"))
def test_the_first_example(row: list[str]) -> None:
    context, answer = row
    relationship = re.search(r"`(document:readme#viewer@user:anne\[.*\])`", PAGE)
    assert relationship
    with Relata.open("sqlite://", schema=ZED[0]) as relata:
        relata.write([relationship[1]])
        result = relata.check("document:readme", "view", "user:anne", context=value(context))
    assert answer.split(":")[0] == result.permissionship
    assert tuple(codes(answer)) == tuple(result.missing_context)


@pytest.mark.parametrize("text", ZED, ids=range(len(ZED)))
def test_the_schemas_are_good(text: str) -> None:
    for name, parameters, expression in re.findall(
        r"caveat (\w+)\((.*?)\) \{(.*?)\n\}", text, re.S
    ):
        types = dict(parameter.split() for parameter in parameters.split(","))
        Caveat.compile(name, types, expression)


@pytest.mark.parametrize("expression", ["p.level + 1.0 == 3.0", "p.level == 2", "p.level > 1"])
def test_numbers_of_an_any(expression: str) -> None:
    assert f"`{expression.removesuffix(' == 3.0')}`" in PAGE
    assert ask({"p": "any"}, expression, {"p": {"level": 2}}) is True
    failed = ask({"p": "any"}, "p.level + 1 == 3", {"p": {"level": 2}})
    assert isinstance(failed, CaveatFailedError)


@pytest.mark.parametrize(
    "expression", ["has(m.k) && m.k == 1", "size(l) > 3 && l[3] == 1", "m.?k.orValue(0) == 1"]
)
def test_asking_before_taking(expression: str) -> None:
    assert f"`{expression}`" in PAGE
    types, given = {"m": "map<int>", "l": "list<int>"}, {"m": {}, "l": [1]}
    assert ask(used(expression, types), expression, given) is False
