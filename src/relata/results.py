"""What the authorizer returns: each answer with the zed token of the revision it is true at."""

from __future__ import annotations

import msgspec

from relata.engine import ExpandNode, Permissionship
from relata.errors import RelataError
from relata.relationships import Relationship


class CheckResult(msgspec.Struct, frozen=True):
    """The answer to a check."""

    permissionship: Permissionship
    checked_at: str

    @property
    def allowed(self) -> bool:
        """Whether the answer is a plain yes."""
        return self.permissionship is Permissionship.ALLOWED


class CheckManyResult(msgspec.Struct, frozen=True):
    """The answers to several checks, in order and at one revision.

    A question that cannot be answered has its error in its place, and the others their answers.
    """

    answers: tuple[CheckResult | RelataError, ...]
    checked_at: str


class ExpandResult(msgspec.Struct, frozen=True):
    """The tree of who is in a permission."""

    tree: ExpandNode
    expanded_at: str


class ResourcesResult(msgspec.Struct, frozen=True):
    """Ids of resources, sorted. With a `cursor` there are more."""

    resource_ids: tuple[str, ...]
    looked_up_at: str
    cursor: str | None = None


class SubjectsResult(msgspec.Struct, frozen=True):
    """Ids of subjects, sorted, and with `wildcard` everybody but the excluded.

    With a `cursor` there are more ids; `wildcard` and `excluded_ids` are whole on every page.
    """

    subject_ids: tuple[str, ...]
    wildcard: bool
    excluded_ids: tuple[str, ...]
    looked_up_at: str
    cursor: str | None = None


class PermissionsResult(msgspec.Struct, frozen=True):
    """Names of permissions, sorted."""

    permissions: tuple[str, ...]
    looked_up_at: str


class WriteResult(msgspec.Struct, frozen=True):
    """The zed token of a write."""

    written_at: str


class DeleteResult(msgspec.Struct, frozen=True):
    """How many relationships a delete removed; `complete` is false where its limit left some."""

    deleted_at: str
    deleted: int
    complete: bool


class ReadResult(msgspec.Struct, frozen=True):
    """Stored relationships, in the order they were written. With a `cursor` there are more."""

    relationships: tuple[Relationship, ...]
    read_at: str
    cursor: str | None = None


class SchemaResult(msgspec.Struct, frozen=True):
    """A schema's text and the zed token of the revision it was read or written at."""

    text: str
    zed_token: str
