"""How fresh an answer must be, and the zed tokens that say how fresh an answer was.

The four choices are Zanzibar's (section 2.4 of the paper, "New Enemy" and zookies) under
SpiceDB's names. A zed token is opaque to its holders: the database it comes from and a revision.
"""

from __future__ import annotations

import base64
import binascii
import enum

import msgspec

from relata.errors import ZedTokenError

_VERSION = "1"
_MAX_TOKEN_CHARACTERS = 256


class Freshness(enum.StrEnum):
    """The four choices."""

    MINIMIZE_LATENCY = "minimize_latency"
    """What this process has in memory."""
    AT_LEAST_AS_FRESH = "at_least_as_fresh"
    """At the revision of a zed token or later."""
    AT_EXACT_SNAPSHOT = "at_exact_snapshot"
    """At the revision of a zed token."""
    FULLY_CONSISTENT = "fully_consistent"
    """At the newest revision that the database has when the question arrives, or later."""


class Consistency(msgspec.Struct, frozen=True):
    """A choice, with the zed token where the choice needs one."""

    freshness: Freshness
    zed_token: str = ""


MINIMIZE_LATENCY = Consistency(Freshness.MINIMIZE_LATENCY)
FULLY_CONSISTENT = Consistency(Freshness.FULLY_CONSISTENT)


def at_least_as_fresh(zed_token: str) -> Consistency:
    """Ask for an answer at the token's revision or later."""
    return Consistency(Freshness.AT_LEAST_AS_FRESH, zed_token)


def at_exact_snapshot(zed_token: str) -> Consistency:
    """Ask for an answer at exactly the token's revision."""
    return Consistency(Freshness.AT_EXACT_SNAPSHOT, zed_token)


def encode_zed_token(datastore_id: str, revision: int) -> str:
    """Make the zed token of a revision of a database."""
    return base64.urlsafe_b64encode(f"{_VERSION}:{datastore_id}:{revision}".encode()).decode()


def decode_zed_token(token: str, datastore_id: str, *, field: str = "consistency") -> int:
    """Read the revision of a zed token.

    Raises ZedTokenError where the token is malformed or comes from another database.
    """
    try:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise ValueError
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
        version, origin, digits = text.split(":")
        if version != _VERSION or not (digits.isascii() and digits.isdigit()):
            raise ValueError
        revision = int(digits)
    except (ValueError, binascii.Error):
        raise ZedTokenError("the zed token is malformed", field=field) from None
    if origin != datastore_id:
        raise ZedTokenError(
            "the zed token comes from another database; ask for a new one", field=field
        )
    return revision
