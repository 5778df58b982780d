"""What holds of every caveat, drawn at random.

- Compiling raises CaveatFault or nothing; evaluating raises nothing.
- Equal inputs give equal outputs.
- More context never changes a *true* or a *false*.
- What is missing is missing, and giving all of it decides or fails.
- Where a value is, stored or asked, makes no difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from relata.caveats import Caveat, CaveatFault, Outcome
from relata.errors import CaveatFailedError, ContextError, RelataError

TYPES = {
    "a": "int",
    "b": "int",
    "p": "bool",
    "q": "bool",
    "s": "string",
    "l": "list<int>",
    "m": "map<int>",
    "y": "any",
    "d": "duration",
    "t": "timestamp",
    "ip": "ipaddress",
    "blocks": "list<string>",
}
NUMBERS = st.integers(-1, 3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": NUMBERS,
    "bool": st.booleans(),
    "string": st.sampled_from(["", "a", "b", "10.0.0.0/8"]),
    "list<int>": st.lists(NUMBERS, max_size=3),
    "map<int>": st.dictionaries(st.sampled_from("ab"), NUMBERS, max_size=2),
    "any": st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(["a", [1], {"a": 1}])),
    "duration": st.sampled_from(["1h", "-1s"]),
    "timestamp": st.sampled_from(["2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]),
    "ipaddress": st.sampled_from(["10.1.2.3", "::1"]),
    "list<string>": st.lists(st.sampled_from(["10.0.0.0/8", "::/0", "none"]), max_size=3),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)

_numbers: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["a", "b", "0", "1", "m.a", "m['b']", "size(l)", "l[0]", "size(s)"]),
        st.builds("({} {} {})".format, _numbers, st.sampled_from("+-*/%"), _numbers),
        st.builds("({} ? {} : {})".format, _tests, _numbers, _numbers),
        st.builds("l[{}]".format, _numbers),
        st.builds("m.?a.orValue({})".format, _numbers),
    )
)
_items: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.just("l"),
        st.builds("[{}, {}]".format, _numbers, _numbers),
        st.builds("l.map(i, {} + i)".format, _numbers),
        st.builds("l.filter(i, {} || i > 1)".format, _tests),
    )
)
_tests: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(
            ["p", "q", "true", "has(m.a)", "has(y.a)", "y == 1", "y.a == 1", "s in m", "s == y"]
        ),
        st.sampled_from(["t > t + d", "d > duration('1s')", "ip.in_cidr(s)", "ip.in_cidr('::/0')"]),
        st.sampled_from(["blocks.exists(i, ip.in_cidr(i))", "{'a': a}.isSubtreeOf(m)"]),
        st.builds("({} && {})".format, _tests, _tests),
        st.builds("({} || {})".format, _tests, _tests),
        st.builds("!{}".format, _tests),
        st.builds("({} {} {})".format, _numbers, st.sampled_from(["==", "<", ">="]), _numbers),
        st.builds("({} in {})".format, _numbers, _items),
        st.builds("({} == {})".format, _tests, _tests),
        st.builds(
            "{}.{}(i, {} || i == {})".format,
            _items,
            st.sampled_from(["all", "exists", "exists_one"]),
            _tests,
            _numbers,
        ),
    )
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[Caveat, dict[str, Any], dict[str, Any]]:
    """A caveat, values for all of its parameters, and some of them."""
    expression = draw(_tests)
    try:
        Caveat.compile("cav", TYPES, expression)
        used = TYPES
    except CaveatFault as error:
        unused = {parameter for parameter, _, _ in error.faults}
        assume("" not in unused)
        used = {name: kind for name, kind in TYPES.items() if name not in unused}
    assume(used)
    caveat = Caveat.compile("cav", used, expression)
    values = {name: draw(VALUES[kind]) for name, kind in used.items()}
    some = {name: value for name, value in values.items() if draw(st.booleans())}
    return caveat, values, some


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two answers are equal; of failures their kinds and messages."""
    if isinstance(one, RelataError) and isinstance(other, RelataError):
        return type(one) is type(other) and one.message == other.message
    return one == other


def text(values: Mapping[str, Any]) -> str:
    """A stored context."""
    return json.dumps(values) if values else ""


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(asked())
def test_more_context_never_changes_a_decision(
    drawn: tuple[Caveat, dict[str, Any], dict[str, Any]],
) -> None:
    caveat, values, some = drawn
    before, after = caveat.evaluate("", some), caveat.evaluate("", values)
    if isinstance(before, bool):
        assert after is before, (caveat.expression, some, values)
    assert isinstance(after, bool | CaveatFailedError)
    if isinstance(before, frozenset):
        assert before
        assert before <= set(values) - set(some)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(asked(), st.data())
def test_where_a_value_is_makes_no_difference(
    drawn: tuple[Caveat, dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    caveat, _, some = drawn
    first = caveat.evaluate("", some)
    assert same(first, caveat.evaluate("", some))
    assert same(first, caveat.evaluate(text(some), {}))
    stored = {name: value for name, value in some.items() if data.draw(st.booleans())}
    rest = {name: value for name, value in some.items() if name not in stored}
    assert same(first, caveat.evaluate(text(stored), rest))
    assert same(
        first, Caveat.compile("cav", caveat.parameters, caveat.expression).evaluate("", some)
    )


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*TYPES, "other"]), JSON))
@example({"a": float("nan"), "y": float("nan"), "d": "\u0661h"})
@example({"m": {1: 1}, "y": {None: 1}, "l": (1, 2), "blocks": {1}})
def test_any_context_is_answered(values: dict[str, Any]) -> None:
    caveat = EVERYTHING
    outcome = caveat.evaluate("", values)
    assert isinstance(outcome, bool | frozenset | ContextError | CaveatFailedError)
    try:
        stored = text(values)
    except (TypeError, ValueError):
        return
    assert isinstance(caveat.evaluate(stored, {}), bool | frozenset | CaveatFailedError)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=40))
def test_any_stored_text_is_answered(stored: str) -> None:
    assert isinstance(EVERYTHING.evaluate(stored, {}), frozenset | CaveatFailedError)


@settings(deadline=None, max_examples=300)
@given(
    st.text(
        alphabet=st.sampled_from("ab l.([{}])'\"\\/,?:!&|=<>+-*%0123u\n\t€é\0allexistsmap"),
        max_size=60,
    )
)
@example("a == 1 ? b : \ud800")
@example("a.map(")
def test_any_text_compiles_or_is_at_fault(expression: str) -> None:
    try:
        caveat = Caveat.compile("cav", {"a": "int", "b": "bool", "l": "list<int>"}, expression)
    except CaveatFault as error:
        for _, offset, message in error.faults:
            assert 0 <= offset <= len(expression)
            assert message
    else:
        assert isinstance(caveat.evaluate("", {}), bool | frozenset | CaveatFailedError)


EVERYTHING = Caveat.compile(
    "cav",
    TYPES,
    "(a == b || p || q) && (s == 'a' || l == [a] || m.a == b) && y == s || t + d > t && "
    "(ip.in_cidr(s) || blocks.exists(i, ip.in_cidr(i)))",
)
