"""Holds any evaluator to the reference: every question about a small world, asked both ways.

One function, `disagreements`, is used for the engine (where it must find nothing) and for the
broken evaluators in `tests/mutants/` (where it must find something).

Answers are compared whole: allowed, denied, or the names that are missing. A lookup of subjects is
compared by what it says of each id, listed or covered by the wildcard, and of the wildcard itself.
A lookup fails, as a check does, where one of its answers rests on a caveat that has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from relata.relationships import ObjectRef, SubjectRef
from tests.reference.evaluator import Answer, Reference, names

Found = Mapping[str, bool | frozenset[str]]
"""Answers by id."""


class Answers(Protocol):
    """Something that answers questions over one schema and one collection of relationships.

    An answer that rests on a caveat that has failed is None; so is a list with such an answer.
    """

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> Answer: ...

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> Found | None: ...

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str, ids: Iterable[str]
    ) -> Found | None: ...

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> Found | None: ...


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
            found = answers.check(resource, name, subject)
            if found != right:
                yield f"check {resource}#{name}@{subject} is {found}, should be {right}"


def _resources(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for type_, name in universe.sets:
        for subject in universe.subjects:
            right = _whole(reference.lookup_resources(type_, name, subject))
            found = answers.lookup_resources(type_, name, subject)
            if found != right:
                yield f"resources {type_}#{name}@{subject} are {found}, should be {right}"


def _subjects(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for resource, name in universe.resources:
        for type_, relation in universe.kinds:
            right = _whole(reference.lookup_subjects(resource, name, type_, relation))
            ids = [o.id for o in universe.objects if o.type == type_]
            found = answers.lookup_subjects(resource, name, type_, relation, ids)
            if found != right:
                question = f"subjects {resource}#{name}@{type_}#{relation}"
                yield f"{question} are {found}, should be {right}"


def _permissions(reference: Reference, answers: Answers, universe: Universe) -> Iterator[str]:
    for resource in universe.objects:
        for subject in universe.subjects:
            right = _whole(reference.lookup_permissions(resource, subject))
            found = answers.lookup_permissions(resource, subject)
            if found != right:
                yield f"permissions {resource}@{subject} are {found}, should be {right}"


def _whole(answers: Mapping[str, Answer]) -> Found | None:
    """A list of answers; None where one of them has failed."""
    known = {id_: answer for id_, answer in answers.items() if answer is not None}
    return known if len(known) == len(answers) else None
