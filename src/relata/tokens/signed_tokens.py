"""Signed JWTs that come as subject tokens: what is the same whoever issued them.

A token is read in two steps. `peek` reads header and claims without believing them, so that they
can select an issuer and a key among those that are known. `verified_claims` believes the claims
once the signature holds and the registered claims of RFC 7519 section 4.1 fit.

Every refusal is `invalid_request` and says which check failed, and nothing of what was expected
(RFC 8693, section 2.2.2).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import jwt
import msgspec
from jwt.exceptions import InvalidSubjectError

from relata.errors import OAuthError

MAX_TOKEN_CHARACTERS = 16 * 1024
CLOCK_SECONDS = 30
"""By how much the clocks of machines may differ."""

Members = Mapping[str, Any]
_BAD_HEADER = "its header has a malformed `kid` or a critical extension, and none is understood"
_LAST_MOMENT = 2**53
_REQUIRED = ["iss", "exp", "iat", "aud", "sub"]


class Unverified(msgspec.Struct, frozen=True):
    """What a token says of itself, which anybody could have written."""

    header: Members
    claims: Members

    @property
    def issuer(self) -> str | None:
        """The `iss`, None where it is not a text."""
        name = self.claims.get("iss")
        return name if isinstance(name, str) else None


def peek(token: str) -> Unverified:
    """Read header and claims without believing them. Raises OAuthError `invalid_request`."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise refused(f"it is longer than {MAX_TOKEN_CHARACTERS} characters")
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.DecodeError, ValueError, RecursionError):
        raise refused("it is not a signed JWT") from None
    except jwt.PyJWTError:
        raise refused(_BAD_HEADER) from None
    return Unverified(parts["header"], parts["payload"])


def check_header(header: Members, *, algorithms: Collection[str], types: Collection[str]) -> None:
    """Refuse a header that is not that of such a token (RFC 8725, sections 3.1 and 3.11).

    `types` are the `typ` that it may have, without `application/`, empty for none. Critical
    extensions are refused, since none is understood (RFC 7515, section 4.1.11).
    """
    if "crit" in header or "b64" in header:
        raise refused(_BAD_HEADER)
    if str(header.get("alg")) not in algorithms:
        raise refused("its `alg` is not allowed for its issuer")
    typ = header.get("typ", "")
    if not isinstance(typ, str) or _short_type(typ) not in types:
        raise refused("its `typ` is not that of a token of its `subject_token_type`")
    if not isinstance(header.get("kid"), str):
        raise refused("its header has no `kid`")


def _short_type(typ: str) -> str:
    """Fold a media type as RFC 7515 section 4.1.9 says."""
    return typ.lower().removeprefix("application/")


def verified_claims(
    token: str,
    key: jwt.PyJWK | None,
    *,
    issuer: str,
    audiences: Collection[str] | None,
    leeway: int = CLOCK_SECONDS,
) -> Members:
    """Return a token's claims, which its issuer has signed with the key.

    `audiences` are those that it may be meant for, any if None; `leeway` is by how many seconds
    the issuer's clock may run ahead. Raises OAuthError `invalid_request`.
    """
    if key is None:
        raise refused("its issuer publishes no key with its `kid` that fits its `alg`")
    try:
        claims: Members = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=audiences,
            issuer=issuer,
            leeway=leeway,
            options={"require": _REQUIRED, "verify_aud": audiences is not None},
        )
    except jwt.MissingRequiredClaimError as error:
        raise refused(f"it has no `{error.claim}`") from None
    except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise refused(_reason(error)) from None
    _check_end(claims)
    return claims


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidSignatureError, "its signature does not hold"),
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.InvalidIssuerError, "its issuer is not trusted"),
    (jwt.ImmatureSignatureError, "it is not valid yet"),
    (jwt.InvalidAudienceError, "its `aud` is none of the audiences registered for its issuer"),
    (InvalidSubjectError, "its `sub` is not a string"),
)


def _reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "its claims are malformed"


def _check_end(claims: Members) -> None:
    """Look at `exp` without leeway: a token that ends before it begins helps nobody."""
    if int(claims["exp"]) <= time.time():
        raise refused("it has expired")


def authentication_in(claims: Members) -> dict[str, object]:
    """Return how the user was authenticated: `auth_time`, `acr` and `amr` (RFC 9068, 2.2.1).

    What is malformed is left out, so that nothing but well-formed claims is carried over.
    """
    kept: dict[str, object] = {}
    moment = claims.get("auth_time")
    if isinstance(moment, (int, float)) and moment is not True and 0 < moment < _LAST_MOMENT:
        kept["auth_time"] = int(moment)
    if isinstance(claims.get("acr"), str):
        kept["acr"] = claims["acr"]
    methods = claims.get("amr")
    if isinstance(methods, list) and all(isinstance(method, str) for method in methods):
        kept["amr"] = methods
    return kept


def actor_in(claims: Members, name: str) -> Members | None:
    """Return the claim `act` or `may_act`, None where it is absent (RFC 8693, 4.1 and 4.4).

    Who has acted before stands in an actor's own `act`. Raises OAuthError `invalid_request` where
    one of them is not a JSON object or says nothing: a token whose actors cannot be read is not
    one without, and an actor of whom nothing is said is not anybody.
    """
    actor: Members | None = claims.get(name)
    link = actor
    while link is not None:
        if not isinstance(link, dict) or not link:
            raise refused(f"its `{name}` is malformed")
        link = link.get("act")
    return actor


def refused(reason: str) -> OAuthError:
    """Refuse a subject token; the reason is for whoever made the token, so it begins with `it`."""
    return OAuthError(
        "invalid_request", f"the subject token is refused: {reason}", field="subject_token"
    )
