"""What a bound key is told: the truth about what is inside, and nothing of what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relata.authorizer import Relata
from relata.bounds import Bounded, OutsideError
from relata.consistency import at_exact_snapshot, encode_zed_token
from relata.cursors import Cursor, encode_cursor, question_digest
from relata.errors import (
    CursorError,
    InvalidArgumentError,
    SnapshotUnavailableError,
    UnknownRelationError,
)
from relata.relationships import RelationshipFilter
from relata.requests import Question
from relata.results import CheckResult
from tests.bounds.world import INSIDE

FOREIGN = (
    "folder:globex-top",
    "folder:holding-top",
    "folder:nowhere",
    "product:wiki",
    "team:shared",
)
"""Another's, that of the organization above, nobody's, and what belongs to nobody."""


@pytest.mark.parametrize(
    ("resource", "permission", "subject"),
    [
        ("folder:acme-top", "view", "user:anne"),
        ("folder:acme-top", "view", "user:gil"),
        ("folder:acme-top", "view", "user:hal"),
        ("document:acme-plan", "view", "user:anne"),
        ("document:acme-plan", "view", "user:wes"),
        ("folder:eu-top", "view", "user:eve"),
        ("folder:acme-top", "view", "group:acme-staff#member"),
        ("organization:acme", "manage", "user:hal"),
        ("organization:acme", "belongs_to", "organization:acme"),
    ],
)
def test_an_answer_about_what_is_inside_is_the_one_that_everybody_gets(
    relata: Relata, acme: Bounded, resource: str, permission: str, subject: str
) -> None:
    """Also where it rests on what is outside, as the managers of the organization above do."""
    assert acme.check(resource, permission, subject) == relata.check(resource, permission, subject)


@pytest.mark.parametrize("resource", FOREIGN)
def test_what_is_not_inside_is_refused_in_one_wording(acme: Bounded, resource: str) -> None:
    """Whether it is there or not; by every question that names a resource."""
    questions: list[Callable[[], object]] = [
        lambda: acme.check(resource, "view", "user:anne"),
        lambda: acme.check(resource, "no_such_permission", "user:anne"),
        lambda: acme.expand(resource, "view"),
        lambda: acme.lookup_subjects(resource, "view", "user"),
        lambda: acme.lookup_permissions(resource, "user:anne"),
    ]
    refusals = set()
    for ask in questions:
        with pytest.raises(OutsideError) as refusal:
            ask()
        refusals.add((refusal.value.message, refusal.value.field))
    assert len(refusals) == 1
    assert "globex" not in refusals.pop()[0]


@pytest.mark.parametrize(
    "subject",
    [
        "group:globex-staff#member",
        "group:globex-staff",
        "organization:globex",
        "team:shared#member",
        "group:nobodys#member",
        "organization:holding",
        "group:*",
    ],
)
def test_a_subject_that_is_not_inside_may_not_be_named(acme: Bounded, subject: str) -> None:
    for ask in (
        lambda: acme.check("folder:acme-top", "view", subject),
        lambda: acme.lookup_resources("folder", "view", subject),
        lambda: acme.lookup_permissions("folder:acme-top", subject),
    ):
        with pytest.raises(OutsideError):
            ask()


def test_names_that_the_schema_lacks_are_told_of_what_is_inside(acme: Bounded) -> None:
    with pytest.raises(UnknownRelationError):
        acme.check("folder:acme-top", "fly", "user:anne")


def test_a_batch_refuses_what_is_not_inside_and_answers_the_rest(
    relata: Relata, acme: Bounded
) -> None:
    questions = [
        Question("folder:acme-top", "view", "user:anne"),
        Question("folder:globex-top", "view", "user:gil"),
        Question("folder:acme-top", "view", "group:globex-staff#member"),
        Question("not an object", "view", "user:anne"),
        Question("folder:eu-top", "view", "user:eve"),
    ]
    yes, foreign, foreign_subject, malformed, below = acme.check_many(questions).answers
    assert isinstance(yes, CheckResult)
    assert yes.allowed
    assert isinstance(foreign, OutsideError)
    assert isinstance(foreign_subject, OutsideError)
    assert isinstance(malformed, InvalidArgumentError)
    assert isinstance(below, CheckResult)
    assert below.allowed


@pytest.mark.parametrize(
    "contextual",
    [
        "folder:globex-top#organization@organization:acme",  # would make it ours
        "organization:globex#parent@organization:acme",
        "folder:acme-top#viewer@group:globex-staff#member",
        "folder:acme-top#viewer@group:*",
        "folder:acme-top#above@folder:globex-top",
        "folder:acme-top#viewer@team:shared#member",
        "team:shared#member@user:anne",
        "organization:globex#chosen_by@user:anne",
        "product:wiki#subscriber@organization:acme",
        "folder:new#organization@organization:acme",
    ],
)
def test_a_contextual_relationship_is_wholly_inside(acme: Bounded, contextual: str) -> None:
    """Else it would bring another's object in, or lead to it."""
    known = [contextual]
    asking: list[Callable[[], object]] = [
        lambda: acme.check("folder:acme-top", "view", "user:anne", contextual=known),
        lambda: acme.check("folder:globex-top", "view", "user:gil", contextual=known),
        lambda: acme.check_many(
            [Question("folder:acme-top", "view", "user:anne")], contextual=known
        ),
        lambda: acme.expand("folder:acme-top", "view", contextual=known),
        lambda: acme.lookup_resources("folder", "view", "user:anne", contextual=known),
        lambda: acme.lookup_subjects("folder:acme-top", "view", "user", contextual=known),
        lambda: acme.lookup_permissions("folder:acme-top", "user:anne", contextual=known),
    ]
    for ask in asking:
        with pytest.raises(OutsideError):
            ask()


def test_the_product_of_a_question_may_come_with_it(relata: Relata, acme: Bounded) -> None:
    """What a question is about is said of who asks, and of what nobody owns."""
    relata.write(["organization:acme#member@user:olga"])
    known = ["organization:acme#chosen_by@user:olga", "product:wiki#requested_by@user:olga"]
    assert acme.check("document:acme-plan", "sold", "user:olga", contextual=known).allowed
    assert not acme.check("document:acme-plan", "sold", "user:olga", contextual=known[:1]).allowed


def test_the_context_of_a_question_makes_nothing_belong(relata: Relata, acme: Bounded) -> None:
    """What belongs on a condition does not belong."""
    schema = relata.schema.text.replace(
        "definition folder {\n\trelation organization: organization",
        "definition folder {\n\trelation organization: organization | organization with on_weekday",
    )
    relata.write_schema(schema)
    relata.write(["folder:maybe#organization@organization:acme[on_weekday]"])
    with pytest.raises(OutsideError):
        acme.check("folder:maybe", "view", "user:anne", context={"weekday": 1})
    assert (
        "maybe"
        not in acme.lookup_resources(
            "folder", "view", "user:ada", context={"weekday": 1}
        ).resource_ids
    )


def test_resources_are_those_inside(relata: Relata, acme: Bounded) -> None:
    relata.write(["folder:globex-top#viewer@user:ada"])
    assert acme.lookup_resources("folder", "view", "user:ada").resource_ids == (
        "acme-sub",
        "acme-top",
        "eu-top",
    )
    assert acme.lookup_resources("organization", "manage", "user:hal").resource_ids == (
        "acme",
        "acme-eu",
    )
    for type_ in ("product", "team", "user", "no_such_definition"):
        with pytest.raises(OutsideError):
            acme.lookup_resources(type_, "session", "user:anne")


def test_pages_of_resources_tell_of_nothing_between_them(relata: Relata, acme: Bounded) -> None:
    """A cursor names the last one that was given, and no other's."""
    relata.write([f"folder:{letter}#viewer@user:ada" for letter in "abcdefgh"])
    relata.write([f"folder:{letter}#organization@organization:acme" for letter in "bdf"])
    found: list[str] = []
    cursor = None
    while True:
        page = acme.lookup_resources("folder", "view", "user:ada", limit=2, cursor=cursor)
        found.extend(page.resource_ids)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == ["acme-sub", "acme-top", "b", "d", "eu-top", "f"]


def test_subjects_with_an_owner_are_those_inside(relata: Relata, acme: Bounded) -> None:
    relata.write(
        [
            "folder:acme-top#viewer@group:globex-staff#member",  # by somebody who may do so
            "folder:acme-top#viewer@group:globex-staff",
            "folder:acme-top#viewer@group:acme-staff",
        ]
    )
    found = acme.lookup_subjects("folder:acme-top", "viewer", "group", "member")
    assert found.subject_ids == ("acme-staff",)
    assert acme.lookup_subjects("folder:acme-top", "viewer", "group").subject_ids == ("acme-staff",)
    with pytest.raises(OutsideError):
        acme.lookup_subjects("folder:acme-top", "viewer", "team", "member")


def test_people_are_all_those_that_can_see_it(relata: Relata, acme: Bounded) -> None:
    """Who can see what is inside is of inside, whoever they are."""
    expected = relata.lookup_subjects("folder:acme-top", "view", "user")
    found = acme.lookup_subjects("folder:acme-top", "view", "user")
    assert found == expected
    assert {"ada", "anne", "hal"} <= set(found.subject_ids)
    assert found.conditional == {"wes": ("weekday",)}


def test_pages_of_subjects_are_all_of_them(relata: Relata, acme: Bounded) -> None:
    relata.write(["folder:acme-top#viewer@user:*"])
    whole = acme.lookup_subjects("document:acme-plan", "view", "user")
    pages = []
    cursor = None
    while True:
        page = acme.lookup_subjects("document:acme-plan", "view", "user", limit=1, cursor=cursor)
        assert len(page.subject_ids) + len(page.excluded_ids) + len(page.conditional) <= 1
        pages.append(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert whole.wildcard
    assert whole.excluded_ids == ("wes",)
    assert sum((page.subject_ids for page in pages), ()) == whole.subject_ids
    assert sum((page.excluded_ids for page in pages), ()) == whole.excluded_ids


def test_an_expansion_shows_what_is_inside(relata: Relata, acme: Bounded) -> None:
    relata.write(
        [
            "folder:acme-top#viewer@group:globex-staff#member",
            "folder:acme-top#viewer@team:shared#member",
            "folder:acme-top#above@folder:globex-top",
        ]
    )
    shown = msgspec.json.encode(str(acme.expand("document:acme-plan", "view").tree)).decode()
    assert "acme-staff" in shown
    for name in ("globex", "holding", "hal", "gil", "team", "shared"):
        assert name not in shown, name


def test_an_explanation_shows_what_is_inside(relata: Relata, acme: Bounded) -> None:
    relata.write(["folder:acme-top#above@folder:globex-top"])
    for subject in ("user:hal", "user:gil", "user:nobody"):
        result = acme.check("document:acme-plan", "view", subject, explain=True)
        assert result.explanation is not None
        text = str(result.explanation)
        for name in ("globex", "holding"):
            assert name not in text, (subject, name)
    allowed = acme.check("document:acme-plan", "view", "user:hal", explain=True)
    assert "outside of the organization" in str(allowed.explanation)
    plain = acme.check("document:acme-plan", "view", "user:olga", explain=True)
    assert (
        plain.explanation
        == relata.check("document:acme-plan", "view", "user:olga", explain=True).explanation
    )


def test_what_is_read_is_what_is_inside(acme: Bounded) -> None:
    assert sorted(str(it) for it in acme.read().relationships) == list(INSIDE)


def everything(acme: Bounded, limit: int, **filter_: Any) -> list[str]:
    found: list[str] = []
    cursor = None
    chosen = RelationshipFilter(**filter_) if filter_ else None
    while True:
        page = acme.read(chosen, limit=limit, cursor=cursor)
        assert len(page.relationships) <= limit
        found.extend(map(str, page.relationships))
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_relationships_are_all_of_them_once(acme: Bounded, limit: int) -> None:
    assert sorted(everything(acme, limit)) == list(INSIDE)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (
            {"resource_type": "folder", "relation": "above"},
            ["folder:acme-sub#above@folder:acme-top"],
        ),
        ({"resource_type": "folder", "resource_id": "globex-top"}, []),
        ({"resource_id": "globex-top"}, []),
        ({"resource_type": "team"}, []),
        ({"resource_id_prefix": "glob"}, []),
        (
            {"resource_id_prefix": "eu"},
            ["folder:eu-top#organization@organization:acme-eu", "folder:eu-top#viewer@user:eve"],
        ),
        ({"subject_id": "globex-staff"}, []),
        ({"subject_type": "user", "subject_id": "olga"}, ["document:acme-plan#owner@user:olga"]),
        ({"relation": "subscriber"}, []),
        ({"subject_id": "holding"}, []),
    ],
)
def test_a_filter_chooses_among_what_is_inside(
    acme: Bounded, filter_: dict[str, str], expected: list[str]
) -> None:
    assert everything(acme, 1, **filter_) == expected


def test_an_earlier_organization_of_the_name_stays_unknown(relata: Relata) -> None:
    """Neither by a zed token nor by a cursor, which anybody can make."""
    then = relata.revision
    ours = Bounded(relata, "acme", since=lambda: then + 1)
    relata.write(["folder:later#organization@organization:acme"])
    past = at_exact_snapshot(encode_zed_token(relata.store.datastore_id, then))
    cursor = Bounded(relata, "acme", since=lambda: 0).read(limit=1, consistency=past).cursor
    for ask in (
        lambda: ours.check("folder:acme-top", "view", "user:anne", consistency=past),
        lambda: ours.lookup_resources("folder", "view", "user:anne", consistency=past),
        lambda: ours.read(consistency=past),
        lambda: ours.read(limit=1, cursor=cursor),
    ):
        with pytest.raises(SnapshotUnavailableError):
            ask()
    now = at_exact_snapshot(encode_zed_token(relata.store.datastore_id, relata.revision))
    assert ours.check("folder:later", "view", "user:ada", consistency=now).allowed
    unrecorded = Bounded(relata, "acme")
    assert unrecorded.check("folder:later", "view", "user:ada", consistency=now).allowed
    with pytest.raises(SnapshotUnavailableError):
        unrecorded.read(consistency=past)


def test_what_belonged_then_is_what_counts_for_the_past(relata: Relata, acme: Bounded) -> None:
    """An object that has come from another does not bring its past along."""
    before = at_exact_snapshot(encode_zed_token(relata.store.datastore_id, relata.revision))
    relata.write(["folder:globex-top#organization@organization:acme"])
    assert acme.check("folder:globex-top", "view", "user:gil").allowed
    with pytest.raises(OutsideError):
        acme.check("folder:globex-top", "view", "user:gil", consistency=before)
    assert "globex" not in str(acme.read(consistency=before).relationships)


@pytest.mark.parametrize("after", ["x", "1", "9" * 30 + " folder:a", "-1 folder:a", "1 nothing"])
def test_a_made_up_cursor_is_refused(relata: Relata, acme: Bounded, after: str) -> None:
    question = question_digest("inside", acme.organization, "read", None)
    with pytest.raises(CursorError):
        acme.read(cursor=encode_cursor(Cursor(question, relata.revision, after)))


def test_a_cursor_of_everybody_is_none_of_a_bound_key(relata: Relata, acme: Bounded) -> None:
    cursor = relata.lookup_resources("folder", "view", "user:ada", limit=1).cursor
    with pytest.raises(CursorError):
        acme.lookup_resources("folder", "view", "user:ada", limit=1, cursor=cursor)


def test_the_organization_is_its_own_and_those_below_are(acme: Bounded) -> None:
    assert acme.organizations() == ["acme", "acme-eu"]
    assert acme.belongs("organization:acme")
    assert not acme.belongs("organization:holding")
