"""API keys: make, list, revoke."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from relata.api_keys import SCOPES
from relata.cli.options import DATABASE_URL, Database, Json, open_database
from relata.cli.output import console, json_line, line, note
from relata.errors import NotFoundError
from relata.store import StoredKey


def create(
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Who holds the key.", show_default=False)
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help=f"What it opens: {', '.join(SCOPES)}; admin opens all. Give it again for more.",
            show_default=False,
        ),
    ],
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Make a key and print it. It cannot be had again.

    Example: `relata keys create --name 'reports API' --scope check`
    """
    with open_database(database, create=True) as relata:
        stored, secret = relata.keys.create(name, scope)
    if json:
        json_line({"key": secret, **_fields(stored)})
        return
    note(f"key {stored.id} for {stored.name}; keep it, it is shown this once")
    line(secret)


def list_(database: Database = DATABASE_URL, json: Json = False) -> None:
    """List the keys, revoked ones too, without their secrets.

    Example: `relata keys list`
    """
    with open_database(database) as relata:
        stored = relata.keys.list()
    if json:
        json_line({"keys": [_fields(key) for key in stored]})
    else:
        console().print(_table(stored))


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` prints it.")],
    database: Database = DATABASE_URL,
) -> None:
    """Revoke a key: it opens nothing from now on.

    Example: `relata keys revoke 5f0cK2mQx7Za`
    """
    with open_database(database) as relata:
        if not relata.keys.revoke(key_id):
            raise NotFoundError(f"there is no active key `{key_id}`; see `relata keys list`")
    line(f"revoked {key_id}")


def _fields(stored: StoredKey) -> dict[str, object]:
    return {
        "id": stored.id,
        "name": stored.name,
        "scopes": stored.scopes,
        "created_at": stored.created_at,
        "revoked_at": stored.revoked_at,
    }


def _table(keys: tuple[StoredKey, ...]) -> Table:
    table = Table("id", "name", "scopes", "created", "state", box=None, pad_edge=False)
    for key in keys:
        created = key.created_at.isoformat(timespec="seconds")
        state = "revoked" if key.revoked_at else "active"
        table.add_row(key.id, escape(key.name), " ".join(key.scopes), created, state)
    return table
