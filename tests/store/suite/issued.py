"""What tokens need of the store: configuration, issued tokens with their marks, single use."""

from __future__ import annotations

import msgspec
import pytest

from relata.errors import InvalidArgumentError
from relata.store import IssuedToken, Store, TokenState
from tests.store.suite.base import Base
from tests.store.suite.concurrency import in_threads

NOW = 1_000_000
TOKEN = IssuedToken(
    jti="t0",
    subject="user:anne",
    client="app",
    organization="acme",
    audience="wiki",
    products=("wiki", "files"),
    issued_at=NOW,
    expires_at=NOW + 300,
    revision=7,
    session="s",
    scope=("read:pages",),
    permissions=("read:pages",),
    roles=("acme/editor",),
    sub="anne",
    issuer="https://id.example",
    by_product={"wiki": ("read:pages",), "files": ()},
    extra={"datasets": ["ds1"]},
)


def issued(store: Store, jti: str, **changes: object) -> IssuedToken:
    """Store a token like the others."""
    return store.issued.add(msgspec.structs.replace(TOKEN, jti=jti, **changes))


class IssuedSuite(Base):
    def test_a_document_is_kept_by_kind_and_id(self, store: Store) -> None:
        assert store.records.get("client", "app") is None
        assert store.records.put("client", "app", b"1")
        assert store.records.put("client", "app", b"2")
        assert store.records.put("audience", "app", b"3")
        assert store.records.get("client", "app") == b"2"
        assert store.records.delete("client", "app")
        assert not store.records.delete("client", "app")
        assert store.records.list("client") == []
        assert store.records.get("audience", "app") == b"3"

    def test_documents_are_listed_page_by_page(self, store: Store) -> None:
        for name in "cab":
            store.records.put("client", name, name.encode())
        assert store.records.list("client", limit=2) == [("a", b"a"), ("b", b"b")]
        assert store.records.list("client", after="b") == [("c", b"c")]

    def test_a_document_is_stored_where_what_is_there_was_expected(self, store: Store) -> None:
        put = store.records.put
        assert not put("client", "app", b"1", expected=b"0")
        assert put("client", "app", b"1", expected=None)
        assert not put("client", "app", b"2", expected=None)
        assert put("client", "app", b"2", expected=b"1")
        assert store.records.get("client", "app") == b"2"

    def test_one_of_many_stores_a_new_document(self, store: Store) -> None:
        def work(number: int) -> bool:
            return store.records.put("list", "one", b"%d" % number, expected=None)

        assert sum(in_threads(work)) == 1

    def test_a_value_is_used_once_for_a_purpose(self, store: Store) -> None:
        once = store.replays.once
        assert once("proof", "a", expires_at=NOW + 10, now=NOW)
        assert not once("proof", "a", expires_at=NOW + 10, now=NOW + 10)
        assert once("assertion", "a", expires_at=NOW + 10, now=NOW)
        assert once("proof", "a", expires_at=NOW + 30, now=NOW + 11)

    def test_a_value_is_used_by_one_of_many(self, store: Store) -> None:
        def work(_: int) -> bool:
            return store.replays.once("proof", "a", expires_at=NOW + 10, now=NOW)

        assert sum(in_threads(work)) == 1

    def test_a_token_comes_back_as_it_was(self, store: Store) -> None:
        first, second = issued(store, "t1"), issued(store, "t2", scope=None)
        assert 0 < first.id < second.id
        assert store.issued.find("t1") == first
        assert store.issued.find("t2") == second
        assert store.issued.find("t3") is None

    def test_live_tokens_are_followed_by_id(self, store: Store) -> None:
        first, second = issued(store, "t1"), issued(store, "t2")
        issued(store, "t3", expires_at=NOW)
        fourth = issued(store, "t4")
        after = store.issued.after
        assert after(0, now=NOW, limit=10) == [first, second, fourth]
        assert after(first.id, now=NOW, limit=1) == [second]

    def test_a_mark_counts_once_and_is_an_event(self, store: Store) -> None:
        token, other = issued(store, "t1"), issued(store, "t2")
        mark, ids = store.issued.mark, [token.id, other.id]
        assert mark(ids[:1], TokenState.CHANGED, reason="roles", now=NOW) == ids[:1]
        assert mark(ids, TokenState.CHANGED, reason="roles", now=NOW + 1) == ids[1:]
        assert mark(ids, TokenState.REVOKED, reason="logout", now=NOW + 2) == ids
        assert mark(ids, TokenState.REVOKED, reason="logout", now=NOW + 3) == []
        assert mark(ids, TokenState.CHANGED, reason="roles", now=NOW + 4) == []
        events = store.issued.events(0, limit=10)
        assert [(event.kind, event.jti, event.at, event.reason) for event in events] == [
            ("token-claims-change", "t1", NOW, "roles"),
            ("token-claims-change", "t2", NOW + 1, "roles"),
            ("session-revoked", "t1", NOW + 2, "logout"),
            ("session-revoked", "t2", NOW + 2, "logout"),
        ]
        assert store.issued.events(events[2].id, limit=10) == events[3:]
        assert store.issued.last_event() == events[-1].id

    def test_many_tokens_are_marked(self, store: Store) -> None:
        """More than one statement names."""
        ids = [issued(store, f"t{number}").id for number in range(1_001)]
        marked = store.issued.mark(ids, TokenState.CHANGED, reason="roles", now=NOW)
        assert marked == ids
        assert store.issued.states(ids[0], 1_001) == bytes([TokenState.CHANGED]) * 1_001

    def test_states_are_a_byte_a_token(self, store: Store) -> None:
        tokens = [issued(store, f"t{number}") for number in range(4)]
        store.issued.mark([tokens[1].id], TokenState.CHANGED, reason="", now=NOW)
        store.issued.mark([tokens[3].id], TokenState.REVOKED, reason="", now=NOW)
        assert store.issued.states(tokens[0].id, 6) == bytes([0, 3, 0, 1, 0, 0])
        assert store.issued.states(tokens[1].id, 2) == bytes([3, 0])

    def test_tokens_are_revoked_by_all_that_is_given(self, store: Store) -> None:
        issued(store, "t1")
        issued(store, "t2", client="other")
        issued(store, "t3", subject="user:bob")
        issued(store, "t4", expires_at=NOW)
        revoke = store.issued.revoke
        assert revoke(subject="user:anne", client="app", reason="", now=NOW) == 1
        assert revoke(subject="user:anne", reason="", now=NOW) == 1
        assert revoke(organization="globex", reason="", now=NOW) == 0
        assert [store.issued.states(1, 4)[index] for index in range(4)] == [1, 1, 0, 0]

    def test_what_was_exchanged_from_a_revoked_token_is_revoked(self, store: Store) -> None:
        issued(store, "t1")
        issued(store, "t2", parent="t1", client="other")
        issued(store, "t3", parent="t2")
        issued(store, "t4")
        assert store.issued.revoke(jti="t1", reason="", now=NOW) == 3
        assert store.issued.states(1, 4) == bytes([1, 1, 1, 0])

    def test_nothing_is_revoked_where_nothing_is_named(self, store: Store) -> None:
        issued(store, "t1")
        with pytest.raises(InvalidArgumentError):
            store.issued.revoke(reason="", now=NOW)
        assert store.issued.last_event() == 0

    def test_what_is_over_is_forgotten_but_for_the_newest_event(self, store: Store) -> None:
        old, new = issued(store, "t1"), issued(store, "t2", expires_at=NOW + 900)
        for token in (old, new):
            store.issued.mark([token.id], TokenState.CHANGED, reason="", now=NOW)
        last = store.issued.last_event()
        assert store.issued.collect(NOW + 301) == 1
        assert store.issued.find("t1") is None
        assert store.issued.find("t2") is not None
        assert store.issued.last_event() == last
        assert [event.jti for event in store.issued.events(0, limit=9)] == ["t2"]
