"""Public keys as JWKs (RFC 7517): reading a set of them, and finding the one that a token names.

A key is used only under an algorithm that fits it, and only if it is public, strong enough and
meant for verifying. Where keys come from is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import jwt

from relata.errors import InvalidArgumentError

KEY_TYPES = MappingProxyType(
    {
        "RS256": ("RSA", None),
        "RS384": ("RSA", None),
        "RS512": ("RSA", None),
        "PS256": ("RSA", None),
        "PS384": ("RSA", None),
        "PS512": ("RSA", None),
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
"""The algorithms that can be allowed, each with the one key type and curve that fits it.

All are signatures by a private key (RFC 8725, section 3.1): an algorithm with a shared secret
would let the holder of a public key forge a token, and `none` would let anybody.
"""
MIN_RSA_BITS = 2048
"""RFC 7518, sections 3.3 and 3.5."""

Jwk = Mapping[str, object]


def keys_in(document: Mapping[str, object]) -> tuple[Jwk, ...] | None:
    """Return the keys of a JWK Set, None where the document is none (RFC 7517, section 5).

    A member that is no key is passed over: a set may hold kinds of keys that are not known yet.
    """
    keys = document.get("keys")
    if not isinstance(keys, list):
        return None
    return tuple(key for key in keys if isinstance(key, dict))


def find_key(keys: Iterable[Jwk], kid: str, algorithm: str) -> jwt.PyJWK | None:
    """Return the key that has an id and fits an algorithm of KEY_TYPES, None where none does."""
    for jwk in keys:
        if jwk.get("kid") == kid and _fits(jwk, algorithm):
            key = _load(jwk, algorithm)
            if key is not None:
                return key
    return None


def check_pinned(keys: Iterable[Jwk], algorithms: Iterable[str], *, field: str) -> None:
    """Make sure that each key can verify under one of the algorithms, and has an id of its own.

    What an issuer publishes is taken as it comes; what somebody wrote down should be right.
    Raises InvalidArgumentError, naming `field`, where it is not.
    """
    algorithms = tuple(algorithms)
    known: set[str] = set()
    for jwk in keys:
        kid = jwk.get("kid")
        if not isinstance(kid, str) or not kid or kid in known:
            raise InvalidArgumentError("each key needs a `kid` of its own", field=field)
        known.add(kid)
        if not any(find_key((jwk,), kid, algorithm) for algorithm in algorithms):
            raise InvalidArgumentError(
                f"the key `{kid}` is not a public key that fits one of the `algorithms`",
                field=field,
            )
    if not known:
        raise InvalidArgumentError("there is no key, so no token could be verified", field=field)


def _fits(jwk: Jwk, algorithm: str) -> bool:
    """Whether a key is a public one for exactly this algorithm (RFC 8725, section 3.1)."""
    key_type, curve = KEY_TYPES[algorithm]
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") == key_type
        and (curve is None or jwk.get("crv") == curve)
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in jwk
    )


def _load(jwk: Jwk, algorithm: str) -> jwt.PyJWK | None:
    """Make the key usable; None where its members are not those of a strong enough key."""
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=algorithm)
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    if jwk["kty"] == "RSA" and key.key.key_size < MIN_RSA_BITS:
        return None
    return key
