"""Token Status Lists, read by a decoder of the test's own."""

from __future__ import annotations

import base64
import itertools
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from relata.store import IssuedToken, Store, TokenState
from relata.tokens import SigningKeys
from relata.tokens.status_list import LIST_SIZE, TTL_SECONDS, StatusLists, packed

ISSUER = "https://tokens.example"
NOW = int(time.time())


class Clock:
    """A clock that the test sets, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'relata.db'}")
    yield store
    store.close()


@pytest.fixture
def keys(store: Store) -> SigningKeys:
    return SigningKeys(store)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lists(store: Store, keys: SigningKeys, clock: Clock) -> StatusLists:
    return StatusLists(store, keys, issuer_url=ISSUER, clock=clock)


def issue(store: Store, number: int) -> IssuedToken:
    return store.issued.add(
        IssuedToken(
            jti=f"t-{number}",
            subject="user:anne",
            client="app-1",
            organization="acme",
            audience="wiki",
            issued_at=NOW,
            expires_at=NOW + 300,
            revision=1,
        )
    )


def place(lists: StatusLists, token_id: int) -> tuple[str, int]:
    """The list and the index that the claim of a token names."""
    claim: Any = lists.status_claim(token_id)
    assert set(claim) == {"status_list"}
    assert set(claim["status_list"]) == {"idx", "uri"}
    prefix = f"{ISSUER}/oauth/status/"
    uri = claim["status_list"]["uri"]
    assert uri.startswith(prefix)
    return uri.removeprefix(prefix), claim["status_list"]["idx"]


def claims_of(token: str, keys: SigningKeys) -> dict[str, Any]:
    """What a list says, verified by another library."""
    key_set = KeySet.import_key_set(json.loads(json.dumps(keys.jwks())))
    decoded = jwt.decode(token, key_set)
    assert decoded.header["typ"] == "statuslist+jwt"
    return decoded.claims


def octets_of(lst: str) -> bytes:
    return zlib.decompress(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))


def state_at(lst: str, index: int) -> int:
    return octets_of(lst)[index // 4] >> (index % 4 * 2) & 3


def state_of(lists: StatusLists, keys: SigningKeys, token_id: int) -> int:
    name, index = place(lists, token_id)
    token = lists.token(name)
    assert token is not None
    return state_at(claims_of(token, keys)["status_list"]["lst"], index)


def test_the_draft_s_example_of_two_bits() -> None:
    """Draft 21, 4.1: twelve states are the octets C9 44 F9."""
    states = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert octets_of(packed(enumerate(states), 12)).hex() == "c944f9"


def test_a_list_says_what_the_draft_wants(
    store: Store, lists: StatusLists, keys: SigningKeys
) -> None:
    """Draft 21, 5.1: `sub` is the list's own address; `iat`, `exp`, `ttl`, `status_list`."""
    name, _ = place(lists, issue(store, 1).id)
    claims = claims_of(lists.token(name) or "", keys)
    assert claims["sub"] == f"{ISSUER}/oauth/status/{name}"
    assert (claims["iss"], claims["iat"], claims["exp"]) == (ISSUER, NOW, NOW + 60)
    assert (claims["ttl"], claims["status_list"]["bits"]) == (TTL_SECONDS, 2)
    assert len(octets_of(claims["status_list"]["lst"])) * 4 == LIST_SIZE


def test_each_token_has_its_own_state(store: Store, lists: StatusLists, keys: SigningKeys) -> None:
    """0 stands, 1 is revoked, 3 is out of date (draft 21, 7.1)."""
    ids = [issue(store, number).id for number in range(50)]
    store.issued.mark([ids[7], ids[30]], TokenState.REVOKED, reason="test", now=NOW)
    store.issued.mark([ids[8], ids[30]], TokenState.CHANGED, reason="test", now=NOW)
    found = [state_of(lists, keys, token_id) for token_id in ids]
    assert found == [{7: 1, 8: 3, 30: 1}.get(number, 0) for number in range(50)]


def test_a_mark_counts_at_once(store: Store, lists: StatusLists, keys: SigningKeys) -> None:
    """What is cached here is cached by the newest event."""
    token = issue(store, 1)
    assert state_of(lists, keys, token.id) == 0
    store.issued.revoke(jti=token.jti, reason="test", now=NOW)
    assert state_of(lists, keys, token.id) == 1


def test_a_list_is_signed_once_while_nothing_changes(
    store: Store, lists: StatusLists, clock: Clock
) -> None:
    name, _ = place(lists, issue(store, 1).id)
    first = lists.token(name)
    assert lists.token(name) == first
    clock.now += TTL_SECONDS
    assert lists.token(name) != first


def test_lists_are_shared_by_many_tokens(lists: StatusLists) -> None:
    """Draft 21, 12.1: who fetches a list does not say which token it is about."""
    assert len({place(lists, token_id)[0] for token_id in range(LIST_SIZE)}) == 1
    assert place(lists, 0)[0] != place(lists, LIST_SIZE)[0]


def test_every_token_of_a_list_has_a_place_of_its_own(lists: StatusLists) -> None:
    places = {place(lists, token_id)[1] for token_id in range(LIST_SIZE, 2 * LIST_SIZE)}
    assert places == set(range(LIST_SIZE))


def test_places_do_not_tell_how_many_were_issued(lists: StatusLists) -> None:
    """Tokens issued one after another lie nowhere near each other, differently in each list."""
    first = [place(lists, token_id)[1] for token_id in range(1_000)]
    second = [place(lists, LIST_SIZE + token_id)[1] for token_id in range(1_000)]
    steps = [abs(one - next_) for one, next_ in itertools.pairwise(first)]
    assert sum(step < 64 for step in steps) < 20
    assert sum(one == other for one, other in zip(first, second, strict=True)) < 10


def test_every_process_finds_the_same_place(store: Store, lists: StatusLists) -> None:
    again = StatusLists(store, SigningKeys(store), issuer_url=ISSUER)
    for token_id in (0, 1, LIST_SIZE, 10**9):
        assert again.status_claim(token_id) == lists.status_claim(token_id)


def test_other_databases_have_other_places(lists: StatusLists) -> None:
    other = Store.open("sqlite://")
    elsewhere = StatusLists(other, SigningKeys(other), issuer_url=ISSUER)
    found = place(elsewhere, 0)
    other.close()
    assert found[0] != place(lists, 0)[0]


@pytest.mark.parametrize("name", ["", "0", "ü", "A" * 22, "A" * 500, "../keys", "a b", "=" * 22])
def test_made_up_names_are_no_lists(lists: StatusLists, name: str) -> None:
    assert lists.token(name) is None
