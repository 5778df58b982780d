"""What is wrong with a caveat's text: all of it together, each at its place, in our words."""

from __future__ import annotations

import pytest

from relata.caveats import Caveat, CaveatFault
from tests.caveats.asking import faults

ONE = {"a": "int"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a == zz", [(5, "`zz` is neither a parameter of the caveat nor a function")]),
        (
            "a == 1 &&\n  zz == 1 ||\n  yy",
            [
                (12, "`zz` is neither a parameter of the caveat nor a function"),
                (25, "`yy` is neither a parameter of the caveat nor a function"),
            ],
        ),
        ("a.in_zone('x')", [(9, "`in_zone` is neither a parameter of the caveat nor a function")]),
        ("a == 'x'", [(2, "`==` does not take `(int, string)`")]),
        ("a < 1.5", [(2, "`<` does not take `(int, double)`")]),
        ("a + 'x' == 'y'", [(2, "`+` does not take `(int, string)`")]),
        ("a && true", [(2, "`&&` does not take `(int, bool)`")]),
        ("a ? true : false", [(2, "`? :` does not take `(int, bool, bool)`")]),
        ("!a", [(0, "`!` does not take `(int)`")]),
        ("a in 'abc'", [(2, "`in` does not take `(int, string)`")]),
        ("'abc'[a] == 'a'", [(5, "`[]` does not take `(string, int)`")]),
        ("a.startsWith('x')", [(12, "`startsWith` does not take `(int, string)`")]),
        ("a.field == 1", [(1, "`int` has no fields")]),
        ("a == 1 && as == 2", [(10, "`as` is a reserved word of CEL")]),
        ("a ==", [(4, "the expression ends too early")]),
        ("a == 1 &&\n", [(9, "the expression ends too early")]),
        ("a = 1", [(2, "`=` is not expected here"), (4, "`1` is not expected here")]),
        ("a == 1)", [(6, "`)` is not expected here")]),
        ("a == 1 € 2", [(7, "`€` is not expected here"), (9, "`2` is not expected here")]),
        ("'é' == 1", [(4, "`==` does not take `(string, int)`")]),
        ("a == 9223372036854775808", [(5, "invalid int literal")]),
        ("a", [(0, "the expression must be true or false, but its type is `int`")]),
        ("[a]", [(0, "the expression must be true or false, but its type is `list<int>`")]),
        (
            "(" * 40 + "a" + ")" * 40,
            [(0, "the expression nests too deep; at most 32 levels are allowed")],
        ),
        (
            "+".join(["a"] * 40),
            [(0, "the expression nests too deep; at most 32 levels are allowed")],
        ),
        ("a" + ".b" * 50, [(0, "the expression nests too deep; at most 32 levels are allowed")]),
        (
            "duration('1s').getMilliseconds() == a",
            [(30, "`getMilliseconds` does not take `(google.protobuf.Duration)`")],
        ),
        ("int(duration('1s')) == a", [(3, "`int` does not take `(google.protobuf.Duration)`")]),
    ],
)
def test_what_is_wrong_with_an_expression(expression: str, expected: list[tuple[int, str]]) -> None:
    found = [(offset, message) for name, offset, message in faults(ONE, expression) if not name]
    assert found == expected


def test_everything_that_is_wrong_is_told_together() -> None:
    assert faults({"a": "text", "b": "list", "unused": "int", "int": "int"}, "a == zz || b") == (
        (
            "a",
            0,
            "unknown type `text`; the types are `any`, `bool`, `string`, `int`, `uint`, `double`, "
            "`bytes`, `duration`, `timestamp`, `ipaddress`, `list<T>`, `map<T>`",
        ),
        ("b", 0, "`list` needs one type of what it holds, such as `list<string>`; 0 are given"),
        ("int", 0, "`int` is a type of CEL; choose another name"),
        ("", 5, "`zz` is neither a parameter of the caveat nor a function"),
    )


def test_a_parameter_that_is_not_used() -> None:
    assert faults({"a": "int", "b": "int"}, "a == 1") == (
        ("b", 0, "parameter `b` of caveat `cav` is not used"),
    )


def test_a_parameter_that_only_a_macro_names_is_used() -> None:
    """As in SpiceDB, which looks at names alone."""
    assert Caveat.compile("cav", ONE, "[1].all(a, a > 0)").evaluate("", {}) is True


@pytest.mark.parametrize("name", ["a", "size", "has", "all", "optional", "_", "timestamp"])
def test_names_of_functions_may_be_parameters(name: str) -> None:
    assert Caveat.compile("cav", {name: "int"}, f"{name} == 1").evaluate("", {name: 1}) is True


@pytest.mark.parametrize(
    "name",
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "optional_type", "string", "type"],
)
def test_types_may_not_be_parameters(name: str) -> None:
    assert (name, 0, f"`{name}` is a type of CEL; choose another name") in faults(
        {name: "int"}, f"{name} == 1"
    )


@pytest.mark.parametrize("name", ["in", "as", "if", "true", "null", "é", "1a"])
def test_what_is_no_name_in_cel_may_not_be_a_parameter(name: str) -> None:
    assert faults({name: "int"}, f"{name} == 1")


def test_a_caveat_needs_a_parameter() -> None:
    assert ("", 0, "caveat `cav` needs at least one parameter") in faults({}, "true")


def test_an_expression_has_a_longest_length() -> None:
    """Without the space around it."""
    long = "a == 1" + " " * 99_994
    assert Caveat.compile("cav", ONE, f"\n{long}\n").expression == f"\n{long}\n"
    expected = "the expression has more characters than allowed; at most 100000 are allowed"
    assert faults(ONE, "a" * 100_001) == (("", 0, expected),)


def test_the_fault_reads_as_its_messages() -> None:
    with pytest.raises(CaveatFault, match=r"^`zz` is neither .* nor a function$"):
        Caveat.compile("cav", ONE, "a == zz")


@pytest.mark.parametrize(
    "expression",
    [
        "a ==",
        "zz",
        "a == 'x'",
        "€",
        "a.b",
        "foo(a)",
        "a == 1 ? 2 : 'x'",
        "as",
    ],
)
def test_messages_are_worded_like_others(expression: str) -> None:
    for _, _, message in faults(ONE, expression):
        assert message[0] == "`" or message[0].islower(), message
        assert not message.endswith("."), message
        assert "'" not in message, message
        assert "[" not in message.split("`")[0], message


def test_comments_may_stand_in_an_expression() -> None:
    caveat = Caveat.compile("cav", ONE, "a == // one\n 1 // and no more")
    assert caveat.evaluate("", {"a": 1}) is True
