"""The product API believes exactly the access tokens of its issuer for its audience."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relata.client import Verifier
from relata.errors import OAuthError
from tests.tokens.identity import LocalIssuer

CLAIMS: dict[str, Any] = {
    "aud": "api_1",
    "org_id": "org_1",
    "jti": "t-1",
    "permissions": ["api_1/read"],
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    """What publishes keys and signs, as Relata does."""
    issuer = LocalIssuer(ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def verifier(issuer: LocalIssuer) -> Verifier:
    return Verifier(issuer.url, "api_1")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_good_token_is_believed(issuer: LocalIssuer, verifier: Verifier, typ: str) -> None:
    token = issuer.sign(issuer.claims(**CLAIMS), header={"typ": typ})
    assert verifier.verify(token).permissions == ("api_1/read",)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "api_2"},
        {"aud": None},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"sub": None},
        {"org_id": None},
        {"permissions": None},
    ],
    ids=lambda change: next(iter(change)),  # the same in each process that collects
)
def test_a_token_with_other_claims_is_refused(
    issuer: LocalIssuer, verifier: Verifier, change: dict[str, Any]
) -> None:
    with pytest.raises(OAuthError, match="the access token is refused"):
        verifier.verify(issuer.token(**{**CLAIMS, **change}))


@pytest.mark.parametrize(
    "header",
    [{"typ": "JWT"}, {"typ": None}, {"crit": ["b64"], "b64": True}, {"kid": "other"}],
    ids=str,
)
def test_a_token_with_another_header_is_refused(
    issuer: LocalIssuer, verifier: Verifier, header: dict[str, object]
) -> None:
    token = issuer.sign(issuer.claims(**CLAIMS), header=header)
    with pytest.raises(OAuthError, match="the access token is refused"):
        verifier.verify(token)
