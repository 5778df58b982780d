"""The expression language, as it is answered: a sample of CEL, compared with SpiceDB 1.54."""

from __future__ import annotations

from typing import Any

import pytest

from tests.caveats.asking import ask, reason

TYPES = {
    "a": "int",
    "f": "double",
    "s": "string",
    "b": "bytes",
    "l": "list<int>",
    "ls": "list<string>",
    "m": "map<int>",
    "y": "any",
    "t": "timestamp",
    "d": "duration",
}
GIVEN: dict[str, Any] = {
    "a": 3,
    "f": 1.5,
    "s": "abc",
    "b": "/w==",
    "l": [1, 2, 3],
    "ls": ["a", "b"],
    "m": {"k": 1},
    "y": {"k": {"x": 1}, "n": None, "l": [1, "a"]},
    "t": "2030-01-01T12:34:56.789Z",
    "d": "1h",
}
TRUE = """
a / 2 == 1
-7 / 2 == -3
-7 % 3 == -1
double(a) / 2.0 == f
1.0 / 0.0 > 1.0
0.0 / 0.0 != 0.0 / 0.0
a > 2 ? true : false
1 / 0 == 1 || true
!(1 / 0 == 1 && false)
s < 'abd'
s + 'd' == "abcd"
size('é') == 1
size(b'é') == 2
s.contains('b') && s.startsWith('a') && s.endsWith('c') && s.matches('^[a-c]+$')
'''a''' == r'a' && '\\u00e9' == 'é' && '\\x41' == 'A'
b == b'\\xff'
b + b == b'\\xff\\xff'
a in l
!(a in [])
l == [1, 2, 3] && l + [4] == [1, 2, 3, 4]
l[0] == 1 && size(l) == l.size()
l[?9].hasValue() == false && l[?0].value() == 1
m.k == 1 && m['k'] == 1 && 'k' in m
has(m.k) && !has(m.z)
m == {'k': 1}
{?'k': m.?k} == m
[?m.?z] == []
m.?k.orValue(3) == 1
m.?z.or(optional.of(3)).value() == 3
m.?k.optMap(v, v + 1).orValue(0) == 2
optional.none() == m.?z
m.?k.optMap(v, m.?k.optMap(w, v + w).value() + v).value() == 3
l.map(x, m.?k.optMap(v, v + x).orValue(0)) == [2, 3, 4]
l.exists(x, x == 1) && m.?k.optMap(v, v == 1).value()
!l.all(x, x > 5) && m.?k.optMap(v, v == 1).value()
l.map(x, l.exists(z, z == 1) && m.?k.optMap(v, v + x).value() == 1 + x) == [true, true, true]
y.k.x == 1 && y.k.x < 1.5 && y.k == {'x': 1}
y.n == null
y.l[1] == 'a' && type(y.l[0]) == double
y.?k.?x.orValue(0) == 1
l.all(x, x > 0)
l.exists(x, x == 2)
l.exists_one(x, x == 2)
l.filter(x, x > 1) == [2, 3]
l.map(x, x * 2) == [2, 4, 6]
l.map(x, x > 1, x * 2) == [4, 6]
m.all(key, m[key] == 1)
[[1], [2]].all(x, x.all(z, z > 0))
l.all(l, l > 0)
t > timestamp('2030-01-01T00:00:00Z')
t + d == timestamp('2030-01-01T13:34:56.789Z')
t - timestamp('2030-01-01T11:34:56.789Z') == d
t.getFullYear() == 2030 && t.getMonth() == 0 && t.getDate() == 1 && t.getDayOfWeek() == 2
t.getHours() == 12 && t.getMinutes() == 34 && t.getSeconds() == 56 && t.getMilliseconds() == 789
t.getHours('America/New_York') == 7 && t.getMinutes('+05:30') == 4
d.getHours() == 1 && d.getMinutes() == 60 && d.getSeconds() == 3600
duration('1.5s') < d && duration('90m') > d
int('3') == a && string(a) == '3' && int(f) == 1 && double('1.5') == f && bool('true')
timestamp(0) < t && string(d) == '3600s' && bytes(s) == b'abc'
type(a) == int && type(s) == string && type(l) == list
dyn(1) == 1.0 && dyn('a') != 1
google.protobuf.Int64Value{value: 3} == a
[1, 'a', null, 2.5] != []
true && true && true || false
""".strip().splitlines()
FAILING = {
    "l[3] == 1": "there is no item 3 in a list of 3",
    "m.z == 1": "the map has no key `z`",
    "a / (a - 3) == 1": "it divides by zero",
    "a % (a - 3) == 1": "it takes a remainder by zero",
    "m.?z.value() == 1": "it takes the value of an empty optional",
    "y.k + 1 == 2": "`_+_(map, int64)` does not exist for such values",
    "y.k && true": "`&&` does not exist for such values",
    "9223372036854775807 + a > 0": "integer overflow",
    "s.matches('(')": "invalid regular expression: missing ): (",
    "timestamp(s) > t": "string to Timestamp conversion failed",
    "int(s) == 1": "cannot convert string to int",
    "y.n.z == 1": "applying SELECT to non-message type",
}


@pytest.mark.parametrize("expression", TRUE)
def test_it_is_true(expression: str) -> None:
    everything = " && (" + " || ".join(f"{name} == {name}" for name in TYPES) + ")"
    assert ask(TYPES, f"({expression}){everything}", GIVEN) is True


@pytest.mark.parametrize(("expression", "why"), FAILING.items())
def test_it_fails(expression: str, why: str) -> None:
    everything = " || !(" + " || ".join(f"{name} == {name}" for name in TYPES) + ")"
    assert reason(ask(TYPES, f"({expression}){everything}", GIVEN)) == why
