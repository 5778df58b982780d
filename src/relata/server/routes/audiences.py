"""Audiences: register, list, show, change, remove; and the permission lists that they publish.

An audience's id is often an address. In a path it is percent-encoded as a whole:
`/audiences/https%3A%2F%2F%7Borganization%7D.api.example.com`.

The permission lists are open: who verifies a token needs them, and what a version says never
changes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import ConfigDict, Field

from relata.authorizer import Relata
from relata.errors import NotFoundError, OAuthError
from relata.server.auth import needs
from relata.server.fields import Authorizer, Body
from relata.server.problems import BODY, KEY, responses
from relata.server.routing import Guarded, Open
from relata.tokens.audiences import Audience, Audiences, not_registered, read_audience
from relata.tokens.bitset import PermissionLists
from relata.tokens.claim_mappings import check_lookups
from relata.tokens.size import DEFAULT_BYTES

router = APIRouter(
    route_class=Guarded,
    tags=["audiences"],
    dependencies=[needs("admin")],
    responses=responses(*KEY, 503),
)
lists_router = APIRouter(route_class=Open, tags=["audiences"])

PERMISSION_LISTS_PATH = "/token/permission-lists"
FOR_EVER = "public, max-age=31536000, immutable"
"""A year, which is what caches take for ever, and no question in between (RFC 8246)."""

_SETTINGS: dict[str, Any] = {
    "products": ["reports", "billing"],
    "lifetime": 300,
    "max_bytes": 4096,
    "encoding": "names",
    "signing_algorithm": None,
    "enrichment": {
        "url": "https://facts.example/claims",
        "claim": "https://example.com/facts",
        "timeout": 2.0,
        "max_bytes": 2048,
        "cache_seconds": 60,
        "on_failure": "refuse",
    },
    "claims": [
        {"claim": "plan", "attribute": "plan", "lookup": None, "may_leave": False},
        {
            "claim": "datasets",
            "attribute": "",
            "lookup": {"resource_type": "dataset", "permission": "visible"},
            "may_leave": True,
        },
    ],
}
_EXAMPLE = {"id": "https://{organization}.api.example.com", **_SETTINGS}

AudienceId = Annotated[
    str,
    Path(alias="id", description="The audience's id, percent-encoded as a whole."),
]


class LookupBody(Body):
    """A question to the graph."""

    resource_type: str
    permission: str


class ClaimBody(Body):
    """A claim and where it comes from: exactly one of `attribute` and `lookup`."""

    claim: Annotated[str, Field(description="A name whose meaning is not fixed already.")]
    attribute: Annotated[
        str, Field(description="An attribute of the organization, or `name`; none if empty.")
    ] = ""
    lookup: Annotated[
        LookupBody | None, Field(description="Which resources the subject holds a permission on.")
    ] = None
    may_leave: Annotated[
        bool, Field(description="Whether the claim may leave a token that would be too large.")
    ] = False


class EnrichmentBody(Body):
    """A service that is asked for a claim."""

    url: Annotated[str, Field(description="https, or http on the same machine.")]
    claim: Annotated[str, Field(description="`ext`, or a URI.")] = "ext"
    timeout: Annotated[float, Field(description="In seconds.")] = 2.0
    max_bytes: Annotated[int, Field(description="How long the answer may be.")] = 2048
    cache_seconds: Annotated[int, Field(description="How long an answer is used.")] = 60
    on_failure: Annotated[
        Literal["refuse", "omit"],
        Field(description="What is issued without an answer: no token, or one without the claim."),
    ] = "refuse"


class AudienceSettings(Body):
    """What an audience's tokens are for, and how they are made."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SETTINGS]})

    products: Annotated[list[str], Field(description="The ids of products.")]
    lifetime: Annotated[
        int | None, Field(description="In seconds; the service's own time if null.")
    ] = None
    max_bytes: Annotated[int, Field(description="How long a token may be.")] = DEFAULT_BYTES
    encoding: Annotated[
        Literal["names", "bitset"], Field(description="How tokens say the permissions.")
    ] = "names"
    signing_algorithm: Annotated[
        Literal["ES256", "RS256", "EdDSA"] | None,
        Field(description="How tokens are signed; as the service's others if null."),
    ] = None
    enrichment: EnrichmentBody | None = None
    claims: Annotated[
        list[ClaimBody], Field(default_factory=list, description="Claims of its own.")
    ]


class AudienceBody(AudienceSettings):
    """A registered audience."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: Annotated[
        str,
        Field(description="What `aud` says, or a template of it with one `{organization}`."),
    ]


class AudienceList(Body):
    """Every registered audience, by id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"audiences": [_EXAMPLE]}]})

    audiences: list[AudienceBody]


class PermissionListBody(Body):
    """A version of an audience's permission list; what it says never changes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"audience": "reports", "version": 1, "permissions": ["read:reports"]}]
        }
    )

    audience: Annotated[str, Field(description="The registered id.")]
    version: int
    permissions: Annotated[list[str], Field(description="Bit `i` stands for the `i`-th, from 0.")]


@router.post(
    "/audiences",
    operation_id="create_audience",
    status_code=201,
    responses=responses(*BODY, 409),
)
def create_audience(body: AudienceBody, authorizer: Authorizer) -> AudienceBody:
    """Register an audience."""
    audience = _checked(body.id, body, authorizer)
    Audiences(authorizer.store).create(audience)
    return _body(audience)


@router.get("/audiences", operation_id="list_audiences")
def list_audiences(authorizer: Authorizer) -> AudienceList:
    """List the registered audiences."""
    return AudienceList(audiences=[_body(it) for it in Audiences(authorizer.store).list()])


@router.get("/audiences/{id:path}", operation_id="show_audience", responses=responses(404))
def show_audience(audience_id: AudienceId, authorizer: Authorizer) -> AudienceBody:
    """Show an audience."""
    audience = Audiences(authorizer.store).get(audience_id)
    if audience is None:
        raise not_registered(audience_id)
    return _body(audience)


@router.put(
    "/audiences/{id:path}", operation_id="replace_audience", responses=responses(*BODY, 404, 409)
)
def replace_audience(
    audience_id: AudienceId, body: AudienceSettings, authorizer: Authorizer
) -> AudienceBody:
    """Replace what an audience says, as a whole. Tokens that were issued stay as they are."""
    audience = _checked(audience_id, body, authorizer)
    Audiences(authorizer.store).replace(audience)
    return _body(audience)


@router.delete(
    "/audiences/{id:path}",
    operation_id="delete_audience",
    status_code=204,
    responses=responses(404),
)
def delete_audience(audience_id: AudienceId, authorizer: Authorizer) -> None:
    """Remove an audience. Its permission lists stay, for the tokens that were issued."""
    if not Audiences(authorizer.store).delete(audience_id):
        raise not_registered(audience_id)


@lists_router.get(
    f"{PERMISSION_LISTS_PATH}/{{audience:path}}/{{version}}",
    operation_id="permission_list",
    responses=responses(400, 404, 503),
)
def permission_list(
    audience: Annotated[
        str,
        Path(description="What a token's `aud` says, percent-encoded as a whole."),
    ],
    version: Annotated[int, Path(ge=0, le=2**31 - 1, description="The token's `v`.")],
    authorizer: Authorizer,
    response: Response,
) -> PermissionListBody:
    """Publish the names that the bits of a version stand for."""
    registered = _registered(audience, authorizer)
    published = PermissionLists(authorizer.store.records).get(registered, version)
    if published is None:
        raise NotFoundError("there is no such version of the permission list", field="version")
    response.headers["Cache-Control"] = FOR_EVER
    return PermissionListBody(
        audience=registered, version=published.version, permissions=list(published.names)
    )


def _registered(name: str, authorizer: Relata) -> str:
    """The id under which the audience's list is kept: for a template's audience the template's."""
    try:
        return Audiences(authorizer.store).resolve(name).settings.id
    except OAuthError:
        return name


def _checked(audience_id: str, settings: AudienceSettings, authorizer: Relata) -> Audience:
    audience = read_audience({**settings.model_dump(), "id": audience_id})
    check_lookups(audience.claims, lambda: authorizer.schema)
    return audience


def _body(audience: Audience) -> AudienceBody:
    return AudienceBody.model_validate(
        msgspec.to_builtins(audience, builtin_types=()), strict=False
    )
