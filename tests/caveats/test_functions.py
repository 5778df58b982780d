"""`in_cidr` and `isSubtreeOf`: what they say, wherever in an expression they are called."""

from __future__ import annotations

from typing import Any

import pytest

from tests.caveats.asking import ask, missing, reason

IP = {"ip": "ipaddress"}
BLOCKS = {"ip": "ipaddress", "blocks": "list<string>"}
MAPS = {"m": "map<any>", "n": "map<any>"}


@pytest.mark.parametrize(
    ("address", "block", "answer"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3/8", True),
        ("10.1.2.3", "10.1.2.3/32", True),
        ("10.1.2.3", "11.0.0.0/8", False),
        ("10.1.2.3", "0.0.0.0/0", True),
        ("10.1.2.3", "::/0", False),
        ("::1", "0.0.0.0/0", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "::/0", True),
        ("fe80::1%eth0", "fe80::/10", False),
    ],
)
def test_in_cidr(address: str, block: str, answer: bool) -> None:
    assert ask(IP, f"ip.in_cidr('{block}')", {"ip": address}) is answer


@pytest.mark.parametrize(
    ("address", "block", "answer"),
    [
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:a01:203", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "::ffff:10.0.0.0/104", True),
        ("10.1.2.3", "::ffff:10.0.0.0/104", True),
        ("::ffff:10.1.2.3", "11.0.0.0/8", False),
        ("::ffff:10.1.2.3", "::/0", False),
    ],
)
def test_an_ipv4_address_in_ipv6_is_the_ipv4_address(
    address: str, block: str, answer: bool
) -> None:
    """Else a block that is denied could be reached in the other form. SpiceDB 1.54 looks at it as
    an IPv6 address."""
    assert ask(IP, f"ip.in_cidr('{block}')", {"ip": address}) is answer


@pytest.mark.parametrize(
    "block",
    ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/255.0.0.0", "x", "", "fe80::%a/10"],
)
def test_what_is_no_block(block: str) -> None:
    outcome = ask(IP, f"ip.in_cidr('{block}')", {"ip": "10.1.2.3"})
    assert reason(outcome) == f"`{block}` is not a block of addresses such as `10.0.0.0/8`"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "0:0::1", True),
        ("10.1.2.3", "::ffff:10.1.2.3", False),
        ("::1%a", "::1", False),
    ],
)
def test_addresses_are_equal(one: str, other: str, equal: bool) -> None:
    outcome = ask({"p": "ipaddress", "q": "ipaddress"}, "p == q", {"p": one, "q": other})
    assert outcome is equal


def test_an_address_is_no_string() -> None:
    assert ask({"p": "ipaddress", "q": "any"}, "p == q", {"p": "::1", "q": "::1"}) is False
    marked = {"q": "ipaddress:10.1.2.3"}
    expected = "`in_cidr` does not exist for such values"
    assert reason(ask({"q": "any"}, "q.in_cidr('10.0.0.0/8')", marked)) == expected
    expression = "b'ipaddress:1.2.3.4' == q || q.in_cidr('1.0.0.0/8')"
    assert reason(ask({"q": "any"}, expression, {"q": "1.2.3.4"})) == expected


SMALL_LARGE: list[tuple[Any, Any, bool]] = [
    ({}, {}, True),
    ({}, {"a": 1}, True),
    ({"a": 1}, {"a": 1, "b": 2}, True),
    ({"a": 1}, {"a": 2}, False),
    ({"a": 1}, {}, False),
    ({"a": None}, {}, False),
    ({"a": None}, {"a": None}, True),
    ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
    ({"a": {"b": 1}}, {"a": {"c": 2}}, False),
    ({"a": {}}, {"a": 1}, False),
    ({"a": 1}, {"a": {}}, False),
    ({"a": True}, {"a": 1}, False),
    ({"a": "1"}, {"a": 1}, False),
    ({"a": [1]}, {"a": [1]}, True),
    ({"a": [1]}, {"a": [1, 2]}, False),
    ({"a": [True]}, {"a": [1]}, False),
    ({"a": [{"x": 1}]}, {"a": [{"x": 1}]}, True),
    ({"a": [{"x": 1}]}, {"a": [{"x": 1, "y": 1}]}, False),
]


@pytest.mark.parametrize(("small", "large", "answer"), SMALL_LARGE)
def test_is_subtree_of(small: Any, large: Any, answer: bool) -> None:
    assert ask(MAPS, "m.isSubtreeOf(n)", {"m": small, "n": large}) is answer


def test_is_subtree_of_compares_types() -> None:
    """The numbers of an `any` are doubles."""
    parameters = {"m": "map<int>", "n": "map<any>"}
    assert ask(parameters, "m.isSubtreeOf(n)", {"m": {"a": 1}, "n": {"a": 1}}) is False
    assert ask({"m": "map<int>"}, "m.isSubtreeOf({'a': 1, 'b': 2})", {"m": {"a": 1}}) is True
    assert ask({"m": "map<any>"}, "m.isSubtreeOf({'a': 1.0})", {"m": {"a": 1}}) is True


@pytest.mark.parametrize(
    ("kind", "value", "literal"),
    [
        ("map<timestamp>", "2020-01-01T00:00:00.000000001Z", "timestamp('2020-01-01T00:00:00Z')"),
        ("map<bytes>", "AA==", "b''"),
        ("map<ipaddress>", "10.0.0.1", "b'10.0.0.1'"),
    ],
)
def test_is_subtree_of_compares_values_of_every_type(kind: str, value: str, literal: str) -> None:
    parameters, given = {"m": kind, "n": kind}, {"m": {"a": value}, "n": {"a": value}}
    assert ask(parameters, "m.isSubtreeOf(n)", given) is True
    assert ask({"m": kind}, f"m.isSubtreeOf({{'a': {literal}}})", {"m": {"a": value}}) is False


def test_is_subtree_of_takes_maps_only() -> None:
    expected = "`isSubtreeOf` does not exist for such values"
    assert reason(ask({"y": "any"}, "y.isSubtreeOf({'a': 1})", {"y": 1})) == expected


GIVEN = {"ip": "10.1.2.3", "blocks": ["11.0.0.0/8", "10.0.0.0/8"]}
ANYWHERE = [
    ("blocks.exists(b, ip.in_cidr(b))", True),
    ("blocks.all(b, ip.in_cidr(b))", False),
    ("!blocks.all(b, ip.in_cidr(b))", True),
    ("blocks.exists_one(b, ip.in_cidr(b))", True),
    ("blocks.filter(b, ip.in_cidr(b)) == ['10.0.0.0/8']", True),
    ("blocks.map(b, ip.in_cidr(b)) == [false, true]", True),
    ("blocks.map(b, !ip.in_cidr(b), b) == ['11.0.0.0/8']", True),
    ("blocks.map(b, {'in': ip.in_cidr(b), b: false}).exists(e, e['in'])", True),
    ("blocks.exists(b, ip.in_cidr(b) == true && b != '')", True),
    ("blocks.exists(b, (ip.in_cidr(b) ? b : 'x') == '10.0.0.0/8')", True),
    ("blocks.all(b, blocks.exists(c, ip.in_cidr(c)) || b == '')", True),
    ("[ip].exists(i, blocks.exists(b, i.in_cidr(b)))", True),
    ("ip.in_cidr(blocks[1])", True),
    ("ip.in_cidr(blocks[0]) || ip.in_cidr(blocks[1])", True),
    ("ip.in_cidr(blocks[0]) == ip.in_cidr('12.0.0.0/8')", True),
    ("[ip.in_cidr('10.0.0.0/8'), false] == [true, ip.in_cidr(blocks[0])]", True),
    ("{'a': ip.in_cidr('10.0.0.0' + '/8')}.a && blocks != []", True),
    ("ip.in_cidr(ip.in_cidr('10.0.0.0/8') ? '10.0.0.0/8' : '') && blocks != []", True),
    ("true || ip.in_cidr('no block') || blocks == []", True),
    ("optional.of(ip.in_cidr('10.0.0.0/8')).orValue(false) && blocks != []", True),
    ("blocks.all(b, blocks[?0].orValue(ip.in_cidr(b) ? b : '') == '11.0.0.0/8')", True),
    ("blocks.all(b, blocks[?9].orValue(ip.in_cidr(b) ? '' : '') == '') && blocks != []", True),
    ("blocks.all(b, blocks[?0].orValue(ip.in_cidr('none') ? b : '') != '')", True),
]


@pytest.mark.parametrize(("expression", "answer"), ANYWHERE)
def test_a_function_may_be_called_anywhere(expression: str, answer: bool) -> None:
    assert ask(BLOCKS, expression, GIVEN) is answer


@pytest.mark.parametrize(
    ("expression", "given", "names"),
    [
        ("blocks.exists(b, ip.in_cidr(b))", {}, ["blocks"]),
        ("blocks.exists(b, ip.in_cidr(b))", {"ip": "::1"}, ["blocks"]),
        ("blocks.exists(b, ip.in_cidr(b))", {"blocks": ["::/0"]}, ["ip"]),
        ("ip.in_cidr('::/0') && blocks == []", {}, ["ip", "blocks"]),
        ("ip.in_cidr('::/0') && blocks == []", {"ip": "::1"}, ["blocks"]),
        ("ip.in_cidr(blocks[0])", {"blocks": ["::/0"]}, ["ip"]),
        ("ip.in_cidr(blocks[0])", {"ip": "::1"}, ["blocks"]),
    ],
)
def test_what_a_call_misses(expression: str, given: Any, names: list[str]) -> None:
    assert ask(BLOCKS, expression, given) == missing(*names)


def test_a_call_fails_inside_a_macro() -> None:
    outcome = ask(BLOCKS, "blocks.exists(b, ip.in_cidr(b))", {"ip": "::1", "blocks": ["x"]})
    assert reason(outcome) == "`x` is not a block of addresses such as `10.0.0.0/8`"
    decided = {"ip": "::1", "blocks": ["x", "::/0"]}
    assert ask(BLOCKS, "blocks.exists(b, ip.in_cidr(b))", decided) is True


def test_is_subtree_of_in_a_macro() -> None:
    parameters = {"wanted": "list<map<any>>", "have": "map<any>"}
    given = {"wanted": [{"a": 1}, {"b": {"c": 2}}], "have": {"b": {"c": 2, "d": 3}}}
    assert ask(parameters, "wanted.exists(w, w.isSubtreeOf(have))", given) is True
    assert ask(parameters, "wanted.all(w, w.isSubtreeOf(have))", given) is False
