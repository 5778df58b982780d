"""Runs a scenario: its schema compiled, its relationships loaded, everything in it asked.

Each scenario has a database of its own, in which nothing else is and which is gone afterwards. A
schema or a relationship that is refused ends the run, for the answers would mean nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from relata.authorizer import Relata
from relata.engine import Engine, Permissionship
from relata.errors import LimitExceededError, RelataError, SchemaError
from relata.relationships import ObjectRef, SubjectRef
from relata.requests import Limits
from relata.results import CheckResult
from relata.schema import Schema, require_allowed
from relata.schema.source import quote
from relata.validation.comparing import compared, listed_subjects
from relata.validation.members import MAYBE, Graph, Node, find
from relata.validation.model import Assertion, Scenario, SchemaFile
from relata.validation.reader import listed
from relata.validation.report import Coverage, Failure, Report, coverage_of, failure
from relata.validation.schemas import compile_schema_of, faults_of

_LIMITS = Limits(updates=sys.maxsize)
"""A file on this machine may load as much as it has."""
_LONGEST = 200
"""How much of a question a message shows."""


def run_scenario(scenario: Scenario) -> Report:
    """Run a scenario. What is wrong with it is in the report; nothing is raised for it."""
    report = Report(
        scenario.source.name,
        schema_file=str(scenario.schema.path) if isinstance(scenario.schema, SchemaFile) else "",
        assertions=len(scenario.assertions),
        expected_relations=len(scenario.expected),
    )
    try:
        schema, warnings = compile_schema_of(scenario)
        Engine(schema).require_shallow()
    except SchemaError as error:
        found = faults_of(scenario, error)
        faults = tuple(failure(fault, "schema", excerpt=True) for fault in found)
        return msgspec.structs.replace(report, failures=faults)
    except LimitExceededError as error:
        place = scenario.source.diagnostic(scenario.schema.at, error.message)
        return msgspec.structs.replace(report, failures=(failure(place, "schema"),))
    report = msgspec.structs.replace(report, warnings=tuple(warnings))
    refused = tuple(_refused(scenario, schema))
    if refused:
        return msgspec.structs.replace(report, failures=refused)
    return _asked(scenario, schema, report)


def _refused(scenario: Scenario, schema: Schema) -> Iterator[Failure]:
    """The relationships that the schema does not allow."""
    for given in scenario.relationships:
        try:
            require_allowed(schema, given.relationship, field="relationships")
        except RelataError as error:
            place = scenario.source.diagnostic(given.at, error.message)
            yield failure(place, "relationship", excerpt=True)


def _asked(scenario: Scenario, schema: Schema, report: Report) -> Report:
    """The report with the answers to everything that the scenario asks."""
    relationships = [given.relationship for given in scenario.relationships]
    graph = Graph(schema, relationships, datetime.now(UTC))
    with Relata.open("sqlite://", limits=_LIMITS, follow_seconds=None) as relata:
        relata.write_schema(schema.text)
        if relationships:
            relata.write(relationships)
        answers = [_assert(scenario, item, relata, graph) for item in scenario.assertions]
    failures = [answer for answer in answers if answer is not None]
    for expected in scenario.expected:
        failures += compared(scenario, expected, graph)
    return msgspec.structs.replace(
        report,
        failures=tuple(sorted(failures, key=lambda it: (it.line, it.column))),
        coverage=_coverage(scenario, schema, graph),
    )


def _coverage(scenario: Scenario, schema: Schema, graph: Graph) -> Coverage:
    asked = [(item.question.resource, item.question.relation) for item in scenario.assertions]
    asked += [(item.resource, item.name) for item in scenario.expected]
    known = [node for node in asked if graph.has(node)]
    seen: set[Node] = set()
    reached = [node for start in known for node in graph.reached(start, seen)]
    return coverage_of(schema, map(_name, known), map(_name, reached))


def _name(node: tuple[ObjectRef, str]) -> str:
    return f"{node[0].type}#{node[1]}"


def _assert(
    scenario: Scenario, assertion: Assertion, relata: Relata, graph: Graph
) -> Failure | None:
    """What is wrong with the answer to an assertion; None where it is the right one."""
    question, expected = assertion.question, assertion.expected
    node = (question.resource, question.relation)
    shown = quote(str(question), _LONGEST)
    missing: tuple[str, ...] = ()
    try:
        result = relata.check(
            question.resource, question.relation, question.subject, context=assertion.context
        )
    except RelataError as error:
        answered, message = "error", f"{shown} has no answer: {error.message}"
        hint = "" if graph.has(node) else graph.similar(node)
    else:
        if result.permissionship is expected:
            return None
        answered, missing = str(result.permissionship), result.missing_context
        waits = f" and waits for {listed(missing)}" if missing else ""
        message = f"{shown} is {answered}{waits}; `{assertion.group}` says {expected}"
        hint = _hint(result, node, question.subject, graph)
    return failure(
        scenario.source.diagnostic(assertion.at, message),
        "assertion",
        expected=str(expected),
        answered=answered,
        missing_context=missing,
        hint=hint,
    )


def _hint(result: CheckResult, node: Node, subject: SubjectRef, graph: Graph) -> str:
    """What may help to see why an answer is as it is."""
    if result.permissionship is Permissionship.CONDITIONAL:
        context = ", ".join(f'"{name}": …' for name in result.missing_context)
        return f"ask it `with {{{context}}}`, or list it under `assertCaveated`"
    try:
        members = graph.members(node)
    except LimitExceededError:
        return ""
    found = find(subject, members)
    if result.permissionship is Permissionship.ALLOWED:
        return f"it is allowed through {listed(sorted(found.through))}" if found else ""
    if found is not None and found.level == MAYBE:
        return "it hangs on a caveat, which says no to the context of the question and the stored"
    return f"those it has are {listed_subjects(members)}" if members else "nobody has it"
