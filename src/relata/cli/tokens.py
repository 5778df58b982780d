"""Issued tokens: take them back."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from relata.cli.options import DATABASE_URL, Database, Json, open_database
from relata.cli.output import json_line, line

REASON = "revoked by an admin"


def revoke(
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT", help="Those about it, such as user:anne.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(metavar="ID", help="Those that were issued to this client.")
    ] = None,
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="Those for this organization.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="SID", help="Those of this session at the issuer.")
    ] = None,
    jti: Annotated[
        str | None, typer.Option("--id", metavar="JTI", help="The one with this `jti`.")
    ] = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for those who follow the events.")
    ] = REASON,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Revoke the live tokens that match all that is given, and those exchanged from them.

    Example: `relata tokens revoke --subject user:anne --organization acme`
    """
    with open_database(database) as relata:
        revoked = relata.store.issued.revoke(
            jti=jti,
            subject=subject,
            client=client,
            organization=organization,
            session=session,
            reason=reason,
            now=int(time.time()),
        )
    if json:
        json_line({"revoked": revoked})
    else:
        line(f"revoked {revoked} {'token' if revoked == 1 else 'tokens'}")
