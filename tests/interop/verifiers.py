"""Two libraries that know nothing of Relata, each verifying a token as an API would.

Both are told where the authorization server's metadata is, and find the rest by it: who the issuer
is and where its keys are (RFC 8414), and by which key a token is signed (RFC 7517).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.node.packages import FOLDER, node

_PROGRAM = Path(__file__).with_name("verify.mjs")
_REQUIRED = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")


class RefusedError(Exception):
    """The library refuses the token; the message is its own word for why."""


def by_jose(metadata_url: str, token: str, audience: str, now: int) -> dict[str, Any]:
    """Verify with `jose`, in Node. Raises RefusedError."""
    command = [node(), str(_PROGRAM), str(FOLDER), metadata_url, audience, str(now)]
    ran = subprocess.run(command, input=token, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    if "refused" in answer:
        raise RefusedError(answer["refused"])
    claims: dict[str, Any] = answer["claims"]
    return claims


def by_joserfc(metadata_url: str, token: str, audience: str, now: int) -> dict[str, Any]:
    """Verify with `joserfc`. Raises RefusedError."""
    metadata = httpx.get(metadata_url).json()
    keys = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
    expected: dict[str, Any] = {name: {"essential": True} for name in _REQUIRED}
    expected["iss"]["value"] = metadata["issuer"]
    expected["aud"]["value"] = audience
    try:
        decoded = jwt.decode(token, keys, algorithms=["ES256", "RS256", "EdDSA"])
        jwt.JWTClaimsRegistry(now=now, **expected).validate(decoded.claims)
    except (JoseError, ValueError) as error:
        raise RefusedError(repr(error)) from None
    if decoded.header["typ"] != "at+jwt":
        raise RefusedError("typ")
    return decoded.claims
