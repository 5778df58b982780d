"""What runs until it is told to stop: the server, and the demo.

Both import FastAPI, which takes longer than any other command takes to answer; so they are
imported here only when one of them runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from relata.cli.options import DATABASE_URL, DATABASE_VARIABLE

_HIGHEST_PORT = 65_535
_MOST_WORKERS = 256


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            show_default="127.0.0.1",
            help="The address to listen on; 0.0.0.0 for every one.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=_HIGHEST_PORT,
            show_default="8080",
            help="The port to listen on; 0 for any that is free.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            "-d",
            envvar=DATABASE_VARIABLE,
            metavar="URL",
            show_default=DATABASE_URL,
            help="The database, as a URL.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            metavar="N",
            min=1,
            max=_MOST_WORKERS,
            show_default="1",
            help="How many processes serve, each with the relationships in its memory.",
        ),
    ] = None,
) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM.

    Everything else is set by environment variables, among them RELATA_ISSUERS (whose tokens about
    users are believed) and RELATA_ISSUER_URL (what its own tokens say they are from).

    Example: `relata serve --port 8080`
    """
    from relata.server import read_settings, run

    options = {"host": host, "port": port, "database": database, "workers": workers}
    run(read_settings(**{name: value for name, value in options.items() if value is not None}))


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop everything when the story has been told.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=_HIGHEST_PORT - 2,
            show_default="8080; with --once, free ones",
            help="The first of three ports; 0 for any that are free.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            "-d",
            metavar="URL",
            show_default="a temporary one",
            help="An empty database, or one that the demo has used.",
        ),
    ] = None,
) -> None:
    """Tell the whole story over HTTP: users, organizations, products, tokens.

    Starts a server, a stand-in for an identity provider and a small product API on this machine,
    shows every request with its answer, and fails if an answer is not the expected one.

    Example: `relata demo --once`
    """
    from relata.demo import run_demo

    first_port = (0 if once else 8080) if port is None else port
    raise typer.Exit(run_demo(once=once, first_port=first_port, database=database))
