"""Holds any evaluator to the reference: every question about a small world, asked both ways.

One function, `disagreements`, is used for the engine (where it must find nothing) and for the
broken evaluators in `tests/mutants/` (where it must find something).

Checks and lookups of resources and permissions are compared as sets. A lookup of subjects beside a
wildcard is compared by what it covers: an id is covered that is listed, or that the wildcard covers
and that is not listed as excluded. What is listed must be allowed, what is excluded denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from relata.relationships import ObjectRef, SubjectRef
from tests.reference.evaluator import FoundSubjects, Reference, names


class Answers(Protocol):
    """Something that answers questions over one schema and one collection of relationships."""

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> bool: ...

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> Iterable[str]: ...

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str
    ) -> FoundSubjects: ...

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> Iterable[str]: ...


def disagreements(reference: Reference, answers: Answers) -> Iterator[str]:
    """Every question that the two answer differently, with both answers, as text.

    The questions are all those about the reference's objects: each as a resource, each as a
    subject by itself and with each of its names.
    """
    universe = Universe(reference)
    yield from _checks(reference, answers, universe)
    yield from _resources(reference, answers, universe)
    yield from _subjects(reference, answers, universe)
    yield from _permissions(reference, answers, universe)


class Universe:
    """The resources, subjects and kinds of subject that questions are made of."""

    def __init__(self, reference: Reference) -> None:
        definitions = reference.schema.definitions
        self.objects: Sequence[ObjectRef] = sorted(reference.objects)
        self.resources = [(o, name) for o in self.objects for name in names(definitions[o.type])]
        self.subjects = [SubjectRef(o.type, o.id) for o in self.objects]
        self.subjects += [SubjectRef(o.type, o.id, name) for o, name in self.resources]
        self.sets = [(type_, name) for type_ in definitions for name in names(definitions[type_])]
        self.kinds = [(type_, "") for type_ in definitions] + self.sets


def _checks(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for resource, name in universe.resources:
        for subject in universe.subjects:
            right = reference.check(resource, name, subject)
            if answers.check(resource, name, subject) is not right:
                yield f"check {resource}#{name}@{subject} should be {right}"


def _resources(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for type_, name in universe.sets:
        for subject in universe.subjects:
            right = sorted(reference.lookup_resources(type_, name, subject))
            found = list(answers.lookup_resources(type_, name, subject))
            if found != right:
                yield f"resources {type_}#{name}@{subject} are {found}, should be {right}"


def _subjects(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for resource, name in universe.resources:
        for type_, relation in universe.kinds:
            right = reference.lookup_subjects(resource, name, type_, relation)
            found = answers.lookup_subjects(resource, name, type_, relation)
            ids = {o.id for o in universe.objects if o.type == type_}
            if not _covers_the_same(found, right, ids):
                question = f"subjects {resource}#{name}@{type_}#{relation}"
                yield f"{question} are {found}, should be {right}"


def _covers_the_same(found: FoundSubjects, right: FoundSubjects, ids: set[str]) -> bool:
    covered = found.ids | (ids - found.excluded if found.wildcard else set())
    return (
        found.wildcard is right.wildcard
        and covered == right.ids
        and found.ids.isdisjoint(found.excluded)
        and (found.wildcard or not found.excluded)
    )


def _permissions(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for resource in universe.objects:
        for subject in universe.subjects:
            right = sorted(reference.lookup_permissions(resource, subject))
            found = list(answers.lookup_permissions(resource, subject))
            if found != right:
                yield f"permissions {resource}@{subject} are {found}, should be {right}"
