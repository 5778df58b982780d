"""API keys: make, list, revoke. Keys that sign tokens: rotate, list.

The commands about signing keys read the secret that encrypts them from the environment, as the
server does, so it is in no list of processes. They import what signs when they run: it takes
longer than the other commands take to answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from relata.api_keys import SCOPES
from relata.cli.options import DATABASE_URL, Database, Json, open_database
from relata.cli.output import console, json_line, line, note
from relata.errors import InvalidArgumentError, NotFoundError
from relata.store import StoredKey

if TYPE_CHECKING:
    from relata.tokens.signing import SigningKey, SigningKeys

SECRET_VARIABLE = "RELATA_KEY_SECRET"  # noqa: S105 - the name of a variable
FORMER_SECRETS_VARIABLE = "RELATA_FORMER_KEY_SECRETS"


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
    organization: Annotated[
        str, typer.Option(metavar="ID", help="The organization that it is bound to.")
    ] = "",
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Make a key and print it. It cannot be had again.

    Example: `relata keys create --name 'reports API' --scope check`
    """
    with open_database(database, create=True) as relata:
        stored, secret = relata.keys.create(name, scope, organization=organization)
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


def rotate(
    algorithm: Annotated[
        str,
        typer.Option(
            "--algorithm", metavar="NAME", help="The kind to rotate: ES256, RS256 or EdDSA."
        ),
    ] = "ES256",
    now: Annotated[
        bool,
        typer.Option("--now", help="Sign with it at once, not when all have seen it published."),
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Sign at once, and stop publishing the older keys: their tokens end. For a key "
            "that is no longer secret.",
        ),
    ] = False,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Make a key that takes over signing tokens, in all processes of the server.

    It is published at once and signs in ten minutes. The older ones stay published until the last
    token that they signed has expired. RELATA_KEY_SECRET is what private keys are encrypted with;
    keys that are stored otherwise are encrypted with it on the way.

    Example: `relata keys rotate --algorithm RS256`
    """
    with _signing_keys(database) as keys:
        made = keys.rotate(algorithm, at_once=now, forget=forget)
        if not keys.encrypts:
            note(f"the key is stored unencrypted; set {SECRET_VARIABLE} and rotate again")
    if json:
        json_line(msgspec.to_builtins(made))
    else:
        line(f"{made.kid} {made.state}")


def signing(database: Database = DATABASE_URL, json: Json = False) -> None:
    """List the keys that sign tokens, retired ones too while their tokens live.

    Example: `relata keys signing`
    """
    with _signing_keys(database) as keys:
        listed = keys.listing()
    if json:
        json_line({"keys": msgspec.to_builtins(listed)})
    else:
        console().print(_signing_table(listed))


@contextmanager
def _signing_keys(database: str) -> Iterator[SigningKeys]:
    from relata.tokens.signing import SigningKeys

    secret = os.environ.get(SECRET_VARIABLE) or None
    with open_database(database) as relata:
        yield SigningKeys(relata.store, secret=secret, former_secrets=_former_secrets())


def _former_secrets() -> tuple[str, ...]:
    try:
        return msgspec.json.decode(
            os.environ.get(FORMER_SECRETS_VARIABLE) or "[]", type=tuple[str, ...]
        )
    except msgspec.MsgspecError:
        raise InvalidArgumentError(
            f"`{FORMER_SECRETS_VARIABLE}` should be a JSON list of secrets"
        ) from None


def _signing_table(keys: tuple[SigningKey, ...]) -> Table:
    table = Table(
        "kid", "algorithm", "state", "stored", "created", "retired", box=None, pad_edge=False
    )
    for key in keys:
        stored = "encrypted" if key.encrypted else "unencrypted"
        created = key.created_at.isoformat(timespec="seconds")
        retired = key.retired_at.isoformat(timespec="seconds") if key.retired_at else ""
        table.add_row(key.kid, key.algorithm, key.state, stored, created, retired)
    return table


def _fields(stored: StoredKey) -> dict[str, object]:
    return {
        "id": stored.id,
        "name": stored.name,
        "scopes": stored.scopes,
        "created_at": stored.created_at,
        "revoked_at": stored.revoked_at,
        "organization": stored.organization,
    }


def _table(keys: tuple[StoredKey, ...]) -> Table:
    table = Table("id", "name", "scopes", "created", "state", box=None, pad_edge=False)
    for key in keys:
        created = key.created_at.isoformat(timespec="seconds")
        state = "revoked" if key.revoked_at else "active"
        table.add_row(key.id, escape(key.name), " ".join(key.scopes), created, state)
    return table
