"""The size of a token: what leaves it when it is too large, and that nothing is cut off."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from relata.authorizer import Relata
from relata.errors import OAuthError
from relata.tokens import TokenService
from relata.tokens.audiences import Audience
from relata.tokens.size import (
    SIGNATURE_BYTES,
    base64url_bytes,
    encoded_bytes,
    envelope_bytes,
    fitted,
)
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import EDITOR, asking, issue

ENDPOINT = "https://relata.example/token/permissions"
HEADER = {"typ": "at+jwt", "kid": "k" * 43, "alg": "ES256"}
ENVELOPE = envelope_bytes(HEADER, SIGNATURE_BYTES["ES256"])
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
PLAIN = {
    "iss": "https://relata.example",
    "sub": "anne",
    "aud": "wiki",
    "iat": 1795000000,
    "exp": 1795000300,
    "jti": "0d4cbb0a-3d44-4d0e-9d5f-2a5b8a1f7c11",
    "client_id": "app-1",
    "org_id": "acme",
}


def permissions(count: int) -> list[str]:
    return [f"read:document:{number:04}" for number in range(count)]


def token(claims: dict[str, Any], algorithm: str = "ES256") -> str:
    headers = {"typ": "at+jwt", "kid": "k" * 43}
    return jwt.encode(claims, KEYS[algorithm], algorithm=algorithm, headers=headers)


@pytest.mark.parametrize("algorithm", SIGNATURE_BYTES)
def test_the_size_is_that_of_the_signed_token(algorithm: str) -> None:
    claims = {**PLAIN, "permissions": ["größe", "read:pages", "🦉"], "act": {"sub": "bo"}}
    envelope = envelope_bytes({**HEADER, "alg": algorithm}, SIGNATURE_BYTES[algorithm])
    assert envelope + encoded_bytes(claims) == len(token(claims, algorithm))


@given(st.integers(0, 10_000))
def test_base64url_without_padding(length: int) -> None:
    assert base64url_bytes(length) == -(-length * 8 // 6)


def test_a_token_within_its_budget_stays_as_it_is() -> None:
    claims = {**PLAIN, "permissions": ["read"], "roles": ["editor"], "scope": "read"}
    assert fit(claims) == (claims, False)


def fit(claims: dict[str, Any], budget: int = 4096, **more: Any) -> tuple[dict[str, Any], bool]:
    return fitted(claims, budget=budget, envelope=ENVELOPE, endpoint=ENDPOINT, **more)


def test_the_budget_holds_to_the_byte() -> None:
    claims = {**PLAIN, "permissions": permissions(50)}
    size = ENVELOPE + encoded_bytes(claims)
    assert fit(claims, size) == (claims, False)
    assert fit(claims, size - 1)[1]


def test_permissions_leave_together_for_the_endpoint() -> None:
    """OpenID Connect Core 5.6.2: what is elsewhere, and where."""
    held = permissions(200)
    claims = {**PLAIN, "permissions": held, "scope": " ".join(held), "roles": ["editor"]}
    smaller, overage = fit(claims)
    assert overage
    assert smaller == {
        **PLAIN,
        "roles": ["editor"],
        "_claim_names": {"permissions": "relata", "scope": "relata"},
        "_claim_sources": {"relata": {"endpoint": ENDPOINT}},
    }
    assert len(token(smaller)) <= 4096


def test_products_and_bits_leave_by_the_names_that_the_endpoint_gives() -> None:
    claims = {
        **PLAIN,
        "permissions_bits": {"v": 1, "b": "A" * 3000},
        "products_bits": {"v": 1, "b": {"wiki": "A" * 3000}},
    }
    smaller, _ = fit(claims)
    assert smaller["_claim_names"] == {"permissions": "relata", "products": "relata"}
    assert not {"permissions_bits", "products_bits"} & smaller.keys()


def test_roles_leave_only_where_permissions_are_not_enough() -> None:
    claims = {**PLAIN, "permissions": permissions(200), "roles": permissions(300)}
    smaller, _ = fit(claims)
    assert smaller["_claim_names"] == {"permissions": "relata", "roles": "relata"}


def test_what_says_nothing_does_not_leave() -> None:
    """An empty list is shorter than the word where it went, and true."""
    claims = {**PLAIN, "permissions": [], "roles": permissions(300)}
    smaller, _ = fit(claims)
    assert smaller["permissions"] == []
    assert smaller["_claim_names"] == {"roles": "relata"}


def test_mapped_claims_leave_last_and_the_largest_first() -> None:
    claims = {
        **PLAIN,
        "permissions": ["read"],
        "regions": permissions(20),
        "datasets": permissions(200),
        "plan": "gold",
    }
    smaller, _ = fit(claims, may_leave=("regions", "datasets"))
    assert smaller["_claim_names"] == {"permissions": "relata", "datasets": "relata"}
    assert smaller["regions"] == permissions(20)
    assert smaller["plan"] == "gold"


def test_a_claim_that_may_not_leave_is_named_when_it_is_too_large() -> None:
    claims = {**PLAIN, "permissions": ["read"], "datasets": permissions(300), "ext": {"a": 1}}
    with pytest.raises(OAuthError) as caught:
        fit(claims)
    assert caught.value.error == "server_error"
    assert caught.value.message == "the claim `datasets` is too large for a token of 4096 bytes"


def test_a_claim_that_came_with_the_request_is_the_requests_fault() -> None:
    """An `acr` of kilobytes must not look like a fault of the server."""
    with pytest.raises(OAuthError) as caught:
        fit({**PLAIN, "acr": "x" * 9000})
    assert caught.value.error == "invalid_request"
    assert "`acr`" in caught.value.message


@given(
    st.dictionaries(
        st.sampled_from(["permissions", "roles", "scope", "products", "datasets"]),
        st.lists(st.text(max_size=20), max_size=150),
    ),
    st.integers(1024, 8192),
)
def test_a_claim_is_whole_or_elsewhere(lists: dict[str, list[str]], budget: int) -> None:
    """Whatever the sizes: nothing is cut off, nothing is lost, and the budget holds."""
    claims = {**PLAIN, **lists}
    smaller, overage = fit(claims, budget, may_leave=("datasets",))
    elsewhere = smaller.get("_claim_names", {})
    assert overage is bool(elsewhere)
    assert len(token(smaller)) <= budget
    for name, value in claims.items():
        assert (smaller.get(name) == value) is (name not in elsewhere), name


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_an_issued_token_keeps_to_the_budget_of_its_audience(
    service: TokenService, issuer: LocalIssuer, authorizer: Relata, algorithm: Any
) -> None:
    """And the app is told every permission beside the token."""
    held = permissions(100)
    authorizer.write(f"capability:{name}#granted_to@role:acme/editor" for name in held)
    service.audiences.create(
        Audience(id="wiki", products=("wiki",), max_bytes=1200, signing_algorithm=algorithm)
    )
    answer = issue(service, asking(issuer.token()))
    claims = jwt.decode(answer.access_token, options={"verify_signature": False})
    assert len(answer.access_token) <= 1200
    assert claims["_claim_names"] == {"permissions": "relata", "scope": "relata"}
    assert "permissions" not in claims
    assert answer.permissions == tuple(sorted([*EDITOR, *held]))
