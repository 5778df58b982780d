"""SpiceDB's consistency scenarios, read in place from the `shared` folder beside the project.

A scenario is a schema, relationships and assertions. What no version of Relata evaluates yet
(caveats and expirations) is recognised by the scenario's own text, so that a test can hold the
compiler's refusals to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from relata.relationships import ObjectRef, Relationship, parse_relationship

SHARED = Path(__file__).resolve().parents[3] / "shared"
FOLDER = SHARED / "conformance" / "spicedb"
ABSENT = f"{FOLDER} is not there"

_UNSUPPORTED = re.compile(r"\bcaveat\b|\bwith\b|\buse expiration\b")
_COMMENT = re.compile(r"//.*")


@dataclass(frozen=True)
class Scenario:
    """One file. Assertions and relationships are parsed, unless the scenario is unsupported."""

    name: str
    schema: str
    relationships: tuple[Relationship, ...]
    allowed: tuple[Relationship, ...]
    denied: tuple[Relationship, ...]

    @property
    def objects(self) -> set[ObjectRef]:
        """Every object that the scenario names."""
        named = (*self.relationships, *self.allowed, *self.denied)
        objects = {r.resource for r in named} | {r.subject.object for r in named}
        return {ref for ref in objects if ref.id != "*"}


def files() -> list[Path]:
    """The scenario files, none where the folder is absent."""
    return sorted(FOLDER.glob("*.yaml"))


def uses_unsupported(path: Path) -> bool:
    """Whether a scenario's schema has caveats or expirations."""
    schema = _COMMENT.sub("", str(_load(path)["schema"]))
    return _UNSUPPORTED.search(schema) is not None


def schema_of(path: Path) -> str:
    """A scenario's schema alone."""
    return str(_load(path)["schema"])


def read(path: Path) -> Scenario:
    """Read a scenario that has neither caveats nor expirations."""
    document = _load(path)
    assertions = document.get("assertions")
    groups = assertions if isinstance(assertions, dict) else {}
    lines = str(document["relationships"] or "").splitlines()
    return Scenario(
        name=path.stem,
        schema=schema_of(path),
        # Folded text may hold several relationships on one line; none has a space in it.
        relationships=_parsed(word for line in lines for word in _COMMENT.sub("", line).split()),
        allowed=_parsed(groups.get("assertTrue") or ()),
        denied=_parsed(groups.get("assertFalse") or ()),
    )


def _load(path: Path) -> dict[str, object]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise TypeError(f"{path} is not a scenario")
    return document


def _parsed(texts: Iterable[str]) -> tuple[Relationship, ...]:
    return tuple(dict.fromkeys(parse_relationship(text) for text in texts))
