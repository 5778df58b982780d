"""Assertions: how a client proves by its private key who it is (RFC 7523, `private_key_jwt`).

An assertion is a JWT that the client makes for one request. It is believed if it is signed under an
algorithm of the allow-list with a key that is registered for the client; if its header has no type
of another kind of token and no critical extension; if `iss` and `sub` are both the client's id;
if it is meant for this server and for no other; if it ends within minutes; and if its `jti` was
not used before (RFC 7523, section 3; RFC 8725).

`aud` may name more than one of this server's names, and nothing else: what is meant for another
server too could be sent on by that one (draft-ietf-oauth-rfc7523bis).

Where there is no such client, or no such key, a signature is verified all the same, with a key
that nobody signs with: how long a refusal takes says nothing about which clients there are.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.types import Options

from relata.errors import OAuthError
from relata.store import Replays
from relata.tokens.clients import ASSERTION_ALGORITHMS, Client
from relata.tokens.issuer_keys import IssuerKeys, PinnedKeys, PublishedKeys
from relata.tokens.issuers import TrustedIssuer
from relata.tokens.public_keys import KEY_TYPES, MIN_RSA_BITS, keys_in
from relata.tokens.signed_tokens import CLOCK_SECONDS, peek

MAX_SECONDS = 300
"""How far ahead an assertion's `exp` may lie, but for the difference of clocks."""
MAX_JTI_CHARACTERS = 256
_LONGEST = 10**305

_TYPES = frozenset({"", "jwt", "client-authentication+jwt"})
_MAX_FETCHED = 1_000
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

_LATER: Options = {  # what is not for the library: it would look at the clock by itself
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_jti": False,
    "verify_sub": False,
}

_Members = Mapping[str, Any]


class ProofError(Exception):
    """What a client presented does not prove who it is; the message says why, for a log."""


class ClientAssertions:
    """Verifies assertions. Safe to share between threads.

    `audiences` are this server's names: its issuer URL, and the address of its token endpoint.
    """

    def __init__(self, replays: Replays, *, audiences: Collection[str]) -> None:
        self._replays = replays
        self._audiences = frozenset(audiences)
        self._no_keys = _keys_of_nobody()
        self._fetched: OrderedDict[tuple[str, str], IssuerKeys] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, assertion: str, client_id: str, client: Client | None, *, now: int) -> None:
        """Make sure that an assertion proves that who sent it is a client.

        `client` is the one with the id, None where none can prove to be it. `now` is in seconds
        since 1970. Raises ProofError where the assertion proves nothing, OAuthError
        `temporarily_unavailable` where the client's keys cannot be fetched.
        """
        algorithm, kid = _header(assertion)
        known = None if client is None else self._find(client, kid, algorithm)
        key = known or jwt.PyJWK(self._no_keys[algorithm], algorithm=algorithm)
        claims = _verified(assertion, key)
        if known is None:
            raise ProofError("there is no key with its `kid` that fits its `alg`")
        if claims is None:
            raise ProofError("its signature does not hold")
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise ProofError("its `iss` and `sub` are not both the client's id")
        self._check_audience(claims.get("aud"))
        ends_at = _checked_end(claims, now)
        self._check_first_use(claims.get("jti"), client_id, ends_at, now)

    def _find(self, client: Client, kid: str, algorithm: str) -> jwt.PyJWK | None:
        try:
            return self._keys_of(client).find(kid, algorithm)
        except OAuthError as error:
            raise OAuthError(
                error.error, "the client's keys cannot be fetched; try again later"
            ) from error

    def _keys_of(self, client: Client) -> IssuerKeys:
        if client.jwks_uri is None:
            return PinnedKeys(keys_in(client.jwks or {}) or ())
        place = (client.id, client.jwks_uri)
        with self._lock:
            keys = self._fetched.pop(place, None) or _published(*place)
            self._fetched[place] = keys  # the last to be forgotten
            if len(self._fetched) > _MAX_FETCHED:
                self._fetched.popitem(last=False)
        return keys

    def _check_audience(self, audience: object) -> None:
        names = audience if isinstance(audience, list) else [audience]
        if not names or not all(
            isinstance(name, str) and name in self._audiences for name in names
        ):
            raise ProofError("its `aud` is not this server, or not this server alone")

    def _check_first_use(self, jti: object, client_id: str, ends_at: float, now: int) -> None:
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
            raise ProofError(f"its `jti` is not a text of 1 to {MAX_JTI_CHARACTERS} characters")
        # INVARIANT: remembered until `_checked_end` refuses it.
        until = math.ceil(ends_at)
        value = f"{client_id}\n{jti}"
        if not self._replays.once("client_assertion", value, expires_at=until, now=now):
            raise ProofError("it was used before")


def claimed_client(assertion: str) -> str:
    """The client that an assertion says to be of, which anybody could have written.

    Raises ProofError where it is no signed JWT, or names nobody.
    """
    try:
        subject = peek(assertion).claims.get("sub")
    except OAuthError:
        raise ProofError("it is not a signed JWT") from None
    if not isinstance(subject, str):
        raise ProofError("it has no `sub`")
    return subject


def _header(assertion: str) -> tuple[str, str]:
    """The algorithm and the key's id; an assertion of another kind is refused."""
    try:
        header = peek(assertion).header
    except OAuthError:
        raise ProofError("it is not a signed JWT") from None
    if "crit" in header or "b64" in header:
        raise ProofError("its header has a critical extension, and none is understood")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if algorithm not in ASSERTION_ALGORITHMS:
        raise ProofError("its `alg` is not allowed")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
        raise ProofError("its `typ` is that of something else")
    if not isinstance(kid, str):
        raise ProofError("its header has no `kid`")
    return algorithm, kid


def _verified(assertion: str, key: jwt.PyJWK) -> _Members | None:
    """The claims, None where the signature does not hold or they are no JSON object."""
    try:
        return jwt.decode(assertion, key, algorithms=[key.algorithm_name], options=_LATER)
    except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _checked_end(claims: _Members, now: int) -> float:
    """When an assertion ends, which is soon."""
    for name in ("nbf", "iat"):
        if name in claims and not _moment(claims, name) <= now + CLOCK_SECONDS:
            raise ProofError(f"its `{name}` is in the future")
    ends_at = _moment(claims, "exp")
    if ends_at <= now:
        raise ProofError("it has expired")
    if ends_at > now + MAX_SECONDS + CLOCK_SECONDS:
        raise ProofError(f"its `exp` is more than {MAX_SECONDS} seconds ahead")
    return ends_at


def _moment(claims: _Members, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProofError(f"its `{name}` is missing or no moment")
    if not -_LONGEST < value < _LONGEST:  # NaN and what no float can be are refused here
        raise ProofError(f"its `{name}` is missing or no moment")
    return value


def _published(client_id: str, jwks_uri: str) -> IssuerKeys:
    """The keys that a client publishes, fetched within the limits of those of an issuer."""
    return PublishedKeys(
        TrustedIssuer(
            issuer=client_id,
            audiences=(client_id,),
            jwks_uri=jwks_uri,
            algorithms=ASSERTION_ALGORITHMS,
        )
    )


def _keys_of_nobody() -> dict[str, dict[str, Any]]:
    """A key for each algorithm."""
    return {name: _key_of_nobody(*KEY_TYPES[name]) for name in ASSERTION_ALGORITHMS}


def _key_of_nobody(key_type: str, curve: str | None) -> dict[str, Any]:
    if key_type == "RSA":
        # Any odd number of the right size takes as long to verify with, and none has to be found.
        modulus = secrets.randbits(MIN_RSA_BITS) | 1 << (MIN_RSA_BITS - 1) | 1
        public = rsa.RSAPublicNumbers(65_537, modulus).public_key()
        return RSAAlgorithm.to_jwk(public, as_dict=True)
    if key_type == "EC":
        return ECAlgorithm.to_jwk(
            ec.generate_private_key(_CURVES[curve or ""]).public_key(), as_dict=True
        )
    return OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)
