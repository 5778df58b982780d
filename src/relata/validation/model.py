"""What a scenario file says: a schema, relationships, and what must be answered of them.

Everything that was read carries the place that it was read from, so that whatever is found wrong
with it later can be shown there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from relata.engine import Permissionship
from relata.errors import Diagnostic, InvalidArgumentError
from relata.relationships import ObjectRef, Relationship, SubjectRef
from relata.schema.source import Source


class ScenarioError(InvalidArgumentError):
    """A file is no scenario; `diagnostics` holds each fault, in the order of the text."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(str(item) for item in diagnostics))
        self.diagnostics = tuple(diagnostics)


class Text(msgspec.Struct, frozen=True):
    """A text of the file, and the offset in the file of each of its characters."""

    value: str
    at: int
    """Where it begins in the file."""
    offsets: Sequence[int]
    """For every character of the value, and one for its end."""


class SchemaFile(msgspec.Struct, frozen=True):
    """The file that has a scenario's schema."""

    path: Path
    """The real one."""
    shown: Path
    """As the scenario, seen from where it was read, calls it."""
    at: int
    """Where its name stands."""


Schema = Text | SchemaFile


class GivenRelationship(msgspec.Struct, frozen=True):
    """A relationship that the scenario starts from."""

    relationship: Relationship
    at: int


class Assertion(msgspec.Struct, frozen=True):
    """A question and the answer that it must have."""

    group: str
    """The list that it stands in, such as `assertTrue`."""
    expected: Permissionship
    question: Relationship
    context: Mapping[str, Any]
    at: int


class Marked(msgspec.Struct, frozen=True, order=True):
    """A subject, and whether it is there on a condition: `user:anne[...]`."""

    subject: SubjectRef
    conditional: bool = False

    def __str__(self) -> str:
        return f"{self.subject}[...]" if self.conditional else str(self.subject)


class ExpectedSubject(msgspec.Struct, frozen=True):
    """`[user:* - {user:bob}] is <document:readme#viewer>`."""

    who: Marked
    excluded: frozenset[Marked]
    through: frozenset[str]
    """The relations, as `document:readme#viewer`, that have the subject in them."""
    at: int


class ExpectedRelation(msgspec.Struct, frozen=True):
    """Everybody whom a relation or permission of an object must have, and nobody else."""

    resource: ObjectRef
    name: str
    subjects: tuple[ExpectedSubject, ...]
    at: int


class Scenario(msgspec.Struct, frozen=True):
    """A whole scenario file."""

    source: Source
    """The file's text, for places in it."""
    schema: Schema
    relationships: tuple[GivenRelationship, ...] = ()
    assertions: tuple[Assertion, ...] = ()
    expected: tuple[ExpectedRelation, ...] = ()
