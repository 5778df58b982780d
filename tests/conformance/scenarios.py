"""SpiceDB's consistency scenarios, read in place from the `shared` folder beside the project."""

from __future__ import annotations

from pathlib import Path

from relata.relationships import ObjectRef, Relationship
from relata.validation import Scenario, read_scenario
from relata.validation.model import Text

SHARED = Path(__file__).resolve().parents[3] / "shared"
FOLDER = SHARED / "conformance" / "spicedb"
ABSENT = f"{FOLDER} is not there"


def files() -> list[Path]:
    """The scenario files, none where the folder is absent."""
    return sorted(FOLDER.glob("*.yaml"))


def read(path: Path) -> Scenario:
    """Read a scenario that has its schema in itself."""
    scenario = read_scenario(path)
    assert isinstance(scenario.schema, Text)
    return scenario


def schema_of(scenario: Scenario) -> str:
    """The text of a scenario's schema."""
    assert isinstance(scenario.schema, Text)
    return scenario.schema.value


def relationships_of(scenario: Scenario) -> list[Relationship]:
    """What a scenario starts from."""
    return [given.relationship for given in scenario.relationships]


def objects_of(scenario: Scenario) -> set[ObjectRef]:
    """Every object that a scenario names."""
    named = [*relationships_of(scenario), *(item.question for item in scenario.assertions)]
    objects = {item.resource for item in named} | {item.subject.object for item in named}
    return {ref for ref in objects if ref.id != "*"}
