"""Live tokens in memory: found by whom and what they are for, followed, and let go."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from relata.store import IssuedToken, Store, TokenState
from relata.tokens.ledger import Ledger, LiveToken, LiveTokens
from tests.tokens.issued import issued

NOW = 1_000_000


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.open("sqlite://")
    yield store
    store.close()


def live(id_: int, **changes: object) -> LiveToken:
    values = {name: getattr(issued(), name) for name in LiveToken.__struct_fields__}
    return LiveToken(**{**values, "id": id_, **changes})


def test_tokens_are_found_by_whom_and_what_they_are_for() -> None:
    """By subject, by organization, and by each product."""
    tokens = LiveTokens()
    tokens.add([live(1), live(2, subject="user:bob"), live(3, organization="globex")])
    tokens.add([live(4, products=("wiki", "shop"))])
    assert set(tokens.of_subject("user:anne")) == {1, 3, 4}
    assert set(tokens.of_organization("globex")) == {3}
    assert set(tokens.of_product("shop")) == {4}
    assert set(tokens.of_product("wiki")) == {1, 2, 3, 4}
    assert not tokens.of_subject("user:nobody")


def test_subject_types() -> None:
    """The definitions that subjects are of, as long as they have tokens."""
    tokens = LiveTokens()
    tokens.add([live(1), live(2, subject="client:robot")])
    assert tokens.subject_types() == {"user", "client"}
    tokens.discard([2])
    assert tokens.subject_types() == {"user"}


def test_what_is_let_go_is_found_nowhere() -> None:
    """Nor does it matter whether it was there."""
    tokens = LiveTokens()
    tokens.add([live(1, products=("wiki", "shop"))])
    tokens.discard([1, 2])
    assert len(tokens) == 0
    assert not tokens.of_subject("user:anne")
    assert not tokens.of_organization("acme")
    assert not tokens.of_product("wiki")
    assert not tokens.of_product("shop")
    assert tokens.find([1]) == []


def test_expired_tokens_are_let_go() -> None:
    """At the second at which they expire."""
    tokens = LiveTokens()
    tokens.add([live(1, expires_at=NOW), live(2, expires_at=NOW + 1)])
    tokens.expire(NOW)
    assert [token.id for token in tokens] == [2]


def test_what_tokens_share_is_kept_once() -> None:
    """Equal lists are one list, also after others have expired."""
    tokens = LiveTokens()
    tokens.add(live(id_, permissions=tuple("ab"), expires_at=NOW + id_) for id_ in range(3))
    tokens.expire(NOW)
    first, second = tokens
    assert first.permissions is second.permissions
    assert first.subject is second.subject


def test_a_token_takes_little_room() -> None:
    """Less than a kilobyte each, where many hold the same."""
    store, count = LiveTokens(), 2_000
    tracemalloc.start()
    try:
        store.add(
            live(
                id_, subject=f"user:u{id_ // 10}", permissions=tuple(f"read:{n}" for n in range(40))
            )
            for id_ in range(count)
        )
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / count < 1_000


def test_followed_tokens_come_once(store: Store) -> None:
    """Each when it is new, in the order of their ids."""
    ledger = Ledger(store.issued)
    first, second = (ledger.add(issued(expires_at=NOW + 1)) for _ in range(2))
    assert [token.id for token in ledger.follow(NOW)] == [first.id, second.id]
    third = ledger.add(issued(expires_at=NOW + 1))
    assert [token.id for token in ledger.follow(NOW)] == [third.id]
    assert ledger.follow(NOW) == []


def test_more_than_a_page_is_followed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, though they are read in pages."""
    monkeypatch.setattr("relata.tokens.ledger._PAGE", 2)
    ledger = Ledger(store.issued)
    ids = [ledger.add(issued(expires_at=NOW + 1)).id for _ in range(5)]
    assert [token.id for token in ledger.follow(NOW)] == ids


def test_every_follower_gets_every_token(store: Store) -> None:
    """Whoever has added it."""
    added = Ledger(store.issued).add(issued(expires_at=NOW + 1))
    for _ in range(2):
        assert [token.id for token in Ledger(store.issued).follow(NOW)] == [added.id]


def test_only_good_tokens_are_followed(store: Store) -> None:
    """Neither expired ones nor marked ones."""
    ledger = Ledger(store.issued)
    ledger.add(issued(expires_at=NOW))
    marked = ledger.add(issued(expires_at=NOW + 1))
    good = ledger.add(issued(expires_at=NOW + 1))
    store.issued.mark([marked.id], TokenState.CHANGED, reason="a test", now=NOW)
    assert [token.id for token in ledger.follow(NOW)] == [good.id]


def test_a_live_token_says_what_was_issued(store: Store) -> None:
    """Field by field."""
    token: IssuedToken = Ledger(store.issued).add(
        issued(scope=("read",), permissions=("read",), roles=("acme/reader",))
    )
    (followed,) = Ledger(store.issued).follow(0)
    for name in LiveToken.__struct_fields__:
        assert getattr(followed, name) == getattr(token, name)
    assert followed.subject_type == "user"
