"""Relata's own tokens as subject tokens: to switch the organization or the audience.

An own token is told from an issuer's by its `iss`, and believed when its signature is by one of
the service's keys, its `typ` is `at+jwt`, it has the claims of RFC 9068 section 2.2 and an
organization, and it is not expired. Its `aud` may be any: it names an API, not the token endpoint.

That it still stands, who its subject is in the graph, and what may be made of it is not decided
here: its `jti` leads to what was stored when it was issued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from relata.errors import OAuthError
from relata.tokens.public_keys import KEY_TYPES, find_key, keys_in
from relata.tokens.signed_tokens import (
    Members,
    actor_in,
    authentication_in,
    check_header,
    peek,
    refused,
    verified_claims,
)
from relata.tokens.subject_tokens import ACCESS_TOKEN, JWT

_TOKEN_TYPES = (ACCESS_TOKEN, JWT)
_TYPES = frozenset({"at+jwt"})


class OwnToken(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the service's own tokens says."""

    sub: str
    organization: str
    audience: str
    client_id: str
    jti: str
    issued_at: int
    """In seconds since 1970."""
    expires_at: int
    """In seconds since 1970."""
    permissions: tuple[str, ...] | None
    """None where the token does not list them."""
    scope: tuple[str, ...]
    """Empty where the token has none."""
    authentication: Mapping[str, object]
    """`auth_time`, `acr` and `amr`, those that are there (RFC 9068, section 2.2.1)."""
    session: str
    """The `sid` of the subject token that it was first exchanged for; empty without."""
    act: Members | None
    """Who acts for the subject already, if anybody (RFC 8693, section 4.1)."""
    may_act: Members | None
    """Who may act for the subject, if the token says (RFC 8693, section 4.4)."""
    cnf: Members | None
    """The key that whoever presents the token must hold (RFC 7800), if any."""


class _Claims(msgspec.Struct):
    """The claims of an own token, with their types."""

    sub: str
    org_id: str
    aud: str
    client_id: str
    jti: str
    iat: int
    exp: int
    permissions: tuple[str, ...] | None = None
    scope: str = ""
    sid: str = ""
    cnf: dict[str, object] | None = None


class OwnTokens:
    """Verifies the service's own tokens. Safe to share between threads.

    `jwks` returns the JWK Set with which tokens that have not expired can be verified; it is
    asked anew for each token, so that a key that was taken back stops counting at once.
    """

    def __init__(self, jwks: Callable[[], Mapping[str, object]], issuer_url: str) -> None:
        self._jwks = jwks
        self._issuer_url = issuer_url

    def recognizes(self, token: str) -> bool:
        """Whether a token says that it is the service's own, which anybody can write.

        Raises OAuthError `invalid_request` where it is no JWT.
        """
        return peek(token).issuer == self._issuer_url

    def verify(self, token: str, token_type: str) -> OwnToken:
        """Read a token of the service. Raises OAuthError `invalid_request`."""
        if token_type not in _TOKEN_TYPES:
            raise OAuthError(
                "invalid_request",
                "`subject_token_type` is not that of an access token, which the token is",
                field="subject_token_type",
            )
        header = peek(token).header
        check_header(header, algorithms=KEY_TYPES, types=_TYPES)
        key = find_key(keys_in(self._jwks()) or (), header["kid"], header["alg"])
        return _read(verified_claims(token, key, issuer=self._issuer_url, audiences=None))


def _read(members: Members) -> OwnToken:
    try:
        claims = msgspec.convert(members, _Claims)
    except msgspec.ValidationError:
        raise refused("its claims are malformed") from None
    return OwnToken(
        sub=claims.sub,
        organization=claims.org_id,
        audience=claims.aud,
        client_id=claims.client_id,
        jti=claims.jti,
        issued_at=claims.iat,
        expires_at=claims.exp,
        permissions=claims.permissions,
        scope=tuple(claims.scope.split()),
        authentication=authentication_in(members),
        session=claims.sid,
        act=actor_in(members, "act"),
        may_act=actor_in(members, "may_act"),
        cnf=claims.cnf,
    )
