"""The keys that sign Relata's own tokens, kept in the store.

Keys are asymmetric (ES256), so whoever verifies a token cannot make one. The first is created when
it is first needed. Processes that need it at the same moment may each create one: all are
published, and all processes settle on the same one, the newest by time and then by id, so a token
signed with any of them verifies.

The private keys lie in the database as they are: who can read it can sign tokens.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from relata.errors import StoreError
from relata.store import Store, StoredSigningKey

ALGORITHM = "ES256"
_TYPE = "at+jwt"
_THUMBPRINT_MEMBERS = MappingProxyType(
    {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
)


class SigningKeys:
    """The signing keys of one store. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._creating = threading.Lock()

    def sign(self, claims: Mapping[str, object]) -> str:
        """Make a signed access token of claims: `typ` is `at+jwt` (RFC 9068, section 2.1)."""
        key = max(self._keys(), key=lambda stored: (stored.created_at, stored.kid))
        return jwt.encode(
            dict(claims),
            key.private_pem,
            algorithm=key.algorithm,
            headers={"typ": _TYPE, "kid": key.kid},
        )

    def jwks(self) -> dict[str, object]:
        """Return the public keys as a JWK Set (RFC 7517, section 5)."""
        return {"keys": [_published(stored) for stored in self._keys()]}

    def _keys(self) -> tuple[StoredSigningKey, ...]:
        keys = tuple(self._store.signing_keys())
        if keys:
            return keys
        with self._creating:
            if not self._store.signing_keys():
                self._store.add_signing_key(_new_key())
        return tuple(self._store.signing_keys())


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638, section 3)."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[str(jwk["kty"])]}
    digest = hashlib.sha256(msgspec.json.encode(members, order="sorted")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _new_key() -> StoredSigningKey:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return StoredSigningKey(
        kid=thumbprint(_public_jwk(private.public_key())),
        algorithm=ALGORITHM,
        private_pem=pem.decode(),
        created_at=datetime.now(UTC),
    )


def _published(stored: StoredSigningKey) -> dict[str, object]:
    private = serialization.load_pem_private_key(stored.private_pem.encode(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise StoreError(f"the signing key `{stored.kid}` is not one of `{ALGORITHM}`")
    jwk = _public_jwk(private.public_key())
    return {**jwk, "kid": stored.kid, "use": "sig", "alg": stored.algorithm}


def _public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, object]:
    return ECAlgorithm.to_jwk(key, as_dict=True)
