"""Caveats at random: typed CEL expressions over parameters of every type, and contexts for them.

Nearly all expressions have a type and are boolean; now and then a part is of the wrong one. Values
are few and near the edges, so that divisions by zero, missing keys and empty lists are met often.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

PARAMETERS: Mapping[str, tuple[str, str]] = {
    "flag": ("bool", "bool"),
    "other": ("bool", "bool"),
    "num": ("int", "int"),
    "few": ("int", "int"),
    "count": ("uint", "int"),
    "ratio": ("double", "double"),
    "name": ("string", "string"),
    "word": ("string", "string"),
    "raw": ("bytes", "bytes"),
    "nums": ("list<int>", "list"),
    "tags": ("map<string>", "map"),
    "deep": ("map<any>", "any"),
    "from": ("ipaddress", "ip"),
    "when": ("timestamp", "timestamp"),
    "age": ("duration", "duration"),
    "thing": ("any", "any"),
}
"""By name: the type as a schema writes it, and the kind of expression that it is."""

VALUES: Mapping[str, Sequence[Any]] = {
    "bool": (True, False),
    "int": (0, 1, -1, 3, "2", "-7", 9_007_199_254_740_992, "1e2"),
    "uint": (0, 1, 3, "2"),
    "double": (0, 1, 1.5, -0.25, "2.5", 1e300),
    "string": ("", "a", "ab", "10", "é", "2020-01-01T00:00:00Z"),
    "bytes": ("", "YQ==", "/w=="),
    "list<int>": ([], [1], [0, 3], ["2", 2], [1, 1, 1]),
    "map<string>": ({}, {"a": "x"}, {"a": "", "b": "a"}),
    "map<any>": ({}, {"a": 1}, {"a": {"b": True}}, {"a": None, "b": [1, "x"]}),
    "ipaddress": ("10.1.2.3", "192.168.0.1", "::1", "::ffff:10.1.2.3"),
    "timestamp": ("2020-01-01T00:00:00Z", "2024-02-29T23:59:59.5+01:00", "1969-12-31T00:00:00Z"),
    "duration": ("0s", "1h30m", "-1.5s", "72h"),
    "any": (None, True, 1, 1.5, "a", [1], {"a": 1}),
}
WRONG: Sequence[Any] = (None, True, 1.5, -1, "x", "1h", [], ["x"], {}, {"a": 1}, 1e30)


class Case(NamedTuple):
    """A caveat's parameters and expression, contexts to store, and one to come with questions."""

    parameters: Mapping[str, str]
    expression: str
    stored: tuple[Mapping[str, Any], ...]
    request: Mapping[str, Any]

    @property
    def schema(self) -> str:
        """A schema whose only relation needs the caveat."""
        declared = ", ".join(f"{name} {type_}" for name, type_ in self.parameters.items())
        return (
            f"caveat tested({declared}) {{ {self.expression} }}\n"
            "definition user {}\ndefinition doc {\n\trelation viewer: user with tested\n}\n"
        )


_FORMS: Mapping[str, Sequence[str]] = {
    "bool": (
        *("true", "false", "!{bool}", "({bool} && {bool})", "({bool} || {bool})"),
        *("({bool} ? {bool} : {bool})", "({int} == {int})", "({int} < {int})", "({int} >= {int})"),
        *("({double} < {double})", "({double} == {double})", "({string} == {string})"),
        *("({string} < {string})", "({bytes} == {bytes})", "({int} in {list})"),
        *(
            "({string} in {map})",
            "has(tags.a)",
            "has(deep.a)",
            "has(deep.a.b)",
            "(tags.a == {string})",
        ),
        *("(tags[{string}] == {string})", "{list}.exists(v, {inner})", "{list}.all(v, {inner})"),
        *("{list}.exists_one(v, {inner})", "{map}.exists(k, k == {string})", "({list} == {list})"),
        *("{string}.startsWith({string})", "{string}.endsWith({string})"),
        *("{string}.contains({string})", "{string}.matches('^a.?$')", "({map} == {map})"),
        *("from.in_cidr('10.0.0.0/8')", "from.in_cidr('::/0')", "({timestamp} < {timestamp})"),
        *("({duration} <= {duration})", "({timestamp} == {timestamp})", "({any} == {any})"),
        *("({any} == {int})", "({any} == {string})", "(deep.a == {any})", "(thing.a == {int})"),
        *("deep.isSubtreeOf(deep)", "deep.isSubtreeOf({{'a': 1}})", "(type({any}) == int)"),
        *("({any} < {int})", "(deep['a'] == 1)", "thing[0] == 1", "(dyn({int}) == {double})"),
        *("bool({string})", "({int} != {int})", "(deep.a.b == {any})", "(size(deep) > {int})"),
    ),
    "int": (
        *("0", "1", "-2", "7", "9223372036854775807", "({int} + {int})", "({int} - {int})"),
        *(
            "({int} * {int})",
            "({int} / {int})",
            "({int} % {int})",
            "size({string})",
            "size({list})",
        ),
        *(
            "size({map})",
            "size({bytes})",
            "int({string})",
            "int({double})",
            "-{int}",
            "{list}[{int}]",
        ),
        *("({bool} ? {int} : {int})", "int({timestamp})", "{timestamp}.getFullYear()"),
        *("{timestamp}.getMonth()", "{timestamp}.getDayOfWeek()", "{timestamp}.getHours('+01:00')"),
        *("{duration}.getSeconds()", "{duration}.getHours()", "{string}.size()", "{list}.size()"),
    ),
    "double": (
        *("0.0", "1.5", "-3.0", "({double} + {double})", "({double} - {double})", "double({int})"),
        *("({double} * {double})", "({double} / {double})", "double({string})"),
    ),
    "string": (
        *("''", "'a'", '"10"', "({string} + {string})", "string({int})", "string({bool})"),
        *("tags.a", "tags['b']", "({bool} ? {string} : {string})", "string({bytes})"),
        *("string({duration})", "string({timestamp})", "string({double})"),
    ),
    "bytes": ("b'a'", "b''", "bytes({string})", "({bytes} + {bytes})"),
    "list": (
        *("[]", "[1, 2]", "[{int}]", "({list} + {list})", "{list}.filter(v, {inner})"),
        *("{list}.map(v, v + 1)", "{list}.map(v, {inner}, v)"),
    ),
    "map": ("{{}}", "{{'a': {string}}}"),
    "timestamp": (
        *("timestamp('2020-01-01T00:00:00Z')", "({timestamp} + {duration})", "timestamp({string})"),
        "({timestamp} - {duration})",
    ),
    "duration": (
        *("duration('1h')", "duration('90s')", "({duration} + {duration})", "duration({string})"),
        "({timestamp} - {timestamp})",
    ),
    "any": ("null", "1", "'a'", "true", "deep.a", "deep['b']", "dyn({int})"),
    "ip": (),
    "inner": ("v > 0", "v == {int}", "v in {list}", "(10 / v > 1)", "{bool}", "v != 1 && {bool}"),
}
_OF_KIND = {
    kind: tuple(name for name, (_, of) in PARAMETERS.items() if of == kind) for kind in _FORMS
}
_HOLE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_DEEPEST = 4


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a caveat with contexts."""
    expression = _expression(draw, "bool", _DEEPEST)
    words = set(re.findall(r"\w+", re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)))
    used = [name for name in PARAMETERS if name in words]
    if not used:
        used, expression = ["flag"], f"flag || {expression}"
    parameters = {name: PARAMETERS[name][0] for name in used}
    stored = tuple(draw(_context(parameters)) for _ in range(4))
    return Case(parameters, expression, stored, draw(_context(parameters)))


def _expression(draw: st.DrawFn, kind: str, depth: int) -> str:
    named, forms = _OF_KIND[kind], _FORMS[kind]
    if draw(st.integers(0, 40)) == 0:
        kind = draw(st.sampled_from(sorted(_FORMS.keys() - {"inner"})))  # of the wrong type
        named, forms = _OF_KIND[kind], _FORMS[kind]
    if depth == 0:
        forms = [form for form in forms if "{" not in form.replace("{{", "")]
    if named and (not forms or draw(st.integers(0, 2)) == 0):
        return draw(st.sampled_from(named))
    form = draw(st.sampled_from(forms or ["true"]))
    filled = _HOLE.sub(lambda hole: _expression(draw, hole[1], max(0, depth - 1)), form)
    return filled.replace("{{", "{").replace("}}", "}")


@st.composite
def _context(draw: st.DrawFn, parameters: Mapping[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for name, type_ in parameters.items():
        chance = draw(st.integers(0, 11))
        if chance == 0:
            context[name] = draw(st.sampled_from(WRONG))
        elif chance < 8:
            context[name] = draw(st.sampled_from(VALUES[type_]))
    return context
