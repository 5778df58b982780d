"""Proofs of possession (RFC 9449): which are believed. Every one is made by joserfc."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from relata.errors import OAuthError
from relata.store import Store
from relata.tokens.dpop import (
    MAX_JTI_CHARACTERS,
    NONCE_SECONDS,
    PROOF_SECONDS,
    Nonces,
    bound_key,
    proof_in,
    verify_proof,
)
from tests.tokens.identity import compact, encoded
from tests.tokens.proofs import make_proof, new_key

URL = "https://api.example/token"
NOW = int(time.time())
TOKEN = "an.access.token"
KEY = new_key()
ECDSA = ec.ECDSA(SHA256())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'relata.db'}")
    yield store
    store.close()


def raw_signature(der: bytes) -> bytes:
    """A signature as JWS has it (RFC 7518, 3.4)."""
    return b"".join(number.to_bytes(32) for number in decode_dss_signature(der))


def verified(proof: str, store: Store, **changes: Any) -> str:
    request = {"method": "POST", "url": URL, "replays": store.replays, "now": NOW, **changes}
    return verify_proof(proof, **request)


def refusal(proof: str, store: Store, **changes: Any) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        verified(proof, store, **changes)
    return caught.value


def proof(key: Key = KEY, **changes: Any) -> str:
    method, url = changes.pop("method", "POST"), changes.pop("url", URL)
    return make_proof(key, method, url, **{"iat": NOW, **changes})


def test_a_good_proof_names_its_key(store: Store) -> None:
    """RFC 9449, 6.1: `jkt` is the thumbprint of the key, as another library makes it."""
    assert verified(proof(), store) == KEY.thumbprint()


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 renames it to Ed25519
@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES384", ECKey.generate_key("P-384")),
        ("ES512", ECKey.generate_key("P-521")),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("PS256", RSAKey.generate_key(2048)),
        ("RS256", RSAKey.generate_key(2048)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_algorithm_that_is_announced(store: Store, algorithm: str, key: Key) -> None:
    assert verified(proof(key, algorithm=algorithm), store) == key.thumbprint()


@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt", "dpop"])
def test_only_a_proof_is_a_proof(store: Store, typ: str | None) -> None:
    """RFC 9449, 4.3, check 4."""
    assert "`typ`" in str(refusal(proof(header={"typ": typ}), store))


@pytest.mark.parametrize("typ", ["application/dpop+jwt", "DPoP+JWT"])
def test_a_type_may_be_written_in_full(store: Store, typ: str) -> None:
    """RFC 7515, 4.1.9."""
    assert verified(proof(header={"typ": typ}), store)


def test_shared_secrets_and_no_signature_prove_nothing(store: Store) -> None:
    """RFC 9449, 4.3, check 5: `alg` is asymmetric and not `none`."""
    secret = OctKey.generate_key(256)
    public = KEY.as_dict(private=False)
    symmetric = proof(secret, algorithm="HS256", header={"jwk": public})
    claims = {"htm": "POST", "htu": URL, "iat": NOW, "jti": "1"}
    unsigned = compact({"typ": "dpop+jwt", "alg": "none", "jwk": public}, claims)
    for forged in (symmetric, unsigned):
        assert str(refusal(forged, store)).endswith("its `alg` is not allowed")


def test_the_key_must_be_public(store: Store) -> None:
    """RFC 9449, 4.3, check 7."""
    private = KEY.as_dict(private=True)
    secret = {"kty": "oct", "k": "AAAA"}
    others: list[object] = [private, secret, None, "text", 5, []]
    for jwk in others:
        made = compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}, {})
        assert str(refusal(made, store)).endswith("its header has no public key in `jwk`")


def test_the_key_must_fit_the_algorithm(store: Store) -> None:
    weak: dict[str, object] = {"kty": "RSA", "e": "AQAB", "n": encoded(b"\xff" * 128)}
    other_curve = ECKey.generate_key("P-384").as_dict(private=False)
    cases: list[tuple[str, object]] = [("ES256", other_curve), ("RS256", weak), ("ES256", {})]
    for algorithm, jwk in cases:
        made = compact({"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}, {})
        assert str(refusal(made, store)).endswith("does not fit its `alg`")


def test_the_signature_must_be_by_that_key(store: Store) -> None:
    """RFC 9449, 4.3, check 6."""
    forged = proof(header={"jwk": new_key().as_dict(private=False)})
    assert "its signature does not hold" in str(refusal(forged, store))


def test_critical_headers_are_refused(store: Store) -> None:
    """RFC 7515, 4.1.11."""
    public = KEY.as_dict(private=False)
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public}
    cases: list[dict[str, object]] = [{"crit": ["b64"], "b64": True}, {"crit": ["x"]}, {"crit": []}]
    for critical in cases:
        error = refusal(compact({**header, **critical}, {}), store)
        assert error.error == "invalid_dpop_proof"


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "ü.ü.ü", "e30.e30.", "." * 9000])
def test_what_is_no_jwt_is_refused(store: Store, text: str) -> None:
    error = refusal(text, store)
    assert (error.error, error.field) == ("invalid_dpop_proof", "DPoP")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"htm": "GET"}, "`htm`"),
        ({"htm": "post"}, "`htm`"),
        ({"htm": None}, "`htm`"),
        ({"htu": None}, "`htu`"),
        ({"htu": "https://api.example/other"}, "`htu`"),
        ({"htu": "https://other.example/token"}, "`htu`"),
        ({"htu": "http://api.example/token"}, "`htu`"),
        ({"htu": "https://api.example:8443/token"}, "`htu`"),
        ({"htu": "https://api.example@other.example/token"}, "`htu`"),
        ({"htu": "https://[::1/token"}, "`htu`"),
        ({"htu": "https://api.example:99999/token"}, "`htu`"),
        ({"htu": "/token"}, "`htu`"),
        ({"htu": 5}, "`htu`"),
        ({"iat": None}, "`iat`"),
        ({"iat": "now"}, "`iat`"),
        ({"iat": True}, "`iat`"),
        ({"iat": NOW - PROOF_SECONDS - 1}, "`iat`"),
        ({"iat": NOW + PROOF_SECONDS + 1}, "`iat`"),
        ({"jti": None}, "`jti`"),
        ({"jti": ""}, "`jti`"),
        ({"jti": 5}, "`jti`"),
        ({"jti": "x" * (MAX_JTI_CHARACTERS + 1)}, "`jti`"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",  # alike in each process
)
def test_a_proof_for_another_request_is_refused(
    store: Store, changes: dict[str, Any], named: str
) -> None:
    """RFC 9449, 4.3, checks 3, 8, 9 and 11."""
    error = refusal(proof(**changes), store)
    assert (error.error, named in str(error)) == ("invalid_dpop_proof", True)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://API.example/token",
        "https://api.example:443/token",
        "https://api.example/token?scope=all#top",
        "https://api.example/%74oken",
    ],
)
def test_addresses_are_compared_as_addresses(store: Store, url: str) -> None:
    """RFC 9449, 4.3: normalized, and without query and fragment."""
    assert verified(proof(url=url), store)
    assert verified(proof(), store, url=url)


def test_octets_that_must_be_escaped_stay_so(store: Store) -> None:
    """`%2F` is no slash; how the octet is written does not count."""
    escaped = "https://api.example/a%2fb/ü"
    assert verified(proof(url="https://api.example/a%2Fb/%c3%bc"), store, url=escaped)
    error = refusal(proof(url="https://api.example/a/b/ü"), store, url=escaped)
    assert "`htu`" in str(error)


def test_an_empty_path_is_the_root(store: Store) -> None:
    assert verified(proof(url="https://api.example"), store, url="https://api.example/")


def test_a_proof_is_good_once(store: Store) -> None:
    """RFC 9449, 11.1: in every process, for they share the store."""
    made = proof()
    assert verified(made, store)
    for now in (NOW, NOW + PROOF_SECONDS):
        error = refusal(made, store, now=now)
        assert str(error).endswith("it was used before; make a proof for each request")


def test_a_number_of_another_client_s_is_no_replay(store: Store) -> None:
    """Nobody can use up another's `jti`."""
    assert verified(proof(jti="1"), store)
    assert verified(proof(new_key(), jti="1"), store)


def test_a_refused_proof_uses_nothing_up(store: Store) -> None:
    made = proof(jti="1")
    assert "`htm`" in str(refusal(made, store, method="GET"))
    assert verified(made, store)


def test_with_a_token_comes_its_hash(store: Store) -> None:
    """RFC 9449, 4.3, check 12."""
    assert verified(proof(token=TOKEN), store, access_token=TOKEN)
    for other in (proof(), proof(token="another"), proof(ath=5), proof(ath="ü")):
        assert "`ath`" in str(refusal(other, store, access_token=TOKEN))


def test_a_nonce_is_asked_for(store: Store) -> None:
    """RFC 9449, 8: the code that makes a client try again with the nonce that it is given."""
    nonces = Nonces(b"k" * 32)
    for bad in (None, "", 5, "made-up", "ü", Nonces(b"x" * 32).issue(NOW)):
        error = refusal(proof(nonce=bad), store, nonces=nonces)
        assert error.error == "use_dpop_nonce"
    assert verified(proof(nonce=nonces.issue(NOW)), store, nonces=nonces)


def test_a_nonce_is_good_for_a_while_in_every_process() -> None:
    nonce = Nonces(b"k" * 32).issue(NOW)
    elsewhere = Nonces(b"k" * 32)
    assert elsewhere.accepts(nonce, NOW)
    assert elsewhere.accepts(nonce, NOW + NONCE_SECONDS)
    assert not elsewhere.accepts(nonce, NOW + NONCE_SECONDS + 1)
    assert not elsewhere.accepts(nonce, NOW - 1)


def test_a_request_has_at_most_one_proof() -> None:
    """RFC 9449, 4.3, check 1."""
    assert proof_in([(b"host", b"x")]) is None
    assert proof_in([(b"dpop", b"a.b.c")]) == "a.b.c"
    for headers in ([(b"dpop", b"a"), (b"dpop", b"a")], [(b"dpop", b"\xff")]):
        with pytest.raises(OAuthError) as caught:
            proof_in(headers)
        assert caught.value.error == "invalid_dpop_proof"


def test_the_key_that_a_token_is_bound_to() -> None:
    """RFC 9449, 6.1; a binding that is not understood is not passed over (RFC 7800, 3.1)."""
    assert bound_key({}) is None
    assert bound_key({"cnf": {"jkt": "x"}}) == "x"
    for confirmation in ({}, {"x5t#S256": "x"}, {"jkt": 5}, "jkt"):
        with pytest.raises(OAuthError) as caught:
            bound_key({"cnf": confirmation})
        assert caught.value.error == "invalid_token"


def test_the_library_that_makes_the_proofs_writes_plain_json() -> None:
    """The tests' proofs are what they seem: three parts, with the public key alone."""
    header = json.loads(base64.urlsafe_b64decode(proof().split(".")[0] + "=="))
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["kty", "x", "n", "e"]), inner)
    ),
    max_leaves=8,
)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "crit", "b64", "x"]), _JSON),
    claims=st.dictionaries(
        st.sampled_from(["htm", "htu", "iat", "jti", "ath", "nonce", "exp", "nbf"]), _JSON
    ),
)
def test_whatever_is_sent_is_refused_in_the_standard_s_words(
    store: Store, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    """Malformed headers, and malformed claims under a good signature."""
    assert refusal(compact(header, claims), store).error == "invalid_dpop_proof"
    good = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False)}
    private = KEY.private_key
    assert private is not None, "it was made here"
    signed = compact(good, claims, lambda data: raw_signature(private.sign(data, ECDSA)))
    ordinary = {"htm": "POST", "htu": URL, "iat": NOW, "jti": "1"}
    error = refusal(signed, store, access_token=TOKEN, nonces=Nonces(b"k" * 32))
    assert error.error in ("invalid_dpop_proof", "use_dpop_nonce")
    merged = compact(
        good, {**ordinary, **claims}, lambda data: raw_signature(private.sign(data, ECDSA))
    )
    assert refusal(merged, store, access_token=TOKEN).error == "invalid_dpop_proof"
