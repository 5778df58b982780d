"""Relationships: write, read, delete by a filter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from relata import relationships as library
from relata.errors import InvalidArgumentError
from relata.relationships import Operation, RelationshipFilter, parse_relationship
from relata.server.auth import inside, needs
from relata.server.fields import (
    DEFAULT_PAGE,
    ZED_TOKEN,
    Body,
    CursorText,
    Inside,
    QueryConsistency,
    QueryCursor,
    QueryFilter,
    QueryLimit,
    RelationshipText,
    ZedTokenText,
)
from relata.server.pieces import respond, write_list, write_object
from relata.server.problems import BODY, KEY, QUESTION, responses
from relata.server.routing import Guarded

router = APIRouter(route_class=Guarded, tags=["relationships"])


class UpdateBody(Body):
    """One change of a write."""

    operation: Annotated[
        Literal["create", "touch", "delete"],
        Field(description="`create` fails where the relationship exists; `touch` does not."),
    ]
    relationship: RelationshipText


class FilterBody(Body):
    """Which relationships are meant; a field that is left out matches everything."""

    resource_type: str | None = None
    resource_id: str | None = None
    resource_id_prefix: str | None = None
    relation: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    subject_relation: str | None = None

    def value(self) -> RelationshipFilter:
        """The filter as the library's value."""
        return RelationshipFilter(**self.model_dump())


class PreconditionBody(Body):
    """What must be true of the stored relationships for a write to happen."""

    operation: Literal["must_match", "must_not_match"]
    filter: FilterBody


class WriteRequest(Body):
    """Changes that happen all together or not at all."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "updates": [
                        {"operation": "touch", "relationship": "document:readme#viewer@user:anne"},
                        {"operation": "delete", "relationship": "document:readme#viewer@user:bob"},
                    ],
                    "preconditions": [
                        {
                            "operation": "must_match",
                            "filter": {"resource_type": "document", "resource_id": "readme"},
                        }
                    ],
                }
            ]
        }
    )

    updates: Annotated[list[UpdateBody], Field(min_length=1)]
    preconditions: Annotated[list[PreconditionBody], Field(default_factory=list)]


class WriteAnswer(Body):
    """When the write happened."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"written_at": ZED_TOKEN}]})

    written_at: ZedTokenText


class ReadAnswer(Body):
    """Relationships, in the order in which they were stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "relationships": ["document:readme#viewer@user:anne"],
                    "read_at": ZED_TOKEN,
                    "cursor": None,
                }
            ]
        }
    )

    relationships: list[RelationshipText]
    read_at: ZedTokenText
    cursor: CursorText


class DeleteAnswer(Body):
    """How many relationships were deleted, and whether they were all that matched."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"deleted_at": ZED_TOKEN, "deleted": 2, "complete": True}]}
    )

    deleted_at: ZedTokenText
    deleted: int
    complete: Annotated[bool, Field(description="False: the limit was reached; delete again.")]


@router.post(
    "/relationships",
    operation_id="write_relationships",
    dependencies=[needs("write"), inside("write")],
    responses=responses(*KEY, *BODY, 409, 422, 503),
)
def write_relationships(body: WriteRequest, authorizer: Inside) -> WriteAnswer:
    """Create, touch and delete relationships, all together or not at all."""
    result = authorizer.write(
        [_update(index, item) for index, item in enumerate(body.updates)],
        preconditions=[
            library.Precondition(item.operation, item.filter.value()) for item in body.preconditions
        ],
    )
    return WriteAnswer(written_at=result.written_at)


@router.get(
    "/relationships",
    operation_id="read_relationships",
    dependencies=[needs("read"), inside("read")],
    response_model=ReadAnswer,
    responses=responses(*KEY, *QUESTION),
)
def read_relationships(
    chosen: QueryFilter,
    consistency: QueryConsistency,
    authorizer: Inside,
    limit: QueryLimit = DEFAULT_PAGE,
    cursor: QueryCursor = None,
) -> Response:
    """Read the relationships that match a filter; all of them without one."""
    with fields_of_query():
        result = authorizer.read(chosen, limit=limit, cursor=cursor, consistency=consistency)
    return respond(
        write_object(
            relationships=write_list(map(str, result.relationships)),
            read_at=result.read_at,
            cursor=result.cursor,
        )
    )


@router.delete(
    "/relationships",
    operation_id="delete_relationships",
    dependencies=[needs("write"), inside("write")],
    responses=responses(*KEY, 400, 409, 422, 503),
)
def delete_relationships(
    chosen: QueryFilter, authorizer: Inside, limit: QueryLimit | None = None
) -> DeleteAnswer:
    """Delete the relationships that match a filter, at most `limit` of them."""
    if chosen is None:
        raise InvalidArgumentError(
            "a delete needs a filter, such as `resource_type`; without one it would delete "
            "everything",
            field="resource_type",
        )
    with fields_of_query():
        result = authorizer.delete(chosen, limit=limit)
    return DeleteAnswer(
        deleted_at=result.deleted_at, deleted=result.deleted, complete=result.complete
    )


@contextmanager
def fields_of_query() -> Iterator[None]:
    """Name a filter's fields in errors as the query does, `resource_type`."""
    try:
        yield
    except InvalidArgumentError as error:
        error.field = error.field and error.field.removeprefix("filter.")
        raise


def _update(index: int, body: UpdateBody) -> library.Update:
    relationship = parse_relationship(body.relationship, field=f"updates[{index}].relationship")
    return library.Update(Operation(body.operation), relationship)
