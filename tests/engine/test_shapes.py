"""The engine against the reference on an exhaustive matrix of small shapes.

Random search is weak on rare shapes, so here every pair of operators, grouped both ways, meets
every kind of subject, a wildcard in every place, and every kind of cycle in every place: every
question about each is asked both ways.
"""

from __future__ import annotations

import itertools

import pytest

from relata.relationships import parse_object, parse_relationship
from relata.schema import compile_schema
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
page:q#one@user:bob
page:q#two@user:anne
page:p#one@user:bob
page:p#two@user:carl
page:p#three@user:carl
""".split()  # noqa: SIM905  one a line reads as a scenario does


def shapes(cycle: str, place: str) -> str:
    """A schema with one permission for each pair of operators, all recursive in one place."""
    lines = ["definition page {", " relation next: page"]
    lines += [f" relation {name}: {KINDS}" for name in PLACES]
    for number, (first, second, grouping) in enumerate(PAIRS):
        again = CYCLES[cycle].format(name=f"view{number}")
        leaves = [f"({name} + {again})" if name == place else name for name in PLACES]
        expression = grouping.format(*leaves, op=first, then=second)
        lines.append(f" permission view{number} = {expression}")
    return TEAMS + "\n".join([*lines, "}"])


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    ("cycle", "place"),
    [("none", "one"), *itertools.product([name for name in CYCLES if name != "none"], PLACES)],
)
def test_every_shape_agrees(subject: str, cycle: str, place: str) -> None:
    """One cycle in one place: all pairs of operators, and a wildcard nowhere and everywhere."""
    schema = compile_schema(shapes(cycle, place))
    given = [f"page:p#{name}@{SUBJECTS[subject]}" for name in ("one", "two")]
    for public in (None, *PLACES):
        wildcard = [f"page:p#{public}@user:*"] if public else []
        stored = [parse_relationship(item) for item in (*STORED, *given, *wildcard)]
        reference = Reference(schema, stored, [parse_object("user:unseen")])
        engine = EngineUnderTest(schema, stored)
        assert list(disagreements(reference, engine.answers())) == [], public
