"""Caveats and expirations through `Relata`: written, asked with context, replaced, collected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from relata import Relata
from relata.consistency import at_exact_snapshot
from relata.errors import (
    CaveatFailedError,
    ContextError,
    CursorError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaStrandsError,
    SubjectNotAllowedError,
)
from relata.relationships import (
    CaveatRef,
    ObjectRef,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    create,
    delete,
)
from relata.requests import Limits, Question

SCHEMA = """
use expiration

caveat on_weekday(weekday int, first int) {
	weekday >= first
}

caveat share(parts int) {
	100 / parts > 1
}

definition user {}

definition group {
	relation member: user | user with on_weekday
}

definition document {
	relation viewer: user | user with on_weekday | user with expiration | user:* with on_weekday
	relation reader: group#member | group#member with share
	relation banned: user with share
	permission view = viewer + reader
	permission open = view - banned
}
"""


@pytest.fixture
def relata() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None) as opened:
        yield opened


def test_a_conditional_answer_names_what_is_missing(relata: Relata) -> None:
    relata.write(['document:a#viewer@user:anne[on_weekday:{"first":2}]'])
    waiting = relata.check("document:a", "view", "user:anne")
    assert (waiting.permissionship, waiting.missing_context) == ("conditional", ("weekday",))
    assert not waiting.allowed
    assert relata.check("document:a", "view", "user:anne", context={"weekday": 3}).allowed
    denied = relata.check("document:a", "view", "user:anne", context={"weekday": 1})
    assert (denied.permissionship, denied.missing_context) == ("denied", ())


def test_a_batch_has_a_context_for_all_and_one_for_each(relata: Relata) -> None:
    relata.write(['document:a#viewer@user:anne[on_weekday:{"first":2}]'])
    asked = ("document:a", "view", "user:anne")
    answers = relata.check_many(
        [
            Question(*asked),
            Question(*asked, context={"weekday": 1}),
            Question(*asked, context={}),
            Question(*asked, context={"weekday": "three"}),
        ],
        context={"weekday": 5},
    ).answers
    assert [getattr(answer, "permissionship", None) for answer in answers] == [
        "allowed",
        "denied",
        "conditional",
        None,
    ]
    assert isinstance(answers[3], ContextError)


def test_lookups_keep_the_conditional_apart(relata: Relata) -> None:
    relata.write(
        [
            "document:a#viewer@user:anne",
            "document:b#viewer@user:anne[on_weekday]",
            'document:c#viewer@user:anne[on_weekday:{"first":2}]',
            "document:d#viewer@user:*[on_weekday]",
            "document:d#viewer@user:bob",
        ]
    )
    found = relata.lookup_resources("document", "view", "user:anne")
    assert found.resource_ids == ("a",)
    assert found.conditional == {
        "b": ("weekday",),
        "c": ("weekday",),
        "d": ("weekday",),
    }
    subjects = relata.lookup_subjects("document:d", "view", "user")
    assert (subjects.subject_ids, subjects.wildcard) == (("bob",), False)
    assert subjects.wildcard_missing_context == ("weekday",)
    everybody = relata.lookup_subjects(
        "document:d", "view", "user", context={"weekday": 2, "first": 1}
    )
    assert (everybody.wildcard, everybody.wildcard_missing_context) == (True, None)
    permissions = relata.lookup_permissions("document:b", "user:anne")
    assert permissions.permissions == ()
    assert permissions.conditional == dict.fromkeys(("open", "view"), ("weekday",))


def test_pages_go_over_allowed_and_conditional_together(relata: Relata) -> None:
    relata.write(
        [f"document:{n}#viewer@user:anne" + ("[on_weekday]" if n % 2 else "") for n in range(7)]
    )
    seen: list[str] = []
    conditional: list[str] = []
    cursor = None
    while True:
        page = relata.lookup_resources("document", "view", "user:anne", limit=2, cursor=cursor)
        assert 0 < len(page.resource_ids) + len(page.conditional) <= 2
        seen += page.resource_ids
        conditional += page.conditional
        cursor = page.cursor
        if cursor is None:
            break
    assert (seen, conditional) == (["0", "2", "4", "6"], ["1", "3", "5"])


def test_pages_of_subjects_go_over_the_excluded_too(relata: Relata) -> None:
    """A limit bounds all that is listed, and the pages together say what one answer says."""
    relata.write(
        [
            'document:a#viewer@user:*[on_weekday:{"weekday":2,"first":1}]',
            *(f"document:a#viewer@user:b{n}[on_weekday]" for n in range(3)),
            *(f'document:a#banned@user:c{n}[share:{{"parts":1}}]' for n in range(5)),
            "document:a#banned@user:d[share]",
        ]
    )
    whole = relata.lookup_subjects("document:a", "open", "user")
    assert whole.wildcard
    assert whole.excluded_ids == ("c0", "c1", "c2", "c3", "c4")
    assert whole.conditional == {"d": ("parts",)}
    for size in (1, 2, 4, 100):
        excluded: list[str] = []
        conditional: dict[str, tuple[str, ...]] = {}
        ids: list[str] = []
        cursor, more = None, True
        while more:
            page = relata.lookup_subjects("document:a", "open", "user", limit=size, cursor=cursor)
            listed = [*page.subject_ids, *page.conditional, *page.excluded_ids]
            assert 0 < len(listed) <= size
            assert page.wildcard
            ids += page.subject_ids
            excluded += page.excluded_ids
            conditional |= page.conditional
            cursor = page.cursor
            more = cursor is not None
        assert (tuple(ids), tuple(excluded)) == (whole.subject_ids, whole.excluded_ids)
        assert conditional == whole.conditional


def test_a_cursor_belongs_to_its_context(relata: Relata) -> None:
    """Context is part of the question: pages of two contexts are two lists."""
    relata.write([f"document:{n}#viewer@user:anne[on_weekday]" for n in range(3)])
    context = {"weekday": 2, "first": 1}
    first = relata.lookup_resources("document", "view", "user:anne", context=context, limit=1)
    with pytest.raises(CursorError):
        relata.lookup_resources(
            "document", "view", "user:anne", context={"weekday": 2}, limit=1, cursor=first.cursor
        )
    same = {"first": 1, "weekday": 2}
    assert relata.lookup_resources(
        "document", "view", "user:anne", context=same, limit=1, cursor=first.cursor
    ).resource_ids == ("1",)


def test_a_touch_replaces_the_caveat_and_a_delete_ignores_it(relata: Relata) -> None:
    relata.write(['document:a#viewer@user:anne[on_weekday:{"first":9}]'])
    written = relata.write(["document:a#viewer@user:anne"]).written_at
    assert [str(item) for item in relata.read().relationships] == ["document:a#viewer@user:anne"]
    assert relata.check("document:a", "view", "user:anne").allowed
    relata.write(['document:a#viewer@user:anne[on_weekday:{"first":1}]'])
    assert relata.check("document:a", "view", "user:anne").missing_context == ("weekday",)
    assert relata.check(
        "document:a", "view", "user:anne", consistency=at_exact_snapshot(written)
    ).allowed
    relata.write([delete("document:a#viewer@user:anne")])
    assert relata.read().relationships == ()


def test_a_contextual_relationship_replaces_the_stored_one(relata: Relata) -> None:
    """For its question alone, whichever of the two has a caveat."""
    relata.write(
        ["document:a#viewer@user:anne", 'document:b#viewer@user:anne[on_weekday:{"first":9}]']
    )
    asked = ("document:a", "view", "user:anne")
    harder = ['document:a#viewer@user:anne[on_weekday:{"first":9}]']
    easier = ["document:b#viewer@user:anne"]
    over = ["document:a#viewer@user:anne[expiration:2001-01-01T00:00:00Z]"]
    context = {"weekday": 1}
    assert not relata.check(*asked, context=context, contextual=harder).allowed
    assert not relata.check(*asked, contextual=over).allowed
    assert relata.check(*asked, context=context).allowed
    assert relata.check("document:b", "view", "user:anne", contextual=easier).allowed
    assert relata.lookup_resources(
        "document", "view", "user:anne", context=context, contextual=[*harder, *easier]
    ).resource_ids == ("b",)
    subjects = relata.lookup_subjects(
        "document:a", "view", "user", context=context, contextual=harder
    )
    assert subjects.subject_ids == ()
    tree = relata.expand("document:a", "viewer", context=context, contextual=harder).tree
    assert (tree.subjects, tree.conditional) == ((), {})
    tree = relata.expand("document:a", "viewer", contextual=harder).tree
    assert tree.conditional == {SubjectRef("user", "anne"): ("weekday",)}


def test_one_relationship_cannot_come_twice_with_a_question(relata: Relata) -> None:
    twice = ["document:a#viewer@user:anne", "document:a#viewer@user:anne[on_weekday]"]
    with pytest.raises(InvalidArgumentError, match="given twice") as refusal:
        relata.check("document:a", "view", "user:anne", contextual=twice)
    assert refusal.value.field == "contextual_relationships[1]"


@pytest.mark.parametrize(
    ("relationship", "error", "says"),
    [
        ("document:a#banned@user:anne", SubjectNotAllowedError, "share"),
        ("document:a#viewer@user:anne[share]", SubjectNotAllowedError, "on_weekday"),
        (
            "group:a#member@user:anne[expiration:2999-01-01T00:00:00Z]",
            SubjectNotAllowedError,
            "expiration",
        ),
        ('document:a#viewer@user:anne[on_weekday:{"day":1}]', ContextError, "day"),
        ('document:a#viewer@user:anne[on_weekday:{"first":"two"}]', ContextError, "first"),
    ],
)
def test_a_contextual_relationship_is_checked_as_a_write_is(
    relata: Relata, relationship: str, error: type[InvalidArgumentError], says: str
) -> None:
    for attempt in (
        lambda: relata.write([relationship]),
        lambda: relata.check("document:a", "view", "user:anne", contextual=[relationship]),
    ):
        with pytest.raises(error, match=says):
            attempt()
    assert relata.read().relationships == ()


def test_a_failed_caveat_is_an_error_only_where_it_matters(relata: Relata) -> None:
    relata.write(
        [
            "document:a#viewer@user:anne",
            "document:a#reader@group:g#member[share]",
            "group:g#member@user:anne",
            "group:g#member@user:bob",
        ]
    )
    context = {"parts": 0}
    assert relata.check("document:a", "view", "user:anne", context=context).allowed
    assert not relata.check("document:a", "view", "user:carol", context=context).allowed
    for ask in (
        lambda: relata.check("document:a", "view", "user:bob", context=context),
        lambda: relata.lookup_resources("document", "view", "user:bob", context=context),
        lambda: relata.lookup_subjects("document:a", "view", "user", context=context),
        lambda: relata.lookup_permissions("document:a", "user:bob", context=context),
        lambda: relata.expand("document:a", "view", context=context),
    ):
        with pytest.raises(CaveatFailedError, match="share"):
            ask()


def test_a_wrong_context_is_refused_by_name(relata: Relata) -> None:
    relata.write(["document:a#viewer@user:anne[on_weekday]"])
    with pytest.raises(ContextError, match="weekday") as refusal:
        relata.check("document:a", "view", "user:anne", context={"weekday": "x", "first": 1})
    assert refusal.value.field == "context.weekday"
    with pytest.raises(LimitExceededError, match="4096"):
        relata.check("document:a", "view", "user:anne", context={"more": "x" * 5_000})
    with pytest.raises(ContextError, match="JSON"):
        relata.check("document:a", "view", "user:anne", context={"weekday": object()})


def test_an_expiration_is_judged_when_it_is_asked(relata: Relata) -> None:
    """Nothing is written in between: the graph stays, the moment passes."""
    anne = Relationship(
        ObjectRef("document", "a"),
        "viewer",
        SubjectRef("user", "anne"),
        expires_at=datetime.now(UTC) + timedelta(seconds=1),
    )
    relata.write([anne, "document:a#viewer@user:bob"])
    assert relata.check("document:a", "view", "user:anne").allowed
    assert relata.lookup_resources("document", "view", "user:anne").resource_ids == ("a",)
    subjects = relata.lookup_subjects("document:a", "view", "user")
    assert subjects.subject_ids == ("anne", "bob")
    page = relata.lookup_subjects("document:a", "view", "user", limit=1)
    assert page.subject_ids == ("anne",)
    assert anne.expires_at is not None
    while datetime.now(UTC) < anne.expires_at:
        pass
    revision = relata.revision
    assert not relata.check("document:a", "view", "user:anne").allowed
    assert relata.lookup_resources("document", "view", "user:anne").resource_ids == ()
    assert relata.lookup_subjects("document:a", "view", "user").subject_ids == ("bob",)
    page = relata.lookup_subjects("document:a", "view", "user", limit=1)
    assert page.subject_ids == ("bob",)
    assert relata.revision == revision
    relata.write([delete("document:a#viewer@user:bob")])
    assert relata.expand("document:a", "view").tree.children[0].subjects == ()
    assert relata.read().relationships == ()
    relata.write([create(anne.key)])
    assert relata.check("document:a", "view", "user:anne").allowed


def test_what_has_expired_is_collected(relata: Relata) -> None:
    """From the database and from the graph; what has not is left."""
    past, future = "[expiration:2001-01-01T00:00:00Z]", "[expiration:2999-01-01T00:00:00Z]"
    relata.write([f"document:a#viewer@user:{n}{past}" for n in range(5)])
    relata.write([f"document:a#viewer@user:anne{future}", "document:a#viewer@user:bob"])
    assert relata.collect_expired() == 5
    assert relata.collect_expired() == 0
    _, rows = relata.store.live()
    assert sorted(row[4] for row in rows) == ["anne", "bob"]
    assert relata.check("document:a", "view", "user:anne").allowed


def test_a_filter_sees_no_expired_relationship(relata: Relata) -> None:
    relata.write(["document:a#viewer@user:anne[expiration:2001-01-01T00:00:00Z]"])
    assert relata.delete(RelationshipFilter(resource_type="document")).deleted == 0


def test_a_schema_that_strands_a_caveat_is_refused(relata: Relata) -> None:
    """The kind that goes away, and the parameter that a stored context is of."""
    relata.write(['document:a#viewer@user:anne[on_weekday:{"first":2}]'])
    without = SCHEMA.replace("user | user with on_weekday | user with exp", "user | user with exp")
    with pytest.raises(SchemaStrandsError, match=r"user with on_weekday"):
        relata.write_schema(without)
    for other in ("first string", "start int"):
        name = other.split()[0]
        changed = SCHEMA.replace("weekday int, first int", f"weekday int, {other}").replace(
            "weekday >= first", f"weekday > 1 && {name} == {name}"
        )
        with pytest.raises(SchemaStrandsError) as refusal:
            relata.write_schema(changed)
        assert refusal.value.relationship == 'document:a#viewer@user:anne[on_weekday:{"first":2}]'
    relata.write_schema(SCHEMA.replace("weekday >= first", "weekday > first"))
    assert not relata.check("document:a", "view", "user:anne", context={"weekday": 2}).allowed


def test_equal_contexts_are_one_and_different_ones_two(relata: Relata) -> None:
    """The order of keys says nothing; nested values do."""
    values = {"b": [1, {"c": 2}], "a": {"x": 1}}
    turned = {"a": {"x": 1}, "b": [1, {"c": 2}]}
    assert CaveatRef.of("c", values) == CaveatRef.of("c", turned)
    assert CaveatRef.of("c", values).values == values
    nested: list[dict[str, object]] = [
        {"a": {"b": 1}},
        {"a": {"b": 2}},
        {"a": {"b": [1]}},
        {"a": [{"b": 1}]},
        {"a": "b:1"},
    ]
    assert len({CaveatRef.of("c", context) for context in nested}) == len(nested)


def test_limits_on_context_are_the_application_s() -> None:
    limits = Limits(context_bytes=10)
    with (
        Relata.open("sqlite://", schema=SCHEMA, limits=limits, follow_seconds=None) as relata,
        pytest.raises(LimitExceededError, match="10 bytes"),
    ):
        relata.check("document:a", "view", "user:anne", context={"weekday": 12345})


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), object(), {1: 2}, "\ud800", {"a": [{2}]}, b"x"]
)
def test_a_context_is_what_json_has(relata: Relata, value: object) -> None:
    """Everywhere, and before anything is asked: two such contexts could look the same."""
    context = {"weekday": value}
    asked = ("document:a", "view", "user:anne")
    for ask in (
        lambda: relata.check(*asked, context=context),
        lambda: relata.expand("document:a", "view", context=context),
        lambda: relata.lookup_resources("document", "view", "user:anne", context=context),
        lambda: relata.lookup_subjects("document:a", "view", "user", context=context),
        lambda: relata.lookup_permissions("document:a", "user:anne", context=context),
        lambda: CaveatRef.of("on_weekday", context),
    ):
        with pytest.raises(ContextError, match="JSON"):
            ask()
    answers = relata.check_many([Question(*asked), Question(*asked, context=context)]).answers
    assert isinstance(answers[1], ContextError)
    assert not isinstance(answers[0], ContextError)


def test_slow_caveats_use_up_a_question_s_steps() -> None:
    """Many evaluations that are each within their own bound are not more than a check may cost."""
    text = """
    caveat near(addresses list<ipaddress>, tag int) {
        addresses.all(i, addresses.all(j, i.in_cidr("10.0.0.0/8"))) || tag < 0
    }
    definition user {}
    definition group {
        relation member: user with near
    }
    definition document {
        relation viewer: group#member
    }
    """
    with Relata.open("sqlite://", schema=text, follow_seconds=None) as relata:
        relata.write([f"document:a#viewer@group:{n}#member" for n in range(300)])
        relata.write([f'group:{n}#member@user:anne[near:{{"tag":{n}}}]' for n in range(300)])
        context = {"addresses": ["10.0.0.1"] * 60 + ["11.0.0.1"]}
        with pytest.raises(LimitExceededError):
            relata.check("document:a", "viewer", "user:anne", context=context, steps=10_000)
