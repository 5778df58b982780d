"""Who asks: the API key of a request, and whether its scopes suffice.

The rule: a key comes as `Authorization: Bearer <key>` (RFC 6750 section 2.1) and nowhere else. A
route names the scopes that open it, any one of which is enough; `admin` opens every route.
Missing and bad keys are told apart only by the challenge, as RFC 6750 section 3 asks.

A key that is bound to an organization opens only the routes that say so with `inside(...)`, which
then take the authorizer as `fields.Inside` gives it. Every other route
refuses it, also one that is added without a thought of such keys.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Depends, Security, params
from fastapi.security import HTTPBearer

from relata.api_keys import ApiKeys
from relata.bounds import OutsideError
from relata.errors import ScopeError
from relata.server.problems import Refusal
from relata.store import StoredKey

_SCHEME = HTTPBearer(
    auto_error=False, scheme_name="key", description="An API key, made with `POST /keys`."
)


def needs(*scopes: str) -> params.Security:
    """Declare the scopes of which a key needs one; `routing.Guarded` holds the route to it."""
    security: params.Security = Security(_SCHEME, scopes=list(scopes))
    return security


class Inside:
    """Marks a route as one that keys which are bound to an organization may open."""

    def __init__(self, scopes: Iterable[str]) -> None:
        self.scopes = frozenset(scopes)

    async def __call__(self) -> None:
        """Do nothing: `routing.Guarded` reads the mark."""


def inside(*scopes: str) -> params.Depends:
    """Declare the scopes of which a bound key needs one."""
    marked: params.Depends = Depends(Inside(scopes))
    return marked


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Read the bearer credential of a request; None where there is not exactly one."""
    values = [value for name, value in headers if name == b"authorization"]
    credential = credential_of(values[0]) if len(values) == 1 else None
    return None if credential is None else credential.decode()


def credential_of(value: bytes) -> bytes | None:
    """Read the value of an `Authorization` header; None where it has no bearer credential."""
    scheme, _, credential = value.partition(b" ")
    credential = credential.strip(b" ")
    if scheme.lower() != b"bearer" or not credential or not credential.isascii():
        return None
    return credential


def missing(what: str) -> Refusal:
    """Make the refusal of a request without a credential; it has no error code (RFC 6750)."""
    return Refusal(
        "unauthenticated",
        f"send {what} as `Authorization: Bearer ...`",
        headers={"WWW-Authenticate": 'Bearer realm="relata"'},
    )


def permits(key: StoredKey, wanted: frozenset[str]) -> bool:
    """Whether a key has any one of the wanted scopes."""
    return any(ApiKeys.allows(key, scope) for scope in wanted)


def admit(
    keys: ApiKeys,
    headers: Iterable[tuple[bytes, bytes]],
    wanted: frozenset[str],
    inside: frozenset[str] = frozenset(),
) -> StoredKey:
    """Let a request pass whose key has one of the wanted scopes; return the key.

    `inside` are those of a key that is bound to an organization.

    Raises Refusal without a key, AuthenticationError with a bad one, ScopeError with one that
    lacks the scope, OutsideError with a bound one where there is nothing for it.
    """
    presented = bearer(headers)
    if presented is None:
        raise missing("an API key")
    key = keys.authenticate(presented)
    if key.organization and not inside:
        raise OutsideError
    needed = inside if key.organization else wanted
    if not permits(key, needed):
        names = " or ".join(f"`{scope}`" for scope in sorted(needed))
        raise ScopeError(f"the key needs the scope {names}")
    return key
