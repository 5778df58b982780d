"""Organizations as they are stored: a document each, beside what the graph says of them.

The graph says who belongs to an organization and what it may do; the document what it is called,
what its attributes are, and what is asked of tokens for it. An organization of which the graph
speaks need not have a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from relata.errors import InvalidArgumentError, StoreError, WriteConflictError
from relata.store import Connection, Store
from relata.tokens.pairwise import Users
from relata.tokens.policy import Policy, check_policy

KIND = "organization"
MAX_ATTRIBUTES_BYTES = 8_192
_MAX_NAME_CHARACTERS = 200
_LOCK = b"{}"


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization, but for what the graph says of it."""

    id: str
    name: str = ""
    parent: str = ""
    """The organization that it was created under; empty for none."""
    attributes: Mapping[str, Any] = {}
    """What JSON has, for claims of tokens and for whoever asks."""
    users: Users = "shared"
    """Whether its users have the `sub` that they have above it, or one of its own."""
    policy: Policy = Policy()
    created_at: int
    """In seconds since 1970."""
    revision: int
    """The newest revision that is from before it."""
    deleting: bool = False
    """Whether its deletion has begun; it goes on when it is deleted again."""


class OrganizationRecords:
    """The stored organizations of a store."""

    def __init__(self, store: Store) -> None:
        self._records = store.records

    def get(self, organization: str) -> Organization | None:
        """A stored organization; None where there is none. Raises StoreError."""
        stored = self._records.get(KIND, organization)
        return None if stored is None else _read(stored)

    def list(self, *, after: str = "", limit: int = 1_000) -> tuple[Organization, ...]:
        """Stored organizations by id, at most `limit`, from the one after `after`."""
        stored = self._records.list(KIND, after=after, limit=limit)
        return tuple(_read(value) for _, value in stored)

    def reserve(self, organization: str, connection: Connection) -> bool:
        """Take an id in a transaction, which is the only writer from then on; False if taken."""
        return self._records.put(KIND, organization, _LOCK, expected=None, connection=connection)

    def put(self, organization: Organization, connection: Connection | None = None) -> None:
        """Store an organization, whatever was there."""
        value = msgspec.json.encode(organization)
        self._records.put(KIND, organization.id, value, connection=connection)

    def replace(self, present: Organization | None, organization: Organization) -> None:
        """Store an organization in the place of the one that was read.

        Raises WriteConflictError where that is no longer there as it was.
        """
        value = msgspec.json.encode(organization)
        expected = None if present is None else msgspec.json.encode(present)
        if not self._records.put(KIND, organization.id, value, expected=expected):
            raise WriteConflictError(
                f"the organization `{organization.id}` was changed by somebody else; try again"
            )

    def delete(self, organization: str) -> bool:
        """Forget an organization; return whether there was one."""
        return self._records.delete(KIND, organization)


def check_organization(organization: Organization) -> None:
    """Refuse what cannot be stored. Raises InvalidArgumentError, naming the field."""
    name = organization.name
    if len(name) > _MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidArgumentError(
            f"a name has at most {_MAX_NAME_CHARACTERS} printable characters", field="name"
        )
    try:
        size = len(msgspec.json.encode(organization.attributes))
    except (UnicodeEncodeError, RecursionError, TypeError, ValueError):
        raise InvalidArgumentError(
            "the attributes are not what JSON has, or are nested too deep", field="attributes"
        ) from None
    if size > MAX_ATTRIBUTES_BYTES:
        raise InvalidArgumentError(
            f"the attributes are longer than {MAX_ATTRIBUTES_BYTES} bytes as JSON",
            field="attributes",
        )
    check_policy(organization.policy)


def _read(stored: bytes) -> Organization:
    try:
        return msgspec.json.decode(stored, type=Organization)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise StoreError("a stored organization is malformed; store it again") from error
