"""`relata tokens`: what is issued can be taken back."""

from __future__ import annotations

import time

import pytest

from relata.authorizer import Relata
from relata.store import IssuedToken, TokenState
from tests.cli.commands import Commands


@pytest.fixture
def tokens(relata: Relata) -> list[IssuedToken]:
    """A token of anne's and one of bob's, for an hour."""
    now = int(time.time())
    return [
        relata.store.issued.add(
            IssuedToken(
                jti=f"token of {name}",
                subject=f"user:{name}",
                client="app",
                organization="acme",
                audience="wiki",
                issued_at=now,
                expires_at=now + 3600,
                revision=1,
                session=f"session of {name}",
            )
        )
        for name in ("anne", "bob")
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--subject", "user:anne"),
        ("--session", "session of anne"),
        ("--id", "token of anne"),
    ],
)
def test_tokens_are_revoked_by_what_they_are_about(
    cli: Commands, relata: Relata, tokens: list[IssuedToken], option: str, value: str
) -> None:
    assert cli("tokens", "revoke", option, value, "--reason", "lost").out == "revoked 1 token\n"
    states = [relata.store.issued.states(token.id, 1)[0] for token in tokens]
    assert states == [TokenState.REVOKED, TokenState.VALID]
    (event,) = relata.store.issued.events(0, limit=9)
    assert (event.jti, event.reason) == ("token of anne", "lost")


def test_all_that_is_given_counts(cli: Commands, tokens: list[IssuedToken]) -> None:
    both = ("tokens", "revoke", "--client", "app", "--organization")
    assert cli(*both, "globex", "--json").json == {"revoked": 0}
    assert cli(*both, "acme").out == "revoked 2 tokens\n"
    assert cli(*both, "acme").out == "revoked 0 tokens\n"


def test_something_must_be_given(cli: Commands, tokens: list[IssuedToken]) -> None:
    assert cli.fails("tokens", "revoke") == "name the tokens to revoke"
