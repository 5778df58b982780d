"""What routes share: the parts of requests and answers, and how they become the library's values.

Shapes are checked here, strictly: no unknown fields, no number for a string, no string for a
number. What the texts mean (that `document:readme` is an object, that `viewer` exists) is for the
authorizer to say.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from relata.authorizer import Relata
from relata.bounds import Bounded, OutsideError
from relata.consistency import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Consistency,
    Freshness,
    at_exact_snapshot,
    at_least_as_fresh,
)
from relata.errors import InvalidArgumentError
from relata.relationships import RelationshipFilter
from relata.store import StoredKey
from relata.tokens.organizations import Organizations

DEFAULT_PAGE = 1_000
MAX_PAGE = 10_000

ZED_TOKEN = "MTo3YjY5ZTFhMGY0MmM6NDI="  # noqa: S105 - an example of a zed token, not a password


class Body(BaseModel):
    """The base of every request and answer: strict, closed, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


async def authorizer_of(request: Request) -> Relata:
    """The authorizer that the application was created with; not for keys that are bound."""
    key: StoredKey | None = getattr(request.state, "key", None)  # open routes have none
    if key is not None and key.organization:
        raise OutsideError
    authorizer: Relata = request.app.state.authorizer
    return authorizer


async def key_of(request: Request) -> StoredKey:
    """The key that opened a guarded route."""
    key: StoredKey = request.state.key
    return key


async def inside_of(request: Request) -> Relata | Bounded:
    """The authorizer, as far as the key that opened a guarded route reaches."""
    authorizer: Relata = request.app.state.authorizer
    organization = (await key_of(request)).organization
    return Organizations(authorizer).inside(organization) if organization else authorizer


Key = Annotated[StoredKey, Depends(key_of)]
Authorizer = Annotated[Relata, Depends(authorizer_of)]
Inside = Annotated[Relata | Bounded, Depends(inside_of)]


def _read_consistency(value: object) -> Consistency:
    match value:
        case "minimize_latency":
            return MINIMIZE_LATENCY
        case "fully_consistent":
            return FULLY_CONSISTENT
        case {"at_least_as_fresh": str(token), **rest} if not rest:
            return at_least_as_fresh(token)
        case {"at_exact_snapshot": str(token), **rest} if not rest:
            return at_exact_snapshot(token)
    raise PydanticCustomError(
        "consistency",
        "should be `minimize_latency`, `fully_consistent`, or an object with a zed token "
        "as its one field, `at_least_as_fresh` or `at_exact_snapshot`",
    )


def _token_object(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string"}},
        "required": [name],
        "additionalProperties": False,
    }


ConsistencyField = Annotated[
    Consistency,
    PlainValidator(_read_consistency),
    WithJsonSchema(
        {
            "oneOf": [
                {"type": "string", "enum": ["minimize_latency", "fully_consistent"]},
                _token_object("at_least_as_fresh"),
                _token_object("at_exact_snapshot"),
            ],
            "default": "minimize_latency",
            "description": "How fresh the answer must be.",
            "examples": [{"at_least_as_fresh": ZED_TOKEN}],
        }
    ),
]

ObjectText = Annotated[str, Field(description="An object.", examples=["document:readme"])]
SubjectText = Annotated[
    str, Field(description="A subject: an object, or a userset.", examples=["user:anne"])
]
NameText = Annotated[str, Field(description="A permission or a relation.", examples=["view"])]
RelationshipText = Annotated[
    str, Field(description="A relationship.", examples=["document:readme#viewer@user:anne"])
]
ZedTokenText = Annotated[
    str,
    Field(description="The revision that the answer is from, as a token.", examples=[ZED_TOKEN]),
]
CursorText = Annotated[
    str | None,
    Field(description="Null when this is all; otherwise there is more: ask again with it."),
]
CursorField = Annotated[
    str | None, Field(description="The cursor of the answer whose continuation is wanted.")
]
PageLimit = Annotated[
    int, Field(ge=1, le=MAX_PAGE, description="How many results at most; a cursor says if more.")
]


def _ascii_digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticCustomError("int_parsing", "should be a whole number")
    return value


QueryLimit = Annotated[
    int,
    BeforeValidator(_ascii_digits),
    Query(ge=1, le=MAX_PAGE, description="How many results at most; a cursor says if more."),
]
QueryCursor = Annotated[
    str | None, Query(description="The cursor of the answer whose continuation is wanted.")
]


ContextField = Annotated[
    dict[str, Any],
    Field(
        description="Values for the parameters of caveats. What is stored comes before it.",
        examples=[{"weekday": 5}],
    ),
]
MissingContext = Annotated[
    list[str],
    Field(description="The parameters that a conditional answer waits for; empty otherwise."),
]
ConditionalIds = Annotated[
    dict[str, list[str]],
    Field(
        description="Further ids, that are not allowed yet: each with the parameters it waits for."
    ),
]


class Question(Body):
    """What questions share beside their own fields."""

    context: ContextField = {}

    contextual_relationships: Annotated[
        list[RelationshipText],
        Field(description="Relationships that hold for this question only."),
    ] = []
    consistency: Annotated[ConsistencyField, Field(default_factory=lambda: MINIMIZE_LATENCY)]


async def query_consistency(
    consistency: Annotated[
        Freshness,
        Query(description="How fresh the answer must be.", examples=["at_least_as_fresh"]),
    ] = Freshness.MINIMIZE_LATENCY,
    zed_token: Annotated[
        str | None,
        Query(
            description="The token for `at_least_as_fresh` and `at_exact_snapshot`.",
            examples=[ZED_TOKEN],
        ),
    ] = None,
) -> Consistency:
    """Read the consistency of a question whose fields are in its query."""
    wants_token = consistency in (Freshness.AT_LEAST_AS_FRESH, Freshness.AT_EXACT_SNAPSHOT)
    if wants_token and zed_token is None:
        raise InvalidArgumentError(f"`{consistency}` needs a zed token", field="zed_token")
    if zed_token is not None and not wants_token:
        raise InvalidArgumentError(
            "a zed token goes with the consistency `at_least_as_fresh` or `at_exact_snapshot`",
            field="zed_token",
        )
    return Consistency(consistency, zed_token or "")


QueryConsistency = Annotated[Consistency, Depends(query_consistency)]


async def query_filter(
    resource_type: Annotated[str | None, Query(examples=["document"])] = None,
    resource_id: Annotated[str | None, Query(examples=["readme"])] = None,
    resource_id_prefix: Annotated[str | None, Query(examples=["read"])] = None,
    relation: Annotated[str | None, Query(examples=["viewer"])] = None,
    subject_type: Annotated[str | None, Query(examples=["user"])] = None,
    subject_id: Annotated[str | None, Query(examples=["anne"])] = None,
    subject_relation: Annotated[
        str | None, Query(description="Empty: only subjects without a relation.")
    ] = None,
) -> RelationshipFilter | None:
    """Read a filter from the query; None where no field is given."""
    made = RelationshipFilter(
        resource_type,
        resource_id,
        resource_id_prefix,
        relation,
        subject_type,
        subject_id,
        subject_relation,
    )
    return None if made == RelationshipFilter() else made


QueryFilter = Annotated[RelationshipFilter | None, Depends(query_filter)]
