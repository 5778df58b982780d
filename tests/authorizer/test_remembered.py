"""Answers and lists that are remembered until the next write, and no longer.

The same is asked of two: one that remembers, and one on the same database that finds every answer.
"""

import enum
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from relata.authorizer import Relata
from relata.consistency import at_exact_snapshot, encode_zed_token
from relata.engine import FoundSubjects, Session
from relata.errors import StoreError
from relata.graph import Resident
from relata.relationships import delete
from relata.results import ResourcesResult, SubjectsResult
from tests.authorizer.conftest import SCHEMA

DOCUMENT, ANNE = "document:readme", "user:anne"
WRITTEN = ["document:readme#viewer@group:eng#member", "group:eng#member@user:anne"]


class Answered(NamedTuple):
    """What several ways of asking say."""

    allowed: bool
    resources: ResourcesResult
    subjects: SubjectsResult
    first_page: SubjectsResult


def ask(relata: Relata) -> Answered:
    """Ask every way that is remembered."""
    return Answered(
        relata.check(DOCUMENT, "view", ANNE).allowed,
        relata.lookup_resources("document", "view", ANNE),
        relata.lookup_subjects(DOCUMENT, "view", "user"),
        relata.lookup_subjects(DOCUMENT, "view", "user", limit=1),
    )


@pytest.fixture
def finding(url: str, relata: Relata) -> Iterator[Relata]:
    """The same database, and nothing remembered of answers."""
    with Relata.open(url, follow_seconds=None, answers_kept=0) as opened:
        yield opened


def test_a_remembered_answer_is_the_one_found(relata: Relata, finding: Relata) -> None:
    relata.write([*WRITTEN, "group:eng#member@user:bob"])
    finding.refresh()
    found = ask(finding)
    assert (found.allowed, found.resources.resource_ids) == (True, ("readme",))
    assert found.subjects.subject_ids == ("anne", "bob")
    assert found.first_page.cursor is not None
    assert [ask(relata), ask(relata), ask(relata)] == [found] * 3
    assert relata._replica.current.memory.answers.lists
    assert not finding._replica.current.memory.answers.lists
    assert not finding._replica.current.memory.answers


def test_every_write_ends_what_is_remembered(relata: Relata, finding: Relata) -> None:
    """Of this process or of another; what it touches does not matter."""
    for written in (
        WRITTEN,
        ["document:readme#banned@user:anne"],
        [delete("document:readme#banned@user:anne")],
        ["document:other#viewer@user:anne"],
        ["document:readme#viewer@user:*"],
        [delete("group:eng#member@user:anne")],
    ):
        ask(relata)
        relata.write(written)
        finding.refresh()
        assert [ask(relata), ask(relata)] == [ask(finding)] * 2
        finding.write(["document:unrelated#viewer@user:nobody"])
        relata.refresh()
        assert [ask(relata), ask(relata)] == [ask(finding)] * 2


def test_a_new_schema_ends_what_is_remembered(relata: Relata) -> None:
    relata.write(WRITTEN)
    assert ask(relata).allowed
    relata.write_schema(SCHEMA.replace("viewer - banned", "banned"))
    found = ask(relata)
    assert (found.allowed, found.resources.resource_ids, found.subjects.subject_ids) == (
        False,
        (),
        (),
    )


def test_a_question_that_brings_something_is_not_answered_from_memory(relata: Relata) -> None:
    empty = relata.lookup_subjects(DOCUMENT, "view", "user")
    assert empty.subject_ids == ()
    assert relata.lookup_resources("document", "view", ANNE).resource_ids == ()
    subjects = relata.lookup_subjects(DOCUMENT, "view", "user", contextual=WRITTEN)
    assert subjects.subject_ids == ("anne",)
    resources = relata.lookup_resources("document", "view", ANNE, contextual=WRITTEN)
    assert resources.resource_ids == ("readme",)
    assert relata.lookup_subjects(DOCUMENT, "view", "user") == empty
    past = encode_zed_token(relata.store.datastore_id, relata.revision)
    relata.write(WRITTEN)
    assert relata.lookup_subjects(DOCUMENT, "view", "user").subject_ids == ("anne",)
    then = at_exact_snapshot(past)
    assert relata.lookup_subjects(DOCUMENT, "view", "user", consistency=then).subject_ids == ()
    assert relata.lookup_subjects(DOCUMENT, "view", "user").subject_ids == ("anne",)


def test_the_limit_and_the_cursor_are_part_of_the_question(relata: Relata) -> None:
    relata.write([f"document:readme#viewer@user:u{n}" for n in range(5)])
    for _ in range(2):
        assert len(relata.lookup_subjects(DOCUMENT, "view", "user").subject_ids) == 5
        first = relata.lookup_subjects(DOCUMENT, "view", "user", limit=2)
        second = relata.lookup_subjects(DOCUMENT, "view", "user", limit=2, cursor=first.cursor)
        assert (first.subject_ids, second.subject_ids) == (("u0", "u1"), ("u2", "u3"))


def test_a_list_whose_pages_are_read_is_found_once(
    relata: Relata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first page too, until the next write."""
    relata.write([f"document:readme#viewer@user:u{n}" for n in range(5)])
    look_up, found = Session.lookup_subjects, []

    def counting(self: Session, *arguments: str) -> FoundSubjects:
        found.append(arguments)
        return look_up(self, *arguments)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr(Session, "lookup_subjects", counting)
    first = relata.lookup_subjects(DOCUMENT, "view", "user", limit=2)
    relata.lookup_subjects(DOCUMENT, "view", "user", limit=2, cursor=first.cursor)
    assert relata.lookup_subjects(DOCUMENT, "view", "user", limit=3).subject_ids[:2] == ("u0", "u1")
    assert len(relata.lookup_subjects(DOCUMENT, "view", "user").subject_ids) == 5
    assert len(found) == 1
    relata.write(["document:readme#banned@user:u0"])
    assert relata.lookup_subjects(DOCUMENT, "view", "user", limit=1).subject_ids == ("u1",)
    assert len(found) == 2


def test_a_joined_write_ends_what_is_remembered_from_its_commit_on(relata: Relata) -> None:
    before = ask(relata)
    with relata.store.engine.connect() as connection:
        connection.execute(sa.text("create table invoice (id text)"))
        connection.commit()
        connection.execute(sa.text("insert into invoice values ('1')"))
        relata.write(WRITTEN, connection=connection)
        assert ask(relata) == before
        connection.commit()
    found = ask(relata)
    assert (found.allowed, found.subjects.subject_ids) == (True, ("anne",))


def test_what_a_caller_does_with_a_list_is_its_own_business(relata: Relata) -> None:
    relata.write(WRITTEN)
    for _ in range(2):
        resources = relata.lookup_resources("document", "view", ANNE)
        assert isinstance(resources.conditional, dict)
        assert resources.conditional == {}
        resources.conditional["readme"] = ("everything",)


def test_a_permission_may_be_a_member_of_an_enumeration(relata: Relata) -> None:
    class Permission(enum.StrEnum):
        VIEW = "view"

    relata.write(WRITTEN)
    assert [relata.check(DOCUMENT, Permission.VIEW, ANNE).allowed for _ in range(2)] == [True] * 2
    assert relata.check(DOCUMENT, "view", ANNE).allowed


def test_a_write_that_breaks_off_leaves_no_answer_of_its_revision(
    relata: Relata, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = relata.check(DOCUMENT, "view", ANNE).checked_at

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Resident, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            relata.write(WRITTEN)
    broken = relata.check(DOCUMENT, "view", ANNE)
    assert (broken.allowed, broken.checked_at) == (False, before)
    relata.refresh()
    assert relata.check(DOCUMENT, "view", ANNE).allowed


def test_what_a_new_schema_ends_is_freed_little_by_little(relata: Relata) -> None:
    relata.write(["document:other#viewer@user:bob"])
    for number in range(20):
        relata.check("document:other", "view", "user:bob")
        relata.lookup_subjects(f"document:d{number}", "view", "user")
    relata.write_schema(SCHEMA + "definition machine {}\n")
    memory = relata._replica.current.memory
    dropped = sum(map(len, memory._dropped))
    assert dropped > 20
    for _ in range(dropped):
        memory._dropped.free_some()
    assert not memory._dropped


def test_lists_are_bounded_by_what_they_take(url: str) -> None:
    """Empty ones too, and by the texts of their questions."""
    with Relata.open(url, schema=SCHEMA, follow_seconds=None, answers_kept=100) as relata:
        memory = relata._replica.current.memory
        for number in range(200):
            relata.lookup_subjects(f"document:{'x' * 500}{number}", "view", "user")
            assert len(memory.answers.lists) <= 100 * 170 // 1_000
        assert memory.answers.lists


def test_one_that_is_closed_answers_nothing_from_memory(url: str) -> None:
    with Relata.open(url, schema=SCHEMA, follow_seconds=None) as relata:
        relata.write(WRITTEN)
        ask(relata)
    for question in (
        lambda: relata.check(DOCUMENT, "view", ANNE),
        lambda: relata.lookup_resources("document", "view", ANNE),
        lambda: relata.lookup_subjects(DOCUMENT, "view", "user"),
    ):
        with pytest.raises(StoreError):
            question()
