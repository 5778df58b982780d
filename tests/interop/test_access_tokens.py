"""Issued tokens, verified by libraries that know nothing of Relata: `jose` and `joserfc`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relata.tokens import ACCESS_TOKEN, SigningKeys
from tests.interop.verifiers import RefusedError, by_jose, by_joserfc
from tests.oidc.server import TokenServer, exchange, token_server
from tests.tokens.identity import LocalIssuer, compact, encoded
from tests.tokens.world import EDITOR

METADATA = "/.well-known/oauth-authorization-server"

Verify = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    issuer = LocalIssuer(ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def server(issuer: LocalIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with token_server(tmp_path_factory.mktemp("relata"), [issuer.trusted()]) as server:
        yield server


@pytest.fixture(params=[by_jose, by_joserfc], ids=["jose", "joserfc"])
def verify(request: pytest.FixtureRequest, server: TokenServer) -> Verify:
    """Verify a token for the wiki now, knowing where the server's metadata is."""
    metadata_url = str(server.client.base_url.join(METADATA))

    def verified(token: str, audience: str = "wiki", now: int | None = None) -> dict[str, Any]:
        claims: dict[str, Any] = request.param(
            metadata_url, token, audience, int(time.time()) if now is None else now
        )
        return claims

    return verified


@pytest.fixture
def token(server: TokenServer, issuer: LocalIssuer) -> str:
    answer = exchange(server.client, issuer.token("anne"), subject_token_type=ACCESS_TOKEN)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_an_issued_token_is_verified(token: str, verify: Verify) -> None:
    """By the metadata and the published keys alone (RFC 8414, RFC 7517, RFC 9068)."""
    claims = verify(token)
    assert (claims["sub"], claims["aud"], claims["org_id"]) == ("anne", "wiki", "acme")
    assert tuple(claims["permissions"]) == EDITOR


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 has another name for it
def test_every_algorithm_is_verified(server: TokenServer, verify: Verify) -> None:
    """ES256, RS256 and EdDSA, each with a published key of its own."""
    keys = SigningKeys(server.relata.store)
    now = int(time.time())
    claims = {
        "iss": str(server.client.base_url).rstrip("/"),
        "sub": "anne",
        "aud": "wiki",
        "client_id": "app-1",
        "jti": "1",
        "iat": now,
        "exp": now + 60,
    }
    for algorithm in ("ES256", "RS256", "EdDSA"):
        assert verify(keys.sign(claims, algorithm=algorithm)) == claims


def test_tokens_outlive_the_rotation_of_the_key(
    server: TokenServer, issuer: LocalIssuer, verify: Verify
) -> None:
    """Both keys are published: the one that signed before, and the one that signs now."""
    keys = SigningKeys(server.relata.store)
    tokens = []
    for _ in range(2):
        answer = exchange(server.client, issuer.token("anne"), subject_token_type=ACCESS_TOKEN)
        tokens.append(answer.json()["access_token"])
        keys.rotate(at_once=True)
    assert len({token.split(".")[0] for token in tokens}) == 2
    assert all(verify(token)["sub"] == "anne" for token in tokens)


def test_a_token_for_another_api_is_refused(token: str, verify: Verify) -> None:
    """RFC 9068, 4."""
    with pytest.raises(RefusedError, match=r"ERR_JWT_CLAIM_VALIDATION_FAILED|aud"):
        verify(token, audience="https://shop.example/api")


def test_an_expired_token_is_refused(token: str, verify: Verify) -> None:
    with pytest.raises(RefusedError, match=r"ERR_JWT_EXPIRED|expired"):
        verify(token, now=int(time.time()) + 86_400)


def test_a_changed_token_is_refused(token: str, verify: Verify) -> None:
    """The claims of one token under the signature of another, and no signature at all."""
    header, claims, signature = token.split(".")
    with pytest.raises(RefusedError, match=r"ERR_JWS_SIGNATURE|BadSignature"):
        verify(f"{header}.{claims}.{encoded(b'x' * 64)}")
    with pytest.raises(RefusedError, match=r"ERR_JWS_SIGNATURE|BadSignature"):
        verify(f"{header}.{encoded(b'{}')}.{signature}")
    unsigned = compact({"alg": "none", "typ": "at+jwt"}, verify(token))
    with pytest.raises(RefusedError, match=r"ERR_JOSE|UnsupportedAlgorithm"):
        verify(unsigned)


def test_an_issuer_s_own_token_is_refused(issuer: LocalIssuer, verify: Verify) -> None:
    """Whoever trusts Relata for an API does not trust whom Relata trusts."""
    with pytest.raises(RefusedError):
        verify(issuer.token("anne", aud="wiki"))
