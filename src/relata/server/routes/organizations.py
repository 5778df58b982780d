"""Organizations: make, show, change, delete. A key that is bound to one reaches those below it.

`GET /organizations` is another question, asked by a user of what they may choose (`tokens.py`);
the list of what is stored is `GET /organizations/records`.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ConfigDict, Field

from relata.authorizer import Relata
from relata.server.auth import inside, needs
from relata.server.fields import DEFAULT_PAGE, Body, Key, QueryLimit, ZedTokenText
from relata.server.problems import BODY, KEY, responses
from relata.server.routing import Guarded
from relata.tokens.organization_records import MAX_ATTRIBUTES_BYTES, Organization
from relata.tokens.organizations import NewOrganization, Organizations, OrganizationSettings
from relata.tokens.policy import Policy

router = APIRouter(
    route_class=Guarded,
    tags=["organizations"],
    dependencies=[needs("admin")],
    responses=responses(*KEY, 503),
)

KeyScope = Literal["check", "read", "write"]
Seconds = Annotated[int | None, Field(description="In seconds.")]

_POLICY: dict[str, Any] = {
    "max_lifetime": 300,
    "acr_values": ["urn:example:mfa"],
    "amr": [],
    "max_age": 3600,
    "issuers": None,
}
_SETTINGS: dict[str, Any] = {
    "name": "Acme Europe",
    "attributes": {"region": "eu"},
    "users": "shared",
    "policy": _POLICY,
}
_EXAMPLE: dict[str, Any] = {
    "id": "acme-eu",
    "parent": "acme",
    **_SETTINGS,
    "created_at": "2026-11-22T08:00:00Z",
    "deleting": False,
}


class PolicyBody(Body):
    """What is asked of tokens for an organization, beside what those above it ask."""

    max_lifetime: Seconds = None
    acr_values: Annotated[
        list[str] | None,
        Field(description="The `acr` of a user's token must be one of these; null for any."),
    ] = None
    amr: Annotated[
        list[str],
        Field(default_factory=list, description="The `amr` must have all of these."),
    ]
    max_age: Annotated[
        int | None, Field(description="How long ago a user may have authenticated, in seconds.")
    ] = None
    issuers: Annotated[
        list[str] | None,
        Field(description="The issuers whose tokens are taken; null for all that are trusted."),
    ] = None

    def value(self) -> Policy:
        """The policy as the library's value."""
        return msgspec.convert(self.model_dump(), Policy)


class SettingsBody(Body):
    """What an organization can be told; what is left out is as in a new one."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SETTINGS]})

    name: Annotated[str, Field(description="For people.")] = ""
    attributes: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description=f"What JSON has, at most {MAX_ATTRIBUTES_BYTES} bytes of it.",
        ),
    ]
    users: Annotated[
        Literal["shared", "pairwise"],
        Field(
            description="Whether users have the `sub` that they have in the organization above, "
            "or one of their own here."
        ),
    ] = "shared"
    policy: Annotated[PolicyBody, Field(default_factory=lambda: PolicyBody(amr=[]))]


class OrganizationRequest(SettingsBody):
    """An organization to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "acme-eu",
                    "parent": "acme",
                    "name": "Acme Europe",
                    "share_role_templates": True,
                    "share_products": True,
                }
            ]
        }
    )

    id: Annotated[str, Field(description="The id of its object, `organization:{id}`.")]
    parent: Annotated[
        str, Field(description="The organization above it; a bound key's own if left out.")
    ] = ""
    share_role_templates: Annotated[
        bool, Field(description="Whether it gets the parent's roles that templates define.")
    ] = False
    share_products: Annotated[
        bool, Field(description="Whether it subscribes to the parent's products.")
    ] = False
    key_scopes: Annotated[
        list[KeyScope] | None,
        Field(min_length=1, description="What its key may do; all of it if null."),
    ] = None


class OrganizationBody(SettingsBody):
    """An organization as it is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str
    parent: Annotated[str, Field(description="What it was made under; empty for none.")]
    created_at: datetime.datetime
    deleting: Annotated[bool, Field(description="Whether its deletion has begun.")]


class NewOrganizationBody(OrganizationBody):
    """A new organization, with its key, which is shown this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "key": "relata_5f0cK2mQx7Za_…",
                    "key_id": "5f0cK2mQx7Za",
                    "key_scopes": ["check", "read", "write"],
                    "written_at": "MTo3YjY5ZTFhMGY0MmM6NDI=",
                }
            ]
        }
    )

    key: Annotated[str, Field(description="What goes after `Bearer`; it is not stored.")]
    key_id: str
    key_scopes: list[str]
    written_at: ZedTokenText


class OrganizationList(Body):
    """Stored organizations, by id."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"organizations": [_EXAMPLE], "after": None}]}
    )

    organizations: list[OrganizationBody]
    after: Annotated[
        str | None, Field(description="Null when this is all; otherwise ask again with it.")
    ]


async def organizations_of(request: Request) -> Organizations:
    """The organizations of the authorizer that the application was created with."""
    authorizer: Relata = request.app.state.authorizer
    return Organizations(authorizer)


Stored = Annotated[Organizations, Depends(organizations_of)]
OrganizationId = Annotated[str, Path(alias="id", description="The id, percent-encoded.")]


@router.post(
    "/organizations",
    operation_id="create_organization",
    status_code=201,
    dependencies=[inside("write")],
    responses=responses(*BODY, 409, 422),
)
def create_organization(body: OrganizationRequest, stored: Stored, key: Key) -> NewOrganizationBody:
    """Make an organization, with an API key that reaches it and nothing else."""
    created = stored.create(
        NewOrganization(
            **_settings(body),
            id=body.id,
            parent=body.parent,
            share_role_templates=body.share_role_templates,
            share_products=body.share_products,
            key_scopes=None if body.key_scopes is None else tuple(body.key_scopes),
        ),
        by=key,
    )
    return NewOrganizationBody(
        **_fields(created.organization),
        key=created.secret,
        key_id=created.key.id,
        key_scopes=list(created.key.scopes),
        written_at=created.written_at,
    )


@router.get(
    "/organizations/records",
    operation_id="list_organizations",
    dependencies=[inside("read")],
    responses=responses(400),
)
def list_organizations(
    stored: Stored,
    key: Key,
    after: Annotated[str, Query(description="What the list before has as `after`.")] = "",
    limit: QueryLimit = DEFAULT_PAGE,
) -> OrganizationList:
    """List the stored organizations; for a bound key its own, and those below it."""
    found = stored.list(after=after, limit=limit + 1, by=key)
    return OrganizationList(
        organizations=[OrganizationBody(**_fields(it)) for it in found[:limit]],
        after=found[limit - 1].id if len(found) > limit else None,
    )


@router.get(
    "/organizations/{id:path}",
    operation_id="show_organization",
    dependencies=[inside("read")],
    responses=responses(404),
)
def show_organization(organization: OrganizationId, stored: Stored, key: Key) -> OrganizationBody:
    """Show a stored organization."""
    return OrganizationBody(**_fields(stored.get(organization, by=key)))


@router.put(
    "/organizations/{id:path}",
    operation_id="replace_organization",
    dependencies=[inside("write")],
    responses=responses(*BODY, 404, 409, 422),
)
def replace_organization(
    organization: OrganizationId, body: SettingsBody, stored: Stored, key: Key
) -> OrganizationBody:
    """Tell an organization anew what it can be told, as a whole; it counts at once."""
    settings = OrganizationSettings(**_settings(body))
    return OrganizationBody(**_fields(stored.replace(organization, settings, by=key)))


@router.delete(
    "/organizations/{id:path}",
    operation_id="delete_organization",
    status_code=204,
    dependencies=[inside("write")],
    responses=responses(400, 404, 409, 422),
)
def delete_organization(
    organization: OrganizationId,
    stored: Stored,
    key: Key,
    with_organizations: Annotated[
        Literal["true", "false"],
        Query(description="Whether those below it are deleted too."),
    ] = "false",
) -> None:
    """End an organization's keys and tokens, and delete it with all that belongs to it."""
    stored.delete(organization, with_organizations=with_organizations == "true", by=key)


def _settings(body: SettingsBody) -> dict[str, Any]:
    return {
        "name": body.name,
        "attributes": body.attributes,
        "users": body.users,
        "policy": body.policy.value(),
    }


def _fields(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.id,
        "parent": organization.parent,
        "name": organization.name,
        "attributes": organization.attributes,
        "users": organization.users,
        "policy": PolicyBody.model_validate_json(msgspec.json.encode(organization.policy)),
        "created_at": datetime.datetime.fromtimestamp(organization.created_at, datetime.UTC),
        "deleting": organization.deleting,
    }
