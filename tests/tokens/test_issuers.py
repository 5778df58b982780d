"""Registering an issuer: what is unsafe is refused before any token arrives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from relata.errors import InvalidArgumentError
from relata.tokens import TrustedIssuer

GOOD: dict[str, Any] = {
    "issuer": "https://id.example",
    "jwks_uri": "https://id.example/keys",
    "audiences": ("https://relata.example",),
}


def test_an_issuer_needs_little() -> None:
    """Three settings, and the rest has safe defaults."""
    issuer = TrustedIssuer(**GOOD)
    assert issuer.algorithms == ("RS256", "ES256")
    assert (issuer.user_type, issuer.client_type) == (None, None)


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
    ],
)
def test_keys_come_over_https(uri: str) -> None:
    """Keys that anybody on the way could exchange would be no keys."""
    with pytest.raises(InvalidArgumentError) as caught:
        TrustedIssuer(**{**GOOD, "jwks_uri": uri})
    assert caught.value.field == "jwks_uri"


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
