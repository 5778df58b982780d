"""`Relata.check(..., explain=True)`."""

from __future__ import annotations

import pytest

from relata.authorizer import Relata
from relata.errors import LimitExceededError


def test_an_explanation_comes_where_it_is_asked_for(relata: Relata) -> None:
    relata.write(["document:a#viewer@group:g#member", "group:g#member@user:anne"])
    plain = relata.check("document:a", "view", "user:anne")
    told = relata.check("document:a", "view", "user:anne", explain=True)
    assert plain.explanation is None
    assert told.explanation is not None
    assert (told.permissionship, told.missing_context, told.checked_at) == (
        plain.permissionship,
        plain.missing_context,
        plain.checked_at,
    )
    assert told.explanation.answer == "allowed"


def test_a_choice_comes_with_the_question(relata: Relata) -> None:
    relata.write(["organization:acme#member@user:anne"])
    chosen = ["organization:acme#chosen_by@user:anne"]
    told = relata.check(
        "organization:acme", "session", "user:anne", contextual=chosen, explain=True
    )
    assert told.allowed
    assert told.explanation is not None
    assert [it.relationship for node in told.explanation.children for it in node.children] == [
        "organization:acme#member@user:anne",
        *chosen,
    ]


def test_an_explanation_is_bounded_as_its_check_is(relata: Relata) -> None:
    relata.write([f"group:g{n}#member@group:g{n + 1}#member" for n in range(100)])
    with pytest.raises(LimitExceededError):
        relata.check("group:g0", "member", "user:anne", steps=50, explain=True)
