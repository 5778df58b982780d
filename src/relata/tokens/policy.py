"""What an organization asks of the tokens that are issued for it.

A policy is kept with the organization. What holds for one is its own policy and those of every
organization above it, together, each in the strictest form: the shortest life, the smallest age,
every method of authentication, and the classes and issuers that all of them allow. So an
organization can ask for more than the one above it, and never for less.

A user whose authentication does not suffice gets the error of RFC 9470,
`insufficient_user_authentication`, with what a client needs to send them back to log in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from relata.errors import InvalidArgumentError, OAuthError, StoreError
from relata.store import Store
from relata.tokens.ancestry import Ancestry

INSUFFICIENT = "insufficient_user_authentication"
"""The error code of RFC 9470, section 3."""

_MOST_VALUES = 50
_MOST_CHARACTERS = 200
_MOST_SECONDS = 10 * 366 * 24 * 3600
_SKEW_SECONDS = 60
"""How far in the future an authentication may lie, since clocks differ."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a token for an organization; without any of it, nothing more."""

    max_lifetime: int | None = None
    """How long a token lives at most, in seconds."""
    acr_values: tuple[str, ...] | None = None
    """The authentication context classes that suffice, the preferred first: `acr` is one."""
    amr: tuple[str, ...] = ()
    """The methods of authentication that are asked for: all of them are in `amr` (RFC 8176)."""
    max_age: int | None = None
    """How long ago the user may have authenticated, in seconds."""
    issuers: tuple[str, ...] | None = None
    """The issuers whose tokens are taken, of those that the service trusts; None for all."""

    def lifetime(self, wanted: int) -> int:
        """How long a token may live, in seconds, that is wanted for so long."""
        return wanted if self.max_lifetime is None else min(wanted, self.max_lifetime)

    def require(self, authentication: Mapping[str, object], issuer: str, now: int) -> None:
        """Refuse a subject token that does not meet the policy.

        `authentication` has its `acr`, `amr` and `auth_time`, where it has them and they are well
        formed; `now` is in seconds since 1970. Ask once it is known that the subject may choose
        the organization, so that nobody else learns its policy.

        Raises OAuthError: `invalid_request` for an issuer that is not taken (RFC 8693, section
        2.2.2), else `insufficient_user_authentication` (RFC 9470, section 3).
        """
        if self.issuers is not None and issuer not in self.issuers:
            raise OAuthError(
                "invalid_request",
                "the organization does not take subject tokens of this issuer",
                field="subject_token",
            )
        if self.max_age is not None and not _is_recent(authentication, self.max_age, now):
            raise self._step_up("more recent authentication is required")
        if self.acr_values is not None and authentication.get("acr") not in self.acr_values:
            raise self._step_up("a different authentication level is required")
        if not set(self.amr) <= set(_methods(authentication)):
            raise self._step_up(f"authentication by {' and '.join(self.amr)} is required")

    def stricter(self, other: Policy) -> Policy:
        """What holds where this policy and another both do."""
        return Policy(
            max_lifetime=_least(self.max_lifetime, other.max_lifetime),
            acr_values=_common(self.acr_values, other.acr_values),
            amr=tuple(dict.fromkeys((*self.amr, *other.amr))),
            max_age=_least(self.max_age, other.max_age),
            issuers=_common(self.issuers, other.issuers),
        )

    def _step_up(self, description: str) -> OAuthError:
        extra: dict[str, object] = {}
        if self.acr_values:
            extra["acr_values"] = " ".join(self.acr_values)
        if self.max_age is not None:
            extra["max_age"] = self.max_age
        return OAuthError(INSUFFICIENT, description, field="subject_token", extra=extra)


class Policies:
    """The policies of the organizations of a store."""

    def __init__(self, store: Store, ancestry: Ancestry | None = None) -> None:
        self._store = store
        self._ancestry = ancestry or Ancestry(store)

    def of(self, organization: str) -> Policy:
        """What holds for an organization: its policy and those of all above it.

        Raises StoreError where a stored organization is malformed: no policy is not known to be
        the same as none.
        """
        policy = Policy()
        for one in self._ancestry.of(organization):
            policy = policy.stricter(self._own(one))
        return policy

    def _own(self, organization: str) -> Policy:
        stored = self._store.records.get("organization", organization)
        if stored is None:
            return Policy()
        try:
            return msgspec.json.decode(stored, type=_Recorded).policy
        except msgspec.MsgspecError as error:
            raise StoreError("a stored organization is malformed; store it again") from error


class _Recorded(msgspec.Struct, frozen=True):
    policy: Policy = Policy()


def check_policy(policy: Policy, *, field: str = "policy") -> None:
    """Refuse a policy that says nothing sensible. Raises InvalidArgumentError."""
    for name, least in (("max_lifetime", 1), ("max_age", 0)):
        seconds = getattr(policy, name)
        if seconds is not None and not least <= seconds <= _MOST_SECONDS:
            raise InvalidArgumentError(
                f"`{name}` is a number of seconds from {least} to {_MOST_SECONDS}",
                field=f"{field}.{name}",
            )
    for name in ("acr_values", "amr", "issuers"):
        values = getattr(policy, name)
        if values is not None:
            _check_values(values, f"{field}.{name}", may_be_empty=name == "amr")


def challenge(error: OAuthError) -> str:
    """The `WWW-Authenticate` of the step-up error, where a bearer token is asked for.

    RFC 9470, section 3.
    """
    parameters: dict[str, Any] = {"realm": "relata", **error.body()}
    parts = (f'{name}="{value}"' for name, value in parameters.items())
    return f"Bearer {', '.join(parts)}"


def _check_values(values: Iterable[str], field: str, *, may_be_empty: bool) -> None:
    listed = list(values)
    if len(listed) > _MOST_VALUES or not (listed or may_be_empty):
        raise InvalidArgumentError(f"name 1 to {_MOST_VALUES} values, or leave it out", field=field)
    for index, value in enumerate(listed):
        if not 1 <= len(value) <= _MOST_CHARACTERS or not _is_word(value):
            raise InvalidArgumentError(
                f"a value has 1 to {_MOST_CHARACTERS} printable ASCII characters, "
                "without space, quote and backslash",
                field=f"{field}[{index}]",
            )


def _is_word(value: str) -> bool:
    """Whether a value can stand in a list with spaces between, and in a quoted string."""
    return all("!" <= letter <= "~" and letter not in '"\\' for letter in value)


def _is_recent(authentication: Mapping[str, object], max_age: int, now: int) -> bool:
    moment = authentication.get("auth_time")
    return isinstance(moment, int) and now - max_age <= moment <= now + _SKEW_SECONDS


def _methods(authentication: Mapping[str, object]) -> list[str]:
    methods = authentication.get("amr")
    return [str(method) for method in methods] if isinstance(methods, list | tuple) else []


def _least(one: int | None, other: int | None) -> int | None:
    given = [it for it in (one, other) if it is not None]
    return min(given, default=None)


def _common(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What two lists have in common, in the order of the first; all, where one is not given."""
    if one is None or other is None:
        return other if one is None else one
    return tuple(value for value in one if value in other)
