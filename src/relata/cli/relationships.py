"""Relationships: write them, read them, delete them by a filter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import typer

from relata.cli.options import (
    DATABASE_URL,
    ConsistencyText,
    Cursor,
    Database,
    Json,
    Limit,
    RelationName,
    ResourceId,
    ResourceIdPrefix,
    ResourceType,
    SubjectId,
    SubjectRelation,
    SubjectType,
    consistency_of,
    filter_of,
    open_database,
    read_text,
    source_name,
)
from relata.cli.output import json_line, line, note
from relata.cli.questions import note_cursor
from relata.errors import InvalidArgumentError, RelataError
from relata.relationships import Operation, Update, parse_relationship

_COMMENT = "//"
_UPDATE = re.compile(r"updates\[(\d+)\]")


class _Given(NamedTuple):
    """A relationship as it was written, and where, as errors begin: `file:line: `."""

    text: str
    place: str = ""


def write(
    relationships: Annotated[
        list[str] | None,
        typer.Argument(metavar="RELATIONSHIP...", help="Such as document:readme#viewer@user:anne."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Read them from a file, one a line, with // comments; - is standard input.",
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Fail if one of them is there already.")
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove them instead.")] = False,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Write relationships: all of them or none.

    One that is there already takes the caveat and expiration that are given now.

    Example: `relata write document:readme#viewer@user:anne`
    """
    if create and delete:
        raise InvalidArgumentError("`--create` and `--delete` exclude each other; give one")
    given = [_Given(text) for text in relationships or ()]
    if file is not None:
        given += _read_lines(file)
    if not given:
        raise InvalidArgumentError("there is nothing to write; give a relationship, or a `--file`")
    operation = _operation(create=create, delete=delete)
    with _at_its_place(given), open_database(database) as relata:
        result = relata.write(
            Update(operation, parse_relationship(item.text, field=f"updates[{index}]"))
            for index, item in enumerate(given)
        )
    if json:
        json_line(result)
    else:
        line(f"written at {result.written_at}")


def read(
    resource_type: ResourceType = None,
    resource_id: ResourceId = None,
    resource_id_prefix: ResourceIdPrefix = None,
    relation: RelationName = None,
    subject_type: SubjectType = None,
    subject_id: SubjectId = None,
    subject_relation: SubjectRelation = None,
    consistency: ConsistencyText = "minimize_latency",
    limit: Limit = None,
    cursor: Cursor = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Print the relationships that match a filter, or all of them.

    Example: `relata read --resource-type document --subject-id anne`
    """
    chosen = filter_of(
        resource_type,
        resource_id,
        resource_id_prefix,
        relation,
        subject_type,
        subject_id,
        subject_relation,
    )
    with open_database(database) as relata:
        result = relata.read(
            chosen, consistency=consistency_of(consistency), limit=limit, cursor=cursor
        )
    if json:
        json_line(
            {
                "relationships": [str(relationship) for relationship in result.relationships],
                "read_at": result.read_at,
                "cursor": result.cursor,
            }
        )
        return
    for relationship in result.relationships:
        line(str(relationship))
    note_cursor(result.cursor)


def delete(
    resource_type: ResourceType = None,
    resource_id: ResourceId = None,
    resource_id_prefix: ResourceIdPrefix = None,
    relation: RelationName = None,
    subject_type: SubjectType = None,
    subject_id: SubjectId = None,
    subject_relation: SubjectRelation = None,
    limit: Limit = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Delete the relationships that match a filter.

    To delete relationships by name, use `relata write --delete`.

    Example: `relata delete --resource-type document --resource-id readme`
    """
    chosen = filter_of(
        resource_type,
        resource_id,
        resource_id_prefix,
        relation,
        subject_type,
        subject_id,
        subject_relation,
    )
    if chosen is None:
        raise InvalidArgumentError(
            "a delete needs a filter, such as `--resource-type`; without one it would delete "
            "everything"
        )
    with open_database(database) as relata:
        result = relata.delete(chosen, limit=limit)
    if json:
        json_line(result)
        return
    line(f"deleted {result.deleted} at {result.deleted_at}")
    if not result.complete:
        note("there are more that match; delete again")


def _read_lines(file: str) -> list[_Given]:
    return [
        _Given(text.strip(), f"{source_name(file)}:{number}: ")
        for number, text in enumerate(read_text(file).splitlines(), start=1)
        if text.strip() and not text.lstrip().startswith(_COMMENT)
    ]


def _operation(*, create: bool, delete: bool) -> Operation:
    if create:
        return Operation.CREATE
    return Operation.DELETE if delete else Operation.TOUCH


@contextmanager
def _at_its_place(given: list[_Given]) -> Iterator[None]:
    """Say of an error in one of the relationships where that one stands."""
    try:
        yield
    except RelataError as error:
        update = _UPDATE.match(error.field or "")
        if update:
            error.message = f"{given[int(update[1])].place}{error.message}"
            error.field = None
        raise
