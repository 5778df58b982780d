"""Relata: a relationship-based permission engine, embedded or served.

```python
from pathlib import Path
from relata import Relata

with Relata.open("sqlite:///relata.db", schema=Path("schema.zed")) as relata:
    relata.write(["organization:acme#member@user:anne"])
    relata.check("organization:acme", "access", "user:anne").allowed
```
"""

from relata.authorizer import Relata
from relata.consistency import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Consistency,
    at_exact_snapshot,
    at_least_as_fresh,
)
from relata.engine import ExpandNode, Permissionship, WorkLimits
from relata.errors import RelataError
from relata.relationships import (
    ObjectRef,
    Operation,
    Precondition,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    Update,
    create,
    delete,
    touch,
)
from relata.requests import Limits, Question
from relata.schema import Schema, compile_schema

__all__ = [
    "FULLY_CONSISTENT",
    "MINIMIZE_LATENCY",
    "Consistency",
    "ExpandNode",
    "Limits",
    "ObjectRef",
    "Operation",
    "Permissionship",
    "Precondition",
    "Question",
    "Relata",
    "RelataError",
    "Relationship",
    "RelationshipFilter",
    "Schema",
    "SubjectRef",
    "Update",
    "WorkLimits",
    "at_exact_snapshot",
    "at_least_as_fresh",
    "compile_schema",
    "create",
    "delete",
    "touch",
]
