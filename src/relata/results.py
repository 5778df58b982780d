"""What the authorizer returns: each answer with the zed token of the revision it is true at."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from relata.engine import ExpandNode, ExplainNode, Permissionship
from relata.errors import RelataError
from relata.relationships import Kind, Relationship
from relata.schema.diff import SchemaDiff


class CheckResult(msgspec.Struct, frozen=True):
    """The answer to a check; a conditional one says which parameters of caveats are missing."""

    permissionship: Permissionship
    checked_at: str
    missing_context: tuple[str, ...] = ()
    explanation: ExplainNode | None = None
    """Why, where that was asked for."""

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
    """Ids of resources, sorted. With a `cursor` there are more.

    `conditional` has further ids, by which the question is allowed once the context that each is
    listed with is given.
    """

    resource_ids: tuple[str, ...]
    looked_up_at: str
    cursor: str | None = None
    conditional: Mapping[str, tuple[str, ...]] = {}


class SubjectsResult(msgspec.Struct, frozen=True):
    """Ids of subjects, sorted, and with `wildcard` everybody but the excluded and the conditional.

    `conditional` has further ids, each with the context that it lacks. The three lists are of
    different ids, and their limit is one for all of them. With a `cursor` there are more, excluded
    ones too: only all pages together say whom a wildcard leaves out. What is said of the wildcard
    is the same on every page.
    """

    subject_ids: tuple[str, ...]
    wildcard: bool
    excluded_ids: tuple[str, ...]
    looked_up_at: str
    cursor: str | None = None
    conditional: Mapping[str, tuple[str, ...]] = {}
    wildcard_missing_context: tuple[str, ...] | None = None
    """What everybody else lacks, where everybody else has it on a condition; otherwise None."""


class PermissionsResult(msgspec.Struct, frozen=True):
    """Names of permissions, sorted, and those that lack context, with what they lack."""

    permissions: tuple[str, ...]
    looked_up_at: str
    conditional: Mapping[str, tuple[str, ...]] = {}


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


class SchemaDiffResult(msgspec.Struct, frozen=True):
    """What another schema would change.

    `blocked_by` has a stored relationship of each kind that is in its way; while there are any,
    it cannot be written. `compared_at` is the zed token of the schema in force.
    """

    diff: SchemaDiff
    blocked_by: Mapping[Kind, Relationship]
    compared_at: str
