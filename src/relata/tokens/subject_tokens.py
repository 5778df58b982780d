"""Subject tokens: what a trusted issuer says about who is asking.

A signed JWT is believed when, and only when, every one of these holds (RFC 7519, RFC 8725,
RFC 9068 section 4, OpenID Connect Core section 3.1.3.7): its size is bounded; its `iss` is
registered, character by character; its `alg` is allowed for that issuer; its `typ` is that of a
token of its kind; it has no critical header; its `kid` names a key of the issuer that fits `alg`;
the signature holds; it has `exp`, `iat`, `aud`, `sub`; it is not expired and not from the future;
it is meant for one of the issuer's audiences; its claims make an object as the issuer's template
says.

Before the signature is verified, header and claims only select: the issuer among those
registered, the key among the issuer's. An address that a token names is never asked.

A machine is told by its client being its subject (RFC 9068, section 2.2: the client credentials
grant). What the subject may do is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from relata.errors import InvalidArgumentError, OAuthError
from relata.relationships import SubjectRef
from relata.tokens.dpop import bound_key
from relata.tokens.issuer_keys import IssuerKeys, keys_of
from relata.tokens.issuers import TrustedIssuer
from relata.tokens.profile import TokenProfile
from relata.tokens.signed_tokens import (
    Members,
    actor_in,
    authentication_in,
    check_header,
    peek,
    refused,
    verified_claims,
)
from relata.tokens.subject_templates import SubjectError, SubjectTemplate

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name of RFC 8693
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name of RFC 8693
JWT = "urn:ietf:params:oauth:token-type:jwt"

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
    """The object that the token's claims make."""
    sub: str
    issuer: str
    """The `iss`, as it was registered."""
    client_id: str | None
    """The client that the token was issued to, None where the token does not say."""
    expires_at: int
    """In seconds since 1970."""
    authentication: Mapping[str, object]
    """`auth_time`, `acr` and `amr`, those that are there (RFC 9068, section 2.2.1)."""
    session: str = ""
    """The `sid` of the user's session at the issuer, empty where the token does not say."""
    act: Members | None = None
    """Who acts for the subject already, if anybody (RFC 8693, section 4.1)."""
    may_act: Members | None = None
    """Who may act for the subject, if the token says (RFC 8693, section 4.4)."""
    key: str | None = None
    """The thumbprint of the key that whoever presents the token must hold (RFC 9449)."""


class _Registered(msgspec.Struct, frozen=True):
    """An issuer, ready for use."""

    issuer: TrustedIssuer
    keys: IssuerKeys
    person: SubjectTemplate
    machine: SubjectTemplate


class SubjectTokens:
    """Verifies subject tokens. Safe to share between threads."""

    def __init__(self, issuers: Iterable[TrustedIssuer], profile: TokenProfile) -> None:
        self._issuers: dict[str, _Registered] = {}
        for issuer in issuers:
            if issuer.issuer in self._issuers:
                raise InvalidArgumentError(
                    f"the issuer `{issuer.issuer}` is registered twice", field="issuers"
                )
            self._issuers[issuer.issuer] = _registered(issuer, profile)
        if not self._issuers:
            raise InvalidArgumentError(
                "no issuer is trusted, so no token could be exchanged; register one",
                field="issuers",
            )

    def subject_types(self) -> frozenset[str]:
        """Return the definitions that subjects can be of."""
        registered = self._issuers.values()
        return frozenset(
            template.type for issuer in registered for template in (issuer.person, issuer.machine)
        )

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
        unverified = peek(token)
        registered = self._issuers.get(unverified.issuer or "")
        if registered is None:
            raise refused("its issuer is not trusted")
        issuer, header = registered.issuer, unverified.header
        check_header(header, algorithms=issuer.algorithms, types=_TYPES[token_type])
        claims = verified_claims(
            token,
            registered.keys.find(header["kid"], header["alg"]),
            issuer=issuer.issuer,
            audiences=issuer.audiences,
            leeway=issuer.leeway,
        )
        return _read(claims, token_type, registered)


def _registered(issuer: TrustedIssuer, profile: TokenProfile) -> _Registered:
    person = issuer.subject or f"{profile.user}:{{sub}}"
    machine = issuer.client_subject or f"{profile.client}:{{sub}}"
    return _Registered(
        issuer,
        keys_of(issuer),
        SubjectTemplate(person, field="subject"),
        SubjectTemplate(machine, field="client_subject"),
    )


def _read(claims: Members, token_type: str, registered: _Registered) -> VerifiedSubject:
    sub = str(claims["sub"])
    client_id = _client_of(claims, token_type)
    machine = client_id == sub
    if token_type == ID_TOKEN:
        _check_id_token(claims, registered.issuer, machine=machine)
    session = claims.get("sid")
    return VerifiedSubject(
        subject=_subject(registered.machine if machine else registered.person, claims),
        sub=sub,
        issuer=registered.issuer.issuer,
        client_id=client_id,
        expires_at=int(claims["exp"]),
        authentication=authentication_in(claims),
        session=session if isinstance(session, str) and session.isprintable() else "",
        act=actor_in(claims, "act"),
        may_act=actor_in(claims, "may_act"),
        key=_key(claims),
    )


def _key(claims: Members) -> str | None:
    try:
        return bound_key(claims)
    except OAuthError:
        raise refused("it is bound in a way that is not understood") from None


def _client_of(claims: Members, token_type: str) -> str | None:
    """Find the client: `client_id` (RFC 9068), else `azp`, else the one `aud` of an id token."""
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    client = claims.get("client_id", claims.get("azp"))
    if client is None and token_type == ID_TOKEN and isinstance(audience, str):
        client = audience
    if client is not None and (not isinstance(client, str) or not client):
        raise refused("its client is not a text")
    return client


def _check_id_token(claims: Members, issuer: TrustedIssuer, *, machine: bool) -> None:
    """Refuse what OpenID Connect Core section 3.1.3.7 has a client refuse."""
    if claims.get("azp", issuer.audiences[0]) not in issuer.audiences:
        raise refused("its `azp` is none of the audiences registered for its issuer")
    if machine:
        raise refused("it is an id token, and its `sub` is its client")


def _subject(template: SubjectTemplate, claims: Members) -> SubjectRef:
    try:
        return template.subject_of(claims)
    except SubjectError as error:
        raise refused(str(error)) from None
