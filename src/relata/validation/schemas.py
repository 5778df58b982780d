"""A scenario's schema: compiled, and what is said about it told of the file that it stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from relata.errors import Diagnostic, SchemaError
from relata.schema import (
    Schema,
    SchemaWarning,
    compile_file,
    compile_schema,
    lint,
    lint_file,
)
from relata.schema.source import Source
from relata.validation.model import Scenario, SchemaFile, Text

D = TypeVar("D", bound=Diagnostic)

_LINE_END = re.compile(r"\r\n?|\n")


def compile_schema_of(scenario: Scenario) -> tuple[Schema, list[SchemaWarning]]:
    """A scenario's schema, and what it warns of. Raises SchemaError."""
    given = scenario.schema
    if isinstance(given, SchemaFile):
        return compile_file(given.path), _all_told(scenario, lint_file(given.path))
    return compile_schema(given.value), _all_told(scenario, lint(given.value))


def faults_of(scenario: Scenario, error: SchemaError) -> list[Diagnostic]:
    """What is wrong with a scenario's schema, by the error that says so."""
    found: Sequence[Diagnostic] = getattr(error, "diagnostics", ())
    if not found:
        return [scenario.source.diagnostic(scenario.schema.at, error.message)]
    return _all_told(scenario, found)


def _all_told(scenario: Scenario, found: Sequence[D]) -> list[D]:
    given = scenario.schema
    if isinstance(given, SchemaFile):
        folder = given.shown.parent
        return [msgspec.structs.replace(one, source=str(folder / one.source)) for one in found]
    return [_told(one, given, scenario.source) for one in found]


def _told(diagnostic: D, text: Text, source: Source) -> D:
    """What is said about the schema's text, said about the file around it."""
    starts = [0, *(end.end() for end in _LINE_END.finditer(text.value))]
    index = starts[min(diagnostic.line, len(starts)) - 1] + diagnostic.column - 1
    at = text.offsets[min(index, len(text.value))]
    place = source.diagnostic(at, diagnostic.message)
    return msgspec.structs.replace(
        diagnostic,
        source=place.source,
        line=place.line,
        column=place.column,
        excerpt=place.excerpt,
    )
