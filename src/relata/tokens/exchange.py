"""Token exchange (RFC 8693): the request and the response as values, and the rules of the form.

What can be judged by the request alone is judged here; whom a subject token speaks of, and what
they may do, is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from relata.errors import OAuthError
from relata.tokens.subject_tokens import ACCESS_TOKEN, JWT

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693's name
BEARER = "Bearer"

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
    """The product that the token is for, by its id."""
    resource: tuple[str, ...] = ()
    """The product that the token is for, where its id is an absolute URI (RFC 8707)."""
    organization: str = ""
    """The id of the organization that the subject chose; needless with one to choose from."""
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

    An app treats the token itself as opaque, so what it may need to know stands beside it.
    """

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int
    """In seconds."""
    scope: str
    """The permissions that can be written as scopes; empty where there are none."""
    organization: str
    permissions: tuple[str, ...]
    roles: tuple[str, ...]

    def body(self) -> dict[str, object]:
        """Return the members of the response; an empty `scope`, which has no form, is left out."""
        members: dict[str, object] = msgspec.to_builtins(self)
        if not self.scope:
            del members["scope"]
        return members

    def __repr__(self) -> str:
        """Name what was issued, without the token."""
        return (
            f"TokenResponse(organization={self.organization!r}, "
            f"permissions={self.permissions!r}, roles={self.roles!r})"
        )


def check_form(request: TokenRequest) -> None:
    """Raise OAuthError where the request is not one for a token exchange done here."""
    _check_grant(request.grant_type)
    for name in ("subject_token", "subject_token_type"):
        if not getattr(request, name):
            raise OAuthError("invalid_request", f"`{name}` is missing", field=name)
    if request.actor_token or request.actor_token_type:
        raise OAuthError(
            "invalid_request",
            "`actor_token` is not supported; ask with the subject token alone",
            field="actor_token",
        )
    if request.requested_token_type and request.requested_token_type not in _ISSUABLE:
        raise OAuthError(
            "invalid_request",
            f"`requested_token_type` is neither `{ACCESS_TOKEN}` nor `{JWT}`",
            field="requested_token_type",
        )


def _check_grant(grant_type: str) -> None:
    if not grant_type:
        raise OAuthError("invalid_request", "`grant_type` is missing", field="grant_type")
    if grant_type != TOKEN_EXCHANGE:
        raise OAuthError(
            "unsupported_grant_type",
            f"the only `grant_type` here is `{TOKEN_EXCHANGE}`",
            field="grant_type",
        )


def target_of(request: TokenRequest) -> str:
    """Return the one product that a token is asked for.

    Raises OAuthError: `invalid_request` where there is none or more than one, `invalid_target`
    where a `resource` is not an absolute URI without a fragment (RFC 8707, section 2).
    """
    targets = {*request.audience, *request.resource}
    if not targets:
        raise OAuthError(
            "invalid_request",
            "`audience` or `resource` is missing; name the product that the token is for",
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
            "send the id of a product as `audience`",
            field="resource",
        )
    return targets.pop()


def is_scope_token(text: str) -> bool:
    """Whether a permission can be written as a scope (RFC 6749, section 3.3)."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def grant_scope(asked: str, held: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the held permissions that are asked for, all where nothing is.

    Raises OAuthError `invalid_scope` where the wish is malformed or nothing of it is held.
    """
    if not asked:
        return held
    wishes = asked.split(" ")
    if not all(is_scope_token(wish) for wish in wishes):
        raise OAuthError(
            "invalid_scope",
            "`scope` is malformed; separate permissions by single spaces",
            field="scope",
        )
    granted = tuple(permission for permission in held if permission in frozenset(wishes))
    if not granted:
        raise OAuthError(
            "invalid_scope", "none of the permissions in `scope` is held", field="scope"
        )
    return granted
