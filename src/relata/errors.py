"""Every error that Relata raises on purpose.

    RelataError
    ├── SchemaError
    │   ├── SchemaParseError            schema_parse_error
    │   ├── SchemaTypeError             schema_type_error
    │   ├── SchemaMissingError          schema_missing
    │   └── SchemaStrandsError          schema_strands_relationships
    ├── InvalidArgumentError            invalid_argument
    │   ├── UnknownDefinitionError      unknown_definition
    │   ├── UnknownRelationError        unknown_relation
    │   ├── SubjectNotAllowedError      subject_not_allowed
    │   ├── UnknownCaveatError          unknown_caveat
    │   ├── ContextError                invalid_context
    │   ├── PermissionNotWritableError  permission_not_writable
    │   ├── QuestionOnlyError           question_only_relation
    │   ├── CursorError                 invalid_cursor
    │   └── ZedTokenError               invalid_zed_token
    ├── ConflictError
    │   ├── RelationshipExistsError     relationship_exists
    │   ├── PreconditionFailedError     precondition_failed
    │   ├── OrganizationConflictError   organization_conflict
    │   ├── AudienceConflictError       audience_conflict
    │   └── WriteConflictError          write_conflict
    ├── CaveatFailedError               caveat_failed
    ├── LimitExceededError              limit_exceeded
    ├── SnapshotUnavailableError        snapshot_unavailable
    ├── NotFreshError                   not_fresh
    ├── AuthenticationError             unauthenticated
    ├── ScopeError                      insufficient_scope
    ├── NotFoundError                   not_found
    ├── OAuthError                      (the OAuth error code)
    └── StoreError                      store_error

A class's `code` is stable: programs may depend on it, messages may improve. Messages are in
lower case, without a full stop, with what the caller sent in backticks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec


class RelataError(Exception):
    """The root of the tree.

    `message` says what is wrong and, where there is something to do, what to do next.
    `field` names the part of the input that is wrong (`updates[3].relationship`), or is None.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def within(self, prefix: str) -> RelataError:
        """Return this error with its field placed under `prefix` (`updates[3]`)."""
        if self.field is None:
            self.field = prefix
        elif self.field.startswith("["):
            self.field = f"{prefix}{self.field}"
        else:
            self.field = f"{prefix}.{self.field}"
        return self


class Diagnostic(msgspec.Struct, frozen=True):
    """One thing wrong with a schema's text, at a place. Lines and columns count from 1."""

    message: str
    source: str
    line: int
    column: int
    excerpt: str = ""
    """The line with a caret under the column, ready to print; empty where there is no text."""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}:{self.column}: {self.message}"
        return f"{where}\n{self.excerpt}" if self.excerpt else where


class SchemaError(RelataError):
    """A schema cannot be used."""


class _DiagnosedError(SchemaError):
    """A schema's text is wrong; `diagnostics` holds each fault, in the order of the text."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(str(item) for item in diagnostics), field="schema")
        self.diagnostics = tuple(diagnostics)


class SchemaParseError(_DiagnosedError):
    """The text does not follow the grammar."""

    code = "schema_parse_error"


class SchemaTypeError(_DiagnosedError):
    """The text parses, but its names or types do not fit together."""

    code = "schema_type_error"


class SchemaMissingError(SchemaError):
    """No schema has been written yet."""

    code = "schema_missing"


class SchemaStrandsError(SchemaError):
    """A new schema would leave a stored relationship without a meaning; `relationship` is one."""

    code = "schema_strands_relationships"

    def __init__(self, message: str, *, relationship: str) -> None:
        super().__init__(message, field="schema")
        self.relationship = relationship


class InvalidArgumentError(RelataError):
    """Something that the caller sent is malformed or does not fit the schema."""

    code = "invalid_argument"


class UnknownDefinitionError(InvalidArgumentError):
    """The schema has no such definition."""

    code = "unknown_definition"


class UnknownRelationError(InvalidArgumentError):
    """The definition has no such relation or permission."""

    code = "unknown_relation"


class SubjectNotAllowedError(InvalidArgumentError):
    """The relation does not allow subjects of this kind."""

    code = "subject_not_allowed"


class UnknownCaveatError(InvalidArgumentError):
    """The schema has no such caveat."""

    code = "unknown_caveat"


class ContextError(InvalidArgumentError):
    """A caveat's context names a parameter that it has not, or a value of another type."""

    code = "invalid_context"


class PermissionNotWritableError(InvalidArgumentError):
    """A relationship names a permission; only relations hold relationships."""

    code = "permission_not_writable"


class QuestionOnlyError(InvalidArgumentError):
    """A relation that exists only for a question was about to be stored or misused."""

    code = "question_only_relation"


class CursorError(InvalidArgumentError):
    """A cursor is malformed or belongs to another question."""

    code = "invalid_cursor"


class ZedTokenError(InvalidArgumentError):
    """A zed token is malformed, or comes from another database."""

    code = "invalid_zed_token"


class ConflictError(RelataError):
    """The stored state does not permit the write."""


class RelationshipExistsError(ConflictError):
    """A `create` met a relationship that is already there."""

    code = "relationship_exists"


class PreconditionFailedError(ConflictError):
    """A precondition of the write does not hold."""

    code = "precondition_failed"


class OrganizationConflictError(ConflictError):
    """An organization is in the way: one of that name, those below it, or one being deleted."""

    code = "organization_conflict"


class AudienceConflictError(ConflictError):
    """A registered audience is in the way: one of that id, or one that shares a name with it."""

    code = "audience_conflict"


class WriteConflictError(ConflictError):
    """Another writer was in the way; the same write may succeed when tried again."""

    code = "write_conflict"


class CaveatFailedError(RelataError):
    """A caveat on which the answer depends has no value for its context: a division by zero, an
    index past the end, more work than is allowed. It is never answered as a denial."""

    code = "caveat_failed"


class LimitExceededError(RelataError):
    """A limit was hit. It is never answered as a denial."""

    code = "limit_exceeded"


class SnapshotUnavailableError(RelataError):
    """The revision asked for does not exist, or not yet."""

    code = "snapshot_unavailable"


class NotFreshError(RelataError):
    """The graph did not reach the revision asked for in time."""

    code = "not_fresh"


class AuthenticationError(RelataError):
    """No key or token was given, or it is not a good one."""

    code = "unauthenticated"


class ScopeError(RelataError):
    """The key is good but lacks the scope that the operation needs."""

    code = "insufficient_scope"


class NotFoundError(RelataError):
    """There is no such thing."""

    code = "not_found"


class OAuthError(RelataError):
    """A token request is refused; `error` is the code of RFC 6749, RFC 8693 or RFC 8707.

    `extra` holds further members of the answer, such as the organizations to choose from.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        field: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(description, field=field)
        self.error = error
        self.extra = dict(extra or {})

    def body(self) -> dict[str, object]:
        """Return the members of the error response, RFC 6749 section 5.2.

        Characters that the section forbids in a description are replaced by `?`.
        """
        description = "".join(
            letter if " " <= letter <= "~" and letter not in '"\\' else "?"
            for letter in self.message
        )
        return {"error": self.error, "error_description": description, **self.extra}


class StoreError(RelataError):
    """The database cannot be used as it is."""

    code = "store_error"
