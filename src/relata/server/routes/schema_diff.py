"""What another schema would change, before it is written."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from relata.schema.diff import ChangeKind, Severity
from relata.server.auth import needs
from relata.server.fields import ZED_TOKEN, Authorizer, Body, RelationshipText, ZedTokenText
from relata.server.problems import BODY, KEY, responses
from relata.server.routing import Guarded

router = APIRouter(route_class=Guarded, tags=["schema"])

_EXAMPLE = "definition user {}\n\ndefinition document {\n\trelation viewer: user\n}\n"


class SchemaDiffRequest(Body):
    """A whole schema, to be compared with the one in force."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"schema": _EXAMPLE}]})

    schema_: Annotated[str, Field(alias="schema", description="The text, in the zed language.")]


class SchemaChange(Body):
    """One difference between the schema in force and the other."""

    kind: Annotated[ChangeKind, Field(description="What has changed; stable, for programs.")]
    severity: Annotated[
        Severity,
        Field(
            description="`breaking`: what could be stored or asked is an error; "
            "`changes_answers`: the same question may be answered otherwise; `harmless`: neither."
        ),
    ]
    name: Annotated[
        str, Field(description="Of what: `document`, `document#view`, or a caveat's name.")
    ]
    old: Annotated[str, Field(description="What is there now; empty where nothing is.")]
    new: Annotated[str, Field(description="What would be there; empty where nothing would.")]
    place: Annotated[
        str, Field(description="Whose line and column follow: `old` for what is gone, or `new`.")
    ]
    line: int
    column: int


class Blocker(Body):
    """A stored relationship that the other schema would strand, one of each kind."""

    kind: Annotated[
        str, Field(description="Its kind.", examples=["document#viewer@group#member with busy"])
    ]
    relationship: RelationshipText


class SchemaDiffAnswer(Body):
    """All differences, the worst first, and the stored relationships in the way."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "changes": [
                        {
                            "kind": "permission_removed",
                            "severity": "breaking",
                            "name": "document#view",
                            "old": "viewer",
                            "new": "",
                            "place": "old",
                            "line": 5,
                            "column": 13,
                        }
                    ],
                    "breaking": True,
                    "blocked_by": [],
                    "compared_at": ZED_TOKEN,
                }
            ]
        }
    )

    changes: list[SchemaChange]
    breaking: Annotated[bool, Field(description="Whether any of the changes is breaking.")]
    blocked_by: Annotated[
        list[Blocker],
        Field(description="The schema cannot be written while there are any of these."),
    ]
    compared_at: ZedTokenText


@router.post(
    "/schema/diff",
    operation_id="diff_schema",
    dependencies=[needs("read")],
    responses=responses(*KEY, *BODY, 422, 503),
)
def diff_schema(body: SchemaDiffRequest, authorizer: Authorizer) -> SchemaDiffAnswer:
    """Say what would change if this schema replaced the one in force; nothing is written."""
    result = authorizer.diff_schema(body.schema_)
    changes = [
        SchemaChange(
            kind=change.kind,
            severity=change.severity,
            name=change.name,
            old=change.old,
            new=change.new,
            place=change.place,
            line=change.line,
            column=change.column,
        )
        for change in result.diff.changes
    ]
    return SchemaDiffAnswer(
        changes=changes,
        breaking=result.diff.is_breaking,
        blocked_by=[
            Blocker(kind=str(kind), relationship=str(relationship))
            for kind, relationship in result.blocked_by.items()
        ],
        compared_at=result.compared_at,
    )
