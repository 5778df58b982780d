"""API keys: make, list, revoke. The secret of a key is in the answer that makes it, only."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field

from relata.errors import NotFoundError
from relata.relationships import parse_object
from relata.server.auth import needs
from relata.server.fields import Authorizer, Body
from relata.server.problems import BODY, KEY, responses
from relata.server.routing import Guarded
from relata.store import StoredKey

router = APIRouter(
    route_class=Guarded,
    tags=["keys"],
    dependencies=[needs("admin")],
    responses=responses(*KEY, 503),
)

ScopeName = Literal["check", "read", "write", "schema", "admin"]

_EXAMPLE: dict[str, Any] = {
    "id": "k_5f0c",
    "name": "reports API",
    "scopes": ["check"],
    "created_at": "2026-11-22T08:00:00Z",
    "revoked_at": None,
    "organization": "",
}


class KeyRequest(Body):
    """What a new key is called and what it opens."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "reports API", "scopes": ["check"]}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=100, description="Who holds the key.")]
    scopes: Annotated[list[ScopeName], Field(min_length=1, description="`admin` opens all.")]
    organization: Annotated[
        str, Field(description="The organization that it is bound to; empty for none.")
    ] = ""


class KeyBody(Body):
    """A key, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str
    name: str
    scopes: list[ScopeName]
    created_at: datetime.datetime
    revoked_at: datetime.datetime | None
    organization: Annotated[str, Field(description="What it is bound to; empty for nothing.")]


class NewKey(KeyBody):
    """A new key with its secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "key": "rk_…"}]})

    key: Annotated[str, Field(description="What goes after `Bearer`; it is not stored.")]


class KeyList(Body):
    """Every key, revoked ones too."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": [_EXAMPLE]}]})

    keys: list[KeyBody]


@router.post("/keys", operation_id="create_key", status_code=201, responses=responses(*BODY))
def create_key(body: KeyRequest, authorizer: Authorizer) -> NewKey:
    """Make a key; its secret is shown this once."""
    if body.organization:
        parse_object(f"organization:{body.organization}", field="organization")
    stored, secret = authorizer.keys.create(body.name, body.scopes, organization=body.organization)
    return NewKey(**_fields(stored), key=secret)


@router.get("/keys", operation_id="list_keys")
def list_keys(authorizer: Authorizer) -> KeyList:
    """List the keys, without their secrets."""
    return KeyList(keys=[KeyBody(**_fields(stored)) for stored in authorizer.keys.list()])


@router.delete("/keys/{id}", operation_id="revoke_key", status_code=204, responses=responses(404))
def revoke_key(key_id: Annotated[str, Path(alias="id")], authorizer: Authorizer) -> None:
    """Revoke a key, now in this process and within the poll interval in the others."""
    if not authorizer.keys.revoke(key_id):
        raise NotFoundError("there is no such key, or it is revoked already", field="id")


def _fields(stored: StoredKey) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.name,
        "scopes": list(stored.scopes),
        "created_at": stored.created_at,
        "revoked_at": stored.revoked_at,
        "organization": stored.organization,
    }
