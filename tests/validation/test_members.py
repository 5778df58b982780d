"""Who is in a name by the relationships alone: worked out by hand, and held to the reference."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings

from relata.errors import LimitExceededError
from relata.relationships import parse_object, parse_relationship, parse_subject
from relata.schema import compile_schema
from relata.validation.comparing import expected_text
from relata.validation.members import MAYBE, SURELY, Found, Graph, find
from tests.reference.evaluator import Reference
from tests.strategies import World, worlds

EXAMPLES = max(1, int(os.environ.get("RELATA_EXAMPLES", "200")) // 4)

SCHEMA = """
use expiration
use self
caveat tuesday(day string) { day == "tuesday" }
definition user {
 permission own = self
}
definition group {
 relation member: user | user with tuesday | group#member | group#member with tuesday
}
definition page {
 relation one: user | user:* | user with tuesday | user:* with tuesday | group#member
 relation two: user | user:* | user with tuesday | user:* with tuesday | user with expiration
 relation three: user | user:* | user with tuesday
 relation parent: page | page with tuesday | group
 permission either = one + two
 permission both = one & two
 permission less = one - two
 permission far_less = one - (two - three)
 permission upward = parent->either
 permission all_upward = parent.all(either)
 permission closed = one - parent->closed
 permission nobody = nil
}
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lines(name: str, *relationships: str) -> list[str]:
    """Everybody in `page:p#name`, as expected relations are written; `one` is `page:p#one`."""
    stored = [
        parse_relationship(text if "#" in text.partition("@")[0] else f"page:p#{text}")
        for text in relationships
    ]
    graph = Graph(compile_schema(SCHEMA), stored, NOW)
    members = graph.members((parse_object("page:p"), name))
    return sorted(
        expected_text(subject, found).replace("page:p#", "") for subject, found in members.items()
    )


def test_a_union_has_each_by_every_way() -> None:
    assert lines("either", "one@user:anne", "two@user:anne", "two@user:bob") == [
        "[user:anne] is <one>/<two>",
        "[user:bob] is <two>",
    ]


def test_a_userset_is_there_itself_and_its_members_through_it() -> None:
    assert lines("either", "one@group:g#member", "group:g#member@user:anne") == [
        "[group:g#member] is <one>",
        "[user:anne] is <group:g#member>",
    ]


def test_a_caveat_on_the_way_is_a_condition_whatever_its_context() -> None:
    assert lines(
        "either",
        'one@user:anne[tuesday:{"day":"monday"}]',
        "one@group:g#member",
        "group:g#member@group:h#member[tuesday]",
        "group:h#member@user:bob",
    ) == [
        "[group:g#member] is <one>",
        "[group:h#member[...]] is <group:g#member>",
        "[user:anne[...]] is <one>",
        "[user:bob[...]] is <group:h#member>",
    ]


def test_a_sure_way_beside_one_with_a_condition_is_sure() -> None:
    assert lines("either", "one@user:anne", "two@user:anne[tuesday]") == [
        "[user:anne] is <one>/<two>"
    ]
    assert lines("both", "one@user:anne", "two@user:anne[tuesday]") == [
        "[user:anne[...]] is <one>/<two>"
    ]


def test_what_has_expired_is_not_there() -> None:
    past, future = (f"[expiration:{year}-01-01T00:00:00Z]" for year in (2025, 2027))
    assert lines("either", f"two@user:anne{past}", f"two@user:bob{future}") == [
        "[user:bob] is <two>"
    ]


def test_self_is_the_object_through_the_permission() -> None:
    graph = Graph(compile_schema(SCHEMA), [], NOW)
    members = graph.members((parse_object("user:anne"), "own"))
    assert [expected_text(*item) for item in members.items()] == ["[user:anne] is <user:anne#own>"]


@pytest.mark.parametrize(
    ("name", "relationships", "expected"),
    [
        ("either", ["one@user:*", "two@user:anne"], ["[user:*] is <one>", "[user:anne] is <two>"]),
        ("both", ["one@user:*", "two@user:anne"], ["[user:anne] is <two>"]),
        ("both", ["one@user:*", "two@user:*"], ["[user:*] is <one>/<two>"]),
        ("both", ["one@user:*[tuesday]", "two@user:anne"], ["[user:anne[...]] is <one>/<two>"]),
        ("less", ["one@user:*", "two@user:bob"], ["[user:* - {user:bob}] is <one>"]),
        ("less", ["one@user:*", "two@user:bob[tuesday]"], ["[user:* - {user:bob[...]}] is <one>"]),
        ("less", ["one@user:anne", "two@user:*"], []),
        ("less", ["one@user:anne", "two@user:*[tuesday]"], ["[user:anne[...]] is <one>"]),
        ("less", ["one@user:*[tuesday]", "two@user:bob"], ["[user:*[...] - {user:bob}] is <one>"]),
        ("less", ["one@user:bob", "two@user:bob[tuesday]"], ["[user:bob[...]] is <one>/<two>"]),
        ("far_less", ["one@user:*", "two@user:*", "three@user:bob"], ["[user:bob] is <three>"]),
        (
            "far_less",
            ["one@user:anne", "one@user:bob", "two@user:*", "three@user:bob"],
            ["[user:bob] is <one>"],
        ),
        ("nobody", ["one@user:*"], []),
    ],
)
def test_wildcards_cover_and_leave_out(
    name: str, relationships: list[str], expected: list[str]
) -> None:
    assert lines(name, *relationships) == expected


def test_a_wildcard_does_not_leave_out_whom_another_way_brings_in() -> None:
    graph = Graph(
        compile_schema(SCHEMA.replace("permission nobody = nil", "permission back = less + three")),
        [
            parse_relationship(f"page:p#{text}")
            for text in ("one@user:*", "two@user:anne", "two@user:bob", "three@user:anne")
        ],
        NOW,
    )
    members = graph.members((parse_object("page:p"), "back"))
    anne, bob = parse_subject("user:anne"), parse_subject("user:bob")
    assert members[parse_subject("user:*")].excluded == {
        bob: Found(SURELY, frozenset({"page:p#two"}))
    }
    assert find(anne, members) == Found(SURELY, frozenset({"page:p#three"}))
    assert find(bob, members) is None


def test_arrows_ignore_a_condition_on_nothing_and_take_those_on_the_way() -> None:
    up = ["parent@page:a", "parent@page:b[tuesday]", "parent@group:g"]
    there = ["page:a#one@user:anne", "page:b#one@user:anne", "page:b#two@user:bob"]
    assert lines("upward", *up, *there) == [
        "[user:anne] is <page:a#one>/<page:b#one>",
        "[user:bob[...]] is <page:b#two>",
    ]
    assert lines("all_upward", *up, *there) == []
    assert lines("all_upward", *up[:2], *there) == ["[user:anne[...]] is <page:a#one>/<page:b#one>"]
    assert lines("all_upward") == []


def test_circles_of_groups_end() -> None:
    ring = [f"group:{a}#member@group:{b}#member" for a, b in ("ab", "bc", "ca")]
    assert lines("either", "one@group:a#member", *ring, "group:c#member@user:anne") == [
        "[group:a#member] is <group:c#member>/<one>",
        "[group:b#member] is <group:a#member>",
        "[group:c#member] is <group:b#member>",
        "[user:anne] is <group:c#member>",
    ]


def test_what_is_taken_away_from_itself_cannot_be_listed() -> None:
    with pytest.raises(LimitExceededError, match="taken away from itself"):
        lines("closed", "parent@page:p", "one@user:anne")
    assert lines("closed", "parent@page:q", "page:q#one@user:anne", "one@user:anne") == []


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_members_agree_with_the_reference(world: World) -> None:
    """Sure members are allowed in any context, others denied in any, and nobody is forgotten."""
    schema = compile_schema(world.text)
    graph = Graph(schema, world.stored, datetime.now(UTC))
    reference = Reference(schema, world.stored, world.objects, context=world.context)
    people = [parse_subject(item) for item in world.objects]
    for resource in world.objects:
        for name in world.names(resource.type):
            try:
                members = graph.members((resource, name))
            except LimitExceededError:
                continue
            for subject in people:
                found = find(subject, members)
                answer = reference.check(resource, name, subject)
                if found is None or found.level == SURELY:
                    assert answer is (found is not None), (resource, name, subject)
                else:
                    assert found.level == MAYBE
