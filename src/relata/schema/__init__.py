"""The zed schema language: text in, a typed `Schema` out.

`compile_schema` is the way in; what it makes is in `model`. Nothing outside this package knows
how a schema is written.
"""

from relata.schema.allows import require_allowed, require_filter
from relata.schema.compiler import compile_schema
from relata.schema.model import (
    AllowedSubject,
    Arrow,
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
)

__all__ = [
    "AllowedSubject",
    "Arrow",
    "Computed",
    "Definition",
    "Exclusion",
    "Expression",
    "Intersection",
    "Nil",
    "Permission",
    "Relation",
    "Schema",
    "Self",
    "Union",
    "compile_schema",
    "expression_text",
    "require_allowed",
    "require_filter",
]
