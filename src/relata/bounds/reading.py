"""Stored relationships that are wholly inside an organization, page by page.

They are read object by object, in the order of definition and id, and of each object in the order
in which they were stored: so a page costs what the organization has, however much others have.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from relata.authorizer import Relata
from relata.bounds.belonging import Belonging
from relata.consistency import decode_zed_token
from relata.cursors import Cursor, encode_cursor
from relata.errors import CursorError, InvalidArgumentError
from relata.relationships import ObjectRef, Relationship, RelationshipFilter, parse_object
from relata.results import ReadResult

_OBJECTS = 2_000
"""How many objects a page looks at; it may then be short of its limit, or empty."""
_ROWS = 1_000
"""How many relationships of an object are read at a time."""
_EVERY_ROW = 2**63 - 1


class Place(NamedTuple):
    """Where a page goes on: after a row of an object."""

    row: int
    object: ObjectRef | None

    @classmethod
    def of(cls, text: str) -> Place:
        """The place that a cursor names. Raises CursorError."""
        row, _, object_ = text.partition(" ")
        try:
            if not (row.isascii() and row.isdigit()) or int(row) > _EVERY_ROW:
                raise ValueError
            return cls(int(row), parse_object(object_))
        except (ValueError, InvalidArgumentError):
            raise CursorError("the cursor is malformed", field="cursor") from None

    def __str__(self) -> str:
        return f"{self.row} {self.object}"


START = Place(0, None)


def read_inside(
    authorizer: Relata,
    belonging: Belonging,
    chosen: RelationshipFilter,
    place: Place,
    *,
    limit: int,
    question: bytes,
) -> ReadResult:
    """A page of at most `limit` relationships that match a filter, and are wholly inside."""
    revision = decode_zed_token(belonging.zed_token, authorizer.store.datastore_id)
    objects = (
        it for it in _objects(belonging, chosen) if place.object is None or it >= place.object
    )
    page: list[Relationship] = []

    def result(last: Place | None) -> ReadResult:
        cursor = last and encode_cursor(Cursor(question, revision, str(last)))
        return ReadResult(tuple(page), belonging.zed_token, cursor)

    for object_ in islice(objects, _OBJECTS):
        after = place.row if object_ == place.object else 0
        for row, relationship in _stored(authorizer, belonging, chosen, object_, revision, after):
            if len(page) == limit:
                return result(place)
            page.append(relationship)
            place = Place(row, object_)
        place = Place(_EVERY_ROW, object_)
    return result(None if next(objects, None) is None else place)


def _objects(belonging: Belonging, chosen: RelationshipFilter) -> Iterator[ObjectRef]:
    """The objects that may be resources of what a filter matches, sorted."""
    for type_ in belonging.owned_types:
        if chosen.resource_type not in (None, type_):
            continue
        if chosen.resource_id is not None:
            one = ObjectRef(type_, chosen.resource_id)
            ids = [one.id] if belonging.has(one) else []
        else:
            prefix = chosen.resource_id_prefix or ""
            ids = sorted(it for it in belonging.ids(type_) if it.startswith(prefix))
        yield from (ObjectRef(type_, id_) for id_ in ids)


def _stored(
    authorizer: Relata,
    belonging: Belonging,
    chosen: RelationshipFilter,
    object_: ObjectRef,
    revision: int,
    after: int,
) -> Iterator[tuple[int, Relationship]]:
    """The matching relationships of an object that are wholly inside, with their rows."""
    of_object = msgspec.structs.replace(
        chosen, resource_type=object_.type, resource_id=object_.id, resource_id_prefix=None
    )
    while rows := authorizer.store.read(of_object, revision=revision, after=after, limit=_ROWS):
        belonging.know(it.relationship.subject.object for it in rows)
        for stored in rows:
            if belonging.shows(stored.relationship):
                yield stored.row, stored.relationship
        after = rows[-1].row
