"""Proofs of possession (DPoP, RFC 9449): that who sends a request holds a private key.

A proof is a JWT of the sender's own, made for one request. It is believed if it is of moderate
size and a signed JWT of the type `dpop+jwt`; its `alg` is asymmetric and allowed; its header
brings a public key that fits, without private members, and no critical extension; the signature
holds with that key; `htm` and `htu` are those of the request; `iat` is recent; its `jti` was not
used before; where the server gives out nonces, it has a good one; and where it comes with an
access token, `ath` is that token's hash (section 4.3).

That the key is the one a token is bound to (`cnf`) is for the caller to compare: `verify_proof`
returns the key's thumbprint, `jkt`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes, urlsplit

import jwt

from relata.errors import OAuthError
from relata.tokens import base64url
from relata.tokens.public_keys import find_key
from relata.tokens.signing import thumbprint

PROOF_ALGORITHMS = ("ES256", "EdDSA", "ES384", "ES512", "PS256", "RS256")
"""How proofs may be signed: `dpop_signing_alg_values_supported`."""
PROOF_SECONDS = 60
"""How far a proof's `iat` may lie from now, either way."""
NONCE_SECONDS = 300
"""For how long a nonce of the server's is good."""
MAX_PROOF_CHARACTERS = 8 * 1024
MAX_JTI_CHARACTERS = 256

_TYPE = "dpop+jwt"
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/-._~!$&'()*+,;=:@"
_MOMENT_BYTES = 8
_TAG_BYTES = 16

_Members = Mapping[str, Any]


class Replays(Protocol):
    """Remembers what may be used once; `relata.store.Replays` does, for all processes."""

    def once(self, purpose: str, value: str, *, expires_at: int, now: int) -> bool:
        """Whether a value is used for the first time; until `expires_at` it then is not."""


class Nonces:
    """Nonces of the server's for proofs (RFC 9449, section 8), which nobody has to remember.

    A nonce is the moment it was made at and a code (HMAC-SHA-256) that only a holder of `key` can
    make, so every process with the same key takes it. It may be used again until it expires.
    """

    def __init__(self, key: bytes, *, lifetime: int = NONCE_SECONDS) -> None:
        self._key = key
        self._lifetime = lifetime

    def issue(self, now: int) -> str:
        """Return a nonce to send as `DPoP-Nonce`. `now` is in seconds since 1970."""
        moment = now.to_bytes(_MOMENT_BYTES)
        return base64url.encode(moment + self._tag(moment))

    def accepts(self, nonce: object, now: int) -> bool:
        """Whether a nonce was issued with this key, and lately."""
        try:
            data = base64url.decode(nonce) if isinstance(nonce, str) else b""
        except ValueError:
            return False
        moment, tag = data[:_MOMENT_BYTES], data[_MOMENT_BYTES:]
        if not hmac.compare_digest(tag, self._tag(moment)):
            return False
        return 0 <= now - int.from_bytes(moment) <= self._lifetime

    def _tag(self, moment: bytes) -> bytes:
        return hmac.digest(self._key, moment, "sha256")[:_TAG_BYTES]


def proof_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the proof of a request, None without one. `headers` have names in lower case.

    Raises OAuthError `invalid_dpop_proof` where there is more than one, or one that is no text.
    """
    proofs = [value for name, value in headers if name == b"dpop"]
    if not proofs:
        return None
    if len(proofs) > 1 or not proofs[0].isascii():
        raise _refused("there is more than one, or it is not a JWT")
    return proofs[0].decode("ascii")


def verify_proof(
    proof: str,
    *,
    method: str,
    url: str,
    replays: Replays,
    now: int,
    access_token: str | None = None,
    nonces: Nonces | None = None,
) -> str:
    """Return the thumbprint of the key that a proof proves possession of (RFC 9449, section 6.1).

    `method` and `url` are the request's; the URL's query and fragment do not count. `now` is in
    seconds since 1970. Raises OAuthError `invalid_dpop_proof`, or `use_dpop_nonce` where all but
    the nonce may be right: answer that with a new one from `nonces`.
    """
    header = _header(proof)
    key = _key(header)
    claims = _claims(proof, key)
    if claims.get("htm") != method:
        raise _refused("its `htm` is not the method of the request")
    if _normalized(claims.get("htu")) != _normalized(url):
        raise _refused("its `htu` is not the address of the request")
    _check_moment(claims.get("iat"), now)
    _check_token(claims.get("ath"), access_token)
    if nonces is not None and not nonces.accepts(claims.get("nonce"), now):
        raise OAuthError("use_dpop_nonce", "the DPoP proof needs the nonce in `DPoP-Nonce`")
    jkt = thumbprint(header["jwk"])
    _check_first_use(claims.get("jti"), (jkt, _normalized(url)), replays, now)
    return jkt


def bound_key(claims: _Members) -> str | None:
    """Return the thumbprint of the key that a token is bound to, None where it is to none.

    Raises OAuthError `invalid_token` where it is bound in a way that is not known here.
    """
    confirmation = claims.get("cnf")
    if confirmation is None:
        return None
    jkt = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(jkt, str):
        raise OAuthError("invalid_token", "the access token is bound in an unknown way")
    return jkt


def _header(proof: str) -> _Members:
    if len(proof) > MAX_PROOF_CHARACTERS:
        raise _refused(f"it is longer than {MAX_PROOF_CHARACTERS} characters")
    try:
        header = jwt.get_unverified_header(proof)
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError):
        raise _refused("it is not a signed JWT") from None
    if str(header.get("typ")).lower().removeprefix("application/") != _TYPE:
        raise _refused(f"its `typ` is not `{_TYPE}`")
    if header.get("alg") not in PROOF_ALGORITHMS:
        raise _refused("its `alg` is not allowed")
    if "crit" in header or "b64" in header:
        raise _refused("its header has a critical extension, and none is understood")
    return header


def _key(header: _Members) -> jwt.PyJWK:
    jwk = header.get("jwk")
    if not isinstance(jwk, dict) or not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise _refused("its header has no public key in `jwk`")
    key = find_key([{**jwk, "kid": ""}], "", header["alg"])
    if key is None:
        raise _refused("the `jwk` in its header does not fit its `alg`")
    return key


def _claims(proof: str, key: jwt.PyJWK) -> _Members:
    try:
        return jwt.decode(
            proof,
            key,
            algorithms=[key.algorithm_name],
            options={"verify_aud": False, "verify_iat": False, "verify_jti": False},
        )
    except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError):
        raise _refused("its signature does not hold, or its claims are malformed") from None


def _check_moment(issued_at: object, now: int) -> None:
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        raise _refused("it has no `iat`")
    if not abs(now - issued_at) <= PROOF_SECONDS:  # as a comparison with NaN is never true
        raise _refused("its `iat` is not now; set the clock, and make a proof for each request")


def _check_token(presented: object, access_token: str | None) -> None:
    if access_token is None:
        return
    expected = base64url.encode(hashlib.sha256(access_token.encode()).digest())
    if not isinstance(presented, str) or not hmac.compare_digest(
        presented.encode(errors="replace"), expected.encode()
    ):
        raise _refused("its `ath` is not the hash of the access token")


def _check_first_use(jti: object, where: tuple[str, str], replays: Replays, now: int) -> None:
    """Refuse a proof that was used before: the same `jti`, by the same key, at the same address
    (RFC 9449, section 11.1)."""
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
        raise _refused(f"its `jti` is not a text of 1 to {MAX_JTI_CHARACTERS} characters")
    # INVARIANT: remembered for as long as `_check_moment` would let the proof pass.
    until = now + 2 * PROOF_SECONDS + 1
    if not replays.once("dpop", "\n".join((*where, jti)), expires_at=until, now=now):
        raise _refused("it was used before; make a proof for each request")


def _normalized(url: object) -> str:
    """Normalize an address as RFC 3986 section 6.2 says, without its query and fragment.

    Raises OAuthError where it is no absolute address of the web.
    """
    if not isinstance(url, str):
        raise _refused("it has no `htu`")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        raise _refused("its `htu` is not an address") from None
    if scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
        raise _refused("its `htu` is not an http address")
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        authority = f"{authority}:{port}"
    return f"{scheme}://{authority}{_normalized_path(parts.path)}"


def _normalized_path(path: str) -> str:
    """Write each octet in the one way that section 6.2.2 prefers; an empty path is `/`."""
    first, *escaped = path.encode(errors="replace").split(b"%")
    octets = [quote(first, safe=_PATH_SAFE)]
    for part in escaped:
        octet = unquote_to_bytes(b"%" + part[:2])
        known = len(octet) == 1 and octet[0] in _UNRESERVED
        octets.append(octet.decode() if known else f"%{part[:2].decode(errors='replace').upper()}")
        octets.append(quote(part[2:], safe=_PATH_SAFE))
    return "".join(octets) or "/"


def _refused(reason: str) -> OAuthError:
    return OAuthError("invalid_dpop_proof", f"the DPoP proof is refused: {reason}", field="DPoP")
