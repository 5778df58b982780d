"""Scenario files: a schema, relationships, and what must be answered of them.

The files are those of SpiceDB's tools. `read_scenario` reads one, `run_scenario` loads it into a
database of its own, asks everything in it and reports, with the coverage of the schema.
"""

from relata.validation.model import (
    Assertion,
    ExpectedRelation,
    ExpectedSubject,
    GivenRelationship,
    Marked,
    Scenario,
    ScenarioError,
)
from relata.validation.reader import parse_scenario, read_scenario
from relata.validation.report import Coverage, Failure, Report, together
from relata.validation.running import run_scenario

__all__ = [
    "Assertion",
    "Coverage",
    "ExpectedRelation",
    "ExpectedSubject",
    "Failure",
    "GivenRelationship",
    "Marked",
    "Report",
    "Scenario",
    "ScenarioError",
    "parse_scenario",
    "read_scenario",
    "run_scenario",
    "together",
]
