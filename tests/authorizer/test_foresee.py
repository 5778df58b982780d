"""`Relata.foresee`: checks as they would be answered after a write, which is not made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relata.authorizer import Relata
from relata.errors import (
    InvalidArgumentError,
    QuestionOnlyError,
    SubjectNotAllowedError,
    UnknownRelationError,
)
from relata.relationships import Update, create, delete, touch
from relata.requests import Question
from relata.results import CheckResult

SCHEMA = """
use expiration

caveat on_weekday(weekday int) { weekday < 6 }

definition user {}

definition group {
	relation member: user | user with on_weekday | user with expiration
}

definition document {
	relation viewer: user | group#member
	permission view = viewer
}

definition organization {
	relation chosen_by: user
}
"""
ANNE = Question("document:plan", "view", "user:anne")


@pytest.fixture
def relata() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None) as relata:
        relata.write(
            [
                "document:plan#viewer@group:eng#member",
                "group:eng#member@user:anne",
                "group:eng#member@user:wes[on_weekday]",
            ]
        )
        yield relata


def foreseen(relata: Relata, *updates: Update | str, question: Question = ANNE) -> str:
    (answer,) = relata.foresee(updates, [question]).answers
    assert isinstance(answer, CheckResult)
    return answer.permissionship.value


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        (["document:other#viewer@user:anne"], "allowed"),
        ([delete("group:eng#member@user:anne")], "denied"),
        ([delete("document:plan#viewer@group:eng#member")], "denied"),
        ([touch("group:eng#member@user:anne[on_weekday]")], "conditional"),
        (
            [delete("group:eng#member@user:anne"), create("document:plan#viewer@user:anne")],
            "allowed",
        ),
        ([touch("group:eng#member@user:anne[expiration:2001-01-01T00:00:00Z]")], "denied"),
    ],
)
def test_what_will_be(relata: Relata, updates: list[Update | str], expected: str) -> None:
    assert foreseen(relata, *updates) == expected
    assert relata.check("document:plan", "view", "user:anne").allowed, "nothing is written"
    relata.write(updates)
    written = relata.check("document:plan", "view", "user:anne")
    assert written.permissionship.value == expected, "it is what a write brings about"


def test_a_delete_ends_a_relationship_whatever_its_caveat(relata: Relata) -> None:
    wes = Question("document:plan", "view", "user:wes")
    assert foreseen(relata, "document:x#viewer@user:wes", question=wes) == "conditional"
    assert foreseen(relata, delete("group:eng#member@user:wes"), question=wes) == "denied"


def test_a_question_without_an_answer_has_its_error(relata: Relata) -> None:
    answers = relata.foresee(
        ["document:x#viewer@user:anne"], [ANNE, Question("document:plan", "fly", "user:anne")]
    ).answers
    assert isinstance(answers[0], CheckResult)
    assert isinstance(answers[1], UnknownRelationError)


@pytest.mark.parametrize(
    ("update", "error"),
    [
        ("document:x#viewer@document:y", SubjectNotAllowedError),
        ("organization:acme#chosen_by@user:anne", QuestionOnlyError),
        ("nonsense", InvalidArgumentError),
    ],
)
def test_what_could_not_be_written_is_refused(
    relata: Relata, update: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        relata.foresee([update], [ANNE])
