"""Pairwise subjects: stable, different from sector to sector, and not to be told apart outside."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.authorizer import Relata
from relata.demo.scenario import schema_text
from relata.errors import InvalidArgumentError, StoreError
from relata.relationships import ObjectRef, SubjectRef
from relata.tokens.organizations import NewOrganization, Organizations
from relata.tokens.pairwise import PairwiseSubjects, Sectors

SECRET = bytes(range(32))
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture
def relata() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=schema_text(), follow_seconds=None) as relata:
        yield relata


def test_an_identifier_is_the_documented_one() -> None:
    """Made by hand, so that it cannot change without anybody's notice: every app stores it."""
    key = hmac.digest(SECRET, b"relata pairwise subject identifiers, 1", hashlib.sha256)
    message = b"\0\0\0\0\0\0\0\x04acmeuser:anne"
    expected = base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
    assert PairwiseSubjects(SECRET).of("user:anne", "acme") == expected.rstrip("=")


def test_it_is_the_same_each_time_and_safe_in_a_url() -> None:
    first = PairwiseSubjects(SECRET).of("user:anne", "acme")
    assert PairwiseSubjects(SECRET).of(SubjectRef("user", "anne"), "acme") == first
    assert PairwiseSubjects(SECRET).of(ObjectRef("user", "anne"), "acme") == first
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", first)


@given(st.lists(st.tuples(_TEXT, _TEXT), min_size=2, max_size=8, unique=True))
def test_no_two_are_alike(pairs: list[tuple[str, str]]) -> None:
    """However subject and sector are cut."""
    subjects = PairwiseSubjects(SECRET)
    assert len({subjects.of(f"user:{subject}", sector) for subject, sector in pairs}) == len(pairs)


def test_another_secret_makes_others() -> None:
    assert PairwiseSubjects(SECRET).of("user:anne", "acme") != PairwiseSubjects(SECRET[::-1]).of(
        "user:anne", "acme"
    )


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="32 octets"):
        PairwiseSubjects(b"secret")


def test_a_sector_is_the_nearest_organization_that_keeps_users_apart(relata: Relata) -> None:
    organizations = Organizations(relata)
    for organization in (
        NewOrganization(id="open"),
        NewOrganization(id="open-child", parent="open"),
        NewOrganization(id="apart", parent="open", users="pairwise"),
        NewOrganization(id="apart-one", parent="apart"),
        NewOrganization(id="apart-two", parent="apart"),
        NewOrganization(id="deeper", parent="apart-two"),
        NewOrganization(id="own", parent="apart", users="pairwise"),
    ):
        organizations.create(organization)
    sectors = Sectors(relata.store)
    assert {it.id: sectors.of(it.id) for it in organizations.list()} == {
        "open": "",
        "open-child": "",
        "apart": "apart",
        "apart-one": "apart",
        "apart-two": "apart",
        "deeper": "apart",
        "own": "own",
    }
    assert sectors.of("unknown") == ""


def test_a_sector_that_cannot_be_read_is_not_none(relata: Relata) -> None:
    """Else a user would be shown by the `sub` that everybody knows."""
    relata.store.records.put("organization", "broken", b'{"users": "public"}')
    with pytest.raises(StoreError):
        Sectors(relata.store).of("broken")
