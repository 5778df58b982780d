"""Relata's own keys: created once, kept, published without their secret."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import jwt
import msgspec
import pytest

from relata.store import Store
from relata.tokens import SigningKeys
from relata.tokens.signing import thumbprint

RFC_7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC"
    "PebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvz"
    "qY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZ"
    "u0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


def test_thumbprint_of_the_rfc_s_rsa_key() -> None:
    """RFC 7638, 3.1; members that are not required do not count."""
    jwk = {"kty": "RSA", "n": RFC_7638_MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_thumbprint_of_the_rfc_s_ed25519_key() -> None:
    """RFC 8037, A.3."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'keys.db'}"


def test_the_key_is_kept(url: str) -> None:
    """A token signed before a restart verifies after it."""
    store = Store.open(url)
    token = SigningKeys(store).sign({"aud": "wiki"})
    store.close()
    store = Store.open(url)
    published = SigningKeys(store).jwks()
    store.close()
    (key,) = jwt.PyJWKSet.from_dict(published).keys
    assert jwt.decode(token, key, audience="wiki") == {"aud": "wiki"}


def test_the_header_names_the_key_and_the_type(url: str) -> None:
    """RFC 9068, 2.1, and RFC 7638 for the name."""
    store = Store.open(url)
    keys = SigningKeys(store)
    header = jwt.get_unverified_header(keys.sign({}))
    published = keys.jwks()["keys"]
    store.close()
    assert isinstance(published, list)
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": thumbprint(published[0])}
    assert published[0]["kid"] == header["kid"]


def test_only_the_public_half_is_published(url: str) -> None:
    """RFC 7517, 9.2: the private members stay private."""
    store = Store.open(url)
    published = SigningKeys(store).jwks()["keys"]
    store.close()
    assert isinstance(published, list)
    assert [set(jwk) for jwk in published] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]


def test_threads_create_one_key(url: str) -> None:
    """Within a process the first use is told from the others."""
    store = Store.open(url)
    keys = SigningKeys(store)
    together = threading.Barrier(4)

    def sign() -> None:
        together.wait()
        keys.sign({})

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    created = store.signing_keys()
    store.close()
    assert len(created) == 1


def test_the_newest_key_signs(url: str) -> None:
    """An older key stays published, so that its tokens go on verifying."""
    store = Store.open(url)
    keys = SigningKeys(store)
    old = jwt.get_unverified_header(keys.sign({}))["kid"]
    (stored,) = store.signing_keys()
    for kid, days in (("newest", 2), ("newer", 1)):
        created_at = stored.created_at + timedelta(days=days)
        store.add_signing_key(msgspec.structs.replace(stored, kid=kid, created_at=created_at))
    signed_with = jwt.get_unverified_header(keys.sign({}))["kid"]
    published = {key.key_id for key in jwt.PyJWKSet.from_dict(keys.jwks()).keys}
    store.close()
    assert signed_with == "newest"
    assert published == {old, "newer", "newest"}


def test_first_use_at_the_same_moment(url: str) -> None:
    """Two processes and four threads that all need the first key: every token verifies."""
    stores = [Store.open(url), Store.open(url)]
    services = [SigningKeys(store) for store in stores for _ in range(2)]
    together = threading.Barrier(len(services))
    tokens: list[str] = []

    def sign(keys: SigningKeys) -> None:
        together.wait()
        tokens.append(keys.sign({"aud": "wiki"}))

    threads = [threading.Thread(target=sign, args=(keys,)) for keys in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = [jwt.PyJWKSet.from_dict(keys.jwks()) for keys in services]
    settled = {jwt.get_unverified_header(keys.sign({}))["kid"] for keys in services}
    for store in stores:
        store.close()
    assert len(tokens) == len(services)
    for token in tokens:
        kid = jwt.get_unverified_header(token)["kid"]
        for keys in published:
            assert jwt.decode(token, keys[kid], audience="wiki") == {"aud": "wiki"}
    assert len(settled) == 1
