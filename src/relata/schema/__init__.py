"""The zed schema language: text in, a typed `Schema` out.

`compile_schema` and `compile_file` are the ways in; what they make is in `model`. Nothing outside
this package knows how a schema is written.
"""

from relata.schema.allows import require_allowed, require_filter
from relata.schema.compiler import compile_file, compile_schema
from relata.schema.lint import SchemaWarning, lint, lint_file
from relata.schema.model import (
    AllowedSubject,
    Arrow,
    CaveatDefinition,
    Computed,
    Definition,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Permission,
    Relation,
    Schema,
    Self,
    Union,
    expression_text,
    shortened_text,
)

__all__ = [
    "AllowedSubject",
    "Arrow",
    "CaveatDefinition",
    "Computed",
    "Definition",
    "Exclusion",
    "Expression",
    "Intersection",
    "Nil",
    "Permission",
    "Relation",
    "Schema",
    "SchemaWarning",
    "Self",
    "Union",
    "compile_file",
    "compile_schema",
    "expression_text",
    "lint",
    "lint_file",
    "require_allowed",
    "require_filter",
    "shortened_text",
]
