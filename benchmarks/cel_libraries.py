"""The CEL libraries of Python side by side: what decision 4 was taken on.

Asks each library that is installed the same expressions, and prints a table in Markdown. What is
right is what cel-go says, the library of SpiceDB. A library that hangs or crashes is given a
process of its own to do so in.

    pip install cel-expr-python common-expression-language cel-python
    python -m benchmarks.cel_libraries
"""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Run = Callable[[Mapping[str, Any]], object]
Compile = Callable[[Mapping[str, str], str], Run]

PATIENCE = 5.0
"""Seconds before an expression counts as hanging."""
ROUNDS = 20_000


class Case(NamedTuple):
    expression: str
    types: Mapping[str, str]
    values: Mapping[str, Any]
    answer: object
    """A truth value, or "fails", or "refused" where it must not compile."""


_NUMBERS = {"a": "int", "b": "int"}
_LISTS = {"l": "list(int)", "a": "int"}
_MIXED = {"a": "int", "s": "string", "f": "double", "y": "dyn"}
CASES = {
    "the language": [
        Case("l.exists_one(x, x == 1)", _LISTS, {"l": [1, 2]}, True),
        Case("l.map(x, x > 1, x * 2) == [4]", _LISTS, {"l": [1, 2]}, True),
        Case("l.filter(x, x > 1).all(x, x == 2)", _LISTS, {"l": [1, 2]}, True),
        Case("size('é') == 1", {}, {}, True),
        Case("s.matches('^a+$')", _MIXED, {"s": "aa"}, True),
        Case("dyn(1) == 1.0", {}, {}, True),
        Case("y > 0.5", _MIXED, {"y": 1}, True),
        Case("type(1) == int", {}, {}, True),
        Case("duration('1h30m') == duration('90m')", {}, {}, True),
        Case("timestamp('2020-01-01T00:00:00Z').getFullYear() == 2020", {}, {}, True),
        Case("b'a' + b'b' == b'ab'", {}, {}, True),
        Case("{'a': 1}.?b.orValue(2) == 2", {}, {}, True),
        Case("optional.none().hasValue()", {}, {}, False),
        Case("9223372036854775807 + 1 > 0", {}, {}, "fails"),
        Case("1 / 0 == 1", {}, {}, "fails"),
        Case("1 / 0 == 1 || true", {}, {}, True),
        Case("true || 1 / 0 == 1", {}, {}, True),
        Case("dyn(1) + dyn(1.0) == 2.0", {}, {}, "fails"),
    ],
    "missing values": [
        Case("a == 1 && b == 2", _NUMBERS, {"a": 2}, False),
        Case("b == 2 && a == 1", _NUMBERS, {"a": 2}, False),
        Case("b == 2 || a == 1", _NUMBERS, {"a": 1}, True),
        Case("a == 1 && b == 2", _NUMBERS, {"a": 1}, "fails"),
        Case("l.all(x, x > a)", _LISTS, {"l": []}, True),
        Case("l.all(x, x > a)", _LISTS, {"l": [1]}, "fails"),
        Case("l.exists(x, x == 2 || x > a)", _LISTS, {"l": [1, 2]}, True),
    ],
    "types, before it runs": [
        Case("a == s", _MIXED, {"a": 1, "s": ""}, "refused"),
        Case("s + 1 == 'x'", _MIXED, {"s": ""}, "refused"),
        Case("a < f", _MIXED, {"a": 1, "f": 1.0}, "refused"),
        Case("a && true", _MIXED, {"a": 1}, "refused"),
        Case("undeclared == 1", _MIXED, {"undeclared": 1}, "refused"),
        Case("s.unknown()", _MIXED, {"s": ""}, "refused"),
        Case("y == 1", _MIXED, {"y": 1}, True),
    ],
}
HOSTILE = {
    "three nested macros, 300 items": Case(
        "l.all(x, l.all(y, l.all(z, x + y + z >= 0)))", _LISTS, {"l": list(range(300))}, "fails"
    ),
    "10,000 parentheses": Case("(" * 10_000 + "a" + ")" * 10_000, _NUMBERS, {"a": 1}, "refused"),
    "a chain of 10,000 `+`": Case("+".join(["a"] * 10_000), _NUMBERS, {"a": 1}, "refused"),
    "a backtracking pattern": Case("s.matches('(a+)+$')", _MIXED, {"s": "a" * 40 + "b"}, False),
}
TIMED = [
    Case("a == 42", _NUMBERS, {"a": 42}, True),
    Case("a == 42 && b == 3", _NUMBERS, {"a": 42, "b": 3}, True),
    Case("a in l", _LISTS, {"a": 3, "l": [1, 2, 3]}, True),
]


def _cel_expr_python() -> Compile:
    """`cel-expr-python`: Google's C++ library."""
    cel = importlib.import_module("cel_expr_python.cel")
    optional = importlib.import_module("cel_expr_python.ext.ext_optional")
    known = {name: getattr(cel.Type, name.upper()) for name in ("int", "string", "double", "dyn")}
    known["list(int)"] = cel.Type.List(cel.Type.INT)

    def compile_(types: Mapping[str, str], expression: str) -> Run:
        variables = {name: known[kind] for name, kind in types.items()}
        environment = cel.NewEnv(variables=variables, extensions=[optional.ExtOptional()])
        compiled = environment.compile(expression)
        return lambda values: compiled.eval(None, values).value()

    return compile_


def _common_expression_language() -> Compile:
    """`common-expression-language`: a Rust library. It has no types before it runs."""
    cel = importlib.import_module("cel")

    def compile_(_: Mapping[str, str], expression: str) -> Run:
        return cel.compile(expression).execute  # type: ignore[no-any-return]  # untyped here

    return compile_


def _cel_python() -> Compile:
    """`cel-python`: pure Python."""
    celpy = importlib.import_module("celpy")
    known = {"int": "IntType", "string": "StringType", "double": "DoubleType", "dyn": "Value"}

    def compile_(types: Mapping[str, str], expression: str) -> Run:
        annotations = {
            name: getattr(celpy.celtypes, known.get(kind, "ListType"))
            for name, kind in types.items()
        }
        environment = celpy.Environment(annotations=annotations)
        program = environment.program(environment.compile(expression))
        return lambda values: program.evaluate(celpy.json_to_cel(values))

    return compile_


LIBRARIES = {
    "cel-expr-python": _cel_expr_python,
    "common-expression-language": _common_expression_language,
    "cel-python": _cel_python,
}


def outcome(compile_: Compile, case: Case) -> object:
    """What a library makes of a case."""
    try:
        run = compile_(case.types, case.expression)
    except (Exception, RecursionError):  # noqa: BLE001  each library raises its own
        return "refused"
    try:
        found = run(case.values)
    except (Exception, RecursionError):  # noqa: BLE001  each library raises its own
        return "fails"
    # One library has a truth value of its own, one answers an error as a text.
    return bool(found) if type(found).__name__ in ("bool", "BoolType") else "fails"


def _outcome_of(
    library: str, name: str, queue: multiprocessing.Queue[tuple[object, float]]
) -> None:
    start = time.perf_counter()
    found = outcome(LIBRARIES[library](), HOSTILE[name])
    queue.put((found, time.perf_counter() - start))


def hostile(library: str, name: str) -> str:
    """How a library ends with a hostile case."""
    queue: multiprocessing.Queue[tuple[object, float]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=_outcome_of, args=(library, name, queue))
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        return "hangs"
    if process.exitcode:
        return "crashes the process"
    found, seconds = queue.get()
    return f"{found}, {seconds * 1000:.0f} ms"


def microseconds(compile_: Compile, case: Case) -> float:
    """The fastest of some rounds."""
    run, best = compile_(case.types, case.expression), float("inf")
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(ROUNDS // 10):
            run(case.values)
        best = min(best, (time.perf_counter() - start) / (ROUNDS // 10))
    return best * 1e6


def main() -> None:
    """Print the table."""
    found: dict[str, Compile] = {}
    for library, load in LIBRARIES.items():
        try:
            found[library] = load()
        except ImportError:
            print(f"`{library}` is not installed\n")
    print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for group, cases in CASES.items():
        right = [
            sum(outcome(each, case) == case.answer for case in cases) for each in found.values()
        ]
        print(f"| {group} | {' | '.join(f'{count} of {len(cases)}' for count in right)} |")
    for name in HOSTILE:
        print(f"| {name} | {' | '.join(hostile(library, name) for library in found)} |")
    for case in TIMED:
        times = (f"{microseconds(each, case):.1f} µs" for each in found.values())
        print(f"| `{case.expression}` | {' | '.join(times)} |")
    for library, compile_ in found.items():
        for cases in CASES.values():
            for case in cases:
                if (answer := outcome(compile_, case)) != case.answer:
                    print(f"\n`{library}`: `{case.expression}` is {answer}, not {case.answer}")


if __name__ == "__main__":
    main()
