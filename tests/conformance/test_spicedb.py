"""SpiceDB's consistency scenarios through `Relata`: what its own suite checks on every one.

Assertions, reads, writes, expansion, and every lookup against the full cross product of checks,
whole and in pages of one and two. The reference stands beside: it must give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relata import Relata
from relata.engine import ExpandNode
from relata.errors import SchemaUnsupportedError
from relata.relationships import (
    ObjectRef,
    Precondition,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    touch,
)
from relata.schema import compile_schema
from tests.conformance import scenarios
from tests.conformance.scenarios import Scenario
from tests.reference.compare import disagreements
from tests.reference.evaluator import FoundSubjects, Reference, names

pytestmark = pytest.mark.skipif(not scenarios.FOLDER.exists(), reason=scenarios.ABSENT)

FILES = scenarios.files()
RUNNABLE = [path for path in FILES if not scenarios.uses_unsupported(path)]
LEAST_RUNNABLE = 30
PAGES = (None, 1, 2)


class Opened:
    """A scenario loaded into a private database, and the reference over the same."""

    def __init__(self, relata: Relata, scenario: Scenario) -> None:
        self.relata = relata
        self.scenario = scenario
        unseen = [ObjectRef(type_, "unseen") for type_ in relata.schema.definitions]
        objects = [*scenario.objects, *unseen]
        self.reference = Reference(relata.schema, scenario.relationships, objects)


@pytest.fixture(scope="module", params=RUNNABLE, ids=[path.stem for path in RUNNABLE])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Each runnable scenario in turn."""
    scenario = scenarios.read(request.param)
    with Relata.open("sqlite://", schema=scenario.schema) as relata:
        relata.write(scenario.relationships)
        yield Opened(relata, scenario)


class PagedAnswers:
    """`Relata` as `Answers`, its lookups fetched in pages."""

    def __init__(self, relata: Relata, page: int | None) -> None:
        self._relata = relata
        self._page = page

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> bool:
        return self._relata.check(resource, name, subject).allowed

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            found = self._relata.lookup_resources(
                type_, name, subject, limit=self._page, cursor=cursor
            )
            ids += self._at_most_a_page(found.resource_ids)
            cursor = found.cursor
            if cursor is None:
                return ids

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str
    ) -> FoundSubjects:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            found = self._relata.lookup_subjects(
                resource, name, type_, relation, limit=self._page, cursor=cursor
            )
            ids += self._at_most_a_page(found.subject_ids)
            cursor = found.cursor
            if cursor is None:
                assert ids == sorted(set(ids))
                return FoundSubjects(frozenset(ids), found.wildcard, frozenset(found.excluded_ids))

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> tuple[str, ...]:
        return self._relata.lookup_permissions(resource, subject).permissions

    def _at_most_a_page(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        assert self._page is None or len(ids) <= self._page
        return ids


def test_assertions_hold(opened: Opened) -> None:
    """Each assertion, by check and by both lookups."""
    answers = PagedAnswers(opened.relata, None)
    scenario = opened.scenario
    for assertion in (*scenario.allowed, *scenario.denied):
        resource, name, subject = assertion.resource, assertion.relation, assertion.subject
        expected = assertion in scenario.allowed
        resources = answers.lookup_resources(resource.type, name, subject)
        found = answers.lookup_subjects(resource, name, subject.type, subject.relation)
        listed = subject.id in found.ids or (found.wildcard and subject.id not in found.excluded)
        assert answers.check(resource, name, subject) is expected, assertion
        assert (resource.id in resources) is expected, assertion
        assert listed is expected, assertion


@pytest.mark.parametrize("page", PAGES)
def test_lookups_equal_checks_and_the_reference(opened: Opened, page: int | None) -> None:
    """The full cross product of checks, and every lookup, whole and in pages."""
    assert list(disagreements(opened.reference, PagedAnswers(opened.relata, page))) == []


def test_every_expansion_holds_exactly_whom_checks_allow(opened: Opened) -> None:
    """Expanding a name all the way down gives the subjects that checks of it allow."""
    definitions = opened.relata.schema.definitions
    for resource in opened.reference.objects:
        for name in names(definitions[resource.type]):
            allowed = {s for s in opened.reference.sets[resource, name] if not s.relation}
            assert expanded(opened, resource, name) == allowed, (resource, name)


def test_every_relationship_is_read_back(opened: Opened) -> None:
    """Reading by resource type, in pages of two, returns what was written and nothing else."""
    read: list[Relationship] = []
    for type_ in opened.relata.schema.definitions:
        cursor = None
        while True:
            page = opened.relata.read(
                RelationshipFilter(resource_type=type_), limit=2, cursor=cursor
            )
            read += page.relationships
            cursor = page.cursor
            if cursor is None:
                break
    assert sorted(read) == sorted(opened.scenario.relationships)


def test_every_relationship_can_be_touched_where_it_is(opened: Opened) -> None:
    """A touch that must match the relationship itself succeeds and changes nothing."""
    before = opened.relata.read().relationships
    for relationship in opened.scenario.relationships:
        subject = relationship.subject
        itself = RelationshipFilter(
            resource_type=relationship.resource.type,
            resource_id=relationship.resource.id,
            relation=relationship.relation,
            subject_type=subject.type,
            subject_id=subject.id,
            subject_relation=subject.relation,
        )
        opened.relata.write(
            [touch(relationship)], preconditions=[Precondition("must_match", itself)]
        )
    assert opened.relata.read().relationships == before


def test_only_what_is_unsupported_is_left_out() -> None:
    """The scenarios not run are exactly those whose schema the compiler says it can't evaluate."""
    refused = [path for path in FILES if _is_refused(path)]
    assert refused == [path for path in FILES if path not in RUNNABLE]
    assert len(RUNNABLE) >= LEAST_RUNNABLE


def _is_refused(path: Path) -> bool:
    try:
        compile_schema(scenarios.schema_of(path))
    except SchemaUnsupportedError:
        return True
    return False


def expanded(opened: Opened, resource: ObjectRef, name: str) -> set[SubjectRef]:
    """Expand a name and every userset in its leaves, down to objects and wildcards."""
    tree = opened.relata.expand(resource, name).tree
    return _members(
        tree, lambda subject: expanded(opened, subject.object, subject.relation), opened
    )


def _members(
    node: ExpandNode, userset: Callable[[SubjectRef], set[SubjectRef]], opened: Opened
) -> set[SubjectRef]:
    children = [_members(child, userset, opened) for child in node.children]
    match node.operation:
        case "leaf":
            return set().union(*(_meant(subject, userset, opened) for subject in node.subjects))
        case "union":
            return set().union(*children)
        case "intersection":
            return set.intersection(*children)
        case "exclusion":
            base, subtracted = children
            return base - subtracted


def _meant(
    subject: SubjectRef, userset: Callable[[SubjectRef], set[SubjectRef]], opened: Opened
) -> set[SubjectRef]:
    if subject.is_wildcard:
        named = (ref for ref in opened.reference.objects if ref.type == subject.type)
        return {subject, *(SubjectRef(ref.type, ref.id) for ref in named)}
    return userset(subject) if subject.relation else {subject}
