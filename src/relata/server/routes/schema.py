"""The schema: read it, replace it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ConfigDict, Field, ValidationError

from relata.errors import InvalidArgumentError
from relata.server.auth import needs
from relata.server.fields import ZED_TOKEN, Authorizer, Body, ZedTokenText
from relata.server.limits import read_json
from relata.server.problems import BODY, KEY, responses
from relata.server.routing import Guarded, media_type, unsupported_media_type

router = APIRouter(route_class=Guarded, tags=["schema"])

_EXAMPLE = (
    "definition user {}\n\n"
    "definition document {\n\trelation viewer: user\n\tpermission view = viewer\n}\n"
)


class SchemaRequest(Body):
    """A whole schema, which replaces the one before."""

    schema_: Annotated[str, Field(alias="schema")]


class SchemaAnswer(Body):
    """The schema and the revision that it is from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"schema": _EXAMPLE, "zed_token": ZED_TOKEN}]}
    )

    schema_: Annotated[
        str, Field(serialization_alias="schema", description="The text, in the zed language.")
    ]
    zed_token: ZedTokenText


class SchemaWritten(Body):
    """When the schema was written."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"zed_token": ZED_TOKEN}]})

    zed_token: ZedTokenText


_REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"schema": {"type": "string"}},
                "required": ["schema"],
                "additionalProperties": False,
            },
            "example": {"schema": _EXAMPLE},
        },
        "text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE},
    },
}


async def schema_text(request: Request) -> str:
    """Read the schema from a body of either media type. Raises Refusal."""
    kind = media_type(request)
    body = await request.body()
    if kind == "text/plain":
        return _utf8(body)
    if kind != "application/json":
        raise unsupported_media_type("application/json", "text/plain")
    try:
        return SchemaRequest.model_validate(read_json(body)).schema_
    except ValidationError as error:
        details = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(details) from None


@router.get(
    "/schema",
    operation_id="read_schema",
    dependencies=[needs("read")],
    responses=responses(*KEY, 400, 503),
)
def read_schema(authorizer: Authorizer) -> SchemaAnswer:
    """Read the schema."""
    result = authorizer.read_schema()
    return SchemaAnswer(schema_=result.text, zed_token=result.zed_token)


@router.put(
    "/schema",
    operation_id="write_schema",
    dependencies=[needs("schema")],
    responses=responses(*KEY, *BODY, 409, 422, 503),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
def write_schema(
    text: Annotated[str, Depends(schema_text)], authorizer: Authorizer
) -> SchemaWritten:
    """Replace the schema, unless a stored relationship would lose its meaning."""
    return SchemaWritten(zed_token=authorizer.write_schema(text).zed_token)


def _utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        detail = f"the schema is not UTF-8 at byte {error.start + 1}"
        raise InvalidArgumentError(detail, field="schema") from None
