"""Keys, an issuer, and an authorizer with a small world of organizations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from relata.authorizer import Relata
from relata.tokens import TokenProfile, TokenService
from tests.tokens.identity import LocalIssuer, PrivateKey
from tests.tokens.world import ISSUER_URL, RELATIONSHIPS, SCHEMA, THE_APP


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def signing_keys(rsa_key: rsa.RSAPrivateKey) -> dict[str, PrivateKey]:
    """A key for every kind of signature."""
    return {
        "RS256": rsa_key,
        "PS256": rsa_key,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


@pytest.fixture
def issuer(rsa_key: rsa.RSAPrivateKey) -> Iterator[LocalIssuer]:
    issuer = LocalIssuer(rsa_key)
    yield issuer
    issuer.close()


@pytest.fixture
def authorizer(tmp_path: Path) -> Iterator[Relata]:
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    with Relata.open(url, schema=SCHEMA, question_only=TokenProfile().question_only) as authorizer:
        authorizer.write(RELATIONSHIPS)
        yield authorizer


@pytest.fixture
def service(authorizer: Relata, issuer: LocalIssuer) -> Iterator[TokenService]:
    """A service that knows the app."""
    service = TokenService(authorizer, [issuer.trusted()], issuer_url=ISSUER_URL)
    service.clients.create(THE_APP)
    yield service
    service.close()
