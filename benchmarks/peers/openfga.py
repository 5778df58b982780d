"""Schemas in OpenFGA's language, for engines that speak that."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.peers import Unable
from relata.schema import compile_schema
from relata.schema.model import (
    Arrow,
    Computed,
    Definition,
    Exclusion,
    Expression,
    Intersection,
    Relation,
    Union,
)


def translated(schema: str) -> str:
    """A schema in OpenFGA's language.

    Raises Unable where that has no word for something.
    """
    definitions = compile_schema(schema).definitions.values()
    lines = (line for definition in definitions for line in _type(definition))
    return "\n".join(["model", "  schema 1.1", *lines, ""])


def _type(definition: Definition) -> Iterator[str]:
    yield f"type {definition.name}"
    if definition.relations or definition.permissions:
        yield "  relations"
    for relation in definition.relations.values():
        yield f"    define {relation.name}: [{_subjects(relation)}]"
    for permission in definition.permissions.values():
        yield f"    define {permission.name}: {_text(permission.expression)}"


def _subjects(relation: Relation) -> str:
    for allowed in relation.allowed:
        if allowed.caveat or allowed.expiration:
            raise Unable("takes neither caveats nor expirations")
    return ", ".join(map(str, relation.allowed))


def _text(expression: Expression) -> str:
    match expression:
        case Computed(name):
            return name
        case Arrow(relation, target, every=False):
            return f"{target} from {relation}"
        case Union(children):
            return " or ".join(map(_operand, children))
        case Intersection(children):
            return " and ".join(map(_operand, children))
        case Exclusion(base, subtracted):
            return f"{_operand(base)} but not {_operand(subtracted)}"
    raise Unable("OpenFGA's language has neither `.all()` nor `nil` nor `self`")


def _operand(expression: Expression) -> str:
    text = _text(expression)
    return f"({text})" if isinstance(expression, Union | Intersection | Exclusion) else text
