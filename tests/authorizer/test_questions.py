"""Questions at the freshness asked for, with contextual relationships, in pages."""

import threading

import pytest

from relata.authorizer import Relata
from relata.consistency import (
    FULLY_CONSISTENT,
    at_exact_snapshot,
    at_least_as_fresh,
    encode_zed_token,
)
from relata.cursors import Cursor, encode_cursor, question_digest
from relata.engine import Permissionship, WorkLimits
from relata.engine.check import SLICE
from relata.errors import (
    CursorError,
    InvalidArgumentError,
    LimitExceededError,
    QuestionOnlyError,
    RelataError,
    SnapshotUnavailableError,
    StoreError,
    SubjectNotAllowedError,
    UnknownDefinitionError,
    UnknownRelationError,
    ZedTokenError,
)
from relata.graph import View
from relata.relationships import RelationshipFilter, delete
from relata.requests import Limits, Question
from relata.results import CheckResult
from relata.turns import Turn
from tests.authorizer.conftest import SCHEMA


def test_every_way_of_asking_at_an_exact_past_revision(relata: Relata) -> None:
    past = relata.write(
        ["document:readme#viewer@group:eng#member", "group:eng#member@user:anne"]
    ).written_at
    relata.write([delete("group:eng#member@user:anne"), "document:readme#banned@user:anne"])
    then = at_exact_snapshot(past)

    assert not relata.check("document:readme", "view", "user:anne").allowed
    assert relata.check("document:readme", "view", "user:anne", consistency=then).allowed
    resources = relata.lookup_resources("document", "view", "user:anne", consistency=then)
    assert (resources.resource_ids, resources.looked_up_at) == (("readme",), past)
    subjects = relata.lookup_subjects("document:readme", "view", "user", consistency=then)
    assert subjects.subject_ids == ("anne",)
    assert relata.lookup_permissions(
        "document:readme", "user:anne", consistency=then
    ).permissions == ("view",)
    assert len(relata.read(consistency=then).relationships) == 2


def test_an_exact_snapshot_has_the_schema_of_its_time(relata: Relata) -> None:
    past = relata.write(["document:readme#viewer@user:anne"]).written_at
    relata.write_schema(SCHEMA.replace("viewer - banned", "banned"))
    assert relata.check(
        "document:readme", "view", "user:anne", consistency=at_exact_snapshot(past)
    ).allowed


def test_a_zed_token_of_another_database_is_refused(relata: Relata) -> None:
    with Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None) as other:
        token = other.write(["document:readme#viewer@user:anne"]).written_at
    for consistency in (at_least_as_fresh(token), at_exact_snapshot(token)):
        with pytest.raises(ZedTokenError):
            relata.check("document:readme", "view", "user:anne", consistency=consistency)


def test_a_revision_that_does_not_exist_yet_is_an_error(relata: Relata, url: str) -> None:
    token = relata.write(["document:readme#viewer@user:anne"]).written_at
    with Relata.open(url, follow_seconds=None) as other:
        future = other.write(["document:other#viewer@user:anne"]).written_at
    assert token != future
    assert relata.check(
        "document:other", "view", "user:anne", consistency=at_exact_snapshot(future)
    ).allowed
    never = encode_zed_token(relata.store.datastore_id, 10**6)
    with pytest.raises(SnapshotUnavailableError):
        relata.check("document:a", "view", "user:anne", consistency=at_exact_snapshot(never))


def test_fully_consistent_sees_what_others_wrote(relata: Relata, url: str) -> None:
    with Relata.open(url, follow_seconds=None) as other:
        other.write(["document:readme#viewer@user:anne"])
    assert not relata.check("document:readme", "view", "user:anne").allowed
    assert relata.check(
        "document:readme", "view", "user:anne", consistency=FULLY_CONSISTENT
    ).allowed


def test_contextual_relationships_are_seen_by_their_question_only(relata: Relata) -> None:
    relata.write(
        ["organization:acme#member@user:anne", "document:a#organization@organization:acme"]
    )
    chosen = ["organization:acme#chosen_by@user:anne"]
    assert relata.check("document:a", "visible", "user:anne", contextual=chosen).allowed
    assert not relata.check("document:a", "visible", "user:anne").allowed
    assert relata.lookup_resources(
        "document", "visible", "user:anne", contextual=chosen
    ).resource_ids == ("a",)
    assert relata.lookup_resources("document", "visible", "user:anne").resource_ids == ()


def test_contextual_relationships_may_name_what_nobody_stored(relata: Relata) -> None:
    contextual = ["document:new#viewer@group:new#member", "group:new#member@user:new"]
    assert relata.check("document:new", "view", "user:new", contextual=contextual).allowed
    assert relata.lookup_subjects(
        "document:new", "view", "user", contextual=contextual
    ).subject_ids == ("new",)
    assert relata.lookup_resources(
        "document", "view", "user:new", contextual=contextual
    ).resource_ids == ("new",)
    assert "user:new" not in relata._replica._graph.names.nodes


def test_a_contextual_relationship_that_the_schema_forbids_is_refused(relata: Relata) -> None:
    with pytest.raises(SubjectNotAllowedError) as caught:
        relata.check("document:a", "view", "user:anne", contextual=["document:a#banned@user:*"])
    assert caught.value.field == "contextual_relationships[0]"


def test_a_question_only_relation_speaks_of_the_one_asked_about(relata: Relata) -> None:
    chosen = ["organization:acme#chosen_by@user:bob"]
    with pytest.raises(QuestionOnlyError):
        relata.check("organization:acme", "session", "user:anne", contextual=chosen)
    with pytest.raises(QuestionOnlyError):
        relata.lookup_subjects("organization:acme", "session", "user", contextual=chosen)


@pytest.mark.parametrize(
    ("resource", "permission", "subject", "error", "field"),
    [
        ("nope:a", "view", "user:anne", UnknownDefinitionError, "resource"),
        ("document:a", "nope", "user:anne", UnknownRelationError, "permission"),
        ("document:a", "view", "nope:anne", UnknownDefinitionError, "subject"),
        ("document:a", "view", "user:anne#nope", UnknownRelationError, "subject"),
        ("document:a", "view", "user:*", InvalidArgumentError, "subject"),
        ("document:*", "view", "user:anne", InvalidArgumentError, "resource"),
        ("document", "view", "user:anne", InvalidArgumentError, "resource"),
        ("document:a b", "view", "user:anne", InvalidArgumentError, "resource"),
        ("document:a", "view", "user:", InvalidArgumentError, "subject"),
    ],
)
def test_a_bad_question_is_an_error_never_a_denial(
    relata: Relata,
    resource: str,
    permission: str,
    subject: str,
    error: type[RelataError],
    field: str,
) -> None:
    with pytest.raises(error) as caught:
        relata.check(resource, permission, subject)
    assert caught.value.field == field


def test_check_many_answers_in_order_with_errors_in_their_places(relata: Relata) -> None:
    relata.write(["document:a#viewer@user:anne"])
    result = relata.check_many(
        [
            Question("document:a", "view", "user:anne"),
            Question("document:a", "nope", "user:anne"),
            Question("document:b", "view", "user:anne"),
            Question("document:a", "view", "user:bob"),
        ]
    )
    kinds = [
        answer.permissionship if isinstance(answer, CheckResult) else type(answer)
        for answer in result.answers
    ]
    assert kinds == [
        Permissionship.ALLOWED,
        UnknownRelationError,
        Permissionship.DENIED,
        Permissionship.DENIED,
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_of_a_lookup_stand_still_while_others_write(relata: Relata, size: int) -> None:
    relata.write([f"document:d{n}#viewer@user:anne" for n in range(7)])
    found: list[str] = []
    cursor = None
    while True:
        page = relata.lookup_resources("document", "view", "user:anne", limit=size, cursor=cursor)
        assert len(page.resource_ids) <= size
        found.extend(page.resource_ids)
        cursor = page.cursor
        if cursor is None:
            break
        relata.write(
            [f"document:new{len(found)}#viewer@user:anne", delete("document:d6#viewer@user:anne")]
        )
    assert found == [f"d{n}" for n in range(7)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_of_a_read_stand_still_while_others_write(relata: Relata, size: int) -> None:
    relata.write([f"document:d{n}#viewer@user:anne" for n in range(7)])
    anne = RelationshipFilter(subject_type="user", subject_id="anne")
    found: list[str] = []
    cursor = None
    while True:
        page = relata.read(anne, limit=size, cursor=cursor)
        found.extend(relationship.resource.id for relationship in page.relationships)
        cursor = page.cursor
        if cursor is None:
            break
        relata.write(
            [f"document:new{len(found)}#viewer@user:anne", delete("document:d6#viewer@user:anne")]
        )
    assert found == [f"d{n}" for n in range(7)]


def test_a_cursor_belongs_to_its_question(relata: Relata) -> None:
    relata.write([f"document:d{n}#viewer@user:anne" for n in range(3)])
    cursor = relata.lookup_resources("document", "view", "user:anne", limit=1).cursor
    assert cursor is not None
    with pytest.raises(CursorError):
        relata.lookup_resources("document", "view", "user:bob", limit=1, cursor=cursor)
    with pytest.raises(CursorError):
        relata.lookup_resources("document", "view", "user:anne", limit=1, cursor="x" + cursor)


@pytest.mark.parametrize(("revision", "after"), [(1, "9" * 30), (1, "\u00b2"), (1, "x"), (1, "")])
def test_a_forged_cursor_is_refused(relata: Relata, revision: int, after: str) -> None:
    question = question_digest("read", None)
    with pytest.raises(CursorError):
        relata.read(cursor=encode_cursor(Cursor(question, revision, after)))


@pytest.mark.parametrize("revision", [-1, 2**63, 2**64 - 1])
def test_a_cursor_of_an_impossible_revision_is_refused(relata: Relata, revision: int) -> None:
    question = question_digest("read", None)
    with pytest.raises(CursorError):
        relata.read(cursor=encode_cursor(Cursor(question, revision, "1")))


AN_OTHER_MEMBER = "group:other#member@user:other"


def test_a_limit_on_work_is_an_error(url: str) -> None:
    limits = Limits(work=WorkLimits(check_steps=10, lookup_steps=10, expand_nodes=10))
    with Relata.open(url, schema=SCHEMA, limits=limits, follow_seconds=None) as relata:
        relata.write([f"group:g#member@group:g{n}#member" for n in range(20)])
        with pytest.raises(LimitExceededError):  # what comes with it is not remembered
            relata.check("group:g", "member", "user:anne", contextual=[AN_OTHER_MEMBER])
        with pytest.raises(LimitExceededError):
            relata.lookup_subjects("group:g", "member", "user")
        with pytest.raises(LimitExceededError):
            relata.expand("group:g", "member")
        relata.write([f"group:g{n}#member@user:anne" for n in range(20)])
        with pytest.raises(LimitExceededError):
            relata.lookup_resources("group", "member", "user:anne")


def test_a_very_long_chain_of_groups_is_answered(relata: Relata) -> None:
    relata.write([f"group:g{n}#member@group:g{n + 1}#member" for n in range(900)])
    relata.write(["group:g900#member@user:anne", "group:g900#member@group:g0#member"])
    assert relata.check("group:g0", "member", "user:anne").allowed
    assert not relata.check("group:g0", "member", "user:bob").allowed
    assert len(relata.lookup_resources("group", "member", "user:anne").resource_ids) == 901
    assert relata.lookup_subjects("group:g0", "member", "user").subject_ids == ("anne",)


def test_expand_shows_every_part_of_the_expression(relata: Relata) -> None:
    relata.write(["document:a#viewer@user:anne", "document:a#viewer@group:eng#member"])
    tree = relata.expand("document:a", "view").tree
    assert (tree.operation, tree.expression) == ("exclusion", "viewer - banned")
    viewers, banned = tree.children
    assert [str(subject) for subject in viewers.subjects] == ["group:eng#member", "user:anne"]
    assert (banned.expression, banned.subjects) == ("banned", ())


FOLDERS = """
definition user {}

definition folder {
	relation parent: folder
	relation viewer: user
	permission view = viewer + parent->view
	permission deep = viewer + (viewer & (viewer + (viewer & parent->deep)))
}
"""


def test_expand_ends_on_a_cycle_and_says_so() -> None:
    with Relata.open("sqlite://", schema=FOLDERS, follow_seconds=None) as relata:
        relata.write(["folder:a#parent@folder:b", "folder:b#parent@folder:a"])
        a = relata.expand("folder:a", "view").tree
        (b,) = a.children[1].children
        (again,) = b.children[1].children
        assert (again.resource, again.operation, again.cycle) == ("folder:a", "leaf", True)
        assert relata.expand("folder:c", "view").tree.children[1].expression == "parent->view"


def test_an_expansion_deeper_than_the_limit_is_an_error() -> None:
    with Relata.open("sqlite://", schema=FOLDERS, follow_seconds=None) as relata:
        relata.write([f"folder:f{n}#parent@folder:f{n + 1}" for n in range(90)])
        for permission in ("view", "deep"):
            with pytest.raises(LimitExceededError):
                relata.expand("folder:f0", permission)


def test_names_that_only_questions_know_are_forgotten(relata: Relata) -> None:
    for n in range(50):
        relata.check(f"document:unknown{n}", "view", f"user:unknown{n}")
        relata.lookup_resources("document", "view", f"user:unknown{n}")
    view = relata._replica.current.view
    assert view is not None
    assert view._local_texts == []
    assert not any("unknown" in text for text in relata._replica._graph.names.texts)


def test_a_cyclic_exclusion_over_much_data_hits_the_limit_on_work() -> None:
    schema = """
    definition user {}
    definition folder {
        relation parent: folder
        relation viewer: user
        permission odd = viewer - parent->odd
    }
    """
    with Relata.open("sqlite://", schema=schema, follow_seconds=None) as relata:
        size = 990
        relata.write([f"folder:f{n}#parent@folder:f{(n + 1) % size}" for n in range(size)])
        relata.write([f"folder:f{n}#viewer@user:anne" for n in range(size)])
        relata.write(["folder:f0#parent@folder:end", "folder:end#viewer@user:anne"])
        with pytest.raises(LimitExceededError):
            relata.check("folder:f1", "odd", "user:anne")


def test_the_checks_of_a_batch_share_a_limit_on_work(url: str) -> None:
    limits = Limits(work=WorkLimits(lookup_steps=2_000))
    with Relata.open(url, schema=SCHEMA, limits=limits, follow_seconds=None) as relata:
        relata.write([f"group:g{n}#member@group:g{n + 1}#member" for n in range(900)])
        questions = [Question("group:g0", "member", f"user:u{n}") for n in range(5)]
        answers = relata.check_many(questions, contextual=[AN_OTHER_MEMBER]).answers
        assert [isinstance(answer, CheckResult) for answer in answers] == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert isinstance(answers[-1], LimitExceededError)


def test_a_closed_authorizer_answers_nothing(url: str) -> None:
    relata = Relata.open(url, schema=SCHEMA)
    relata.close()
    with pytest.raises(StoreError):
        relata.check("document:a", "view", "user:anne")
    with pytest.raises(StoreError):
        relata.write(["document:a#viewer@user:anne"])
    with pytest.raises(StoreError):
        relata.read()


def test_one_text_in_place_of_a_list_is_refused(relata: Relata) -> None:
    with pytest.raises(InvalidArgumentError, match="give a list"):
        relata.write("document:a#viewer@user:anne")
    with pytest.raises(InvalidArgumentError, match="give a list"):
        relata.check("document:a", "view", "user:a", contextual="group:a#member@user:a")


@pytest.mark.parametrize("much", [0, 3])
def test_a_past_revision_is_the_same_however_it_is_read(
    relata: Relata, much: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undone in memory where little has changed since, read from the store where much has."""
    monkeypatch.setattr("relata.replica._UNDONE", much)
    past = relata.write(["document:a#viewer@user:anne", "document:b#viewer@user:*"]).written_at
    relata.write([delete("document:a#viewer@user:anne"), delete("document:b#viewer@user:*")])
    relata.write(["document:a#viewer@user:anne", "document:c#viewer@user:anne"])
    relata.write([delete("document:a#viewer@user:anne")])
    then = at_exact_snapshot(past)
    found = relata.lookup_resources("document", "view", "user:anne", consistency=then)
    assert found.resource_ids == ("a", "b")
    subjects = relata.lookup_subjects("document:a", "view", "user", consistency=then)
    assert (subjects.subject_ids, subjects.wildcard) == (("anne",), False)
    assert relata.lookup_resources("document", "view", "user:anne").resource_ids == ("c",)


def test_questions_and_writes_from_many_threads_agree(relata: Relata) -> None:
    """A pair of relationships is written and deleted as one, so no question sees half of it."""
    pair = ["document:a#viewer@user:anne", "document:b#viewer@user:anne"]
    stop = threading.Event()
    halves: list[tuple[str, ...]] = []

    def ask() -> None:
        while not stop.is_set():
            found = relata.lookup_resources("document", "view", "user:anne").resource_ids
            if len(found) == 1:
                halves.append(found)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        relata.write(pair)
        relata.write([delete(relationship) for relationship in pair])
    stop.set()
    for thread in threads:
        thread.join()
    assert halves == []


def test_a_long_lookup_lets_checks_and_writes_in_between(
    relata: Relata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In slices of so many steps; what is written in between changes nothing that it has to say."""
    many = [f"document:d{n}#viewer@user:anne" for n in range(5_000)]
    for start in range(0, len(many), 1_000):
        relata.write(many[start : start + 1_000])
    pause, seen = Turn.pause, []

    def pausing(turn: Turn, view: View) -> None:
        seen.append(relata.check("document:d1", "view", "user:anne").allowed)
        between = threading.Thread(target=relata.write, args=([delete(many[len(seen)])],))
        between.start()
        while between.is_alive():
            pause(turn, view)

    monkeypatch.setattr(Turn, "pause", pausing)
    found = relata.lookup_resources("document", "view", "user:anne")
    assert len(found.resource_ids) == 5_000
    assert len(seen) >= 5_000 // SLICE
    assert seen == [True] + [False] * (len(seen) - 1)
    monkeypatch.undo()
    after = relata.lookup_resources("document", "view", "user:anne")
    assert len(after.resource_ids) == 5_000 - len(seen)
