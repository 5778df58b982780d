"""What the schema tests share: expressions as text, and the faults of a text in brief."""

from __future__ import annotations

import textwrap

import pytest

from relata.errors import Diagnostic, SchemaError, SchemaParseError, SchemaTypeError
from relata.schema import (
    Arrow,
    Computed,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Schema,
    Self,
    Union,
    compile_schema,
)


def compiled(text: str) -> Schema:
    """Compile a text that is indented with the test's code."""
    return compile_schema(textwrap.dedent(text).lstrip("\n"))


def faults(text: str, error: type[SchemaError]) -> list[Diagnostic]:
    """The diagnostics of a text that does not compile, of which there is at least one."""
    with pytest.raises(error) as caught:
        compiled(text)
    assert type(caught.value) is error
    assert isinstance(caught.value, SchemaParseError | SchemaTypeError)
    assert caught.value.field == "schema"
    assert caught.value.diagnostics
    return list(caught.value.diagnostics)


def show(expression: Expression) -> str:
    """An expression with every pair of parentheses written."""
    match expression:
        case Computed(name=name):
            return name
        case Arrow(relation=relation, target=target, every=every):
            return f"{relation}.all({target})" if every else f"{relation}->{target}"
        case Nil():
            return "nil"
        case Self():
            return "self"
        case Exclusion(base=base, subtracted=subtracted):
            return f"({show(base)} - {show(subtracted)})"
        case Union(children=children):
            return f"({' + '.join(map(show, children))})"
        case Intersection(children=children):
            return f"({' & '.join(map(show, children))})"
