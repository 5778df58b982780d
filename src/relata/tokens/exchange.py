"""The token endpoint's request and response as values, and the rules of the form.

There are two grants: token exchange (RFC 8693) and client credentials (RFC 6749, section 4.4).
What can be judged by the request alone is judged here; who asks, and what they may do, is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from relata.errors import OAuthError
from relata.tokens.subject_tokens import ACCESS_TOKEN, JWT

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693's name
CLIENT_CREDENTIALS = "client_credentials"
GRANTS = (TOKEN_EXCHANGE, CLIENT_CREDENTIALS)
BEARER = "Bearer"
DPOP = "DPoP"

_REPEATABLE = frozenset({"audience", "resource"})
_ISSUABLE = (ACCESS_TOKEN, JWT)
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+")


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a request; an empty one is as good as none (RFC 6749, section 3.2)."""

    grant_type: str = ""
    subject_token: str = ""
    subject_token_type: str = ""
    audience: tuple[str, ...] = ()
    """The audience that the token is for, by its id."""
    resource: tuple[str, ...] = ()
    """The audience that the token is for, where its id is an absolute URI (RFC 8707)."""
    organization: str = ""
    """The id of the organization that was chosen; needless with one to choose from."""
    scope: str = ""
    """The permissions wished for, separated by single spaces; all that are held if empty."""
    requested_token_type: str = ""
    client_id: str = ""
    actor_token: str = ""
    actor_token_type: str = ""

    @classmethod
    def from_form(cls, pairs: Iterable[tuple[str, str]]) -> TokenRequest:
        """Read a form's fields; unknown ones are ignored (RFC 6749, section 3.2).

        Raises OAuthError `invalid_request` where a field is repeated that must not be.
        """
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            if value and name in cls.__struct_fields__:
                given.setdefault(name, []).append(value)
        for name, values in given.items():
            if len(values) > 1 and name not in _REPEATABLE:
                raise OAuthError("invalid_request", f"`{name}` is given more than once", field=name)
        fields: dict[str, Any] = {
            name: tuple(values) if name in _REPEATABLE else values[0]
            for name, values in given.items()
        }
        return cls(**fields)

    def __repr__(self) -> str:
        """Name what is asked for, without the tokens."""
        return (
            f"TokenRequest(audience={self.audience!r}, resource={self.resource!r}, "
            f"organization={self.organization!r}, scope={self.scope!r})"
        )


class TokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A successful response: RFC 8693 section 2.2.1, and what the token says for its app.

    An app treats the token itself as opaque, so what it may need to know stands beside it, whole
    where the token had no room for it.
    """

    access_token: str
    issued_token_type: str
    """Empty where nothing was exchanged."""
    token_type: str
    """`Bearer`, or `DPoP` where the token is bound to a key (RFC 9449, section 5)."""
    expires_in: int
    """In seconds."""
    scope: str
    """The permissions that can be written as scopes; empty where there are none."""
    organization: str
    permissions: tuple[str, ...]
    roles: tuple[str, ...]
    products: dict[str, tuple[str, ...]] | None = None
    """The permissions by product, where the audience has several."""
    revision: str = ""
    """The zed token of what was asked: a check with it is at least as fresh as the token."""

    def body(self) -> dict[str, object]:
        """Return the members of the response, without those that have nothing to say."""
        members: dict[str, object] = msgspec.to_builtins(self)
        for name in ("scope", "issued_token_type", "products"):
            if not members[name]:
                del members[name]
        return members

    def __repr__(self) -> str:
        """Name what was issued, without the token."""
        return (
            f"TokenResponse(organization={self.organization!r}, "
            f"permissions={self.permissions!r}, roles={self.roles!r})"
        )


def check_form(request: TokenRequest) -> None:
    """Raise OAuthError where the request is not one for a grant done here."""
    _check_grant(request.grant_type)
    if request.grant_type == CLIENT_CREDENTIALS:
        _refuse_given(request, "subject_token", "subject_token_type", "requested_token_type")
        _refuse_given(request, "actor_token", "actor_token_type")
        return
    for name in ("subject_token", "subject_token_type"):
        if not getattr(request, name):
            raise OAuthError("invalid_request", f"`{name}` is missing", field=name)
    if bool(request.actor_token) != bool(request.actor_token_type):
        raise OAuthError(
            "invalid_request",
            "`actor_token` and `actor_token_type` come together",
            field="actor_token",
        )
    if request.requested_token_type and request.requested_token_type not in _ISSUABLE:
        raise OAuthError(
            "invalid_request",
            f"`requested_token_type` is neither `{ACCESS_TOKEN}` nor `{JWT}`",
            field="requested_token_type",
        )


def _refuse_given(request: TokenRequest, *names: str) -> None:
    """Refuse what belongs to another grant: whoever sends it expects it to count."""
    for name in names:
        if getattr(request, name):
            raise OAuthError(
                "invalid_request", f"`{name}` has no place in this `grant_type`", field=name
            )


def _check_grant(grant_type: str) -> None:
    if not grant_type:
        raise OAuthError("invalid_request", "`grant_type` is missing", field="grant_type")
    if grant_type not in GRANTS:
        raise OAuthError(
            "unsupported_grant_type",
            f"`grant_type` is neither `{TOKEN_EXCHANGE}` nor `{CLIENT_CREDENTIALS}`",
            field="grant_type",
        )


def target_of(request: TokenRequest) -> str:
    """Return the one audience that a token is asked for.

    Raises OAuthError: `invalid_request` where there is none or more than one, `invalid_target`
    where a `resource` is not an absolute URI without a fragment (RFC 8707, section 2).
    """
    targets = {*request.audience, *request.resource}
    if not targets:
        raise OAuthError(
            "invalid_request",
            "`audience` or `resource` is missing; name the API that the token is for",
            field="audience",
        )
    if len(targets) > 1:
        raise OAuthError(
            "invalid_request",
            "more than one `audience` or `resource`; ask for one token per audience",
            field="audience",
        )
    if not all(_ABSOLUTE_URI.fullmatch(resource) for resource in request.resource):
        raise OAuthError(
            "invalid_target",
            "`resource` is not an absolute URI without a fragment; "
            "send the audience's id as `audience`",
            field="resource",
        )
    return targets.pop()


def is_scope_token(text: str) -> bool:
    """Whether a permission can be written as a scope (RFC 6749, section 3.3)."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def wished_scope(asked: str) -> frozenset[str] | None:
    """Return the permissions that are asked for by name, None where none is.

    Raises OAuthError `invalid_scope` where the wish is malformed (RFC 6749, section 3.3).
    """
    if not asked:
        return None
    wishes = asked.split(" ")
    if not all(is_scope_token(wish) for wish in wishes):
        raise OAuthError(
            "invalid_scope",
            "`scope` is malformed; separate permissions by single spaces",
            field="scope",
        )
    return frozenset(wishes)


def narrowest(*limits: Iterable[str] | None) -> frozenset[str] | None:
    """Return what all limits allow; None, which is no limit, where all are None."""
    given = [frozenset(limit) for limit in limits if limit is not None]
    return frozenset.intersection(*given) if given else None
