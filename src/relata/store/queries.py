"""Conditions over the rows of relationships, and what a row means.

What users send reaches SQL as bound parameters only. Ids are compared code point by code point:
a prefix is a range, because LIKE ignores the case of ASCII letters in SQLite.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from relata.errors import InvalidArgumentError
from relata.relationships import (
    WILDCARD,
    CaveatRef,
    Kind,
    ObjectRef,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    to_microseconds,
    to_moment,
)
from relata.store.tables import FIELDS, TRAITS, relationships

_row = relationships.c


Values = tuple[str, str, str, str, str, str, str, str, int | None]
"""The columns of a relationship: `FIELDS`, then `TRAITS`."""

COLUMNS = tuple(column.name for column in (*FIELDS, *TRAITS))


def to_relationship(row: Any) -> Relationship:
    """Make a relationship of its columns, `FIELDS` and `TRAITS`."""
    (
        resource_type,
        resource_id,
        relation,
        subject_type,
        subject_id,
        subject_relation,
        caveat,
        context,
        expires_at,
    ) = row
    return Relationship(
        ObjectRef(resource_type, resource_id),
        relation,
        SubjectRef(subject_type, subject_id, subject_relation),
        CaveatRef(caveat, context) if caveat else None,
        None if expires_at is None else to_moment(expires_at),
    )


def to_values(relationship: Relationship) -> Values:
    """Spread a relationship over its columns, `FIELDS` and `TRAITS`."""
    resource, subject, caveat = relationship.resource, relationship.subject, relationship.caveat
    expires_at = relationship.expires_at
    return (
        resource.type,
        resource.id,
        relationship.relation,
        subject.type,
        subject.id,
        subject.relation,
        "" if caveat is None else caveat.name,
        "" if caveat is None else caveat.context,
        None if expires_at is None else to_microseconds(expires_at),
    )


def to_row(relationship: Relationship) -> dict[str, str | int | None]:
    """A relationship's columns by their names."""
    return dict(zip(COLUMNS, to_values(relationship), strict=True))


def alive_at(revision: int) -> ColumnElement[bool]:
    """That a row is live at a revision."""
    return and_(
        _row.created_revision <= revision,
        or_(_row.deleted_revision.is_(None), _row.deleted_revision > revision),
    )


def unexpired(now: int) -> ColumnElement[bool]:
    """That a row has not expired by a moment, in microseconds since the epoch."""
    return or_(_row.expires_at.is_(None), _row.expires_at > now)


def of_kind(kind: Kind) -> ColumnElement[bool]:
    """That a row is of a kind; no two kinds have a row in common."""
    wildcard = _row.subject_id == WILDCARD
    return and_(
        _row.resource_type == kind.resource_type,
        _row.relation == kind.relation,
        _row.subject_type == kind.subject_type,
        _row.subject_relation == kind.subject_relation,
        wildcard if kind.wildcard else ~wildcard,
        _row.caveat_name == kind.caveat,
        _row.expires_at.is_not(None) if kind.expiration else _row.expires_at.is_(None),
    )


def matching(filter_: RelationshipFilter, *, by_id: bool = False) -> ColumnElement[bool]:
    """That a row matches a filter.

    `by_id` is for reading page after page in the order of ids. Where the filter names no object,
    half of the table may match, and an index over the type would have every page sort all of
    its matches; so the type is compared in a form that no index serves, and the pages together
    read the table once.

    Raises InvalidArgumentError (field `filter`) for a filter that says nothing or two things.
    """
    _check(filter_)
    unindexed = by_id and _names_no_object(filter_)
    conditions = [
        (column.concat("") if unindexed else column) == value
        for column in FIELDS
        if (value := getattr(filter_, column.name)) is not None
    ]
    if filter_.resource_id_prefix is not None:
        conditions += _starts_with(_row.resource_id, filter_.resource_id_prefix)
    return and_(*conditions)


def _names_no_object(filter_: RelationshipFilter) -> bool:
    ids = (filter_.resource_id, filter_.resource_id_prefix, filter_.subject_id)
    return all(id_ is None for id_ in ids)


def _check(filter_: RelationshipFilter) -> None:
    values = [getattr(filter_, name) for name in filter_.__struct_fields__]
    if all(value is None for value in values):
        raise InvalidArgumentError("the filter is empty; set a field of it", field="filter")
    if filter_.resource_id is not None and filter_.resource_id_prefix is not None:
        raise InvalidArgumentError(
            "`resource_id` and `resource_id_prefix` exclude each other; set one", field="filter"
        )
    if filter_.resource_id_prefix == "":
        raise InvalidArgumentError(
            "`resource_id_prefix` is empty; leave it out to mean every id", field="filter"
        )
    if not all(value is None or value.isprintable() for value in values):
        raise InvalidArgumentError(
            "the filter has a character that no name and no id can have", field="filter"
        )


def _starts_with(column: ColumnElement[str], prefix: str) -> list[ColumnElement[bool]]:
    # INVARIANT: the prefix is printable (`_check`), so there is a character after its last one,
    # and it is not a surrogate, which UTF-8 could not carry.
    following = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return [column >= prefix, column < following]
