"""Relata's own keys: made, kept encrypted, published without their secret, rotated, removed."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from relata.errors import InvalidArgumentError, OAuthError, StoreError
from relata.store import Store
from relata.tokens import SigningKeys
from relata.tokens.signing import ALGORITHMS, LONGEST_LIFE, NOTICE, thumbprint

SECRET = "a secret of the test, long enough"
ISSUER = "https://tokens.example"

RFC_7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC"
    "PebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvz"
    "qY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZ"
    "u0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'keys.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url)
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(keys: SigningKeys) -> list[dict[str, Any]]:
    found = keys.jwks()["keys"]
    assert isinstance(found, list)
    return found


def kids(keys: SigningKeys) -> set[str]:
    return {jwk["kid"] for jwk in published(keys)}


def states(keys: SigningKeys) -> dict[str, str]:
    return {key.kid: key.state for key in keys.listing()}


def test_thumbprint_of_the_rfc_s_rsa_key() -> None:
    """RFC 7638, 3.1; members that are not required do not count."""
    jwk = {"kty": "RSA", "n": RFC_7638_MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_thumbprint_of_the_rfc_s_ed25519_key() -> None:
    """RFC 8037, A.3."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_key_is_kept(url: str) -> None:
    """A token signed before a restart verifies after it."""
    store = Store.open(url)
    token = SigningKeys(store, secret=SECRET).sign({"aud": "wiki"})
    store.close()
    store = Store.open(url)
    found = SigningKeys(store, secret=SECRET).jwks()
    store.close()
    (key,) = jwt.PyJWKSet.from_dict(found).keys
    assert jwt.decode(token, key, audience="wiki") == {"aud": "wiki"}


def test_the_header_names_the_key_and_the_type(store: Store) -> None:
    """RFC 9068, 2.1, and RFC 7638 for the name."""
    keys = SigningKeys(store)
    header = jwt.get_unverified_header(keys.sign({}))
    (jwk,) = published(keys)
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": thumbprint(jwk)}
    assert jwk["kid"] == header["kid"]


def test_other_kinds_of_tokens_say_what_they_are(store: Store) -> None:
    """RFC 8725, 3.11; what names the key and its algorithm cannot be set from outside."""
    headers = {"typ": "at+jwt", "kid": "mine", "x": 1}
    signed = SigningKeys(store).sign({}, typ="statuslist+jwt", headers=headers)
    header = jwt.get_unverified_header(signed)
    assert (header["typ"], header["x"]) == ("statuslist+jwt", 1)
    assert header["kid"] != "mine"


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("ES256", {"kty", "crv", "x", "y"}),
        ("RS256", {"kty", "n", "e"}),
        ("EdDSA", {"kty", "crv", "x"}),
    ],
)
def test_only_the_public_half_is_published(store: Store, algorithm: str, members: set[str]) -> None:
    """RFC 7517, 9.2: the private members stay private; `use` and `alg` say what the key is for."""
    keys = SigningKeys(store)
    keys.sign({}, algorithm=algorithm)
    (jwk,) = published(keys)
    assert set(jwk) == members | {"kid", "use", "alg"}
    assert (jwk["use"], jwk["alg"], jwk["kid"]) == ("sig", algorithm, thumbprint(jwk))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 renames it to Ed25519
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_library_verifies_each_algorithm(store: Store, algorithm: str) -> None:
    """joserfc reads the published set and verifies by it."""
    keys = SigningKeys(store)
    token = keys.sign({"sub": "anne"}, algorithm=algorithm)
    key_set = KeySet.import_key_set({"keys": published(keys)})
    decoded = joserfc_jwt.decode(token, key_set, algorithms=[algorithm])
    assert (decoded.claims, decoded.header["alg"]) == ({"sub": "anne"}, algorithm)


def test_an_algorithm_that_is_not_there_is_refused(store: Store) -> None:
    for algorithm in ("none", "HS256"):
        with pytest.raises(InvalidArgumentError, match=f"`{algorithm}` is not how tokens"):
            SigningKeys(store).sign({}, algorithm=algorithm)


def test_threads_create_one_key(store: Store) -> None:
    """Within a process the first use is told from the others."""
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
    assert len(store.signing_keys()) == 1


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
    found = [jwt.PyJWKSet.from_dict(keys.jwks()) for keys in services]
    settled = {kid_of(keys.sign({})) for keys in services}
    for store in stores:
        store.close()
    assert len(tokens) == len(services)
    for token in tokens:
        for key_set in found:
            assert jwt.decode(token, key_set[kid_of(token)], audience="wiki") == {"aud": "wiki"}
    assert len(settled) == 1


def test_a_rotated_key_is_published_before_it_signs(store: Store, clock: Clock) -> None:
    """Who keeps the JWK Set for as long as it may be kept never meets an unknown key."""
    keys = SigningKeys(store, clock=clock)
    old = kid_of(keys.sign({}))
    new = keys.rotate().kid
    assert kids(keys) == {old, new}
    assert states(keys) == {old: "signing", new: "waiting"}
    assert kid_of(keys.sign({})) == old
    clock.pass_(NOTICE)
    assert kid_of(keys.sign({})) == new
    assert states(keys) == {old: "retired", new: "signing"}


def test_old_tokens_verify_until_they_expire(store: Store, clock: Clock) -> None:
    """The retired key stays published for as long as its last token may live, and then goes."""
    keys = SigningKeys(store, clock=clock)
    old = kid_of(keys.sign({}))
    new = keys.rotate().kid
    clock.pass_(NOTICE + LONGEST_LIFE - timedelta(seconds=1))
    assert kids(keys) == {old, new}
    clock.pass_(timedelta(seconds=1))
    assert kids(keys) == {new}
    assert keys.collect() == 1
    assert [key.kid for key in store.signing_keys()] == [new]


def test_a_token_cannot_outlive_its_key(store: Store, clock: Clock) -> None:
    keys = SigningKeys(store, clock=clock)
    latest = (clock.now + LONGEST_LIFE).timestamp()
    keys.sign({"exp": int(latest)})
    with pytest.raises(InvalidArgumentError, match="outlive the key"):
        keys.sign({"exp": int(latest) + 60})


def test_a_rotation_at_once_signs_at_once(store: Store) -> None:
    keys = SigningKeys(store)
    old = kid_of(keys.sign({}))
    new = keys.rotate(at_once=True)
    assert (new.state, kid_of(keys.sign({})), kids(keys)) == ("signing", new.kid, {old, new.kid})


def test_a_second_rotation_never_puts_the_first_off(store: Store, clock: Clock) -> None:
    keys = SigningKeys(store, clock=clock)
    keys.sign({})
    second = keys.rotate().kid
    clock.pass_(NOTICE / 2)
    third = keys.rotate().kid
    clock.pass_(NOTICE / 2)
    assert kid_of(keys.sign({})) == second
    clock.pass_(NOTICE / 2)
    assert kid_of(keys.sign({})) == third


def test_a_key_that_is_no_longer_secret_is_forgotten(store: Store) -> None:
    keys = SigningKeys(store)
    token = keys.sign({"iss": ISSUER, "exp": int(time.time()) + 60})
    new = keys.rotate(forget=True)
    assert kids(keys) == {new.kid}
    with pytest.raises(OAuthError):
        keys.verify(token, issuer=ISSUER)


def test_algorithms_are_rotated_apart(store: Store) -> None:
    keys = SigningKeys(store)
    elliptic = kid_of(keys.sign({}))
    keys.sign({}, algorithm="RS256")
    other = keys.rotate("RS256", at_once=True).kid
    assert kid_of(keys.sign({})) == elliptic
    assert kid_of(keys.sign({}, algorithm="RS256")) == other


def test_a_clock_that_lags_behind_does_not_stop_a_rotation(store: Store, clock: Clock) -> None:
    """The host that rotates may be behind the one that made the key before."""
    keys = SigningKeys(store, clock=clock)
    keys.sign({})
    clock.pass_(-timedelta(minutes=1))
    new = keys.rotate(at_once=True)
    assert kid_of(keys.sign({})) == new.kid


def test_every_process_changes_over_at_the_same_moment(url: str, clock: Clock) -> None:
    stores = [Store.open(url), Store.open(url)]
    here, there = (SigningKeys(store, clock=clock) for store in stores)
    old = kid_of(here.sign({}))
    new = here.rotate().kid
    before = {kid_of(keys.sign({})) for keys in (here, there)}
    clock.pass_(NOTICE)
    after = {kid_of(keys.sign({})) for keys in (here, there)}
    for store in stores:
        store.close()
    assert (before, after) == ({old}, {new})


def test_private_keys_are_encrypted_at_rest(store: Store, tmp_path: Path) -> None:
    """No octet of a key is in the file, in PEM or otherwise; each is sealed with its own salt."""
    keys = SigningKeys(store, secret=SECRET)
    for algorithm in ALGORITHMS:
        keys.sign({}, algorithm=algorithm)
    with sqlite3.connect(tmp_path / "keys.db") as connection:
        texts = [
            text for (text,) in connection.execute("select private_pem from relata_signing_keys")
        ]
    connection.close()
    assert all(text.startswith("scrypt-a256gcm.15.") for text in texts)
    assert not any("PRIVATE" in text for text in texts)
    assert len({text.split(".")[2] for text in texts}) == len(ALGORITHMS)
    assert all(key.encrypted for key in keys.listing())


def test_a_wrong_secret_is_a_clear_error_at_the_start(store: Store) -> None:
    SigningKeys(store, secret=SECRET).sign({})
    with pytest.raises(InvalidArgumentError) as wrong:
        SigningKeys(store, secret="another secret, as long as that other")
    with pytest.raises(InvalidArgumentError) as missing:
        SigningKeys(store)
    assert str(wrong.value).endswith("to the one that they were stored with")
    assert str(missing.value).endswith("to the secret that they were stored with")
    for error in (wrong.value, missing.value):
        assert (error.field, "RELATA_KEY_SECRET" in str(error)) == ("key_secret", True)


def test_a_short_secret_is_refused(store: Store) -> None:
    with pytest.raises(InvalidArgumentError, match="fewer than 32 characters"):
        SigningKeys(store, secret="short")


def test_keys_from_before_there_was_a_secret_are_read(store: Store) -> None:
    """They sign on, and are encrypted at the next rotation."""
    old = kid_of(SigningKeys(store).sign({}))
    keys = SigningKeys(store, secret=SECRET)
    assert kid_of(keys.sign({})) == old
    assert [key.encrypted for key in keys.listing()] == [False]
    keys.rotate()
    assert [key.encrypted for key in keys.listing()] == [True, True]
    assert kid_of(SigningKeys(store, secret=SECRET).sign({})) == old


def test_a_secret_is_replaced(store: Store) -> None:
    """The former one opens until everything is stored under the new one."""
    old = kid_of(SigningKeys(store, secret=SECRET).sign({}))
    new_secret = "the secret that replaces the former"
    keys = SigningKeys(store, secret=new_secret, former_secrets=[SECRET])
    assert (keys.reencrypt(), keys.reencrypt()) == (1, 0)
    assert kid_of(SigningKeys(store, secret=new_secret).sign({})) == old


def test_without_a_secret_nothing_is_reencrypted(store: Store) -> None:
    keys = SigningKeys(store)
    keys.sign({})
    assert (keys.encrypts, keys.reencrypt()) == (False, 0)


def test_a_sealed_key_cannot_take_another_s_place(store: Store) -> None:
    """What is sealed is bound to its name."""
    keys = SigningKeys(store, secret=SECRET)
    keys.sign({})
    keys.rotate()
    first, second = store.signing_keys()
    swapped = type(first)(second.kid, second.algorithm, first.private_pem, second.created_at)
    store.replace_signing_key(swapped)
    with pytest.raises(InvalidArgumentError):
        SigningKeys(store, secret=SECRET)


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "no key",
        "scrypt-a256gcm.15.x",
        "scrypt-a256gcm.99.AAAA.AAAA.AAAA",
        "scrypt-a256gcm.a.b.c.d",
    ],
)
def test_a_damaged_key_is_a_clear_error_at_the_start(store: Store, damaged: str) -> None:
    SigningKeys(store, secret=SECRET).sign({})
    (stored,) = store.signing_keys()
    store.replace_signing_key(
        type(stored)(stored.kid, stored.algorithm, damaged, stored.created_at)
    )
    with pytest.raises(StoreError, match="is damaged in the database"):
        SigningKeys(store, secret=SECRET)


def test_a_key_of_another_kind_than_it_says_is_refused(store: Store) -> None:
    SigningKeys(store).sign({})
    (stored,) = store.signing_keys()
    store.replace_signing_key(
        type(stored)(stored.kid, "RS256", stored.private_pem, stored.created_at)
    )
    with pytest.raises(StoreError, match="is not one of `RS256`"):
        SigningKeys(store)


def test_own_tokens_are_recognized(store: Store, clock: Clock) -> None:
    """Those of retired keys too, while they are published."""
    keys = SigningKeys(store, clock=clock)
    claims = {"iss": ISSUER, "sub": "anne", "exp": int(time.time()) + 3600}
    token = keys.sign(claims)
    keys.rotate()
    clock.pass_(NOTICE)
    assert keys.verify(token, issuer=ISSUER) == claims


def test_what_was_not_signed_here_as_an_access_token_is_refused(store: Store) -> None:
    keys = SigningKeys(store)
    claims = {"iss": ISSUER, "exp": int(time.time()) + 60}
    (jwk,) = published(keys)
    forged = jwt.encode(claims, "x" * 32, headers={"typ": "at+jwt", "kid": jwk["kid"]})
    refused = [
        "",
        "a.b.c",
        forged,
        keys.sign(claims, typ="statuslist+jwt"),
        keys.sign({**claims, "iss": "https://elsewhere.example"}),
        keys.sign({**claims, "exp": int(time.time()) - 1}),
        keys.sign({"iss": ISSUER}),
        keys.sign(claims, headers={"crit": ["x"], "x": 1}),
        keys.sign(claims)[:-4] + "AAAA",
    ]
    for token in refused:
        with pytest.raises(OAuthError) as caught:
            keys.verify(token, issuer=ISSUER)
        assert (caught.value.error, str(caught.value)) == (
            "invalid_token",
            "the access token is not valid",
        )
