"""Registering an issuer: what is unsafe is refused before any token arrives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from relata.errors import InvalidArgumentError
from relata.tokens import TrustedIssuer
from relata.tokens.issuers import check_address
from tests.tokens.identity import Jwk, encoded, public_jwk

GOOD: dict[str, Any] = {
    "issuer": "https://id.example",
    "jwks_uri": "https://id.example/keys",
    "audiences": ("https://relata.example",),
}


def test_an_issuer_needs_little() -> None:
    """Three settings, and the rest has safe defaults."""
    issuer = TrustedIssuer(**GOOD)
    assert issuer.algorithms == ("RS256", "ES256")
    assert (issuer.discovery, issuer.keys) == (False, None)
    assert (issuer.subject, issuer.client_subject) == (None, None)


def test_a_missing_audience_refuses_to_start() -> None:
    """OpenFGA CVE-2026-55689: no audience must never mean any audience."""
    without = {name: value for name, value in GOOD.items() if name != "audiences"}
    with pytest.raises(TypeError, match="audiences"):
        TrustedIssuer(**without)
    with pytest.raises(msgspec.ValidationError, match="audiences"):
        msgspec.convert(without, TrustedIssuer)


@pytest.mark.parametrize("audiences", [(), ("",), ("a", ""), "https://relata.example", None])
def test_an_empty_audience_refuses_to_start(audiences: object) -> None:
    """Nor must an empty one, nor a text taken for a list of letters."""
    with pytest.raises(InvalidArgumentError, match="`audiences`") as caught:
        TrustedIssuer(**{**GOOD, "audiences": audiences})
    assert caught.value.field == "audiences"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS384", "HS512", "RS1", ""])
def test_algorithms_that_anybody_could_sign_with_cannot_be_allowed(algorithm: str) -> None:
    """RFC 8725, 3.1 and 3.2."""
    with pytest.raises(InvalidArgumentError) as caught:
        TrustedIssuer(**{**GOOD, "algorithms": ("RS256", algorithm)})
    assert caught.value.field == "algorithms"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "keys",
        "file:///etc/passwd",
        "ftp://id.example/keys",
        "http://id.example/keys",
        "http://127.0.0.1.id.example/keys",
        "http://localhost.id.example/keys",
        "https:///keys",
        "https://id.example/the keys",
        "https://id.example:port/keys",
        "https://id..example/keys",
        "https://xn--/keys",
        "https://" + "x" * 64 + ".example/keys",
    ],
)
def test_keys_come_over_https(uri: str) -> None:
    """Keys that anybody on the way could exchange would be no keys."""
    with pytest.raises(InvalidArgumentError) as caught:
        TrustedIssuer(**{**GOOD, "jwks_uri": uri})
    assert caught.value.field == "jwks_uri"


@given(address=st.from_regex(r"https?://[^/]*/[^/]{0,4}", fullmatch=True) | st.text())
def test_whatever_the_address(address: str) -> None:
    """It is one, or it is refused for what it is."""
    refused = None
    try:
        check_address(address, field="jwks_uri")
    except InvalidArgumentError as error:
        refused = error.field
    assert refused == "jwks_uri" or address.lower().startswith(("https://", "http://"))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_this_machine_may_do_without_https(host: str) -> None:
    """For development and tests."""
    issuer = TrustedIssuer(**{**GOOD, "jwks_uri": f"http://{host}/keys"})
    assert issuer.jwks_uri == f"http://{host}/keys"


@pytest.mark.parametrize(("field", "value"), [("issuer", ""), ("leeway", -1), ("leeway", 301)])
def test_other_settings_have_bounds(field: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        TrustedIssuer(**{**GOOD, field: value})
    assert caught.value.field == field


# Where the keys are


def refused(**changes: Any) -> InvalidArgumentError:
    """Why an issuer without a way to its keys, but with these settings, is not registered."""
    settings = {name: value for name, value in GOOD.items() if name != "jwks_uri"}
    with pytest.raises(InvalidArgumentError) as caught:
        TrustedIssuer(**{**settings, **changes})
    return caught.value


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"discovery": False},
        {"discovery": True, "jwks_uri": "https://id.example/keys"},
        {"discovery": True, "keys": {"keys": []}},
        {"jwks_uri": "https://id.example/keys", "keys": {"keys": []}},
        {"jwks_uri": "", "discovery": True},
    ],
    ids=str,
)
def test_there_is_exactly_one_way_to_the_keys(ways: dict[str, Any]) -> None:
    """With two of them it would be unclear which holds."""
    error = refused(**ways)
    assert "exactly one of `discovery`, `jwks_uri` and `keys`" in error.message


@pytest.mark.parametrize(
    "issuer",
    [
        "id.example",
        "http://id.example",
        "https://id.example?tenant=1",
        "https://id.example/#",
        "urn:id:example",
    ],
)
def test_an_issuer_is_discovered_at_an_address(issuer: str) -> None:
    """OpenID Connect Discovery 1.0, 3: https, no query, no fragment."""
    assert refused(issuer=issuer, discovery=True).field == "issuer"


@pytest.mark.parametrize("issuer", ["https://id.example/", "https://id.example/realms/one"])
def test_an_issuer_s_address_may_have_a_path(issuer: str) -> None:
    settings = {**GOOD, "issuer": issuer, "discovery": True, "jwks_uri": None}
    assert TrustedIssuer(**settings).issuer == issuer


def test_keys_can_be_pinned(rsa_key: rsa.RSAPrivateKey) -> None:
    """They are read as a setting is: from JSON."""
    jwk = public_jwk(rsa_key, kid="key-1")
    setting = {"issuer": "urn:id", "audiences": ["a"], "keys": {"keys": [jwk]}}
    issuer = msgspec.convert(setting, TrustedIssuer)
    assert issuer.pinned_keys() == (jwk,)


def bad_keys(good: Jwk, private: Jwk) -> list[tuple[str, dict[str, Any], str]]:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    p384 = ec.generate_private_key(ec.SECP384R1())
    return [
        ("no set", {}, "no key"),
        ("no list", {"keys": good}, "no key"),
        ("empty", {"keys": []}, "no key"),
        ("no key", {"keys": [7]}, "no key"),
        ("no kid", {"keys": [{**good, "kid": None}]}, "`kid` of its own"),
        ("one kid twice", {"keys": [good, good]}, "`kid` of its own"),
        ("private", {"keys": [private]}, "not a public key"),
        ("symmetric", {"keys": [{"kty": "oct", "kid": "k", "k": encoded(b"x")}]}, "not a public"),
        ("weak", {"keys": [public_jwk(weak, kid="key-1")]}, "not a public key that fits"),
        ("for encryption", {"keys": [{**good, "use": "enc"}]}, "not a public key that fits"),
        ("not allowed", {"keys": [good, public_jwk(p384, kid="key-2")]}, "the key `key-2`"),
    ]


def test_pinned_keys_are_usable_ones(rsa_key: rsa.RSAPrivateKey) -> None:
    """What somebody wrote down and can verify nothing, or was never to be shown, is a mistake."""
    good = public_jwk(rsa_key, kid="key-1")
    private = {**RSAAlgorithm.to_jwk(rsa_key, as_dict=True), "kid": "key-1", "key_ops": ["verify"]}
    for name, keys, says in bad_keys(good, private):
        error = refused(keys=keys)
        assert (error.field, says in error.message) == ("keys", True), (name, error.message)
        assert private["d"] not in error.message


@pytest.mark.parametrize("field", ["subject", "client_subject"])
@pytest.mark.parametrize("template", ["", "user", "user:anne", "{sub}", "user:{a}{b}", "User:{a}"])
def test_a_template_that_is_unsafe_is_refused(field: str, template: str) -> None:
    """Before a token arrives, as with every other setting; `test_subject_templates.py` has more."""
    assert refused(jwks_uri=GOOD["jwks_uri"], **{field: template}).field == field
