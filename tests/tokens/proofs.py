"""DPoP proofs, made by a library that knows nothing of Relata."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from typing import Any

from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

__all__ = ["ECKey", "OKPKey", "RSAKey", "ath", "make_proof", "new_key"]


def new_key() -> ECKey:
    """A key of a client's own."""
    return ECKey.generate_key("P-256")


def ath(token: str) -> str:
    """The hash of an access token (RFC 9449, section 4.2)."""
    digest = hashlib.sha256(token.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_proof(
    key: Key,
    method: str,
    url: str,
    *,
    token: str | None = None,
    algorithm: str = "ES256",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A proof for a request; a header or claim that is given as None is left out."""
    fields = {
        "typ": "dpop+jwt",
        "alg": algorithm,
        "jwk": key.as_dict(private=False),
        **(header or {}),
    }
    payload = {
        "jti": str(uuid.uuid4()),
        "htm": method,
        "htu": url,
        "iat": int(time.time()),
        **({} if token is None else {"ath": ath(token)}),
        **claims,
    }
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(
        {name: value for name, value in fields.items() if value is not None},
        {name: value for name, value in payload.items() if value is not None},
        key,
        registry=registry,
    )
