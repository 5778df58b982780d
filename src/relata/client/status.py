"""Reading Token Status Lists (draft-ietf-oauth-status-list-21, sections 4 and 8.3).

A list's compressed octets are read up to a limit, so a small list cannot become a large one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from relata.client.documents import FetchError
from relata.tokens import base64url

MAX_OCTETS = 1 << 20
"""How many octets a list may have: eight million tokens at one bit each."""
DEFAULT_TTL_SECONDS = 60.0
_MAX_TTL_SECONDS = 86_400.0


class Reference(msgspec.Struct, frozen=True):
    """Where the status of a token stands (section 6.1)."""

    idx: int
    uri: str


class StatusList(msgspec.Struct, frozen=True):
    """The states of tokens by their index."""

    bits: int
    octets: bytes

    def state(self, index: int) -> int | None:
        """Return the state at an index, None where the list is shorter (section 8.3)."""
        per_octet = 8 // self.bits
        octet, place = divmod(index, per_octet)
        if not 0 <= octet < len(self.octets):
            return None
        return self.octets[octet] >> (place * self.bits) & ((1 << self.bits) - 1)


def read_reference(claims: Mapping[str, Any]) -> Reference | None:
    """Return where a token's status stands, None where its claims do not say.

    Raises ValueError where the claim is malformed, or of a kind that is not known.
    """
    status = claims.get("status")
    if status is None:
        return None
    if not isinstance(status, dict) or "status_list" not in status:
        raise ValueError("its `status` is of an unknown kind")
    reference = msgspec.convert(status["status_list"], Reference)
    if reference.idx < 0:
        raise ValueError("its index is negative")
    return reference


def read_list(claims: Mapping[str, Any]) -> StatusList:
    """Return the list that a verified status list token has. Raises FetchError."""
    found = claims.get("status_list")
    bits = found.get("bits") if isinstance(found, dict) else None
    lst = found.get("lst") if isinstance(found, dict) else None
    if bits not in (1, 2, 4, 8) or not isinstance(lst, str):
        raise FetchError("the status list is malformed")
    return StatusList(int(bits), _inflated(lst))


def ttl_of(claims: Mapping[str, Any]) -> float:
    """Return for how many seconds a list may be cached."""
    ttl = claims.get("ttl")
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not ttl > 0:
        return DEFAULT_TTL_SECONDS
    return min(float(ttl), _MAX_TTL_SECONDS)


def _inflated(lst: str) -> bytes:
    inflating = zlib.decompressobj()
    try:
        octets = inflating.decompress(base64url.decode(lst), MAX_OCTETS)
    except (zlib.error, ValueError) as error:
        raise FetchError("the status list is not compressed as it should be") from error
    if not inflating.eof:
        raise FetchError("the status list is cut off, or too long")
    return octets
