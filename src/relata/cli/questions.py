"""Questions: check, expand, and the lookups of resources, subjects and permissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from relata.cli.options import (
    DATABASE_URL,
    ConsistencyText,
    ContextText,
    Contextual,
    Cursor,
    Database,
    Json,
    Limit,
    PermissionArgument,
    ResourceArgument,
    SubjectArgument,
    consistency_of,
    context_of,
    contextual_of,
    open_database,
)
from relata.cli.output import DENIED, console, json_line, line, note
from relata.engine import ExpandNode
from relata.errors import InvalidArgumentError

_FRESHNESS = "minimize_latency"


def check(
    resource: ResourceArgument,
    permission: PermissionArgument,
    subject: SubjectArgument,
    context: ContextText = None,
    context_relationship: Contextual = None,
    consistency: ConsistencyText = _FRESHNESS,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Ask whether a subject has a permission on a resource.

    Exits with 0 if allowed, 1 if not, 2 if the question has no answer.

    Example: `relata check document:readme view user:anne`
    """
    with open_database(database) as relata:
        result = relata.check(
            resource,
            permission,
            subject,
            context=context_of(context),
            contextual=contextual_of(context_relationship),
            consistency=consistency_of(consistency),
        )
    if json:
        json_line(
            {
                "allowed": result.allowed,
                "permissionship": result.permissionship,
                "missing_context": result.missing_context,
                "checked_at": result.checked_at,
            }
        )
    else:
        line(result.permissionship)
        if result.missing_context:
            note(f"it depends on {_listed(result.missing_context)}; give --context")
    if not result.allowed:
        raise typer.Exit(DENIED)


def expand(
    resource: ResourceArgument,
    permission: PermissionArgument,
    context: ContextText = None,
    context_relationship: Contextual = None,
    consistency: ConsistencyText = _FRESHNESS,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Draw who is in a permission, and by which way.

    Example: `relata expand document:readme view`
    """
    with open_database(database) as relata:
        result = relata.expand(
            resource,
            permission,
            context=context_of(context),
            contextual=contextual_of(context_relationship),
            consistency=consistency_of(consistency),
        )
    if json:
        json_line({"tree": _node(result.tree), "expanded_at": result.expanded_at})
    else:
        console().print(_drawn(result.tree))


def lookup_resources(
    resource_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="A definition, such as document.")
    ],
    permission: PermissionArgument,
    subject: SubjectArgument,
    context: ContextText = None,
    context_relationship: Contextual = None,
    consistency: ConsistencyText = _FRESHNESS,
    limit: Limit = None,
    cursor: Cursor = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """List the resources of a type that a subject has a permission on.

    Those that depend on context that was not given come last, each with what it depends on.

    Example: `relata lookup resources document view user:anne`
    """
    with open_database(database) as relata:
        result = relata.lookup_resources(
            resource_type,
            permission,
            subject,
            context=context_of(context),
            contextual=contextual_of(context_relationship),
            consistency=consistency_of(consistency),
            limit=limit,
            cursor=cursor,
        )
    if json:
        json_line(result)
        return
    for id_ in result.resource_ids:
        line(f"{resource_type}:{id_}")
    for id_, missing in result.conditional.items():
        line(f"{resource_type}:{id_}  if {_listed(missing)}")
    note_cursor(result.cursor)


def lookup_subjects(
    resource: ResourceArgument,
    permission: PermissionArgument,
    subject_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="A definition, or a userset: group#member.")
    ],
    context: ContextText = None,
    context_relationship: Contextual = None,
    consistency: ConsistencyText = _FRESHNESS,
    limit: Limit = None,
    cursor: Cursor = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """List the subjects of a type that have a permission on a resource.

    Everybody of the type is printed as `user:*`; whom that leaves out follows, each with a minus
    before it. What depends on context that was not given says on what. A `--limit` counts them
    all, but for `user:*`, which begins every page.

    Example: `relata lookup subjects document:readme view user`
    """
    type_, hash_sign, relation = subject_type.partition("#")
    if hash_sign and not relation:
        raise InvalidArgumentError(f"`{subject_type}` has no relation after its `#`", field="TYPE")
    with open_database(database) as relata:
        result = relata.lookup_subjects(
            resource,
            permission,
            type_,
            relation,
            context=context_of(context),
            contextual=contextual_of(context_relationship),
            consistency=consistency_of(consistency),
            limit=limit,
            cursor=cursor,
        )
    if json:
        json_line(result)
        return
    suffix = f"#{relation}" if relation else ""
    if result.wildcard:
        line(f"{type_}:*")
    elif result.wildcard_missing_context is not None:
        line(f"{type_}:*  if {_listed(result.wildcard_missing_context)}")
    for id_ in result.excluded_ids:
        line(f"- {type_}:{id_}{suffix}")
    for id_ in result.subject_ids:
        line(f"{type_}:{id_}{suffix}")
    for id_, missing in result.conditional.items():
        line(f"{type_}:{id_}{suffix}  if {_listed(missing)}")
    note_cursor(result.cursor)


def lookup_permissions(
    resource: ResourceArgument,
    subject: SubjectArgument,
    context: ContextText = None,
    context_relationship: Contextual = None,
    consistency: ConsistencyText = _FRESHNESS,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """List the permissions that a subject has on a resource.

    Example: `relata lookup permissions document:readme user:anne`
    """
    with open_database(database) as relata:
        result = relata.lookup_permissions(
            resource,
            subject,
            context=context_of(context),
            contextual=contextual_of(context_relationship),
            consistency=consistency_of(consistency),
        )
    if json:
        json_line(result)
        return
    for permission in result.permissions:
        line(permission)
    for permission, missing in result.conditional.items():
        line(f"{permission}  if {_listed(missing)}")


def note_cursor(cursor: str | None) -> None:
    """Say how to go on, where a page is not the last."""
    if cursor is not None:
        note(f"there are more; go on with --cursor {cursor}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _node(node: ExpandNode) -> dict[str, object]:
    return {
        "resource": node.resource,
        "name": node.name,
        "expression": node.expression,
        "operation": node.operation,
        "subjects": [str(subject) for subject in node.subjects],
        "conditional": {str(subject): names for subject, names in node.conditional.items()},
        "missing_context": node.missing_context,
        "children": [_node(child) for child in node.children],
        "cycle": node.cycle,
    }


def _drawn(node: ExpandNode) -> Tree:
    title = Text(f"{node.resource}#{node.name}", style="bold")
    if node.expression != node.name:
        title.append(f"  {node.expression}")
    if node.operation != "leaf" or node.cycle:
        title.append(f"  {'cycle' if node.cycle else node.operation}", style="cyan")
    if node.missing_context:
        title.append(f"  if {_listed(node.missing_context)}", style="yellow")
    tree = Tree(title)
    for subject in node.subjects:
        tree.add(Text(str(subject)))
    for subject, missing in node.conditional.items():
        tree.add(Text(str(subject)).append(f"  if {_listed(missing)}", style="yellow"))
    for child in node.children:
        tree.children.append(_drawn(child))
    return tree
