"""Clients: register, list, show, replace, remove, and change secrets.

A secret is in the answer that makes it, only.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field

from relata.server.auth import needs
from relata.server.fields import Authorizer, Body
from relata.server.problems import BODY, KEY, responses
from relata.server.routing import Guarded
from relata.tokens.clients import (
    MAX_OVERLAP,
    OVERLAP,
    Client,
    Clients,
    Registration,
    new_id,
    not_registered,
    read_client,
)
from relata.tokens.exchange import CLIENT_CREDENTIALS

router = APIRouter(
    route_class=Guarded,
    tags=["clients"],
    dependencies=[needs("admin")],
    responses=responses(*KEY, 503),
)

ClientId = Annotated[str, Path(alias="id", description="What the client calls itself.")]

_SETTINGS: dict[str, Any] = {
    "name": "nightly report",
    "authentication": "client_secret_basic",
    "grants": [CLIENT_CREDENTIALS],
    "audiences": ["reports"],
    "scopes": None,
    "organizations": ["acme"],
    "origins": [],
    "delegation": False,
    "require_dpop": False,
    "subject": "",
    "jwks": None,
    "jwks_uri": None,
    "disabled": False,
}
_MOMENT = "2026-11-22T08:00:00Z"
_EXAMPLE: dict[str, Any] = {
    "id": "nightly",
    **_SETTINGS,
    "created_at": _MOMENT,
    "secrets": [{"created_at": _MOMENT, "ends_at": None}],
}
_SECRET = "kq0kZ0t7rZ5wq6C0Ea1b9y3u6n2mXc8h4dJfLsVgTpQ"  # noqa: S105 - an example of a secret
_OVERLAP_SECONDS = int(OVERLAP.total_seconds())


class ClientSettings(Body):
    """How a client authenticates, and how far its tokens go; null is no limit."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SETTINGS]})

    name: Annotated[str, Field(description="What people call it.")] = ""
    authentication: Annotated[
        Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        Field(description="The one way in which it proves who it is; `none` for an app."),
    ]
    grants: Annotated[
        list[Literal["urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials"]],
        Field(min_length=1, description="How it may ask."),
    ]
    audiences: Annotated[list[str] | None, Field(description="What it may ask tokens for.")] = None
    scopes: Annotated[
        list[str] | None, Field(description="The permissions that its tokens may hold.")
    ] = None
    organizations: Annotated[
        list[str] | None,
        Field(description="Where its tokens may be for; with one, it need not be named."),
    ] = None
    origins: Annotated[
        list[str],
        Field(
            default_factory=list,
            description="The web origins of an app, such as `https://app.example`.",
        ),
    ]
    delegation: Annotated[
        bool, Field(description="Whether it may act for the users of other clients.")
    ] = False
    require_dpop: Annotated[
        bool, Field(description="Whether its tokens must be bound to a key (RFC 9449).")
    ] = False
    subject: Annotated[
        str, Field(description="The object that it is for itself; `client:` and its id if empty.")
    ] = ""
    jwks: Annotated[
        dict[str, Any] | None, Field(description="Its public keys, for `private_key_jwt`.")
    ] = None
    jwks_uri: Annotated[str | None, Field(description="Where it publishes them; https.")] = None
    disabled: Annotated[
        bool, Field(description="Whether it gets no tokens; those that it has are revoked.")
    ] = False


class ClientRequest(ClientSettings):
    """A new client."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "nightly", **_SETTINGS}]})

    id: Annotated[
        str | None, Field(description="What the client calls itself; made up if it is left out.")
    ] = None


class SecretBody(Body):
    """What is kept of a secret."""

    created_at: datetime.datetime
    ends_at: Annotated[
        datetime.datetime | None, Field(description="From when on it does not count, if ever.")
    ]


class ClientBody(ClientSettings):
    """A client, without its secrets."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str
    created_at: datetime.datetime
    secrets: Annotated[list[SecretBody], Field(description="The newest first.")]


class NewClient(ClientBody):
    """A new client with its secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "secret": _SECRET}]})

    secret: Annotated[
        str | None, Field(description="It is not stored; null where the client has none.")
    ]


class ClientList(Body):
    """Every client, by id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"clients": [_EXAMPLE]}]})

    clients: list[ClientBody]


class SecretRequest(Body):
    """For how long the older secret still counts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"overlap_seconds": _OVERLAP_SECONDS}]}
    )

    overlap_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=int(MAX_OVERLAP.total_seconds()),
            description="How long the secret before this one counts; 0 for no longer.",
        ),
    ] = _OVERLAP_SECONDS


class NewSecret(Body):
    """A new secret, which is shown this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"secret": _SECRET, "secrets": [{"created_at": _MOMENT, "ends_at": None}]}]
        }
    )

    secret: Annotated[str, Field(description="It is not stored.")]
    secrets: Annotated[list[SecretBody], Field(description="Those that count, newest first.")]


@router.post(
    "/clients", operation_id="create_client", status_code=201, responses=responses(*BODY, 409)
)
def create_client(body: ClientRequest, authorizer: Authorizer) -> NewClient:
    """Register a client; its secret is shown this once."""
    clients = Clients(authorizer.store)
    client_id = new_id() if body.id is None else body.id
    client, secret = clients.create(_client(client_id, body))
    registration = _registered(clients, client.id)
    return NewClient.model_validate({**registration.shown(), "secret": secret})


@router.get("/clients", operation_id="list_clients")
def list_clients(authorizer: Authorizer) -> ClientList:
    """List the clients, without their secrets."""
    return ClientList(clients=[_body(it) for it in Clients(authorizer.store).list()])


@router.get("/clients/{id}", operation_id="show_client", responses=responses(404))
def show_client(client_id: ClientId, authorizer: Authorizer) -> ClientBody:
    """Show a client, without its secrets."""
    return _body(_registered(Clients(authorizer.store), client_id))


@router.put("/clients/{id}", operation_id="replace_client", responses=responses(*BODY, 404, 409))
def replace_client(client_id: ClientId, body: ClientSettings, authorizer: Authorizer) -> ClientBody:
    """Replace what a client may do, as a whole. Its secrets stay."""
    return _body(Clients(authorizer.store).replace(_client(client_id, body)))


@router.delete(
    "/clients/{id}", operation_id="delete_client", status_code=204, responses=responses(404)
)
def delete_client(client_id: ClientId, authorizer: Authorizer) -> None:
    """Remove a client. Its tokens are revoked."""
    if not Clients(authorizer.store).delete(client_id):
        raise not_registered(client_id)


@router.post(
    "/clients/{id}/secret",
    operation_id="rotate_client_secret",
    status_code=201,
    responses=responses(*BODY, 404, 409),
)
def rotate_client_secret(
    client_id: ClientId, body: SecretRequest, authorizer: Authorizer
) -> NewSecret:
    """Make a new secret, which is shown this once. The one before counts for a while."""
    clients = Clients(authorizer.store)
    overlap = datetime.timedelta(seconds=body.overlap_seconds)
    secret = clients.rotate_secret(client_id, overlap=overlap)
    registration = _registered(clients, client_id)
    return NewSecret(secret=secret, secrets=_body(registration).secrets)


def _client(client_id: str, settings: ClientSettings) -> Client:
    return read_client({**settings.model_dump(), "id": client_id})


def _registered(clients: Clients, client_id: str) -> Registration:
    registration = clients.registration(client_id)
    if registration is None:
        raise not_registered(client_id)
    return registration


def _body(registration: Registration) -> ClientBody:
    return ClientBody.model_validate(registration.shown())
