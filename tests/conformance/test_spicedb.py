"""SpiceDB's consistency scenarios: what its own suite checks on every one, here on both graphs.

Each file is loaded into a database and asked about everything that it names: on the Resident graph
of the present, and on a Snapshot of a past revision, after which everything was deleted. The
reference says what is right, and the file's assertions that the reference is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import networkx as nx
import pytest

from relata import (
    MINIMIZE_LATENCY,
    Consistency,
    ExpandNode,
    Permissionship,
    Question,
    Relata,
    at_exact_snapshot,
)
from relata.engine import Engine
from relata.graph import snapshot_view
from relata.relationships import (
    ObjectRef,
    Precondition,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    touch,
)
from relata.replica import Ask, Ready
from relata.schema import (
    Arrow,
    Computed,
    Exclusion,
    Intersection,
    Schema,
    Self,
    Union,
    compile_schema,
    lint,
)
from relata.schema.model import Expression
from relata.validation import Scenario, run_scenario
from tests.conformance import scenarios
from tests.conformance.paged import Checks, PagedAnswers, answer_of
from tests.reference.compare import Universe, disagreements
from tests.reference.evaluator import Answer, Reference, names

pytestmark = pytest.mark.skipif(not scenarios.FOLDER.exists(), reason=scenarios.ABSENT)

FILES = scenarios.files()
GRAPHS = ("resident", "snapshot")
PAGES = (None, 1, 2)
AT_ONCE = 1_000

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A scenario loaded into a database, the consistency to ask with, and the reference."""

    relata: Relata
    scenario: Scenario
    consistency: Consistency
    reference: Reference
    checks: Checks = field(default_factory=dict)
    """What single checks have answered without a context, which no size of pages changes."""

    def answers(
        self, page: int | None = None, context: Mapping[str, Any] | None = None
    ) -> PagedAnswers:
        """The answers of the graph under test."""
        checks = {} if context else self.checks
        return PagedAnswers(self.relata, self.consistency, checks, page=page, context=context)

    def checked(
        self, questions: Sequence[Question], context: Mapping[str, Any] | None = None
    ) -> list[Answer]:
        """The answers to checks that are asked in batches."""
        found: list[Answer] = []
        for start in range(0, len(questions), AT_ONCE):
            batch = questions[start : start + AT_ONCE]
            result = self.relata.check_many(
                batch, context=context or {}, consistency=self.consistency
            )
            for answer in result.answers:
                assert not isinstance(answer, Exception)
                found.append(answer_of(answer))
        return found


@functools.cache
def read(path: Path) -> Scenario:
    """A file, read once."""
    return scenarios.read(path)


@contextmanager
def loaded(path: Path) -> Iterator[Relata]:
    """A database with a scenario's schema and relationships."""
    scenario = read(path)
    text = scenarios.schema_of(scenario)
    with Relata.open("sqlite://", schema=text, follow_seconds=None) as relata:
        relata.write(scenarios.relationships_of(scenario))
        yield relata


def reference_of(scenario: Scenario, context: Mapping[str, Any] | None = None) -> Reference:
    """The reference over a scenario, and over one object of each type that it does not name."""
    schema = compile_schema(scenarios.schema_of(scenario))
    unseen = [ObjectRef(type_, "unseen") for type_ in schema.definitions]
    objects = [*scenarios.objects_of(scenario), *unseen]
    return Reference(schema, scenarios.relationships_of(scenario), objects, context=context)


@pytest.fixture(
    scope="module",
    params=[(path, graph) for path in FILES for graph in GRAPHS],
    ids=[f"{path.stem}-{graph}" for path in FILES for graph in GRAPHS],
)
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Each scenario in turn, to be asked on each graph."""
    path, graph = request.param
    with loaded(path) as relata:
        reference = reference_of(read(path))
        if graph == "resident":
            yield Opened(relata, read(path), MINIMIZE_LATENCY, reference)
            return
        written = relata.revision
        token = relata.read_schema().zed_token
        for type_ in relata.schema.definitions:
            relata.delete(RelationshipFilter(resource_type=type_))
        assert relata.read().relationships == ()
        with snapshot_alone(relata, written):
            yield Opened(relata, read(path), at_exact_snapshot(token), reference)


@contextmanager
def snapshot_alone(relata: Relata, revision: int) -> Iterator[None]:
    """Let every question be answered by one snapshot, whatever the graph of the present has.

    What it has read it keeps, where questions of an application would each read anew.
    """
    engine = Engine(relata.schema)
    view = snapshot_view(relata.store, revision, engine.kinds)

    def ask(question: Ask[T], _: Consistency) -> tuple[T, int]:
        return question(Ready(engine, view)), revision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relata._replica, "ask", ask)
        yield


def test_all_the_files_are_there() -> None:
    """None is left out, whatever it uses."""
    assert len(FILES) == 45


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_file_loads_warns_and_holds(path: Path) -> None:
    """The linter has an opinion of its schema, and `relata validate` finds nothing wrong."""
    scenario = read(path)
    warnings = lint(scenarios.schema_of(scenario))
    report = run_scenario(scenario)
    assert (report.failures, len(report.warnings)) == ((), len(warnings))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_relationship_can_be_touched_where_it_is(path: Path) -> None:
    """A touch that must match the relationship itself succeeds and changes nothing."""
    with loaded(path) as relata:
        before = relata.read().relationships
        for item in scenarios.relationships_of(read(path)):
            must_match = [] if item.expires_at else [Precondition("must_match", exactly(item))]
            relata.write([touch(item)], preconditions=must_match)
        assert relata.read().relationships == before


def exactly(item: Relationship) -> RelationshipFilter:
    """The filter that a relationship alone matches."""
    return RelationshipFilter(
        resource_type=item.resource.type,
        resource_id=item.resource.id,
        relation=item.relation,
        subject_type=item.subject.type,
        subject_id=item.subject.id,
        subject_relation=item.subject.relation,
    )


def test_every_relationship_is_read_back_that_has_not_expired(opened: Opened) -> None:
    """Reading by resource type, in pages of two, returns those and nothing else."""
    found: list[Relationship] = []
    for type_ in opened.relata.schema.definitions:
        cursor = None
        while True:
            page = opened.relata.read(
                RelationshipFilter(resource_type=type_),
                limit=2,
                cursor=cursor,
                consistency=opened.consistency,
            )
            assert len(page.relationships) <= 2
            found += page.relationships
            cursor = page.cursor
            if cursor is None:
                break
    now = datetime.now(UTC)
    expected = [
        item
        for item in scenarios.relationships_of(opened.scenario)
        if item.expires_at is None or now < item.expires_at
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("page", PAGES)
def test_every_question_is_answered_as_the_reference_does(opened: Opened, page: int | None) -> None:
    """The full cross product of checks, and every lookup, whole and in pages."""
    assert list(disagreements(opened.reference, opened.answers(page))) == []


def test_every_question_is_answered_as_the_reference_does_in_the_contexts_of_assertions(
    opened: Opened,
) -> None:
    """The same, with each context that an assertion comes with."""
    scenario = opened.scenario
    contexts = [dict(item.context) for item in scenario.assertions if item.context]
    for context in (it for number, it in enumerate(contexts) if it not in contexts[:number]):
        reference = reference_of(scenario, context)
        assert list(disagreements(reference, opened.answers(context=context))) == [], context


def test_batches_of_checks_answer_as_the_reference_does(opened: Opened) -> None:
    """The full cross product of checks again, many at once."""
    universe = Universe(opened.reference)
    questions = [
        Question(resource, name, subject)
        for resource, name in universe.resources
        for subject in universe.subjects
    ]
    right = [
        opened.reference.check(resource, name, subject)
        for resource, name in universe.resources
        for subject in universe.subjects
    ]
    assert opened.checked(questions) == right


# Assertions


def test_assertions_hold_by_checks_alone_and_together(opened: Opened) -> None:
    """Each assertion, with its context."""
    assertions = opened.scenario.assertions
    questions = [
        Question(a.question.resource, a.question.relation, a.question.subject, a.context)
        for a in assertions
    ]
    together = opened.checked(questions)
    for assertion, in_batch in zip(assertions, together, strict=True):
        question = assertion.question
        alone = opened.answers(context=assertion.context).check(
            question.resource, question.relation, question.subject
        )
        assert permissionship(alone) is assertion.expected, assertion
        assert in_batch == alone, assertion


@pytest.mark.parametrize("page", PAGES)
def test_assertions_hold_by_both_lookups(opened: Opened, page: int | None) -> None:
    """Each assertion, with its context, asked from either end."""
    for assertion in opened.scenario.assertions:
        question = assertion.question
        resource, name, subject = question.resource, question.relation, question.subject
        answers = opened.answers(page, assertion.context)
        resources = answers.lookup_resources(resource.type, name, subject)
        subjects = answers.lookup_subjects(
            resource, name, subject.type, subject.relation, [subject.id]
        )
        assert resources is not None
        assert subjects is not None
        assert permissionship(resources.get(resource.id, False)) is assertion.expected, assertion
        assert permissionship(subjects[subject.id]) is assertion.expected, assertion


def test_lookups_without_the_context_leave_open_what_it_decides(opened: Opened) -> None:
    """What an assertion's context denies or allows is open without it, or decided the same."""
    for assertion in opened.scenario.assertions:
        question = assertion.question
        found = opened.answers().lookup_resources(
            question.resource.type, question.relation, question.subject
        )
        assert found is not None
        without = permissionship(found.get(question.resource.id, False))
        open_ = {Permissionship.CONDITIONAL} if assertion.context else set()
        assert without in {assertion.expected, *open_}, assertion


def permissionship(answer: Answer) -> Permissionship:
    """An answer as an assertion expects it."""
    assert answer is not None
    if isinstance(answer, frozenset):
        return Permissionship.CONDITIONAL
    return Permissionship.ALLOWED if answer else Permissionship.DENIED


# Lookups, checked again


def test_whatever_a_lookup_finds_is_checked_again(opened: Opened) -> None:
    """Found resources and subjects, those left out, and the wildcard: singly and in a batch."""
    universe, answers = Universe(opened.reference), opened.answers()
    found: list[tuple[Question, Answer]] = []
    for type_, name in universe.sets:
        for subject in universe.subjects:
            resources = answers.lookup_resources(type_, name, subject) or {}
            found += [
                (Question(ObjectRef(type_, id_), name, subject), answer)
                for id_, answer in resources.items()
            ]
    for resource, name in universe.resources:
        for type_, relation in universe.kinds:
            result = opened.relata.lookup_subjects(
                resource, name, type_, relation, consistency=opened.consistency
            )
            listed = dict[str, Answer](dict.fromkeys(result.subject_ids, True))
            listed |= dict.fromkeys(result.excluded_ids, False)
            listed |= {id_: frozenset(missing) for id_, missing in result.conditional.items()}
            if result.wildcard or result.wildcard_missing_context:
                everybody = frozenset(result.wildcard_missing_context or ()) or True
                listed |= {"nobody_has_heard_of": everybody}
            found += [
                (Question(resource, name, SubjectRef(type_, id_, relation)), answer)
                for id_, answer in listed.items()
            ]
    questions = [question for question, _ in found]
    assert opened.checked(questions) == [answer for _, answer in found]
    for question, answer in found:
        assert isinstance(question.resource, ObjectRef)
        assert isinstance(question.subject, SubjectRef)
        again = answers.check(question.resource, question.permission, question.subject)
        assert again == answer, question


# Expansion


def test_every_expansion_holds_exactly_whom_checks_allow(opened: Opened) -> None:
    """Expanded all the way down, a name has those who are allowed, and on a condition the rest.

    The first expansion of each, not gone further down, is its own proof that none fails.
    """
    expansion = Expansion(opened)
    reference = opened.reference
    for resource in reference.objects:
        for name in names(opened.relata.schema.definitions[resource.type]):
            surely, possibly = expansion.members(resource, name)
            node = (resource, name)
            assert surely == {s for s in reference.sets[node] if not s.relation}, node
            assert possibly == {s for s in reference.possible[node] if not s.relation}, node


Members = tuple[frozenset[SubjectRef], frozenset[SubjectRef]]
"""Who is there surely, and who is there possibly; usersets only by their members."""
NOBODY: Members = (frozenset(), frozenset())


class Expansion:
    """Expansions of one scenario, gone down to the last."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._known: dict[tuple[ObjectRef, str], Members] = {}

    def members(self, resource: ObjectRef, name: str) -> Members:
        """Expand a name and every userset in its leaves."""
        key = (resource, name)
        if key not in self._known:
            opened = self._opened
            tree = opened.relata.expand(resource, name, consistency=opened.consistency).tree
            self._known[key] = self._of(tree)
        return self._known[key]

    def _of(self, node: ExpandNode) -> Members:
        surely, possibly = self._operation(node)
        return (frozenset(), possibly) if node.missing_context else (surely, possibly)

    def _operation(self, node: ExpandNode) -> Members:
        if node.operation == "leaf":
            sure = [self._meant(subject) for subject in node.subjects]
            open_ = [(frozenset[SubjectRef](), self._meant(s)[1]) for s in node.conditional]
            return joined([*sure, *open_])
        children = [self._of(child) for child in node.children]
        match node.operation:
            case "union":
                return joined(children)
            case "intersection":
                surely, possibly = zip(*children, strict=True)
                return frozenset.intersection(*surely), frozenset.intersection(*possibly)
            case "exclusion":
                (base, base_possibly), (taken, taken_possibly) = children
                return base - taken_possibly, base_possibly - taken

    def _meant(self, subject: SubjectRef) -> Members:
        if subject.relation:
            return self.members(subject.object, subject.relation)
        if subject.is_wildcard:
            named = (ref for ref in self._opened.reference.objects if ref.type == subject.type)
            meant = frozenset({subject, *(SubjectRef(ref.type, ref.id) for ref in named)})
        else:
            meant = frozenset({subject})
        return meant, meant


def joined(parts: Sequence[Members]) -> Members:
    """The union of some sets."""
    return (
        frozenset[SubjectRef]().union(*(surely for surely, _ in parts)),
        frozenset[SubjectRef]().union(*(possibly for _, possibly in parts)),
    )


# The schema


def test_every_subject_that_is_found_is_of_a_type_that_the_schema_reaches(opened: Opened) -> None:
    """What is possibly in a name is of a kind that its definition leads to."""
    graph = kinds_reached(opened.relata.schema)
    for (resource, name), subjects in opened.reference.possible.items():
        reached = nx.descendants(graph, (resource.type, name)) | {(resource.type, name)}
        assert {(s.type, s.relation) for s in subjects} <= reached, (resource, name)


def kinds_reached(schema: Schema) -> nx.DiGraph[tuple[str, str]]:
    """A graph from each relation and permission to the kinds of subjects that it is made of."""
    graph: nx.DiGraph[tuple[str, str]] = nx.DiGraph()
    for definition in schema.definitions.values():
        graph.add_nodes_from((definition.name, name) for name in names(definition))
        for relation in definition.relations.values():
            graph.add_edges_from(
                ((definition.name, relation.name), (kind.type, kind.relation))
                for kind in relation.allowed
            )
        for permission in definition.permissions.values():
            graph.add_edges_from(
                ((definition.name, permission.name), kind)
                for kind in leads_to(schema, definition.name, permission.expression)
            )
    return graph


def leads_to(schema: Schema, type_: str, expression: Expression) -> Iterator[tuple[str, str]]:
    """The names and kinds of subjects that an expression has in it directly."""
    match expression:
        case Computed(name):
            yield type_, name
        case Arrow(relation, target):
            for kind in schema.definitions[type_].relations[relation].allowed:
                if target in schema.definitions[kind.type]:
                    yield kind.type, target
        case Union(children) | Intersection(children):
            for child in children:
                yield from leads_to(schema, type_, child)
        case Exclusion(base, _):
            yield from leads_to(schema, type_, base)
        case Self():
            yield type_, ""
