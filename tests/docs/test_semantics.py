"""docs/semantics.md: its examples hold, of the engine and of the reference, and its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relata.engine import Permissionship
from relata.schema import compile_schema
from relata.validation import Scenario, parse_scenario, run_scenario
from tests.docs.pages import Block, blocks, page, table
from tests.reference import evaluator
from tests.reference.evaluator import Answer, Reference

PAGE = "semantics.md"
TESTS = Path(__file__).parents[1]
SCENARIOS = blocks(PAGE, "yaml")


@pytest.fixture(params=SCENARIOS, ids=lambda block: f"line {block.line}")
def scenario(request: pytest.FixtureRequest) -> Scenario:
    block: Block = request.param
    return parse_scenario(block.text, source=f"{PAGE}, line {block.line}")


def test_an_example_holds_of_the_engine(scenario: Scenario) -> None:
    report = run_scenario(scenario)
    assert report.assertions > 2
    assert [str(failure) for failure in report.failures] == []


def test_an_example_holds_of_the_reference(scenario: Scenario) -> None:
    schema = compile_schema(scenario.schema.value)  # type: ignore[union-attr]  # none has a file
    relationships = [given.relationship for given in scenario.relationships]
    questions = [item.question for item in scenario.assertions]
    objects = [o for q in questions for o in (q.resource, q.subject.object)]
    for item in scenario.assertions:
        reference = Reference(schema, relationships, objects, context=item.context)
        q = item.question
        found = reference.check(q.resource, q.relation, q.subject)
        assert permissionship(found) is item.expected, str(q)


def permissionship(answer: Answer) -> Permissionship:
    assert answer is not None
    if isinstance(answer, frozenset):
        return Permissionship.CONDITIONAL
    return Permissionship.ALLOWED if answer else Permissionship.DENIED


def test_every_rule_named_is_one_of_the_reference() -> None:
    rules = [
        name.removeprefix("Reference.")
        for row in table(PAGE, "The rules of the reference")
        for name in re.findall(r"`([^`]+)`", row[0])
    ]
    assert rules
    missing = [
        name for name in rules if not hasattr(Reference, name) and not hasattr(evaluator, name)
    ]
    assert missing == []
    own = {name for name, value in vars(Reference).items() if callable(value)}
    assert own <= set(rules)


def test_every_test_named_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", page(PAGE))
    assert len(named) > 10
    for file, name in named:
        texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob(file)]
        assert any(f"def {name}(" in text if name else text for text in texts), f"{file}::{name}"
