"""The reference against answers worked out by hand, or given by SpiceDB 1.54."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relata.relationships import parse_object, parse_relationship, parse_subject
from relata.schema import compile_schema
from tests.reference.evaluator import Answer, Reference

USERS = "use self\ndefinition user {\n permission myself = self\n permission nobody = nil\n}\n"
TEAMS = """
definition team {
 relation member: user | team#member
 relation banned: user
 permission active = member - banned
}
"""


def reference(text: str, *relationships: str) -> Reference:
    """A reference over a schema that has users, teams and what `text` adds."""
    objects = [parse_object("user:stranger"), parse_object("team:stranger")]
    parsed = [parse_relationship(item) for item in relationships]
    return Reference(compile_schema(USERS + TEAMS + text), parsed, objects)


def allows(world: Reference, question: str) -> bool:
    """Ask `resource#name@subject`."""
    resource, _, rest = question.partition("#")
    name, _, subject = rest.partition("@")
    return world.check(parse_object(resource), name, parse_subject(subject)) is True


def test_nested_usersets_are_followed_and_are_members_themselves() -> None:
    """A userset's members are members, the userset is one too, its object is not."""
    world = reference(
        "", "team:top#member@team:low#member", "team:low#member@user:anne", "team:top#banned@user:x"
    )
    assert allows(world, "team:top#active@user:anne")
    assert allows(world, "team:top#active@team:low#member")
    assert not allows(world, "team:top#active@team:low")
    assert not allows(world, "team:top#active@team:low#active")
    assert resources(world, "team", "active", "user:anne") == {
        "low",
        "top",
    }


def test_a_name_is_in_itself() -> None:
    """`X#p` is in `X#p`, also for nil and for an object that nothing is known of."""
    world = reference("")
    assert allows(world, "user:stranger#nobody@user:stranger#nobody")
    assert allows(world, "team:stranger#active@team:stranger#active")
    assert allows(world, "team:stranger#active@team:stranger#member")
    assert not allows(world, "team:stranger#member@team:stranger#active")


def test_self_is_the_object_alone() -> None:
    """`self` holds the object without a relation."""
    world = reference("")
    assert allows(world, "user:stranger#myself@user:stranger")
    assert not allows(world, "user:stranger#myself@user:stranger#nobody")
    assert set(
        world.lookup_permissions(parse_object("user:stranger"), parse_subject("user:stranger"))
    ) == {"myself"}


PAGES = """
definition page {
 relation reader: user | user:* | team#active
 relation barred: user | user:* | team#member
 relation keeper: team:*
 permission read = reader - barred
}
"""


def test_a_wildcard_holds_everybody_but_no_userset() -> None:
    """`user:*` holds seen and unseen users; `team:*` holds no `team#member`."""
    world = reference(PAGES, "page:p#reader@user:*", "page:p#keeper@team:*")
    assert allows(world, "page:p#read@user:stranger")
    assert not allows(world, "page:p#read@user:stranger#myself")
    assert allows(world, "page:p#keeper@team:stranger")
    assert not allows(world, "page:p#keeper@team:stranger#member")


def test_lookup_of_subjects_names_those_left_out_of_a_wildcard() -> None:
    """Beside a wildcard, the named subjects that it does not cover are excluded."""
    world = reference(
        PAGES, "page:p#reader@user:*", "page:p#barred@user:bad", "page:q#reader@user:x"
    )
    found = world.lookup_subjects(parse_object("page:p"), "read", "user")
    assert found == {"stranger": True, "x": True, "bad": False, "*": True}
    found = world.lookup_subjects(parse_object("page:q"), "read", "user")
    assert found == {"stranger": False, "x": True, "bad": False, "*": False}


def test_a_subtracted_wildcard_leaves_nobody() -> None:
    """Excluding everybody excludes everybody, and not the usersets."""
    world = reference(
        PAGES, "page:p#reader@user:x", "page:p#reader@team:t#active", "page:p#barred@user:*"
    )
    assert not allows(world, "page:p#read@user:x")
    assert allows(world, "page:p#read@team:t#active")


FOLDERS = """
definition folder {
 relation parent: folder | team
 relation viewer: user | user:*
 permission view = viewer + parent->view
 permission everywhere = parent.all(viewer)
 permission closed = viewer - parent->closed
 permission odd = viewer - (viewer - odd)
 permission even = viewer - odd
 permission inner = viewer + inner
}
"""


def test_arrows_recurse_through_cycles() -> None:
    """A ring of folders shares its viewers and ends."""
    world = reference(
        FOLDERS,
        "folder:a#parent@folder:b",
        "folder:b#parent@folder:c",
        "folder:c#parent@folder:a",
        "folder:b#viewer@user:anne",
    )
    assert resources(world, "folder", "view", "user:anne") == {
        "a",
        "b",
        "c",
    }
    assert not allows(world, "folder:a#view@user:stranger")


def test_all_needs_every_parent_and_at_least_one() -> None:
    """`.all()`: over no subjects nobody, and a type without the target holds nobody."""
    world = reference(
        FOLDERS,
        "folder:a#parent@folder:b",
        "folder:a#parent@folder:c",
        "folder:b#viewer@user:*",
        "folder:c#viewer@user:anne",
        "folder:mixed#parent@folder:b",
        "folder:mixed#parent@team:t",
    )
    assert allows(world, "folder:a#everywhere@user:anne")
    assert not allows(world, "folder:a#everywhere@user:stranger")
    assert not allows(world, "folder:b#everywhere@user:anne")
    assert not allows(world, "folder:mixed#everywhere@user:anne")


def test_positive_recursion_on_one_object_is_harmless() -> None:
    """`inner = viewer + inner` is the viewers."""
    world = reference(FOLDERS, "folder:a#viewer@user:anne")
    assert allows(world, "folder:a#inner@user:anne")
    assert not allows(world, "folder:a#inner@user:stranger")


@pytest.mark.parametrize(
    ("ring", "closed"),
    [("a", set[str]()), ("ab", set[str]()), ("abc", set[str]())],
    ids=["onto itself", "of two", "of three"],
)
def test_a_cycle_under_an_exclusion_grants_nothing(ring: str, closed: set[str]) -> None:
    """What rests on its own absence is undefined, whether the ring is odd or even."""
    parents = [
        f"folder:{child}#parent@folder:{parent}"
        for child, parent in zip(ring, ring[1:] + ring[:1], strict=True)
    ]
    world = reference(FOLDERS, *parents, *(f"folder:{id_}#viewer@user:anne" for id_ in ring))
    assert resources(world, "folder", "closed", "user:anne") == closed


def test_a_chain_under_an_exclusion_alternates() -> None:
    """Without a cycle the recursion through an exclusion is defined."""
    world = reference(
        FOLDERS,
        "folder:a#parent@folder:b",
        "folder:b#parent@folder:c",
        *(f"folder:{id_}#viewer@user:anne" for id_ in "abc"),
    )
    assert resources(world, "folder", "closed", "user:anne") == {"a", "c"}


def test_a_cycle_that_an_outsider_breaks_is_defined() -> None:
    """In a ring where one member is decided without the ring, so are the others."""
    world = reference(
        FOLDERS,
        "folder:a#parent@folder:b",
        "folder:b#parent@folder:a",
        "folder:a#viewer@user:anne",
    )
    assert resources(world, "folder", "closed", "user:anne") == {"a"}


def test_twice_subtracted_is_undefined_too() -> None:
    """`viewer - (viewer - odd)` is not `odd`: naming the inner part would change nothing."""
    world = reference(FOLDERS, "folder:a#viewer@user:anne")
    assert not allows(world, "folder:a#odd@user:anne")
    assert not allows(world, "folder:a#even@user:anne")


def test_a_relationship_that_the_schema_does_not_allow_means_nothing() -> None:
    """Kinds are enforced when read: a wildcard, a userset, a permission, an unknown type."""
    world = reference(
        PAGES,
        "team:t#member@user:*",
        "team:t#banned@team:u#member",
        "page:p#read@user:anne",
        "page:p#reader@robot:r",
        "robot:r#reader@user:anne",
    )
    found = world.lookup_subjects(parse_object("team:stranger"), "member", "user")
    assert not any(found.values())
    assert resources(world, "page", "read", "user:stranger") == frozenset()


CAVEATS = """
use expiration
caveat low(x int) { x < 10 }
caveat high(y int) { y > 3 }
caveat share(z int) { 10 / z > 1 }
definition sheet {
 relation first: user with low | user:* with low | user | user with expiration
 relation second: user with high | user:* with share | user with share
 relation parent: sheet with low | sheet
 permission both = first & second
 permission either = first + second
 permission less = first - second
 permission above = parent->first
 permission everywhere = parent.all(first)
}
"""
MISSING_X = frozenset("x")


def caveated(context: dict[str, object], *relationships: str) -> Reference:
    """A reference over sheets, asked with a context."""
    parsed = [parse_relationship(item) for item in relationships]
    objects = [parse_object("sheet:s"), parse_object("user:stranger")]
    schema = compile_schema("use expiration\n" + USERS + CAVEATS.replace("use expiration", ""))
    return Reference(schema, parsed, objects, context=context)


def resources(world: Reference, type_: str, name: str, subject: str) -> set[str]:
    """The ids of what a subject has."""
    return set(world.lookup_resources(type_, name, parse_subject(subject)))


def answer(world: Reference, name: str, user: str = "anne") -> Answer:
    """Whether a user is in a name of `sheet:s`."""
    return world.check(parse_object("sheet:s"), name, parse_subject(f"user:{user}"))


@pytest.mark.parametrize(
    ("context", "answers"),
    [
        ({}, {"both": frozenset("xy"), "either": frozenset("xy"), "less": frozenset("xy")}),
        ({"x": 1}, {"both": frozenset("y"), "either": True, "less": frozenset("y")}),
        ({"x": 99}, {"both": False, "either": frozenset("y"), "less": False}),
        ({"x": 1, "y": 5}, {"both": True, "either": True, "less": False}),
        ({"y": 5}, {"both": MISSING_X, "either": True, "less": False}),
        ({"x": 1, "y": 0}, {"both": False, "either": True, "less": True}),
    ],
)
def test_an_answer_waits_for_what_matters(
    context: dict[str, object], answers: dict[str, Answer]
) -> None:
    """Of two caveats under each operator, the parameters that the answer still depends on."""
    world = caveated(context, "sheet:s#first@user:anne[low]", "sheet:s#second@user:anne[high]")
    assert {name: answer(world, name) for name in answers} == answers


def test_stored_context_comes_before_the_question_s() -> None:
    """What is stored with a relationship cannot be overridden."""
    world = caveated(
        {"x": 1}, 'sheet:s#first@user:anne[low:{"x":99}]', "sheet:s#first@user:bob[low]"
    )
    assert answer(world, "first") is False
    assert answer(world, "first", "bob") is True


def test_all_needs_every_relationship_to_hold() -> None:
    """A false caveat on one way makes `.all()` false; an arrow merely loses the way."""
    ways = ["sheet:s#parent@sheet:t", 'sheet:s#parent@sheet:u[low:{"x":99}]']
    world = caveated({}, *ways, "sheet:t#first@user:anne", "sheet:u#first@user:anne")
    assert answer(world, "above") is True
    assert answer(world, "everywhere") is False
    world = caveated({}, "sheet:s#parent@sheet:t[low]", "sheet:t#first@user:anne")
    assert answer(world, "above") == answer(world, "everywhere") == MISSING_X


def test_a_conditional_wildcard_is_named_beside_those_who_differ() -> None:
    """Everybody waits for one thing, a named user for another, or for nothing."""
    world = caveated(
        {}, "sheet:s#first@user:*[low]", "sheet:s#first@user:anne", "sheet:s#second@user:bob[share]"
    )
    found = world.lookup_subjects(parse_object("sheet:s"), "less", "user")
    assert found == {
        "anne": True,
        "bob": frozenset("xz"),
        "stranger": MISSING_X,
        "*": MISSING_X,
    }


def test_a_caveat_that_fails_spoils_only_what_rests_on_it() -> None:
    """A division by zero beside a plain yes or no changes nothing; otherwise there is no answer."""
    world = caveated({"z": 0}, "sheet:s#first@user:anne", "sheet:s#second@user:*[share]")
    assert answer(world, "either") is True
    assert answer(world, "less") is None
    assert answer(world, "both", "stranger") is False


def test_what_has_expired_is_not_there() -> None:
    """From its moment on, to the microsecond."""
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    expiring = parse_relationship("sheet:s#first@user:anne[expiration:2030-01-01T00:00:00Z]")
    schema = compile_schema("use expiration\n" + USERS + CAVEATS.replace("use expiration", ""))
    for now, there in [(moment - timedelta(microseconds=1), True), (moment, False)]:
        world = Reference(schema, [expiring], [expiring.subject.object, expiring.resource], now=now)
        assert answer(world, "first") is there


def test_of_two_relationships_with_one_key_the_later_counts() -> None:
    """A contextual relationship replaces the stored one, whatever either's caveat."""
    world = caveated({}, "sheet:s#first@user:anne", 'sheet:s#first@user:anne[low:{"x":99}]')
    assert answer(world, "first") is False
    world = caveated({}, 'sheet:s#first@user:anne[low:{"x":99}]', "sheet:s#first@user:anne")
    assert answer(world, "first") is True
