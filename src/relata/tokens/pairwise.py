"""Subject identifiers that differ from organization to organization (OpenID Connect Core, 8.1).

An organization shares its users with those above it, or keeps them apart. Where they are kept
apart, the `sub` of a token is made of the real subject and the *sector*: the nearest organization,
itself or above, that keeps them apart. Those below it that share its users have its sector, so a
user has one `sub` in all of them.

    sub = base64url(HMAC-SHA-256(key, length of the sector || sector || subject))

It is the same each time, 43 characters of `A-Z a-z 0-9 - _`, and without the server's secret
nobody can tell whether two of them are the same user's, or try out whose one is. The graph is
always asked about the real subject.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

import msgspec

from relata.errors import InvalidArgumentError, StoreError
from relata.relationships import ObjectRef, SubjectRef
from relata.store import Store
from relata.tokens.ancestry import Ancestry

Users = Literal["shared", "pairwise"]

_PURPOSE = b"relata pairwise subject identifiers, 1"
_LEAST_SECRET_BYTES = 32


class PairwiseSubjects:
    """Makes subject identifiers under a secret, which has 32 random octets or more.

    With another secret all of them change; so it is kept for as long as they are to last.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _LEAST_SECRET_BYTES:
            raise InvalidArgumentError(
                f"a secret for pairwise subjects has {_LEAST_SECRET_BYTES} octets or more",
                field="secret",
            )
        # A key of its own, so that the secret may serve other purposes too.
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)

    def of(self, subject: SubjectRef | ObjectRef | str, sector: str) -> str:
        """The identifier of a subject (`user:anne`) in a sector, which is an organization's id."""
        first = sector.encode()
        message = len(first).to_bytes(8, "big") + first + str(subject).encode()
        digest = hmac.digest(self._key, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Sectors:
    """The sectors of the organizations of a store."""

    def __init__(self, store: Store, ancestry: Ancestry | None = None) -> None:
        self._store = store
        self._ancestry = ancestry or Ancestry(store)

    def of(self, organization: str) -> str:
        """The sector of an organization; empty where its users are shared with everybody.

        Raises StoreError where a stored organization is malformed.
        """
        for one in self._ancestry.of(organization):
            if self._users(one) == "pairwise":
                return one
        return ""

    def _users(self, organization: str) -> Users:
        stored = self._store.records.get("organization", organization)
        if stored is None:
            return "shared"
        try:
            return msgspec.json.decode(stored, type=_Recorded).users
        except msgspec.MsgspecError as error:
            raise StoreError("a stored organization is malformed; store it again") from error


class _Recorded(msgspec.Struct, frozen=True):
    users: Users = "shared"
