"""The command `relata`: every command in its place, and nothing more.

The commands that ask or write open the database themselves; none of them needs a server.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from relata.cli import (
    audiences,
    clients,
    explaining,
    keys,
    organizations,
    questions,
    relationships,
    schema,
    schema_tools,
    serve,
    tokens,
    transfer,
    validate,
)
from relata.cli.output import ReadableErrors, line

_QUESTIONS = "Questions"
_RELATIONSHIPS = "Relationships"
_ADMINISTRATION = "Schema and keys"
_SERVER = "Server"


def _group(summary: str) -> typer.Typer:
    return typer.Typer(help=summary, no_args_is_help=True, rich_markup_mode="markdown")


app = typer.Typer(
    name="relata",
    cls=ReadableErrors,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # what is unforeseen is for the log, as Python prints it
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command(rich_help_panel=_QUESTIONS)(questions.check)
app.command(rich_help_panel=_QUESTIONS)(explaining.explain)
app.command(rich_help_panel=_QUESTIONS)(questions.expand)
_lookup = _group("List resources, subjects or permissions.")
_lookup.command("resources")(questions.lookup_resources)
_lookup.command("subjects")(questions.lookup_subjects)
_lookup.command("permissions")(questions.lookup_permissions)
app.add_typer(_lookup, name="lookup", rich_help_panel=_QUESTIONS)

app.command(rich_help_panel=_RELATIONSHIPS)(relationships.write)
app.command(rich_help_panel=_RELATIONSHIPS)(relationships.read)
app.command(rich_help_panel=_RELATIONSHIPS)(relationships.delete)
app.command("import", rich_help_panel=_RELATIONSHIPS)(transfer.import_)
app.command("export", rich_help_panel=_RELATIONSHIPS)(transfer.export_)

_schema = _group("Show, write, check, compare or draw the schema.")
_schema.command("show")(schema.show)
_schema.command("write")(schema.write)
_schema.command("check")(schema.check)
_schema.command("diff")(schema_tools.schema_diff)
_schema.command("graph")(schema_tools.schema_graph)
app.add_typer(_schema, name="schema", rich_help_panel=_ADMINISTRATION)
app.command(rich_help_panel=_ADMINISTRATION)(schema_tools.fmt)
app.command(rich_help_panel=_ADMINISTRATION)(validate.validate)
_keys = _group("Make, list or revoke API keys; list or rotate those that sign tokens.")
_keys.command("create")(keys.create)
_keys.command("list")(keys.list_)
_keys.command("revoke")(keys.revoke)
_keys.command("rotate")(keys.rotate)
_keys.command("signing")(keys.signing)
app.add_typer(_keys, name="keys", rich_help_panel=_ADMINISTRATION)
_audiences = _group("Register, list, show, change or remove the audiences of tokens.")
_audiences.command("create")(audiences.create)
_audiences.command("list")(audiences.list_)
_audiences.command("show")(audiences.show)
_audiences.command("update")(audiences.update)
_audiences.command("delete")(audiences.delete)
app.add_typer(_audiences, name="audiences", rich_help_panel=_ADMINISTRATION)
_clients = _group("Register, list, show, change or remove the clients of the token service.")
_clients.command("create")(clients.create)
_clients.command("list")(clients.list_)
_clients.command("show")(clients.show)
_clients.command("update")(clients.update)
_clients.command("rotate")(clients.rotate)
_clients.command("delete")(clients.delete)
app.add_typer(_clients, name="clients", rich_help_panel=_ADMINISTRATION)
_organizations = _group("Make, list, show, change or delete organizations.")
_organizations.command("create")(organizations.create)
_organizations.command("list")(organizations.list_)
_organizations.command("show")(organizations.show)
_organizations.command("update")(organizations.update)
_organizations.command("delete")(organizations.delete)
app.add_typer(_organizations, name="organizations", rich_help_panel=_ADMINISTRATION)

_tokens = _group("Take issued tokens back.")
_tokens.command("revoke")(tokens.revoke)
app.add_typer(_tokens, name="tokens", rich_help_panel=_ADMINISTRATION)

app.command(rich_help_panel=_SERVER)(serve.serve)
app.command(rich_help_panel=_SERVER)(serve.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        line(f"relata {version('relata')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Relationship-based permissions: ask, write, serve.

    The commands work on a database, `sqlite:///relata.db` unless `--database` or RELATA_DATABASE
    names another.
    """
