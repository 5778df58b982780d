"""What is asked of SpiceDB and what it answers, as values that go from process to process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from relata.relationships import ObjectRef, Relationship, SubjectRef


class Check(NamedTuple):
    """Whether a subject has a permission on a resource."""

    resource: ObjectRef
    name: str
    subject: SubjectRef

    def __str__(self) -> str:
        return f"check {self.resource}#{self.name}@{self.subject}"


class Resources(NamedTuple):
    """On which resources of a type a subject has a permission."""

    type: str
    name: str
    subject: SubjectRef

    def __str__(self) -> str:
        return f"resources {self.type}#{self.name}@{self.subject}"


class Subjects(NamedTuple):
    """Which subjects of one kind have a permission on a resource."""

    resource: ObjectRef
    name: str
    type: str
    relation: str

    def __str__(self) -> str:
        return f"subjects {self.resource}#{self.name}@{self.type}#{self.relation}"


class Expansion(NamedTuple):
    """The tree of a permission of a resource."""

    resource: ObjectRef
    name: str

    def __str__(self) -> str:
        return f"expand {self.resource}#{self.name}"


Question = Check | Resources | Subjects | Expansion


class Asked(NamedTuple):
    """Questions about one schema and the relationships stored under it."""

    schema: str
    relationships: tuple[Relationship, ...]
    context: Mapping[str, Any]
    checks: tuple[Check, ...] = ()
    resources: tuple[Resources, ...] = ()
    subjects: tuple[Subjects, ...] = ()
    expansions: tuple[Expansion, ...] = ()

    @property
    def questions(self) -> tuple[Question, ...]:
        """All of them."""
        return (*self.checks, *self.resources, *self.subjects, *self.expansions)


class Refusal(NamedTuple):
    """An error in place of an answer: its gRPC code (`InvalidArgument`) and what it says."""

    code: str
    message: str

    @property
    def kind(self) -> str:
        """Which of the ways to give no answer it is; the message where it is none of them."""
        for text, kind in _REFUSALS.items():
            if text in self.message:
                return kind
        return f"{self.code}: {self.message}"


DEPTH = "too deep"
TIME = "too slow"
CAVEAT = "a caveat failed"
SELF_LOOKUP = "a lookup of resources breaks on `self`"
_REFUSALS = {
    "max depth exceeded": DEPTH,
    "Deadline Exceeded": TIME,
    "context deadline exceeded": TIME,
    "no reply": TIME,
    "cannot call HintForEntrypoint for kind SELF_ENTRYPOINT": SELF_LOOKUP,
    "evaluation error for caveat": CAVEAT,
    "type error for parameters for caveat": CAVEAT,
}

Outcome = bool | frozenset[str] | Refusal
"""Allowed, denied, the names that are missing, or an error."""
Grant = bool | frozenset[str]
"""True, or the names that are missing for it to be true."""


class FoundSubjects(NamedTuple):
    """The subjects that a lookup lists, `*` among them, and those excepted from `*`.

    An exception may itself wait for context: the subject is excepted if it turns out true.
    """

    listed: Mapping[str, Grant]
    excepted: Mapping[str, Grant]


Leaves = tuple[SubjectRef, ...]
"""The subjects in the leaves of an expansion, sorted."""
Found = Outcome | Mapping[str, Grant] | FoundSubjects | Leaves


class Answered(NamedTuple):
    """Answers in the order of the questions."""

    checks: tuple[Outcome, ...]
    resources: tuple[Mapping[str, Grant] | Refusal, ...]
    subjects: tuple[FoundSubjects | Refusal, ...]
    expansions: tuple[Leaves | Refusal, ...]

    @property
    def answers(self) -> tuple[Found, ...]:
        """All of them."""
        return (*self.checks, *self.resources, *self.subjects, *self.expansions)
