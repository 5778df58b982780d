"""The engine against the reference on an exhaustive matrix of small shapes.

Random search is weak on rare shapes, so here every pair of operators, grouped both ways, meets
every kind of subject, a wildcard in every place, and every kind of cycle in every place: every
question about each is asked both ways.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from relata.relationships import Relationship, parse_object, parse_relationship
from relata.schema import Schema, compile_schema
from tests.reference.compare import disagreements
from tests.reference.engine_answers import EngineUnderTest
from tests.reference.evaluator import Reference

GROUPINGS = ("({0} {op} {1}) {then} {2}", "{0} {op} ({1} {then} {2})")
PAIRS = list(itertools.product("+&-", "+&-", GROUPINGS))
PLACES = ("one", "two", "three")
SUBJECTS = {
    "object": "user:anne",
    "userset-of-relation": "team:eng#member",
    "userset-of-permission": "team:eng#active",
}
CYCLES = {
    "none": "nil",
    "on-one-object": "{name}",
    "over-an-arrow": "next->{name}",
    "over-all": "next.all({name})",
}

TEAMS = """
definition user {}
definition team {
 relation member: user | team#member | team#active
 relation banned: user
 permission active = member - banned
}
"""
KINDS = "user | user:* | team#member | team#active"
STORED = """
team:eng#member@team:ops#member
team:ops#member@team:eng#active
team:ops#member@user:anne
team:ops#member@user:bob
team:eng#banned@user:bob
page:q#next@page:p
page:p#next@page:q
page:q#next@user:anne
page:q#one@user:bob
page:q#two@user:anne
page:p#one@user:bob
page:p#two@user:carl
page:p#three@user:carl
""".split()  # noqa: SIM905  one a line reads as a scenario does


Shape = tuple[Schema, list[Relationship]]


def operator_schema(cycle: str, place: str) -> Schema:
    """One permission for each pair of operators, all recursive in one place."""
    lines = ["definition page {", " relation next: page | user"]
    lines += [f" relation {name}: {KINDS}" for name in PLACES]
    lines.append(" permission everywhere = next.all(two)")
    for number, (first, second, grouping) in enumerate(PAIRS):
        again = CYCLES[cycle].format(name=f"view{number}")
        leaves = [f"({name} + {again})" if name == place else name for name in PLACES]
        expression = grouping.format(*leaves, op=first, then=second)
        lines.append(f" permission view{number} = {expression}")
    return compile_schema(TEAMS + "\n".join([*lines, "}"]))


def operator_shapes(cycle: str, place: str, subject: str) -> Iterator[Shape]:
    """The relationships for one kind of subject, with a wildcard nowhere and in each place."""
    schema = operator_schema(cycle, place)
    given = [f"page:p#{name}@{SUBJECTS[subject]}" for name in ("one", "two")]
    for wildcard in ([], *([f"page:p#{public}@user:*"] for public in PLACES)):
        yield schema, [parse_relationship(item) for item in (*STORED, *given, *wildcard)]


def shape_disagreements(shape: Shape) -> list[str]:
    """What engine and reference differ in over a shape."""
    schema, stored = shape
    reference = Reference(schema, stored, [parse_object("user:unseen")])
    return list(disagreements(reference, EngineUnderTest(schema, stored).answers()))


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    ("cycle", "place"),
    [("none", "one"), *itertools.product([name for name in CYCLES if name != "none"], PLACES)],
)
def test_every_shape_agrees(subject: str, cycle: str, place: str) -> None:
    """One cycle in one place: all pairs of operators, and a wildcard nowhere and everywhere."""
    for shape in operator_shapes(cycle, place, subject):
        assert shape_disagreements(shape) == []


UNDEFINED = """
definition user {}
definition page {
 relation next: page
 relation viewer: user
 relation guest: user
 relation shared: page#open | page#plain
 permission open = viewer - next->open
"""
BUILT_ON_IT = (
    "guest - open",
    "guest - (guest - open)",
    "guest - (viewer - (guest - open))",
    "guest & open",
    "guest + open",
    "(guest & open) - viewer",
    "(guest + open) - open",
    "open - open",
    "guest - (viewer & open)",
    "guest - (guest + open)",
    "next->open",
    "next.all(open)",
    "guest - next->open",
    "guest - next.all(open)",
    "viewer - shared",
    "shared",
    "guest - next->plain",
    "guest - (open + next->plain)",
)


def undefined_shape(expression: str, ring: str) -> Shape:
    """A ring of pages whose `open` is undefined, and `plain` built on it."""
    stored = [
        *(f"page:{id_}#next@page:{ring[index - 1]}" for index, id_ in enumerate(ring)),
        *(f"page:{id_}#viewer@user:anne" for id_ in ring),
        *(f"page:{id_}#guest@user:{user}" for id_ in ring for user in ("anne", "bob")),
        "page:p#viewer@user:bob",
        "page:outside#next@page:p",
        "page:outside#guest@user:anne",
        "page:outside#viewer@user:anne",
        "page:outside#shared@page:p#open",
        "page:outside#shared@page:p#plain",
    ]
    schema = compile_schema(f"{UNDEFINED} permission plain = {expression}\n}}")
    return schema, [parse_relationship(item) for item in stored]


@pytest.mark.parametrize("expression", BUILT_ON_IT)
@pytest.mark.parametrize("ring", ["p", "pq", "pqr"])
def test_what_is_built_on_an_undefined_answer_agrees(expression: str, ring: str) -> None:
    """Whatever takes part of an undefined answer, with or without recursion of its own."""
    assert shape_disagreements(undefined_shape(expression, ring)) == []
