"""Issuers that are discovered: one document, believed for the address of the keys alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from relata.errors import OAuthError
from relata.tokens.discovery import DISCOVERY_PATH, discovery_address, jwks_uri_in
from relata.tokens.fetching import FetchError
from relata.tokens.issuer_keys import PublishedKeys
from tests.tokens.identity import Answer, LocalIssuer, PrivateKey, public_jwk

BOTH = [DISCOVERY_PATH, "/keys"]
ISSUER = "https://id.example"


@pytest.fixture
def keys(issuer: LocalIssuer) -> PublishedKeys:
    return PublishedKeys(issuer.trusted(discovery=True))


def jwks_uri(issuer: str = ISSUER, **members: Any) -> str:
    return jwks_uri_in({"issuer": issuer, "jwks_uri": f"{ISSUER}/keys", **members}, issuer)


@pytest.mark.parametrize(
    ("issuer", "address"),
    [
        ("https://id.example", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/one", "https://id.example/one/.well-known/openid-configuration"),
        ("https://id.example/one/", "https://id.example/one/.well-known/openid-configuration"),
    ],
)
def test_the_address_of_the_document(issuer: str, address: str) -> None:
    """OpenID Connect Discovery 1.0, 4: a slash at the end is left out."""
    assert discovery_address(issuer) == address


def test_the_document_says_where_the_keys_are(issuer: LocalIssuer, keys: PublishedKeys) -> None:
    """Both documents are fetched once, and not before they are needed."""
    assert issuer.fetches == []
    assert all(keys.find("key-1", "RS256") for _ in range(5))
    assert issuer.fetches == BOTH


def test_keys_may_lie_on_another_host() -> None:
    """As those of large providers do."""
    assert jwks_uri(jwks_uri="https://keys.example/v3") == "https://keys.example/v3"


@pytest.mark.parametrize(
    "named",
    [ISSUER + "/", ISSUER.upper(), "https://id.example.", ISSUER + "/one", "", None, [ISSUER], 7],
)
def test_the_document_names_its_issuer_exactly(named: object) -> None:
    """OpenID Connect Discovery 1.0, 4.3: compared character by character."""
    with pytest.raises(FetchError, match="another issuer"):
        jwks_uri_in({"issuer": named, "jwks_uri": f"{ISSUER}/keys"}, ISSUER)


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "/keys",
        "file:///etc/passwd",
        "http://id.example/keys",
        "http://169.254.169.254/latest/meta-data",
        "https:///keys",
        "https://id..example/keys",
        "https://xn--/keys",
        "https://id.example/the keys",
    ],
)
def test_keys_that_are_not_fetched_over_https(address: object) -> None:
    with pytest.raises(FetchError, match="https"):
        jwks_uri(jwks_uri=address)


def test_only_an_issuer_on_this_machine_sends_us_to_it() -> None:
    """No document from outside opens a way to what listens only here."""
    here = "http://127.0.0.1:6379/keys"
    assert jwks_uri("http://localhost:9000", jwks_uri=here) == here
    with pytest.raises(FetchError, match="https"):
        jwks_uri(jwks_uri=here)


@pytest.mark.parametrize(
    "metadata",
    [{}, {"issuer": "https://id.example"}, {"jwks_uri": "ftp://id.example/keys"}],
    ids=str,
)
def test_a_document_that_is_not_believed(
    issuer: LocalIssuer, keys: PublishedKeys, metadata: dict[str, Any]
) -> None:
    """Nobody is believed for the moment, and no keys are asked for."""
    issuer.metadata = {**issuer.metadata, **metadata} if metadata else {}
    with pytest.raises(OAuthError) as caught:
        keys.find("key-1", "RS256")
    assert caught.value.error == "temporarily_unavailable"
    assert issuer.fetches == [DISCOVERY_PATH]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b""),
        Answer(200, b"<html>"),
        Answer(200, b"[]"),
        Answer(200, b"{" + b" " * 300_000 + b"}"),
        Answer(302, b"", {"Location": "/keys"}),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:10]!r}",
)
def test_what_is_no_document(issuer: LocalIssuer, keys: PublishedKeys, answer: Answer) -> None:
    """Within the limits that the keys have; redirects are not followed."""
    issuer.answers[DISCOVERY_PATH] = answer
    for _ in range(3):
        with pytest.raises(OAuthError, match="try again later"):
            keys.find("key-1", "RS256")
    assert issuer.fetches == [DISCOVERY_PATH]


def test_made_up_keys_do_not_hammer_the_issuer(issuer: LocalIssuer, keys: PublishedKeys) -> None:
    """The first use and one refresh, of both documents, however many tokens come."""
    assert [keys.find(f"made-up-{number}", "RS256") for number in range(50)] == [None] * 50
    assert issuer.fetches == BOTH * 2


def test_keys_that_have_moved_are_found(
    issuer: LocalIssuer, keys: PublishedKeys, signing_keys: dict[str, PrivateKey]
) -> None:
    """A new key at a new address counts as soon as a token names it."""
    assert keys.find("key-1", "RS256")
    moved = [public_jwk(signing_keys["ES256"], kid="key-2")]
    issuer.metadata["jwks_uri"] = f"{issuer.url}/new-keys"
    issuer.answers["/new-keys"] = Answer(200, json.dumps({"keys": moved}).encode())
    assert keys.find("key-2", "ES256")
    assert issuer.fetches == [*BOTH, DISCOVERY_PATH, "/new-keys"]


def test_a_document_does_not_count_for_ever(issuer: LocalIssuer) -> None:
    """It is as old as the keys, and is fetched again with them."""
    keys = PublishedKeys(issuer.trusted(discovery=True), max_age=timedelta(0))
    assert keys.find("key-1", "RS256")
    issuer.metadata["issuer"] = "https://somebody.else"
    with pytest.raises(OAuthError):
        keys.find("key-1", "RS256")
