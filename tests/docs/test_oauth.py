"""docs/oauth.md: every test that it names exists, and every standard has its requirements."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import code, page, table

ROOT = Path(__file__).parents[2]
PAGE = "oauth.md"
HEADINGS = re.findall(r"^## (.+)$", page(PAGE), re.M)
STANDARDS = (
    "RFC 6749",
    "RFC 7009",
    "RFC 7517",
    "RFC 7662",
    "RFC 8414",
    "RFC 8693",
    "RFC 8707",
    "RFC 8725",
    "RFC 9068",
    "RFC 9449",
    "RFC 9470",
    "RFC 9700",
    "RFC 9701",
)
"""Those whose every requirement that applies must be on the page."""


@cache
def defined_in(file: str) -> frozenset[str]:
    """The tests of a file: `test_name`, or `TestClass::test_name`."""
    return frozenset(_tests(ast.parse((ROOT / file).read_text(encoding="utf-8"))))


def _tests(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}::{name}" for name in _functions(node.body))
    yield from _functions(module.body)


def _functions(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_requirement_names_tests_that_exist(heading: str) -> None:
    """A requirement whose test has been renamed or removed would be held by nothing."""
    rows = table(PAGE, heading)
    assert rows
    for section, requirement, answer, tests in rows:
        assert all((section, requirement, answer))
        named = code(tests)
        assert named, f"{heading} {section}: no test is named"
        missing = [name for name in named if not exists(name)]
        assert missing == [], f"{heading} {section}"


def exists(name: str) -> bool:
    file, _, test = name.partition("::")
    return (ROOT / file).is_file() and test in defined_in(file)


@pytest.mark.parametrize("standard", STANDARDS)
def test_every_standard_has_its_requirements(standard: str) -> None:
    number = standard.removeprefix("RFC ")
    assert any(re.search(rf"\bRFC {number}\b", heading) for heading in HEADINGS)


def test_the_standards_come_in_order() -> None:
    numbers = [int(found) for heading in HEADINGS for found in re.findall(r"^RFC (\d+)", heading)]
    assert len(numbers) > 12
    assert numbers == sorted(numbers)
