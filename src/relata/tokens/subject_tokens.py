"""Subject tokens: what a trusted issuer says about who is asking.

A signed JWT is believed when, and only when, every one of these holds (RFC 7519, RFC 8725,
RFC 9068 section 4, OpenID Connect Core section 3.1.3.7): its size is bounded; its `iss` is
registered, character by character; its `alg` is allowed for that issuer; its `typ` is that of a
token of its kind; it has no critical header; its `kid` names a published key that fits `alg`; the
signature holds; it has `exp`, `iat`, `aud`, `sub`; it is not expired and not from the future; it
is meant for one of the issuer's audiences; its `sub` can be an object's id.

Before the signature is verified, header and claims only select: the issuer among those
registered, the key among those that it publishes.

A machine is told by its client being its subject (RFC 9068, section 2.2: the client credentials
grant). What the subject may do is not decided here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import jwt
import msgspec
from jwt.exceptions import InvalidSubjectError

from relata.errors import InvalidArgumentError, OAuthError
from relata.relationships import SubjectRef, parse_object
from relata.tokens.issuer_keys import IssuerKeys
from relata.tokens.issuers import TrustedIssuer
from relata.tokens.profile import TokenProfile

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name of RFC 8693
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name of RFC 8693
JWT = "urn:ietf:params:oauth:token-type:jwt"
MAX_TOKEN_CHARACTERS = 16 * 1024

_Members = Mapping[str, Any]
_BAD_HEADER = "its header has a malformed `kid` or a critical extension, and none is understood"
_REQUIRED = ["iss", "exp", "iat", "aud", "sub"]
_PLAIN_TYPES = frozenset({"", "jwt"})
_TYPES = MappingProxyType(
    {
        ACCESS_TOKEN: _PLAIN_TYPES | {"at+jwt"},
        JWT: _PLAIN_TYPES | {"at+jwt"},
        ID_TOKEN: _PLAIN_TYPES,
    }
)
"""The header's `typ` that each kind of token may have, without `application/`."""


class VerifiedSubject(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, by the word of a trusted issuer."""

    subject: SubjectRef
    sub: str
    client_id: str | None
    """The client that the token was issued to, None where the token does not say."""
    expires_at: int
    """In seconds since 1970."""
    authentication: Mapping[str, object]
    """`auth_time`, `acr` and `amr`, those that are there (RFC 9068, section 2.2.1)."""


class SubjectTokens:
    """Verifies subject tokens. Safe to share between threads."""

    def __init__(self, issuers: Iterable[TrustedIssuer], profile: TokenProfile) -> None:
        self._profile = profile
        self._issuers: dict[str, tuple[TrustedIssuer, IssuerKeys]] = {}
        for issuer in issuers:
            if issuer.issuer in self._issuers:
                raise InvalidArgumentError(
                    f"the issuer `{issuer.issuer}` is registered twice", field="issuers"
                )
            self._issuers[issuer.issuer] = (issuer, IssuerKeys(issuer))
        if not self._issuers:
            raise InvalidArgumentError(
                "no issuer is trusted, so no token could be exchanged; register one",
                field="issuers",
            )

    def subject_types(self) -> frozenset[str]:
        """Return the definitions that subjects can be of."""
        types = (
            self._subject_type(issuer, machine)
            for issuer, _ in self._issuers.values()
            for machine in (False, True)
        )
        return frozenset(types)

    def verify(self, token: str, token_type: str) -> VerifiedSubject:
        """Say who a token is about.

        Raises OAuthError: `invalid_request` naming the check that failed (RFC 8693, section
        2.2.2), or `temporarily_unavailable` where the issuer's keys cannot be fetched.
        """
        if token_type not in _TYPES:
            raise OAuthError(
                "invalid_request",
                f"`subject_token_type` is none of {', '.join(f'`{name}`' for name in _TYPES)}",
                field="subject_token_type",
            )
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise _refused(f"it is longer than {MAX_TOKEN_CHARACTERS} characters")
        header, unverified = _peek(token)
        issuer, keys = self._issuer_of(unverified)
        _check_header(header, token_type, issuer)
        key = keys.find(header["kid"], header["alg"])
        if key is None:
            raise _refused("its issuer publishes no key with its `kid` that fits its `alg`")
        return self._read(_verified_claims(token, key, issuer), token_type, issuer)

    def _issuer_of(self, unverified: _Members) -> tuple[TrustedIssuer, IssuerKeys]:
        name = unverified.get("iss")
        registered = self._issuers.get(name) if isinstance(name, str) else None
        if registered is None:
            raise _refused("its issuer is not trusted")
        return registered

    def _read(self, claims: _Members, token_type: str, issuer: TrustedIssuer) -> VerifiedSubject:
        sub = str(claims["sub"])
        client_id = _client_of(claims, token_type)
        machine = client_id == sub
        if token_type == ID_TOKEN:
            _check_id_token(claims, issuer, machine=machine)
        return VerifiedSubject(
            subject=_subject(self._subject_type(issuer, machine), sub),
            sub=sub,
            client_id=client_id,
            expires_at=_expiry(claims),
            authentication=_authentication(claims),
        )

    def _subject_type(self, issuer: TrustedIssuer, machine: bool) -> str:
        if machine:
            return issuer.client_type or self._profile.client
        return issuer.user_type or self._profile.user


def _peek(token: str) -> tuple[_Members, _Members]:
    """Read header and claims without believing them."""
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.DecodeError, ValueError, RecursionError):
        raise _refused("it is not a signed JWT") from None
    except jwt.PyJWTError:
        raise _refused(_BAD_HEADER) from None
    return parts["header"], parts["payload"]


def _check_header(header: _Members, token_type: str, issuer: TrustedIssuer) -> None:
    if "crit" in header or "b64" in header:
        raise _refused(_BAD_HEADER)
    if header.get("alg") not in issuer.algorithms:
        raise _refused("its `alg` is not allowed for its issuer")
    typ = header.get("typ", "")
    if not isinstance(typ, str) or _short_type(typ) not in _TYPES[token_type]:
        raise _refused("its `typ` is not that of a token of its `subject_token_type`")
    if not isinstance(header.get("kid"), str):
        raise _refused("its header has no `kid`")


def _short_type(typ: str) -> str:
    """Fold a media type as RFC 7515 section 4.1.9 says."""
    return typ.lower().removeprefix("application/")


def _verified_claims(token: str, key: jwt.PyJWK, issuer: TrustedIssuer) -> _Members:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=issuer.audiences,
            issuer=issuer.issuer,
            leeway=issuer.leeway,
            options={"require": _REQUIRED},
        )
    except jwt.MissingRequiredClaimError as error:
        raise _refused(f"it has no `{error.claim}`") from None
    except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _refused(_reason(error)) from None


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidSignatureError, "its signature does not hold"),
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it is not valid yet"),
    (jwt.InvalidAudienceError, "its `aud` is none of the audiences registered for its issuer"),
    (InvalidSubjectError, "its `sub` is not a string"),
)


def _reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "its claims are malformed"


def _client_of(claims: _Members, token_type: str) -> str | None:
    """Find the client: `client_id` (RFC 9068), else `azp`, else the one `aud` of an id token."""
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    client = claims.get("client_id", claims.get("azp"))
    if client is None and token_type == ID_TOKEN and isinstance(audience, str):
        client = audience
    if client is not None and (not isinstance(client, str) or not client):
        raise _refused("its client is not a text")
    return client


def _check_id_token(claims: _Members, issuer: TrustedIssuer, *, machine: bool) -> None:
    """Refuse what OpenID Connect Core section 3.1.3.7 has a client refuse."""
    if claims.get("azp", issuer.audiences[0]) not in issuer.audiences:
        raise _refused("its `azp` is none of the audiences registered for its issuer")
    if machine:
        raise _refused("it is an id token, and its `sub` is its client")


def _subject(subject_type: str, sub: str) -> SubjectRef:
    try:
        parsed = parse_object(f"{subject_type}:{sub}", field="subject_token")
    except InvalidArgumentError:
        raise _refused("its `sub` cannot be the id of an object") from None
    return SubjectRef(parsed.type, parsed.id)


def _expiry(claims: _Members) -> int:
    """Read `exp`, without leeway: a token that ends before it begins helps nobody."""
    expires_at = int(claims["exp"])
    if expires_at <= time.time():
        raise _refused("it has expired")
    return expires_at


def _authentication(claims: _Members) -> dict[str, object]:
    kept: dict[str, object] = {}
    if isinstance(claims.get("auth_time"), int):
        kept["auth_time"] = claims["auth_time"]
    if isinstance(claims.get("acr"), str):
        kept["acr"] = claims["acr"]
    methods = claims.get("amr")
    if isinstance(methods, list) and all(isinstance(method, str) for method in methods):
        kept["amr"] = methods
    return kept


def _refused(reason: str) -> OAuthError:
    return OAuthError(
        "invalid_request", f"the subject token is refused: {reason}", field="subject_token"
    )
