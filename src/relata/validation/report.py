"""What came of a scenario: what does not hold, what the schema warns of, and what was exercised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from relata.errors import Diagnostic
from relata.schema import Schema, SchemaWarning

Kind = Literal["schema", "relationship", "assertion", "expected_relation"]


class Failure(Diagnostic, frozen=True, kw_only=True):
    """Something that does not hold, at its place in the file."""

    kind: Kind
    expected: str = ""
    """What should have been answered."""
    answered: str = ""
    """What was."""
    missing_context: tuple[str, ...] = ()
    """The parameters of caveats that a conditional answer waits for."""
    hint: str = ""

    def __str__(self) -> str:
        return "\n".join(filter(None, [super().__str__(), self.hint and f"hint: {self.hint}"]))


def failure(place: Diagnostic, kind: Kind, *, excerpt: bool = False, **more: Any) -> Failure:
    """The failure that a diagnostic tells of, with its excerpt or without."""
    shown = place.excerpt if excerpt else ""
    return Failure(place.message, place.source, place.line, place.column, shown, kind=kind, **more)


class Coverage(msgspec.Struct, frozen=True):
    """Which relations and permissions were exercised, as `document#view`.

    A name is *asked* where an assertion or an expected relation asks it of some object. It is
    *reached* where the answer to one is made of it: an asked permission's expression names it, or
    a relationship leads there by a userset or an arrow. Nothing is left out because an answer was
    known without it.
    """

    asked: tuple[str, ...]
    reached: tuple[str, ...]
    """Those that are reached and not asked."""
    unexercised: tuple[str, ...]

    @property
    def names(self) -> int:
        """How many relations and permissions the schema has."""
        return len(self.asked) + len(self.reached) + len(self.unexercised)

    @property
    def exercised(self) -> int:
        """How many of them are asked or reached."""
        return len(self.asked) + len(self.reached)


class Report(msgspec.Struct, frozen=True):
    """The outcome of one scenario."""

    source: str
    schema_file: str = ""
    """The file of the schema, where that is not the scenario's own."""
    assertions: int = 0
    """How many there are."""
    expected_relations: int = 0
    """How many there are."""
    failures: tuple[Failure, ...] = ()
    warnings: tuple[SchemaWarning, ...] = ()
    coverage: Coverage | None = None
    """None where the schema or a relationship is refused, and so nothing was asked."""

    @property
    def passed(self) -> bool:
        """Whether everything holds; warnings do not count."""
        return not self.failures


def coverage_of(schema: Schema, asked: Iterable[str], reached: Iterable[str]) -> Coverage:
    """The coverage of a schema, from names that it may have or not."""
    names = [f"{type_}#{name}" for type_, name in all_names(schema)]
    direct, walked = set(asked), set(reached)
    return Coverage(
        tuple(name for name in names if name in direct),
        tuple(name for name in names if name in walked - direct),
        tuple(name for name in names if name not in walked | direct),
    )


def all_names(schema: Schema) -> list[tuple[str, str]]:
    """Every relation and permission with its definition, in the order of the text."""
    return [
        (definition.name, name)
        for definition in schema.definitions.values()
        for name in (*definition.relations, *definition.permissions)
    ]


def together(coverages: Sequence[Coverage]) -> Coverage:
    """What several scenarios of one schema exercise."""
    asked = {name for coverage in coverages for name in coverage.asked}
    exercised = asked.union(*(coverage.reached for coverage in coverages))
    first = coverages[0]
    names = (*first.asked, *first.reached, *first.unexercised)
    return Coverage(
        tuple(sorted(asked)),
        tuple(sorted(exercised - asked)),
        tuple(name for name in sorted(names) if name not in exercised),
    )
