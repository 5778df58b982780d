"""The keys that sign what Relata issues, kept in the store: made, published, rotated, removed.

Keys are asymmetric, ES256 unless another algorithm is asked for, so whoever verifies a token
cannot make one. Each is named by its thumbprint (RFC 7638). The first key of an algorithm is made
when it is first needed.

*Which one signs*: of an algorithm's keys that are not retired, the oldest by time and then by id.
Processes that need a first key at the same moment may each make one; all are published, and all
processes settle on the same one.

*Rotation*: a new key is published at once, while the older ones sign on for a notice that is
longer than a JWK Set may be cached; then they are retired and the new one signs, in every process
at the same moment, for the moment is in the store. A retired key stays published for as long as a
token may live, so every token that it signed verifies until it expires; then it is removed.

Private keys are encrypted at rest where a secret is configured (`sealing`), and opened once in a
process: no signature waits for a key to be parsed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from relata.errors import InvalidArgumentError, OAuthError, StoreError
from relata.store import Store, StoredSigningKey
from relata.tokens import base64url
from relata.tokens.sealing import Sealer, is_sealed

ALGORITHMS = ("ES256", "RS256", "EdDSA")
"""How keys can sign; the first unless another is asked for."""
ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type, RFC 9068 section 2.1
JWKS_MAX_AGE = timedelta(minutes=5)
"""For how long the published keys may be cached."""
NOTICE = 2 * JWKS_MAX_AGE
"""How long a new key is published before it signs."""
LONGEST_LIFE = timedelta(days=1)
"""How long a token lives at most, and a retired key stays published."""

_DEFAULT = ALGORITHMS[0]
_RSA_BITS = 2048
_THUMBPRINT_MEMBERS = MappingProxyType(
    {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
)

KeyState = Literal["waiting", "signing", "retired"]
_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key as its administrators see it."""

    kid: str
    algorithm: str
    state: KeyState
    """`waiting`: published, and signs when the older ones of its algorithm are retired."""
    encrypted: bool
    created_at: datetime
    retired_at: datetime | None
    """When it signs, or signed, for the last time; None where that is not decided."""
    removed_at: datetime | None
    """When it stops being published."""


class SigningKeys:
    """The signing keys of one store. Safe to share between threads.

    `secret` encrypts the private keys; without one they are stored as they are. `former_secrets`
    open keys that were stored under them, and encrypt nothing. `notice` is how long a rotation's
    new key is published before it signs, `longest_life` how long a token that is signed here may
    live.

    Raises InvalidArgumentError where a stored key does not open with the secret, or the secret is
    too short; StoreError where a stored key is damaged.
    """

    def __init__(
        self,
        store: Store,
        *,
        secret: str | None = None,
        former_secrets: Sequence[str] = (),
        notice: timedelta = NOTICE,
        longest_life: timedelta = LONGEST_LIFE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._sealer = Sealer(secret, former_secrets)
        self._notice = notice
        self._longest_life = longest_life
        self._clock = clock
        self._creating = threading.Lock()
        self._opened: dict[str, _PrivateKey] = {}
        for stored in self._stored():
            self._private(stored)

    @property
    def encrypts(self) -> bool:
        """Whether there is a secret that private keys are stored under; a server warns if not."""
        return self._sealer.seals

    def sign(
        self,
        claims: Mapping[str, object],
        *,
        typ: str = ACCESS_TOKEN_TYPE,
        algorithm: str | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> str:
        """Make a signed JWT of claims.

        `typ` says what it is (RFC 8725, section 3.11), by default an access token; `headers` are
        further ones, and never `typ`, `alg` or `kid`. Raises InvalidArgumentError for an unknown
        algorithm, and where `exp` lies further ahead than a token may live.
        """
        now = self._clock()
        _check_expiry(claims.get("exp"), now + self._longest_life)
        stored = self._current(checked_algorithm(algorithm), now)
        return jwt.encode(
            dict(claims),
            self._private(stored),
            algorithm=stored.algorithm,
            headers={**(headers or {}), "typ": typ, "kid": stored.kid},
        )

    def verify(
        self, token: str, *, issuer: str, typ: str = ACCESS_TOKEN_TYPE, leeway: int = 0
    ) -> dict[str, Any]:
        """Return the claims of a token that was signed here, whomever it is for.

        Its `typ`, `kid`, signature, `iss` and `exp` are checked, and no critical header is
        understood. `aud` and what has become of the token are the caller's to check. Raises
        OAuthError `invalid_token`.
        """
        try:
            header = jwt.get_unverified_header(token)
            stored = self._named(header.get("kid"))
            if stored is None or "crit" in header or _short_type(header.get("typ")) != typ:
                raise _invalid_token()
            claims: dict[str, Any] = jwt.decode(
                token,
                self._private(stored).public_key(),
                algorithms=[stored.algorithm],
                issuer=issuer,
                leeway=leeway,
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError):
            raise _invalid_token() from None
        return claims

    def jwks(self) -> dict[str, object]:
        """Return the public keys as a JWK Set (RFC 7517, section 5)."""
        if not self._stored():
            self._current(_DEFAULT, self._clock())
        return {"keys": [self._published(stored) for stored in self._stored()]}

    def listing(self) -> tuple[SigningKey, ...]:
        """Every key that is published, oldest first."""
        now = self._clock()
        keys = self._stored()
        signing = {_oldest(keys, algorithm, now) for algorithm in ALGORITHMS}
        return tuple(self._described(stored, now, signing) for stored in keys)

    def rotate(
        self, algorithm: str | None = None, *, at_once: bool = False, forget: bool = False
    ) -> SigningKey:
        """Make a new key that takes over from the others of its algorithm; return it.

        It is published at once, and signs when the notice has passed, or `at_once`: tokens may
        then be refused by those who keep an older JWK Set and do not fetch it for an unknown
        `kid`. With `forget` the others are not published any longer either, as is right where one
        of them is no longer secret: their tokens end where the new JWK Set is read.

        What is stored under no secret or a former one is stored under the present one, and keys
        that have had their time are removed. Raises InvalidArgumentError.
        """
        now = self._clock()
        retires_at = now if at_once or forget else now + self._notice
        algorithm = checked_algorithm(algorithm)
        others = [stored for stored in self._stored() if stored.algorithm == algorithm]
        # INVARIANT: it is the youngest, whatever other hosts' clocks say, for `_oldest` signs.
        after_all = [stored.created_at + timedelta(microseconds=1) for stored in others]
        new = self._new_key(algorithm, max([now, *after_all]))
        self._store.add_signing_key(new)
        for stored in others:
            self._retire(stored, retires_at, forget=forget)
        self.reencrypt()
        self.collect()
        return next(key for key in self.listing() if key.kid == new.kid)

    def reencrypt(self) -> int:
        """Store every key under the present secret that is not; return how many there were."""
        if not self._sealer.seals:
            return 0
        stale = [
            stored
            for stored in self._stored()
            if not self._sealer.is_current(stored.private_pem, stored.kid)
        ]
        for stored in stale:
            pem = self._sealer.open(stored.private_pem, stored.kid)
            sealed = self._sealer.seal(pem, stored.kid)
            self._store.replace_signing_key(msgspec.structs.replace(stored, private_pem=sealed))
        return len(stale)

    def collect(self) -> int:
        """Remove the keys whose last token has expired; return how many."""
        published = {stored.kid for stored in self._stored()}
        over = [key.kid for key in self._store.signing_keys() if key.kid not in published]
        for kid in over:
            self._store.delete_signing_key(kid)
            self._opened.pop(kid, None)
        return len(over)

    def _stored(self) -> list[StoredSigningKey]:
        """The keys that are published, oldest first."""
        now = self._clock()
        return [
            stored
            for stored in self._store.signing_keys()
            if (removed_at := self._removed_at(stored)) is None or removed_at > now
        ]

    def _named(self, kid: object) -> StoredSigningKey | None:
        return next((stored for stored in self._stored() if stored.kid == kid), None)

    def _current(self, algorithm: str, now: datetime) -> StoredSigningKey:
        """The key that signs, made if there is none."""
        current = _oldest(self._store.signing_keys(), algorithm, now)
        if current is not None:
            return current
        with self._creating:
            current = _oldest(self._store.signing_keys(), algorithm, now)
            if current is None:
                self._store.add_signing_key(self._new_key(algorithm, now))
        # Another process may have made one too: what is stored decides, not what was made here.
        current = _oldest(self._store.signing_keys(), algorithm, now)
        if current is None:
            raise StoreError("the signing key that was just made is not in the database")
        return current

    def _new_key(self, algorithm: str, now: datetime) -> StoredSigningKey:
        private = _generated(algorithm)
        kid = thumbprint(_public_jwk(private))
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._opened[kid] = private
        return StoredSigningKey(
            kid=kid,
            algorithm=algorithm,
            private_pem=self._sealer.seal(pem.decode(), kid),
            created_at=now,
        )

    def _private(self, stored: StoredSigningKey) -> _PrivateKey:
        opened = self._opened.get(stored.kid)
        if opened is None:
            opened = _parsed(self._sealer.open(stored.private_pem, stored.kid), stored)
            self._opened[stored.kid] = opened
        return opened

    def _published(self, stored: StoredSigningKey) -> dict[str, object]:
        jwk = _public_jwk(self._private(stored))
        return {**jwk, "kid": stored.kid, "use": "sig", "alg": stored.algorithm}

    def _retire(self, stored: StoredSigningKey, at: datetime, *, forget: bool) -> None:
        """Retire a key, and never later than was decided before."""
        if forget:
            self._store.delete_signing_key(stored.kid)
        elif stored.retired_at is None or stored.retired_at > at:
            self._store.retire_signing_key(stored.kid, at)

    def _removed_at(self, stored: StoredSigningKey) -> datetime | None:
        return None if stored.retired_at is None else stored.retired_at + self._longest_life

    def _described(
        self, stored: StoredSigningKey, now: datetime, signing: set[StoredSigningKey | None]
    ) -> SigningKey:
        state: KeyState = "waiting" if _is_in_force(stored, now) else "retired"
        if stored in signing:
            state = "signing"
        return SigningKey(
            kid=stored.kid,
            algorithm=stored.algorithm,
            state=state,
            encrypted=is_sealed(stored.private_pem),
            created_at=stored.created_at,
            retired_at=stored.retired_at,
            removed_at=self._removed_at(stored),
        )


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638, section 3)."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[str(jwk["kty"])]}
    digest = hashlib.sha256(msgspec.json.encode(members, order="sorted")).digest()
    return base64url.encode(digest)


def checked_algorithm(algorithm: str | None) -> str:
    """Return an algorithm that keys can have, ES256 for None. Raises InvalidArgumentError."""
    if algorithm is not None and algorithm not in ALGORITHMS:
        known = ", ".join(f"`{name}`" for name in ALGORITHMS)
        raise InvalidArgumentError(
            f"`{algorithm}` is not how tokens are signed here; choose among {known}",
            field="algorithm",
        )
    return algorithm or _DEFAULT


def _check_expiry(expires_at: object, latest: datetime) -> None:
    # INVARIANT: no token outlives its key; `SigningKeys.collect` removes keys by it.
    if isinstance(expires_at, int | float) and expires_at > latest.timestamp() + 1:
        raise InvalidArgumentError(
            "a token that lives this long could outlive the key that signs it", field="exp"
        )


def _oldest(
    keys: Iterable[StoredSigningKey], algorithm: str, now: datetime
) -> StoredSigningKey | None:
    candidates = (key for key in keys if key.algorithm == algorithm and _is_in_force(key, now))
    return min(candidates, key=lambda key: (key.created_at, key.kid), default=None)


def _is_in_force(stored: StoredSigningKey, now: datetime) -> bool:
    return stored.retired_at is None or stored.retired_at > now


def _generated(algorithm: str) -> _PrivateKey:
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _parsed(pem: str, stored: StoredSigningKey) -> _PrivateKey:
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the signing key `{stored.kid}` is damaged in the database") from error
    match private:
        case ec.EllipticCurvePrivateKey() if stored.algorithm == "ES256":
            return private
        case rsa.RSAPrivateKey() if stored.algorithm == "RS256":
            return private
        case ed25519.Ed25519PrivateKey() if stored.algorithm == "EdDSA":
            return private
    raise StoreError(f"the signing key `{stored.kid}` is not one of `{stored.algorithm}`")


def _public_jwk(private: _PrivateKey) -> dict[str, object]:
    match private:
        case rsa.RSAPrivateKey():
            jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case ed25519.Ed25519PrivateKey():
            jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case _:
            jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}


def _short_type(typ: object) -> str:
    """Fold a media type as RFC 7515 section 4.1.9 says."""
    return str(typ).lower().removeprefix("application/")


def _invalid_token() -> OAuthError:
    return OAuthError("invalid_token", "the access token is not valid")
