"""Deleting an organization with all that belongs to it, in steps that can be gone on with.

First what belongs to it is written down, since what belongs by way of another object could not be
found any more once that one is gone. Then every relationship that names one of those objects goes,
as resource or subject, some thousand a transaction; then those that name the organization itself.
An interrupted deletion goes on where it was.

An object that belongs to another organization too stays, without the relationships that name this
one. The organizations above do not count for that: what is of one below is theirs because of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from relata.authorizer import Relata
from relata.bounds import Belonging
from relata.consistency import FULLY_CONSISTENT
from relata.relationships import ObjectRef, RelationshipFilter
from relata.store import Connection
from relata.tokens.ancestry import Ancestry
from relata.tokens.organization_names import OrganizationNames

_KIND = "organization_removal"
_OBJECTS = 500
"""How many objects are written down in one document."""
_RELATIONSHIPS = 5_000
"""How many relationships a transaction deletes; no other write waits longer than for those."""


class Removal:
    """Removes from the graph an organization that nobody may write to any more."""

    def __init__(self, authorizer: Relata, names: OrganizationNames, organization: str) -> None:
        self._authorizer = authorizer
        self._records = authorizer.store.records
        self._names = names
        self._organization = ObjectRef(names.organization, organization)
        self._id = hashlib.sha256(organization.encode()).hexdigest()

    def run(self) -> None:
        """Delete every relationship that names the organization or what belongs to it alone."""
        while self._write_down():
            for number, objects in self._written_down():
                self._remove(objects)
                self._records.delete(_KIND, number)
            self._records.delete(_KIND, self._id)
        self._remove([self._organization])

    def _write_down(self) -> bool:
        """Write down what is to be removed, unless that has been done; False for nothing."""
        if self._records.get(_KIND, self._id) is not None:
            return True
        for number, _ in self._written_down():  # of a try that was broken off
            self._records.delete(_KIND, number)
        objects = self._objects()
        count = 0
        while part := list(islice(objects, _OBJECTS)):
            value = msgspec.json.encode([(it.type, it.id) for it in part])
            self._records.put(_KIND, f"{self._id}:{count:09}", value)
            count += 1
        if count:
            self._records.put(_KIND, self._id, b"")
        return count > 0

    def _written_down(self) -> Iterator[tuple[str, list[ObjectRef]]]:
        """The documents that are left, each with its id and its objects."""
        after = self._id
        while page := self._records.list(_KIND, after=after, limit=1):
            ((after, value),) = page
            if not after.startswith(f"{self._id}:"):
                return
            yield after, [ObjectRef(*it) for it in msgspec.json.decode(value)]

    def _objects(self) -> Iterator[ObjectRef]:
        belonging = Belonging.stored(
            self._authorizer, self._organization, self._names.belongs_to, FULLY_CONSISTENT
        )
        related = set(
            Ancestry(
                self._authorizer.store,
                definition=self._names.organization,
                parent=self._names.parent,
            ).of(self._organization.id)
        )
        for type_ in belonging.owned_types:
            if type_ != self._organization.type:
                for id_ in sorted(belonging.ids(type_)):
                    object_ = ObjectRef(type_, id_)
                    if not self._is_shared(object_, related, belonging):
                        yield object_

    def _is_shared(self, object_: ObjectRef, related: set[str], belonging: Belonging) -> bool:
        """Whether an object belongs to an organization that is not above this one, or names
        another than this one."""
        owners = self._authorizer.lookup_subjects(
            object_, self._names.belongs_to, self._organization.type, consistency=belonging.at
        )
        if not related.issuperset(owners.subject_ids):
            return True
        named = self._authorizer.read(
            RelationshipFilter(
                resource_type=object_.type,
                resource_id=object_.id,
                subject_type=self._organization.type,
            ),
            consistency=belonging.at,
        )
        return any(it.subject.object != self._organization for it in named.relationships)

    def _remove(self, objects: Sequence[ObjectRef]) -> None:
        complete = False
        while not complete:
            with self._authorizer.store.engine.begin() as connection:
                complete = self._remove_some(objects, connection)
            self._authorizer.refresh()

    def _remove_some(self, objects: Sequence[ObjectRef], connection: Connection) -> bool:
        """Delete some relationships that name the objects; return whether these are all."""
        left = _RELATIONSHIPS
        for object_ in objects:
            for chosen in naming(object_):
                if not left:
                    return False
                outcome = self._authorizer.delete(chosen, limit=left, connection=connection)
                left -= outcome.deleted
        return left > 0


def naming(object_: ObjectRef) -> tuple[RelationshipFilter, RelationshipFilter]:
    """What matches every relationship that an object is the resource or the subject of."""
    return (
        RelationshipFilter(resource_type=object_.type, resource_id=object_.id),
        RelationshipFilter(subject_type=object_.type, subject_id=object_.id),
    )
