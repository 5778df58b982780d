"""Relations that exist only for questions: whoever stored one, and whenever, it grants nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from relata import Relata
from relata.consistency import FULLY_CONSISTENT, at_exact_snapshot
from relata.errors import QuestionOnlyError
from relata.relationships import delete

SCHEMA = """
definition user {}

definition organization {
	relation member: user
	relation chosen_by: user
	permission session = member & chosen_by
}
"""
CHOSEN_BY = "organization#chosen_by"
MEMBER, CHOICE = "organization:acme#member@user:eve", "organization:acme#chosen_by@user:eve"
SESSION = ("organization:acme", "session", "user:eve")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'relata.db'}"


def test_a_choice_that_was_stored_before_counts_at_no_revision(url: str) -> None:
    """Nor at the one where it was there, whichever way the past is asked."""
    with Relata.open(url, schema=SCHEMA, question_only=[], follow_seconds=None) as relata:
        then = relata.write([MEMBER, CHOICE]).written_at
        assert relata.check(*SESSION).allowed
        relata.write([delete(CHOICE)])
    with Relata.open(url, question_only=[CHOSEN_BY], follow_seconds=None) as relata:
        assert not relata.check(*SESSION, consistency=at_exact_snapshot(then)).allowed
        with_choice = relata.check(
            *SESSION, contextual=[CHOICE], consistency=at_exact_snapshot(then)
        )
        assert with_choice.allowed


def test_a_process_learns_what_another_has_agreed_on(url: str) -> None:
    """Its next write of such a relation is refused, and what it asks is blind to one."""
    with (
        Relata.open(url, schema=SCHEMA, question_only=[], follow_seconds=None) as old,
        Relata.open(url, question_only=[CHOSEN_BY], follow_seconds=None) as new,
    ):
        assert CHOSEN_BY not in old.question_only
        with pytest.raises(QuestionOnlyError):
            old.write([MEMBER, CHOICE])
        assert old.question_only == new.question_only == {CHOSEN_BY}
        old.write([MEMBER])
        assert not new.check(*SESSION, consistency=FULLY_CONSISTENT).allowed
        assert old.check(*SESSION, contextual=[CHOICE]).allowed
