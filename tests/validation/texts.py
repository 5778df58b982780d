"""Scenarios to read and run, put together from their parts."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

from relata.validation import Report, ScenarioError, parse_scenario, run_scenario

SCHEMA = """\
caveat on_day(day string) {
  day == "monday"
}

definition user {}

definition group {
  relation member: user | group#member
}

definition document {
  relation owner: user
  relation viewer: user | user:* | user with on_day | group#member
  relation banned: user
  permission edit = owner
  permission view = (viewer + edit) - banned
}
"""
RELATIONSHIPS = """\
document:readme#owner@user:olga
document:readme#viewer@group:eng#member
document:readme#viewer@user:tim[on_day]
document:public#viewer@user:*
document:public#banned@user:bob
group:eng#member@user:anne
"""


def scenario_text(rest: str = "", relationships: str = RELATIONSHIPS, schema: str = SCHEMA) -> str:
    """A scenario with a schema and relationships in literal blocks, and what follows them."""
    parts = (indent(part, "  ") for part in (schema, relationships))
    return "schema: |\n{}\nrelationships: |\n{}\n{}".format(*parts, rest)


def report_of(text: str, directory: Path | None = None) -> Report:
    """The report of a scenario's text."""
    return run_scenario(parse_scenario(text, source="s.yaml", directory=directory))


def faults_of(text: str, directory: Path | None = None) -> list[tuple[int, int, str]]:
    """The line, column and message of everything that is wrong with a text's form."""
    try:
        parse_scenario(text, source="s.yaml", directory=directory)
    except ScenarioError as error:
        return [(said.line, said.column, said.message) for said in error.diagnostics]
    return []
