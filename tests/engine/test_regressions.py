"""Defects that other engines have published, each as a test that this one does not have it."""

from pathlib import Path

import pytest

from relata.engine import Engine, Session, WorkLimits
from relata.engine.check import Run
from relata.engine.conditions import Conditions
from relata.engine.lookup_resources import lookup_resources
from relata.errors import LimitExceededError
from relata.graph import Resident
from relata.relationships import (
    Relationship,
    parse_object,
    parse_relationship,
    parse_subject,
)
from relata.schema import Schema, compile_schema

SCENARIO = Path(__file__).parents[2] / "schema.zed"

GROUPS = """
definition user {}

definition group {
	relation member: user | group#member
}

definition document {
	relation viewer: user | user:* | group | group:* | group#member
	permission view = viewer
}
"""


def graph(relationships: list[str]) -> Resident:
    resident = Resident()
    resident.apply((True, parse_relationship(relationship)) for relationship in relationships)
    return resident


def session(schema: Schema, resident: Resident) -> Session:
    engine = Engine(schema)
    return Session(engine, resident.view(engine.kinds), WorkLimits())


def check(session: Session, text: str) -> bool:
    asked = parse_relationship(text)
    return session.check(asked.resource, asked.relation, asked.subject) is True


@pytest.mark.parametrize("stored", ["user:*", "group:*"])
@pytest.mark.parametrize(
    ("subject", "matched_by"),
    [
        ("user:anne", "user:*"),
        ("group:eng", "group:*"),
        ("group:eng#member", None),
        ("group:unknown#member", None),
    ],
)
def test_a_wildcard_matches_objects_of_its_type_and_no_userset(
    stored: str, subject: str, matched_by: str | None
) -> None:
    asked = session(compile_schema(GROUPS), graph([f"document:a#viewer@{stored}"]))
    assert check(asked, f"document:a#view@{subject}") is (stored == matched_by)
    found = asked.lookup_resources("document", "view", parse_subject(subject)).ids
    assert found == (("a",) if stored == matched_by else ())


@pytest.mark.parametrize(
    "stored",
    [
        "document:a#viewer@user:anne",
        "document:a#viewer@user:*",
        "document:a#viewer@group:eng#member",
    ],
)
def test_a_relationship_that_the_schema_does_not_allow_is_not_seen(stored: str) -> None:
    """The graph may hold what a schema of another time allowed; the engine never looks at it."""
    narrower = GROUPS.replace(
        "viewer: user | user:* | group | group:* | group#member", "viewer: group"
    )
    asked = session(compile_schema(narrower), graph([stored, "group:eng#member@user:anne"]))
    anne = parse_subject("user:anne")
    assert not check(asked, "document:a#view@user:anne")
    assert asked.lookup_resources("document", "view", anne).ids == ()
    assert asked.lookup_subjects(parse_object("document:a"), "view", "user", "").ids == ()
    assert asked.lookup_permissions(parse_object("document:a"), anne).names == ()
    assert asked.expand(parse_object("document:a"), "view").subjects == ()


def test_ids_that_differ_in_case_or_form_stay_apart() -> None:
    forms = ["anne", "Anne", "anne.", "ann\u00e9", "anne\u0301", "\u0430nne"]
    asked = session(compile_schema(GROUPS), graph([f"document:a#viewer@user:{forms[0]}"]))
    assert [check(asked, f"document:a#view@user:{form}") for form in forms] == [True] + [False] * (
        len(forms) - 1
    )


def test_a_ladder_of_shared_parents_is_climbed_once() -> None:
    """Without memory of what was asked, 40 rungs of two ways each would take 2^40 steps."""
    rungs = [
        f"group:{n}{side}#member@group:{n + 1}{other}#member"
        for n in range(40)
        for side in "ab"
        for other in "ab"
    ]
    asked = session(compile_schema(GROUPS), graph(rungs))
    assert not check(asked, "group:0a#member@user:anne")


def test_a_ladder_through_intersections_is_climbed_once() -> None:
    schema = compile_schema(
        """
        definition user {}

        definition folder {
            relation parent: folder
            relation viewer: user
            permission view = (viewer + parent->view) & (viewer + parent->view)
            permission all_view = viewer + parent.all(all_view)
        }
        """
    )
    rungs = [
        f"folder:{n}{side}#parent@folder:{n + 1}{other}"
        for n in range(40)
        for side in "ab"
        for other in "ab"
    ]
    viewers = ["folder:40a#viewer@user:anne", "folder:40b#viewer@user:anne"]
    asked = session(schema, graph(rungs + viewers))
    for permission in ("view", "all_view"):
        assert check(asked, f"folder:0a#{permission}@user:anne")
        assert not check(asked, f"folder:0a#{permission}@user:bob")


def test_names_that_name_each_other_twice_are_asked_once() -> None:
    """Sixty levels, each of which names the next one twice, would take 2^60 evaluations."""
    levels = [f"permission p{n:02} = p{n + 1:02} & (p{n + 1:02} - bad)" for n in range(60)]
    schema = compile_schema(
        "caveat low(x int) { x < 9 }\ndefinition user {}\ndefinition page {\n"
        "relation top: user | user with low\nrelation bad: user | user with low\n"
        + "\n".join([*levels, "permission p60 = top - bad"])
        + "\n}"
    )
    stored = ["page:p#top@user:anne", "page:p#top@user:bob[low]", "page:p#bad@user:bob[low]"]
    asked = session(schema, graph(stored))
    page = parse_object("page:p")
    assert asked.check(page, "p00", parse_subject("user:anne")) is True
    assert asked.check(page, "p00", parse_subject("user:bob")) == frozenset("x")
    assert asked.lookup_resources("page", "p00", parse_subject("user:anne")).ids == ("p",)
    assert asked.lookup_subjects(page, "p00", "user", "").ids == ("anne",)
    assert asked.explain(page, "p00", parse_subject("user:eve")).answer == "denied"


def test_an_expansion_down_a_chain_of_aliases_ends_in_an_answer_or_a_limit() -> None:
    """Names that only rename each other are levels too, though they draw no node."""
    aliases = [f"permission p{n:02} = p{n - 1:02}" for n in range(1, 9)]
    schema = compile_schema(
        "definition user {}\ndefinition page {\nrelation parent: page\nrelation viewer: user\n"
        + "\n".join(["permission p00 = parent->p08 + viewer", *aliases])
        + "\n}"
    )
    asked = session(schema, graph([f"page:{n}#parent@page:{n + 1}" for n in range(99)]))
    with pytest.raises(LimitExceededError):
        asked.expand(parse_object("page:0"), "p00")
    assert asked.expand(parse_object("page:90"), "p08").operation == "union"


def scenario(organizations: int) -> list[Relationship]:
    """One user with a role in each of many organizations, each subscribed to each product."""
    lines = []
    for n in range(organizations):
        lines += [
            f"organization:o{n}#member@user:anne",
            f"product:api#subscriber@organization:o{n}",
            f"role:o{n}/reader#organization@organization:o{n}",
            f"role:o{n}/reader#product@product:api",
            f"role:o{n}/reader#assignee@user:anne",
            f"role_template:reader#instance@role:o{n}/reader",
        ]
    lines.append("capability:read#granted_to@role_template:reader")
    return [parse_relationship(line) for line in lines]


def steps_of_a_token(organizations: int) -> int:
    engine = Engine(compile_schema(SCENARIO.read_text()))
    resident = Resident()
    for relationship in scenario(organizations):
        resident.apply([(True, relationship)])
    view = engine.extend(
        resident.view(engine.kinds),
        [
            parse_relationship("organization:o0#chosen_by@user:anne"),
            parse_relationship("product:api#requested_by@user:anne"),
        ],
    )
    plan, checks = engine.compiled("user", "")
    run = Run(view, view.node("user:anne"), 10**9, Conditions([], {}))
    number = engine.number("capability", "held", type_field="", field="")
    found = lookup_resources(plan, checks, run, number)
    assert {view.text(node) for node in found} == {"capability:read"}
    return 10**9 - run.steps


def test_a_token_costs_what_it_says_not_what_its_user_holds_elsewhere() -> None:
    assert steps_of_a_token(300) <= steps_of_a_token(3)
