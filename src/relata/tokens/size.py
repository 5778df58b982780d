"""The size of a token: a budget in bytes, and what leaves a token that is over it.

Header lines of 8 KB are what many servers and proxies accept, so a token has a budget, counted on
its compact form. A list is never cut off: a token that says half of its permissions lies. A claim
stays as a whole or leaves as a whole, and where it went is said as OpenID Connect Core section
5.6.2 (distributed claims) says it:

    "_claim_names": {"permissions": "relata"},
    "_claim_sources": {"relata": {"endpoint": "https://relata.example/token/permissions"}}

The endpoint is asked with the token itself as bearer. What says the permissions leaves first, all
of it together (`permissions` or its bits, `products`, `scope`), since a scope without the rest
would be read as all there is; then `roles`; then the mapped claims that may leave, the largest
first. What leaves as bits is fetched as names.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from relata.errors import OAuthError
from relata.tokens.bitset import PERMISSIONS_BITS, PRODUCTS_BITS
from relata.tokens.claim_mappings import PROTOCOL_CLAIMS

DEFAULT_BYTES = 4096
MAX_BYTES = 8192
MIN_BYTES = 1024
"""Less than the claims that every token has, and where the others went, would fit seldom."""

SIGNATURE_BYTES: Mapping[str, int] = MappingProxyType({"ES256": 64, "EdDSA": 64, "RS256": 256})
"""How long signatures are: RFC 7518 section 3.4, RFC 8032 section 5.1.6, RSA with 2048 bits."""

SOURCE = "relata"
"""The name of the one source in `_claim_sources`."""

_FETCHED_AS = MappingProxyType({PERMISSIONS_BITS: "permissions", PRODUCTS_BITS: "products"})
_PERMISSIONS = ("permissions", PERMISSIONS_BITS, "products", PRODUCTS_BITS, "scope")
_ROLES = ("roles",)


class Fitted(NamedTuple):
    """The claims of a token that keeps to its budget."""

    claims: dict[str, object]
    overage: bool
    """Whether claims have left."""


def fitted(
    claims: Mapping[str, object],
    *,
    budget: int,
    envelope: int,
    endpoint: str,
    may_leave: Collection[str] = (),
) -> Fitted:
    """Return claims with which a token has at most `budget` bytes.

    `envelope` is what the token has besides its claims (`envelope_bytes`), `endpoint` the address
    that answers with what has left, and `may_leave` the claims that may leave besides permissions
    and roles.

    Raises OAuthError, naming the largest claim, where the token is too large even so:
    `invalid_request` where the claim comes with the request, `server_error` where it comes from
    the configuration.
    """
    room = budget - envelope
    if encoded_bytes(claims) <= room:
        return Fitted(dict(claims), overage=False)
    gone: list[str] = []
    for group in _leaving(claims, may_leave):
        gone.extend(group)
        smaller = _without(claims, gone, endpoint)
        if encoded_bytes(smaller) <= room:
            return Fitted(smaller, overage=True)
    raise _too_large({name: claims[name] for name in claims if name not in gone}, budget)


def envelope_bytes(header: Mapping[str, object], signature_bytes: int) -> int:
    """How many bytes a compact JWS has besides its payload (RFC 7515, section 7.1)."""
    return encoded_bytes(header) + base64url_bytes(signature_bytes) + len("..")


def encoded_bytes(value: Mapping[str, object]) -> int:
    """How many bytes JSON has in a compact JWS, at most: letters beyond ASCII may be escaped."""
    return base64url_bytes(len(json.dumps(value, separators=(",", ":"))))


def base64url_bytes(length: int) -> int:
    """How many characters bytes have in base64url without padding."""
    return (4 * length + 2) // 3


def _leaving(claims: Mapping[str, object], may_leave: Collection[str]) -> Iterator[list[str]]:
    """The claims that may leave, in the order in which they do; what says nothing stays."""
    for group in (_PERMISSIONS, _ROLES):
        if told := [name for name in group if claims.get(name)]:
            yield told
    others = [name for name in may_leave if name in claims]
    for name in sorted(others, key=lambda name: (-encoded_bytes({name: claims[name]}), name)):
        yield [name]


def _without(
    claims: Mapping[str, object], gone: Collection[str], endpoint: str
) -> dict[str, object]:
    kept = {name: value for name, value in claims.items() if name not in gone}
    names = {_FETCHED_AS.get(name, name): SOURCE for name in gone}
    return {**kept, "_claim_names": names, "_claim_sources": {SOURCE: {"endpoint": endpoint}}}


def _too_large(claims: Mapping[str, object], budget: int) -> OAuthError:
    largest = max(claims, key=lambda name: encoded_bytes({name: claims[name]}))
    return OAuthError(
        "invalid_request" if largest in PROTOCOL_CLAIMS else "server_error",
        f"the claim `{largest}` is too large for a token of {budget} bytes",
    )
