"""`relata explain`: why a check answers as it does."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from relata.cli.options import (
    DATABASE_URL,
    ConsistencyText,
    ContextText,
    Contextual,
    Database,
    Json,
    PermissionArgument,
    ResourceArgument,
    SubjectArgument,
    consistency_of,
    context_of,
    contextual_of,
    open_database,
)
from relata.cli.output import DENIED, console, json_line, line
from relata.engine import Permissionship
from relata.engine.drawing import SIGNS, Line, mermaid, outline
from relata.errors import InvalidArgumentError

_COLOURS = {
    Permissionship.ALLOWED: "green",
    Permissionship.DENIED: "red",
    Permissionship.CONDITIONAL: "yellow",
}


def explain(
    resource: ResourceArgument,
    permission: PermissionArgument,
    subject: SubjectArgument,
    context: ContextText = None,
    context_relationship: Contextual = None,
    consistency: ConsistencyText = "minimize_latency",
    database: Database = DATABASE_URL,
    json: Json = False,
    as_mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Print a Mermaid diagram instead of a tree.")
    ] = False,
) -> None:
    """Say why a subject has a permission on a resource, or why not.

    The tree follows the schema: the shortest way by which the permission is granted, or what was
    tried and where it ended, or which context is missing where. Exits as `relata check` does.

    Example: `relata explain document:readme view user:anne`
    """
    if json and as_mermaid:
        raise InvalidArgumentError("`--json` and `--mermaid` exclude each other; give one")
    with open_database(database) as relata:
        result = relata.check(
            resource,
            permission,
            subject,
            context=context_of(context),
            contextual=contextual_of(context_relationship),
            consistency=consistency_of(consistency),
            explain=True,
        )
    if result.explanation is None:
        raise AssertionError("it was asked for")
    if json:
        json_line(
            {
                "allowed": result.allowed,
                "permissionship": result.permissionship,
                "missing_context": result.missing_context,
                "explanation": result.explanation,
                "checked_at": result.checked_at,
            }
        )
    elif as_mermaid:
        line(mermaid(result.explanation).removesuffix("\n"))
    else:
        missing = ", ".join(result.missing_context)
        line(f"{result.permissionship}{f', waits for {missing}' if missing else ''}")
        console().print(_drawn(outline(result.explanation)))
    if not result.allowed:
        raise typer.Exit(DENIED)


def _drawn(drawn: Line) -> Tree:
    title = Text(f"{SIGNS[drawn.answer]} ", style=_COLOURS[drawn.answer])
    title.append(drawn.text, style="bold")
    if drawn.why:
        title.append(f"  {drawn.why}", style="not bold default")
    tree = Tree(title)
    tree.children.extend(_drawn(it) for it in drawn.below)
    return tree
