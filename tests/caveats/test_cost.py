"""No expression and no context makes a caveat hang, crash or grow without end.

Times are of the processor, so that another busy process does not make a test fail.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from relata.caveats import Caveat, CaveatFault, Outcome
from tests.caveats.asking import ask, missing, reason

LONGEST = 1.5
"""Seconds for one answer; a bound that is met lets through a quarter of one."""
LONGEST_COMPILED = 4.0
"""Seconds to compile the largest expressions that are allowed."""
TOO_MUCH = "it is more work than is allowed"

STORED = 24_000
ASKED = 4_000
"""About as many bytes as contexts may have."""
ONES = [1] * (STORED // 2)
FEW_ONES = [1] * (ASKED // 2)
LONG = "a" * STORED
WORDS = [f"word{at}" for at in range(1_500)]

Json = dict[str, Any]


def timed(parameters: dict[str, str], expression: str, stored: Json, asked: Json) -> Outcome:
    """The answer, which must not take longer than it may."""
    caveat = Caveat.compile("cav", parameters, expression)
    text = json.dumps(stored) if stored else ""
    start = time.process_time()
    outcome = caveat.evaluate(text, asked)
    assert time.process_time() - start < LONGEST
    return outcome


@pytest.mark.parametrize(
    ("parameters", "expression", "stored", "asked"),
    [
        (
            {"l": "list<int>"},
            "l.all(x, l.all(y, l.all(z, x + y + z >= 0)))",
            {"l": ONES},
            {},
        ),
        ({"l": "list<int>"}, "l.map(x, x) != []", {"l": ONES}, {}),
        ({"l": "list<int>"}, "l.filter(x, x > 0) != []", {"l": ONES}, {}),
        ({"l": "list<int>"}, "l.map(x, l.map(y, l)) != []", {}, {"l": FEW_ONES}),
        (
            {"l": "list<int>", "s": "string"},
            "l.map(x, s + s + s + s) != []",
            {"s": LONG},
            {"l": FEW_ONES},
        ),
        (
            {"l": "list<int>", "k": "list<int>"},
            "l.all(x, !(x in k))",
            {"k": ONES},
            {"l": [2] * 2_000},
        ),
        (
            {"l": "list<int>", "k": "list<int>"},
            " || ".join(["l == k"] * 9_000),
            {"l": FEW_ONES, "k": [*FEW_ONES[1:], 2]},
            {"other": 1},
        ),
        (
            {"m": "map<any>", "l": "list<int>"},
            "l.all(x, m.isSubtreeOf(m) && x == 1)",
            {"m": {f"k{at}": at for at in range(2_000)}},
            {"l": FEW_ONES},
        ),
        (
            {"m": "map<any>", "l": "list<int>"},
            "l.all(x, {'a': x}.isSubtreeOf({'a': x, 'b': m}))",
            {"m": {f"k{at}": at for at in range(2_000)}},
            {"l": FEW_ONES},
        ),
        ({"l": "list<int>"}, "(" + "+".join(["l"] * 30) + ") != []", {"l": ONES}, {}),
        ({"s": "string"}, f"{'[s]'}{'.map(x, x + x)' * 25}[0] != ''", {"s": "ab"}, {}),
        ({"l": "list<int>"}, f"[l]{'.map(x, x + x)' * 25}[0] != []", {"l": [1]}, {}),
        (
            {"b": "bool"},
            "[" + ",".join(["1"] * 40_000) + "].all(x, x == 1) && b",
            {},
            {"b": True},
        ),
    ],
)
def test_too_much_work_fails(
    parameters: dict[str, str], expression: str, stored: Json, asked: Json
) -> None:
    assert reason(timed(parameters, expression, stored, asked)).startswith(TOO_MUCH)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:" + "|".join(f"a{{{at}}}b" for at in range(1, 200)) + ")",
        "|".join(f"[ab]*a[ab]{{{1_000 - at}}}c" for at in range(100)),
        "(a?){1000}a{1000}b",
        "(((((a{9}){9}){9}){9}){9})b",
        "((a{0,30}){0,30})b",
        "(\\pL|\\pN|\\pM){0,300}b",
        "\\pL" * 1_000,
        "(?i)" + "[^a-z]{1000}" * 20,
    ],
)
@pytest.mark.parametrize("given", ["constant", "asked", "added", "bytes", "in a macro"])
def test_hostile_patterns(pattern: str, given: str) -> None:
    """Whether the pattern is in the expression, in the context, or made of parts."""
    text, types = {"s": LONG[: STORED // 2]}, {"s": "string", "p": "string"}
    if given == "constant":
        outcome = timed({"s": "string"}, f"s.matches(r'{pattern}')", text, {})
    elif given == "asked":
        outcome = timed(types, "s.matches(p)", text, {"p": pattern})
    elif given == "added":
        outcome = timed(types, "s.matches(p + '')", text, {"p": pattern})
    elif given == "bytes":
        types = {"s": "string", "p": "bytes"}
        encoded = base64.b64encode(pattern.encode()).decode()
        outcome = timed(types, "s.matches(string(p))", text, {"p": encoded})
    else:
        types = {"s": "string", "p": "list<string>"}
        outcome = timed(types, "p.exists(x, s.matches(x))", text, {"p": [pattern]})
    assert reason(outcome).startswith(TOO_MUCH)


@pytest.mark.parametrize(
    ("text", "pattern", "answer"),
    [
        (LONG, "^(a+)+$", True),
        (LONG, "(a|aa)*b", False),
        (LONG, ".*.*.*.*.*b", False),
        ("anne@example.com", r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$", True),
        ("2030-01-01", r"^\d{4}-\d{2}-\d{2}$", True),
        (
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            True,
        ),
        ("éé", r"^\pL{1,20}$", True),
        ("a]b", r"^[^]x]+$", False),
    ],
)
def test_ordinary_patterns(text: str, pattern: str, answer: bool) -> None:
    types = {"s": "string", "p": "string"}
    assert timed(types, "s.matches(p)", {"s": text}, {"p": pattern}) is answer
    assert timed({"s": "string"}, f"s.matches(r'{pattern}')", {"s": text}, {}) is answer


@pytest.mark.parametrize(
    ("parameters", "expression", "stored", "asked", "answer"),
    [
        ({"l": "list<int>"}, "l.all(x, x == 1)", {"l": ONES[:9_999]}, {}, True),
        ({"l": "list<int>"}, "l.exists(x, x == 2)", {"l": [*ONES[:9_998], 2]}, {}, True),
        ({"l": "list<int>", "a": "int"}, "a in l", {"l": [*ONES, 2]}, {"a": 2}, True),
        ({"l": "list<int>"}, "l.map(x, x + 1).all(x, x == 2)", {}, {"l": ONES[:1_000]}, True),
        ({"l": "list<int>"}, "l.all(x, l.all(y, x == y))", {}, {"l": ONES[:90]}, True),
        (
            {"have": "list<string>", "want": "list<string>"},
            "want.all(w, w in have)",
            {"have": WORDS},
            {"want": WORDS[:300]},
            True,
        ),
        (
            {"ip": "ipaddress", "blocks": "list<string>"},
            "blocks.exists(b, ip.in_cidr(b))",
            {"blocks": [f"10.{at // 250}.{at % 250}.0/24" for at in range(1_000)]},
            {"ip": "192.0.2.1"},
            False,
        ),
        (
            {"s": "string", "p": "string"},
            "s.contains(p)",
            {"s": LONG},
            {"p": "a" * 3_999 + "b"},
            False,
        ),
        ({"s": "string"}, "+".join(["s"] * 30) + " != ''", {"s": LONG}, {}, True),
    ],
)
def test_ordinary_work_is_done(
    parameters: dict[str, str], expression: str, stored: Json, asked: Json, answer: bool
) -> None:
    assert timed(parameters, expression, stored, asked) is answer


@pytest.mark.parametrize(
    ("parameters", "expression", "stored", "asked"),
    [
        ({"l": "list<int>", "b": "bool"}, "l.all(x, l.all(y, x > 0 && b))", {"l": ONES[:100]}, {}),
        (
            {"l": "list<int>", "b": "bool"},
            "l.all(x, l.all(y, l.all(z, x > 0 && b)))",
            {"l": ONES},
            {},
        ),
        ({"l": "list<int>", "b": "int"}, "l.all(x, x > b)", {"l": ONES}, {}),
        (
            {"l": "list<string>", "k": "list<string>", "b": "string"},
            "l.exists(x, x in k || x == b)",
            {"k": WORDS},
            {"l": ["other"] * 300},
        ),
        (
            {"l": "list<int>", "b": "int"},
            "l.map(x, x > 0 ? x : b).size() > 0",
            {"l": [*ONES[:1_000], 0]},
            {},
        ),
        ({"a": "int", "b": "int"}, "a in [" + "1," * 40_000 + "b]", {}, {"a": 2}),
        ({"a": "bool", "b": "bool"}, "a && " * 15_000 + "b", {}, {"a": True}),
    ],
)
def test_a_missing_value_costs_no_more(
    parameters: dict[str, str], expression: str, stored: Json, asked: Json
) -> None:
    assert timed(parameters, expression, stored, asked) == missing("b")


def test_many_missing_values() -> None:
    names = [f"p{at}" for at in range(2_000)]
    expression = " && ".join(f"{name} == 1" for name in names)
    given = dict.fromkeys(names[:1_990], 1)
    assert timed(dict.fromkeys(names, "int"), expression, {}, given) == missing(*names[1_990:])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "9" * 4_000),
        ("int", "1e9999"),
        ("double", "1e-9999"),
        ("double", 10**4_000),
        ("duration", "9" * 4_000 + "h"),
        ("duration", "1h" * 2_000),
        ("timestamp", "2" * 4_000),
        ("ipaddress", "1:" * 2_000),
        ("bytes", "A" * 4_000),
    ],
)
def test_hostile_values(kind: str, value: Any) -> None:
    timed({"p": kind}, "p == p", {}, {"p": value})


@pytest.mark.parametrize("pattern", ["^a+", "example\\\\.com$", "[a-c]*"])
def test_a_pattern_may_be_made_of_parts(pattern: str) -> None:
    types = {"s": "string", "p": "string"}
    assert timed(types, "s.matches('^.*' + p)", {"s": "anne@example.com"}, {"p": "com"}) is True
    assert (
        timed(types, f"s.matches(p + '{pattern}')", {"s": "anne@example.com"}, {"p": "q"}) is False
    )


def test_hostile_json() -> None:
    caveat = Caveat.compile("cav", {"p": "any"}, "p == p")
    expected = "the context stored with the relationship is not a JSON object"
    for text in ("[" * 100_000, '{"p":' * 10_000, '{"p":' + "[" * 10_000, "[]", "{", "\udfff"):
        assert reason(caveat.evaluate(text, {"p": 1})) == expected
    nested = '{"p":' + "[" * 100 + "]" * 100 + "}"
    message = "a value that nests at most 64 deep is needed"
    assert reason(caveat.evaluate(nested, {})).endswith(message)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 50_000,
        "a == " * 19_000,
        "€" * 99_000,
        "a" * 99_000,
        "'" * 99_000,
        "!" * 99_000 + "a",
        "a ? " * 24_000,
        "[a, " * 24_000,
        "a." * 49_000,
        "{" * 99_000,
        "a\n" * 49_000,
        "a && zz || " * 9_000,
        "a == " + "9" * 99_000,
        "a(" * 49_000,
        "\\" * 99_000,
        "\0" * 99_000,
        "".join(f"[1].all(x{at}, " for at in range(5_000)),
    ],
    ids=range(17),
)
def test_hostile_text_does_not_compile(expression: str) -> None:
    start = time.process_time()
    with pytest.raises(CaveatFault):
        Caveat.compile("cav", {"a": "int"}, expression)
    assert time.process_time() - start < LONGEST_COMPILED


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("a in [" + "1," * 49_000 + "2]", True),
        ("a == 1 || " * 9_900 + "a == 2", True),
        ("[1].exists(i, " * 15 + "a == 2" + ")" * 15, True),
        ("- " * 49_000 + "a == 2", True),
        ("[" + "[1].map(x, x), " * 5_000 + "[]] == [] || a == 2", True),
    ],
    ids=range(5),
)
def test_large_expressions(expression: str, answer: bool) -> None:
    start = time.process_time()
    caveat = Caveat.compile("cav", {"a": "int"}, expression)
    assert time.process_time() - start < LONGEST_COMPILED
    start = time.process_time()
    assert caveat.evaluate("", {"a": 2}) is answer
    assert time.process_time() - start < LONGEST


def test_nested_macros_are_many_rounds() -> None:
    expression = "".join(f"l.exists(x{at}, " for at in range(14)) + "b" + ")" * 14
    outcome = timed({"l": "list<int>", "b": "bool"}, expression, {}, {"l": [1, 2], "b": False})
    assert reason(outcome).startswith(TOO_MUCH)


def _resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see the memory")
@pytest.mark.parametrize(
    ("parameters", "expression", "asked"),
    [
        ({"ip": "ipaddress"}, "ip.in_cidr('10.0.0.0/8')", {"ip": "10.1.2.3"}),
        (
            {"ip": "ipaddress", "l": "list<string>"},
            "l.exists(b, ip.in_cidr(b))",
            {"ip": "10.1.2.3", "l": ["10.0.0.0/8"]},
        ),
        (
            {"m": "map<any>", "n": "map<any>"},
            "m.isSubtreeOf(n)",
            {"m": {"a": 1}, "n": {"a": 1, "b": "x" * 100}},
        ),
        ({"a": "int", "b": "int"}, "a == 1 && b == 2", {"other": 1}),
    ],
)
def test_answers_leave_nothing_behind(
    parameters: dict[str, str], expression: str, asked: Json
) -> None:
    """The library leaks what it hands to Python functions, so it must not."""
    caveat = Caveat.compile("cav", parameters, expression)
    for _ in range(2_000):
        caveat.evaluate("", asked)
    before = _resident_megabytes()
    for _ in range(20_000):
        caveat.evaluate("", asked)
    assert _resident_megabytes() - before < 2


def test_stored_contexts_are_kept_in_bounds() -> None:
    caveat = Caveat.compile("cav", {"l": "list<int>", "a": "int"}, "a in l")
    for at in range(200):
        stored = json.dumps({"l": [*FEW_ONES, at]})
        assert caveat.evaluate(stored, {"a": at}) is True
    assert ask({"l": "list<int>", "a": "int"}, "a in l", {"a": 2}, {"l": [2]}) is True
