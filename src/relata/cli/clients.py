"""Clients: register, list, show, change, remove, and change their secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from relata.cli.options import DATABASE_URL, Database, Json, open_database, read_text, source_name
from relata.cli.output import console, json_line, line, note
from relata.errors import InvalidArgumentError
from relata.tokens.clients import (
    METHODS,
    OVERLAP,
    SECRET_METHODS,
    Clients,
    Registration,
    new_id,
    not_registered,
    read_client,
)
from relata.tokens.exchange import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

_GRANTS = {"token-exchange": TOKEN_EXCHANGE, "client-credentials": CLIENT_CREDENTIALS}
_UNSETTABLE = (
    "name",
    "audiences",
    "scopes",
    "organizations",
    "origins",
    "subject",
    "jwks",
    "jwks_uri",
)

ClientId = Annotated[str, typer.Argument(metavar="ID", help="What the client calls itself.")]
Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What people call it.")]
Grants = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        metavar="GRANT",
        help=f"How it may ask: {', '.join(_GRANTS)}; give it again for both.",
        show_default=False,
    ),
]
AudienceNames = Annotated[
    list[str] | None,
    typer.Option(
        "--audience",
        metavar="ID",
        help="What it may ask tokens for; give it again for more.",
        show_default="any",
    ),
]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="PERMISSION",
        help="A permission that its tokens may hold; give it again for more.",
        show_default="any",
    ),
]
OrganizationNames = Annotated[
    list[str] | None,
    typer.Option(
        "--organization",
        metavar="ID",
        help="Where its tokens may be for; give it again for more.",
        show_default="any",
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="ORIGIN",
        help="A web origin of the app, such as https://app.example; give it again for more.",
        show_default=False,
    ),
]
Delegation = Annotated[
    bool | None,
    typer.Option(
        "--delegation/--no-delegation",
        help="Whether it may act for the users of other clients.",
        show_default=False,
    ),
]
RequireDpop = Annotated[
    bool | None,
    typer.Option(
        "--require-dpop/--no-require-dpop",
        help="Whether its tokens must be bound to a key.",
        show_default=False,
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="OBJECT", help="The object that it is for itself."),
]
JwksFile = Annotated[
    str | None,
    typer.Option("--jwks", metavar="FILE", help="Its public keys, as a JWK Set; - for stdin."),
]
JwksUri = Annotated[
    str | None, typer.Option("--jwks-uri", metavar="URL", help="Where it publishes its keys.")
]
Disabled = Annotated[
    bool | None,
    typer.Option(
        "--disabled/--enabled",
        help="Whether it gets no tokens; those that it has are revoked.",
        show_default=False,
    ),
]
_METHOD_HELP = f"How it proves who it is: {', '.join(METHODS)}."


def create(
    authentication: Annotated[
        str,
        typer.Option("--authentication", metavar="HOW", help=_METHOD_HELP, show_default=False),
    ],
    client_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="What the client calls itself; made up if it is left out."
        ),
    ] = None,
    name: Name = None,
    grant: Grants = None,
    audience: AudienceNames = None,
    scope: Scopes = None,
    organization: OrganizationNames = None,
    origin: Origins = None,
    delegation: Delegation = None,
    require_dpop: RequireDpop = None,
    subject: Subject = None,
    jwks: JwksFile = None,
    jwks_uri: JwksUri = None,
    disabled: Disabled = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Register a client. Its secret, where it has one, is printed and cannot be had again.

    Without `--grant` it may exchange tokens.

    Example: `relata clients create app --authentication none --origin https://app.example`
    """
    given = _given(
        authentication=authentication,
        name=name,
        grants=_grants(grant),
        audiences=audience,
        scopes=scope,
        organizations=organization,
        origins=origin,
        delegation=delegation,
        require_dpop=require_dpop,
        subject=subject,
        jwks=_jwks(jwks),
        jwks_uri=jwks_uri,
        disabled=disabled,
    )
    made = {
        "grants": (TOKEN_EXCHANGE,),
        **given,
        "id": new_id() if client_id is None else client_id,
    }
    client = read_client(made)
    with open_database(database) as relata:
        clients = Clients(relata.store)
        _, secret = clients.create(client)
        registration = _registered(clients, client.id)
    if json:
        json_line({**registration.shown(), "secret": secret})
    elif secret is None:
        line(f"created {client.id}")
    else:
        _print_secret(client.id, secret)


def list_(database: Database = DATABASE_URL, json: Json = False) -> None:
    """List the clients, without their secrets.

    Example: `relata clients list`
    """
    with open_database(database) as relata:
        registrations = Clients(relata.store).list()
    if json:
        json_line({"clients": [registration.shown() for registration in registrations]})
    else:
        console().print(_table(registrations))


def show(client_id: ClientId, database: Database = DATABASE_URL, json: Json = False) -> None:
    """Show a client, without its secrets.

    Example: `relata clients show app`
    """
    with open_database(database) as relata:
        registration = _registered(Clients(relata.store), client_id)
    _print(registration, json)


def update(
    client_id: ClientId,
    authentication: Annotated[
        str | None, typer.Option("--authentication", metavar="HOW", help=_METHOD_HELP)
    ] = None,
    name: Name = None,
    grant: Grants = None,
    audience: AudienceNames = None,
    scope: Scopes = None,
    organization: OrganizationNames = None,
    origin: Origins = None,
    delegation: Delegation = None,
    require_dpop: RequireDpop = None,
    subject: Subject = None,
    jwks: JwksFile = None,
    jwks_uri: JwksUri = None,
    disabled: Disabled = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="NAME",
            help=f"What goes back to its default: {', '.join(_UNSETTABLE)}. "
            "Give it again for more.",
            show_default=False,
        ),
    ] = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Change what is given about a client; the rest stays, and so do its secrets.

    An option that may be given again replaces all of its kind.

    Example: `relata clients update app --disabled`
    """
    given = _given(
        authentication=authentication,
        name=name,
        grants=_grants(grant),
        audiences=audience,
        scopes=scope,
        organizations=organization,
        origins=origin,
        delegation=delegation,
        require_dpop=require_dpop,
        subject=subject,
        jwks=_jwks(jwks),
        jwks_uri=jwks_uri,
        disabled=disabled,
    )
    dropped = _dropped(unset)
    with open_database(database) as relata:
        clients = Clients(relata.store)
        present = msgspec.to_builtins(_registered(clients, client_id).client)
        kept = {field: value for field, value in present.items() if field not in dropped}
        registration = clients.replace(read_client({**kept, **given}))
    _print(registration, json)
    if registration.client.authentication in SECRET_METHODS and not registration.secrets:
        note(f"it has no secret; make one with `relata clients rotate {client_id}`")


def rotate(
    client_id: ClientId,
    overlap: Annotated[
        int,
        typer.Option(
            "--overlap", metavar="SECONDS", help="How long the secret before this one counts."
        ),
    ] = int(OVERLAP.total_seconds()),
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Make a new secret for a client and print it. It cannot be had again.

    Example: `relata clients rotate nightly --overlap 3600`
    """
    with open_database(database) as relata:
        clients = Clients(relata.store)
        secret = clients.rotate_secret(client_id, overlap=timedelta(seconds=overlap))
        registration = _registered(clients, client_id)
    if json:
        json_line({"secret": secret, "secrets": registration.shown()["secrets"]})
    else:
        _print_secret(client_id, secret)


def delete(client_id: ClientId, database: Database = DATABASE_URL) -> None:
    """Remove a client. Its tokens are revoked.

    Example: `relata clients delete app`
    """
    with open_database(database) as relata:
        if not Clients(relata.store).delete(client_id):
            raise not_registered(client_id)
    line(f"deleted {client_id}")


def _given(**fields: object) -> dict[str, Any]:
    """The fields that options were given for."""
    return {name: value for name, value in fields.items() if value is not None}


def _grants(names: list[str] | None) -> list[str] | None:
    """Read `--grant`: the short names, or those of the protocol."""
    return None if names is None else [_GRANTS.get(name, name) for name in names]


def _jwks(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(read_text(path), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise InvalidArgumentError(
            f"{source_name(path)} is not a JSON object", field="--jwks"
        ) from None


def _dropped(unset: list[str] | None) -> frozenset[str]:
    names = frozenset(name.replace("-", "_") for name in unset or ())
    for name in sorted(names.difference(_UNSETTABLE)):
        raise InvalidArgumentError(
            f"`{name}` cannot be unset; what can is {', '.join(_UNSETTABLE)}", field="--unset"
        )
    return names


def _registered(clients: Clients, client_id: str) -> Registration:
    registration = clients.registration(client_id)
    if registration is None:
        raise not_registered(client_id)
    return registration


def _print_secret(client_id: str, secret: str) -> None:
    note(f"the secret of {client_id}; keep it, it is shown this once")
    line(secret)


def _print(registration: Registration, json: bool) -> None:
    fields = registration.shown()
    if json:
        json_line(fields)
        return
    for name, value in msgspec.to_builtins(fields).items():
        if value not in (None, "", [], False):
            line(f"{name}: {_text(value)}")


def _text(value: object) -> str:
    match value:
        case True:
            return "yes"
        case str():
            return value
        case [*names] if all(isinstance(name, str) for name in names):
            return " ".join(str(name) for name in names)
    return msgspec.json.encode(value).decode()


def _table(registrations: tuple[Registration, ...]) -> Table:
    table = Table("id", "name", "authentication", "grants", "state", box=None, pad_edge=False)
    short = {grant: name for name, grant in _GRANTS.items()}
    for client in (registration.client for registration in registrations):
        table.add_row(
            client.id,
            escape(client.name),
            client.authentication,
            " ".join(short[grant] for grant in client.grants),
            "disabled" if client.disabled else "active",
        )
    return table
