"""Organizations: make, list, show, change, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from relata.api_keys import BOUND_SCOPES
from relata.cli.options import DATABASE_URL, Database, Json, open_database
from relata.cli.output import console, json_line, line, note
from relata.errors import InvalidArgumentError
from relata.store import StoredKey
from relata.tokens.organization_records import Organization
from relata.tokens.organizations import (
    NewOrganization,
    Organizations,
    OrganizationSettings,
)
from relata.tokens.pairwise import Users
from relata.tokens.policy import Policy

T = TypeVar("T")

Id = Annotated[str, typer.Argument(metavar="ID", help="The organization's id.")]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="For people.", show_default=False)
]
Attributes = Annotated[
    str | None,
    typer.Option(
        "--attributes",
        metavar="JSON",
        help="What is known of it, as a JSON object.",
        show_default=False,
    ),
]
UsersChoice = Annotated[
    Literal["shared", "pairwise"] | None,
    typer.Option(
        "--users",
        help="Whether users have the `sub` that they have above it, or one of their own.",
        show_default=False,
    ),
]
PolicyText = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="JSON",
        help="What is asked of tokens for it: `max_lifetime`, `acr_values`, `amr`, `max_age`, "
        "`issuers`.",
        show_default=False,
    ),
]


def create(
    organization: Id,
    parent: Annotated[
        str,
        typer.Option(
            "--parent", metavar="ID", help="The organization above it.", show_default=False
        ),
    ] = "",
    name: Name = None,
    attributes: Attributes = None,
    users: UsersChoice = None,
    policy: PolicyText = None,
    share_role_templates: Annotated[
        bool,
        typer.Option(
            "--share-role-templates", help="Give it the parent's roles that templates define."
        ),
    ] = False,
    share_products: Annotated[
        bool, typer.Option("--share-products", help="Subscribe it to the parent's products.")
    ] = False,
    key_scope: Annotated[
        list[str] | None,
        typer.Option(
            "--key-scope",
            metavar="SCOPE",
            help=f"What its key may do: {', '.join(BOUND_SCOPES)}; all of them if not given.",
            show_default=False,
        ),
    ] = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Make an organization and print its API key, which reaches nothing else.

    Example: `relata organizations create acme-eu --parent acme --share-role-templates`
    """
    settings = _changed(OrganizationSettings(), name, attributes, users, policy)
    with open_database(database) as relata:
        created = Organizations(relata).create(
            NewOrganization(
                **{it: getattr(settings, it) for it in settings.__struct_fields__},
                id=organization,
                parent=parent,
                share_role_templates=share_role_templates,
                share_products=share_products,
                key_scopes=tuple(key_scope) if key_scope else None,
            )
        )
    if json:
        json_line({**_fields(created.organization), **_key(created.key, created.secret)})
        return
    note(f"key {created.key.id} for {organization}; keep it, it is shown this once")
    line(created.secret)


def list_(database: Database = DATABASE_URL, json: Json = False) -> None:
    """List the stored organizations.

    Example: `relata organizations list`
    """
    with open_database(database) as relata:
        stored = _all(Organizations(relata))
    if json:
        json_line({"organizations": [_fields(it) for it in stored]})
    else:
        console().print(_table(stored))


def show(organization: Id, database: Database = DATABASE_URL, json: Json = False) -> None:
    """Show an organization.

    Example: `relata organizations show acme-eu`
    """
    with open_database(database) as relata:
        found = Organizations(relata).get(organization)
    if json:
        json_line(_fields(found))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for field, value in _fields(found).items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        table.add_row(field, escape(text))
    console().print(table)


def update(
    organization: Id,
    name: Name = None,
    attributes: Attributes = None,
    users: UsersChoice = None,
    policy: PolicyText = None,
    database: Database = DATABASE_URL,
) -> None:
    """Change what is given and keep the rest; it counts at once.

    One of which only relationships speak is stored by it.

    Example: `relata organizations update acme-eu --policy '{"max_age": 3600}'`
    """
    with open_database(database) as relata:
        organizations = Organizations(relata)
        present = organizations.settings(organization)
        organizations.replace(organization, _changed(present, name, attributes, users, policy))
    line(f"updated {organization}")


def delete(
    organization: Id,
    with_organizations: Annotated[
        bool, typer.Option("--with-organizations", help="Delete those below it too.")
    ] = False,
    database: Database = DATABASE_URL,
) -> None:
    """Delete an organization with all that belongs to it; end its keys and tokens.

    Example: `relata organizations delete acme-eu`
    """
    with open_database(database) as relata:
        Organizations(relata).delete(organization, with_organizations=with_organizations)
    line(f"deleted {organization}")


def _changed(
    settings: OrganizationSettings,
    name: str | None,
    attributes: str | None,
    users: Users | None,
    policy: str | None,
) -> OrganizationSettings:
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if attributes is not None:
        changes["attributes"] = _read(attributes, dict[str, Any], "--attributes")
    if users is not None:
        changes["users"] = users
    if policy is not None:
        changes["policy"] = _read(policy, Policy, "--policy")
    return msgspec.structs.replace(settings, **changes)


def _read(text: str, type_: type[T], option: str) -> T:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        reason = str(error)
        raise InvalidArgumentError(
            f"`{option}` is not what it should be: {reason[:1].lower()}{reason[1:]}", field=option
        ) from None


def _all(organizations: Organizations) -> list[Organization]:
    found: list[Organization] = []
    while page := organizations.list(after=found[-1].id if found else ""):
        found.extend(page)
    return found


def _key(stored: StoredKey, secret: str) -> dict[str, object]:
    return {"key": secret, "key_id": stored.id, "key_scopes": stored.scopes}


def _fields(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.id,
        "parent": organization.parent,
        "name": organization.name,
        "attributes": organization.attributes,
        "users": organization.users,
        "policy": msgspec.to_builtins(organization.policy),
        "created_at": datetime.fromtimestamp(organization.created_at, UTC).isoformat(),
        "deleting": organization.deleting,
    }


def _table(organizations: list[Organization]) -> Table:
    table = Table("id", "parent", "name", "users", "created", "state", box=None, pad_edge=False)
    for it in organizations:
        created = datetime.fromtimestamp(it.created_at, UTC).isoformat()
        state = "deleting" if it.deleting else "active"
        table.add_row(escape(it.id), escape(it.parent), escape(it.name), it.users, created, state)
    return table
