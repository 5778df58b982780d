"""The types of parameters: what is taken from JSON, as what, and what is refused.

The conversions were compared with SpiceDB 1.54's, value by value.
"""

from __future__ import annotations

from typing import Any

import pytest

from relata.caveats import Caveat
from relata.errors import ContextError
from tests.caveats.asking import ask, faults, misfit

TAKEN = [
    ("int", 42, "p == 42"),
    ("int", 42.0, "p == 42"),
    ("int", -1, "p == -1"),
    ("int", "42", "p == 42"),
    ("int", "+42", "p == 42"),
    ("int", "42.0", "p == 42"),
    ("int", "42.", "p == 42"),
    ("int", "4.2e1", "p == 42"),
    ("int", "1E3", "p == 1000"),
    ("int", 9007199254740993, "p == 9007199254740993"),
    ("int", "9223372036854775807", "p == 9223372036854775807"),
    ("int", "9223372036854775808", "p == 9223372036854775807"),
    ("int", 1e300, "p == 9223372036854775807"),
    ("int", "-1e400", "p == -9223372036854775808"),
    ("uint", 42, "p == 42"),
    ("uint", 0, "p == 0"),
    ("uint", "18446744073709551615", "p == 9223372036854775807"),
    ("uint", 3, "p + 1 == 4"),
    ("double", 1, "p == 1.0"),
    ("double", 1.5, "p == 1.5"),
    ("double", "0.1", "p == 0.1"),
    ("double", ".5", "p == 0.5"),
    ("double", "1e400", "p > 1.0e308"),
    ("double", "inf", "p > 1.0e308"),
    ("double", "-Inf", "p < -1.0e308"),
    ("double", 10**400, "p > 1.0e308"),
    ("bool", True, "p"),
    ("bool", False, "!p"),
    ("string", "", "p == ''"),
    ("string", "é😀", "p == 'é😀' && size(p) == 2"),
    ("bytes", "YWJj", "p == b'abc'"),
    ("bytes", "", "size(p) == 0"),
    ("bytes", "YWJj\n", "p == b'abc'"),
    ("bytes", "AABh", "p == b'\\x00\\x00a'"),
    ("duration", "1h30m", "p == duration('90m')"),
    ("duration", "1.5s", "p == duration('1500ms')"),
    ("duration", "300ms", "p == duration('0.3s')"),
    ("duration", "-1h", "p == duration('-60m')"),
    ("duration", "+90m", "p == duration('1h30m')"),
    ("duration", ".5h", "p == duration('30m')"),
    ("duration", "1.h", "p == duration('1h')"),
    ("duration", "0", "p == duration('0s')"),
    ("duration", "1ns", "p == duration('1ns') && p > duration('0s')"),
    ("duration", "-1ns", "p == duration('-1ns') && p < duration('0s')"),
    ("duration", "5400000000µs", "p == duration('90m')"),
    ("duration", "2562047h47m16.854775807s", "p > duration('2562047h')"),
    ("timestamp", "2020-01-01T00:00:00Z", "p == timestamp('2020-01-01T00:00:00Z')"),
    ("timestamp", "2020-01-01T01:00:00+01:00", "p == timestamp('2020-01-01T00:00:00Z')"),
    ("timestamp", "2020-01-01T00:00:00,5Z", "p == timestamp('2020-01-01T00:00:00.5Z')"),
    (
        "timestamp",
        "2020-01-01T00:00:00.000000001Z",
        "p == timestamp('2020-01-01T00:00:00.000000001Z') && p > timestamp('2020-01-01T00:00:00Z')",
    ),
    ("timestamp", "0001-01-01T00:00:00Z", "p == timestamp('0001-01-01T00:00:00Z')"),
    ("timestamp", "9999-12-31T23:59:59.999999Z", "p < timestamp('9999-12-31T23:59:59.9999999Z')"),
    ("ipaddress", "10.1.2.3", "p.in_cidr('10.0.0.0/8')"),
    ("ipaddress", "2001:DB8::1", "p.in_cidr('2001:db8::/32')"),
    ("ipaddress", "fe80::1%eth0", "p == p"),
    ("list<int>", [1, "2"], "p == [1, 2]"),
    ("list<int>", [], "p == []"),
    ("list<list<duration>>", [["1s"]], "p[0][0] == duration('1s')"),
    ("list<bytes>", ["AA=="], "p[0] == b'\\x00'"),
    ("list<ipaddress>", ["10.0.0.1"], "p[0].in_cidr('10.0.0.0/8')"),
    ("map<int>", {"a": "1"}, "p == {'a': 1}"),
    ("map<timestamp>", {"a": "2020-01-01T00:00:00Z"}, "p.a.getFullYear() == 2020"),
    ("map<map<list<ipaddress>>>", {"a": {"b": ["::1"]}}, "p.a.b[0].in_cidr('::/64')"),
    ("any", None, "p == null"),
    ("any", 1, "type(p) == double && p == 1"),
    ("any", 2**53 + 1, "p == 9007199254740992.0"),
    ("any", "a", "p == 'a'"),
    ("any", True, "p == true"),
    ("any", [1, "a", None], "p == [1.0, 'a', null]"),
    ("any", {"k": {"l": [1]}}, "p.k.l[0] == 1"),
]
REFUSED = [
    *(("int", value) for value in [1.5, "1.5", "", "x", " 1", "1 ", "0x10", "1_000", "NaN", "inf"]),
    *(("int", value) for value in [True, None, [1], {"a": 1}, float("inf"), float("nan"), "1p3"]),
    *(("uint", value) for value in [-1, "-1", 1.5, True]),
    *(("double", value) for value in ["", "x", "NaN", "0x1", True, None]),
    *(("bool", value) for value in ["true", 1, 0, None]),
    *(("string", value) for value in [1, None, True, ["a"], "a\0b", "\ud800"]),
    *(("bytes", value) for value in ["YWJ", "YWI", "YWJj=", "YQ==x", "_-8=", "a b", 1, None]),
    *(("duration", value) for value in ["", "1", "1d", "1h 30m", "1h-30m", "1e3s", "s", ".s", 5]),
    *(("duration", value) for value in ["9223372036854775808ns", "-9223372036854775809ns", "1H"]),
    *(("timestamp", value) for value in ["", "2020-01-01", "2020-01-01T00:00:00", 1577836800]),
    *(("timestamp", value) for value in ["2020-01-01t00:00:00z", "2020-01-01 00:00:00Z", None]),
    *(("timestamp", value) for value in ["2020-02-30T00:00:00Z", "2020-01-01T24:00:00Z"]),
    *(("timestamp", value) for value in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"]),
    *(("ipaddress", value) for value in ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4/32", 1]),
    *(("ipaddress", value) for value in [" 1.2.3.4", "1::2::3", "x" * 1000]),
    *(("list<int>", value) for value in [None, "[1]", {"a": 1}, [1.5], [None], [[1]], 1]),
    *(("map<int>", value) for value in [None, [1], {"a": 1.5}, {"a": None}, "{}", {"\0": 1}]),
    ("list<list<duration>>", [["x"]]),
    ("any", {"a": ["\0"]}),
    ("any", "\udfff"),
]


@pytest.mark.parametrize(("kind", "value", "expression"), TAKEN)
def test_a_value_of_the_type_is_taken(kind: str, value: Any, expression: str) -> None:
    assert ask({"p": kind}, expression, {"p": value}) is True


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_another_value_is_refused_in_a_question_and_in_a_relationship(
    kind: str, value: Any
) -> None:
    caveat = Caveat.compile("cav", {"p": kind}, "p == p")
    asked = caveat.evaluate("", {"p": value})
    assert misfit(asked).startswith("parameter `p` of caveat `cav`: ")
    assert isinstance(asked, ContextError)
    assert asked.field == "context.p"
    with pytest.raises(ContextError) as stored:
        caveat.require_context({"p": value}, field="caveat")
    assert stored.value.message == asked.message
    assert stored.value.field == "caveat"


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("int", "abc", "a whole number is needed, not `abc`"),
        ("int", 1.5, "a whole number is needed, not `1.5`"),
        ("uint", -1, "a whole number from 0 is needed, not `-1`"),
        ("double", None, "a number is needed, not `null`"),
        ("bool", "true", "`true` or `false` is needed, not `true`"),
        ("string", [], "a string is needed, not a list"),
        ("string", "\0", "a string without the character U+0000 is needed"),
        ("bytes", "a", "a base64 string is needed, not `a`"),
        ("duration", "1 hour", "a duration such as `1h30m` is needed, not `1 hour`"),
        ("timestamp", 1, "a timestamp such as `2030-01-01T00:00:00Z` is needed, not `1`"),
        ("ipaddress", {}, "an IP address is needed, not an object"),
        ("list<int>", {}, "a list is needed, not an object"),
        ("map<int>", [], "an object is needed, not a list"),
        ("list<map<int>>", [{"a": "b"}], "in `0`: in `a`: a whole number is needed, not `b`"),
        ("string", 10**100, f"a string is needed, not `{10**49}`"),
    ],
)
def test_the_message_says_what_is_needed(kind: str, value: Any, message: str) -> None:
    asked = ask({"p": kind}, "p == p", {"p": value})
    assert misfit(asked) == f"parameter `p` of caveat `cav`: {message}"


def test_an_any_nests_only_so_deep() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert ask({"p": "any"}, "p == p", {"p": deep}) is True
    message = misfit(ask({"p": "any"}, "p == p", {"p": [deep]}))
    assert message.endswith("a value that nests at most 64 deep is needed")


@pytest.mark.parametrize(
    "text", ["int", "list<int>", "list < int >", "map<list<any>>", "int<string>", "list<int<any>>"]
)
def test_a_type(text: str) -> None:
    assert Caveat.compile("cav", {"p": text}, "p == p").parameters == {"p": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("list", "`list` needs one type of what it holds, such as `list<string>`; 0 are given"),
        (
            "map<int,int>",
            "`map` needs one type of what it holds, such as `map<string>`; 2 are given",
        ),
        ("list<int", "`list<int` is not a type; close `<` with `>`"),
        ("int>", "`int>` is not a type"),
        ("list<" * 70 + "int" + ">" * 70, "the type nests too deep"),
    ],
)
def test_what_is_no_type(text: str, message: str) -> None:
    assert faults({"p": text}, "p == p") == (("p", 0, message),)


@pytest.mark.parametrize("text", ["foo", "List<int>", "list<foo>", "list<>", "", "string<foo>"])
def test_an_unknown_type(text: str) -> None:
    ((parameter, _, message),) = faults({"p": text}, "p == p")
    assert parameter == "p"
    assert message.startswith("unknown type `")
    assert message.endswith("`list<T>`, `map<T>`")


def test_a_relationship_may_name_parameters_only() -> None:
    caveat = Caveat.compile("cav", {"b": "int", "a": "int"}, "a == b")
    caveat.require_context({}, field="caveat")
    caveat.require_context({"a": 1}, field="caveat")
    with pytest.raises(ContextError) as caught:
        caveat.require_context({"c": 1}, field="caveat")
    assert caught.value.message == "caveat `cav` has no parameter `c`; it has `a`, `b`"
