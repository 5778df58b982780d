"""What may be written inside an organization.

Every object that a relationship names must belong to the organization: the resource always, the
subject where its definition has owners. It must do so when the write is done, and before too, but
for a new object: one that no relationship names yet. So nobody makes another's object their own by
writing an owner to it, and nobody lets go of an object that something still hangs on.

An organization is never new here, since one without relationships may well be there; making
organizations has an operation of its own.

What decides is the state that the write is made on. It is looked at before, so that a conflict
with what lies outside is not told, and once more under the database's lock where anybody has
written in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from relata.authorizer import Relata
from relata.bounds.belonging import Belonging
from relata.bounds.outside import OutsideError
from relata.consistency import FULLY_CONSISTENT, decode_zed_token
from relata.errors import InvalidArgumentError
from relata.relationships import (
    ObjectRef,
    Operation,
    Precondition,
    Relationship,
    RelationshipFilter,
    Update,
)
from relata.results import WriteResult


class Writing:
    """Writes relationships that belong to an organization."""

    def __init__(self, authorizer: Relata, organization: ObjectRef, permission: str) -> None:
        self._authorizer = authorizer
        self._organization = organization
        self._permission = permission

    def write(
        self, updates: Sequence[Update], preconditions: Sequence[Precondition]
    ) -> WriteResult:
        """Write as `Relata.write` does. Raises OutsideError, and what that raises."""
        authorizer = self._authorizer
        seen = self._require(updates, preconditions)
        with authorizer.store.engine.begin() as connection:
            result = authorizer.write(updates, preconditions=preconditions, connection=connection)
            if self._revision(result.written_at) > self._revision(seen) + 1:
                # Nobody else writes while this transaction is open.
                self._require(updates, preconditions)
        authorizer.refresh()
        return result

    def _require(self, updates: Sequence[Update], preconditions: Sequence[Precondition]) -> str:
        """Refuse what is not inside; return the zed token of the revision that decided."""
        before = Belonging.stored(
            self._authorizer, self._organization, self._permission, FULLY_CONSISTENT
        )
        for precondition in preconditions:
            _require_precondition(precondition.filter, before)
        objects = _objects(updates, before)
        after = Belonging.after(self._authorizer, self._organization, self._permission, updates)
        before.know(objects)
        after.know(objects)
        for object_ in objects:
            if not before.has(object_):
                self._require_new(object_, before, after)
            elif not after.has(object_):
                self._require_gone(object_, updates, before)
        return before.zed_token

    def _require_new(self, object_: ObjectRef, before: Belonging, after: Belonging) -> None:
        is_organization = object_.type == self._organization.type
        if is_organization or not after.has(object_) or self._naming(object_, before, 1):
            raise OutsideError

    def _require_gone(
        self, object_: ObjectRef, updates: Sequence[Update], before: Belonging
    ) -> None:
        """Refuse an object that would leave the organization and keep relationships."""
        removed = {it.relationship.key for it in updates if it.operation is Operation.DELETE}
        kept = [
            it for it in self._naming(object_, before, len(removed) + 1) if it.key not in removed
        ]
        if kept or object_.type == self._organization.type:
            raise InvalidArgumentError(
                f"`{object_}` would leave the organization and keep relationships; "
                "delete those in the same write",
                field="updates",
            )

    def _naming(self, object_: ObjectRef, at: Belonging, limit: int) -> list[Relationship]:
        """Stored relationships that an object is the resource or the subject of, some of each."""
        filters = (
            RelationshipFilter(resource_type=object_.type, resource_id=object_.id),
            RelationshipFilter(subject_type=object_.type, subject_id=object_.id),
        )
        return [
            relationship
            for chosen in filters
            for relationship in self._authorizer.read(
                chosen, consistency=at.at, limit=min(limit, self._authorizer.limits.page)
            ).relationships
        ]

    def _revision(self, zed_token: str) -> int:
        return decode_zed_token(zed_token, self._authorizer.store.datastore_id)


def _objects(updates: Sequence[Update], belonging: Belonging) -> list[ObjectRef]:
    """The objects of a write that must belong. Raises OutsideError where one never can."""
    objects: dict[ObjectRef, None] = {}
    for update in updates:
        resource, subject = update.relationship.resource, update.relationship.subject
        if not belonging.is_owned(resource.type):
            raise OutsideError
        objects[resource] = None
        if belonging.is_owned(subject.type) and not subject.is_wildcard:
            objects[subject.object] = None
        else:
            belonging.require_subject(subject)
    return list(objects)


def _require_precondition(filter_: RelationshipFilter, belonging: Belonging) -> None:
    """Refuse a precondition that could tell of what lies outside.

    It names one resource inside; its subject, where it names one, with the definition.
    """
    if filter_.resource_type is None or filter_.resource_id is None:
        raise OutsideError
    belonging.require(ObjectRef(filter_.resource_type, filter_.resource_id))
    if filter_.subject_id is None:
        return
    if filter_.subject_type is None:
        raise OutsideError
    if belonging.is_owned(filter_.subject_type):
        belonging.require(ObjectRef(filter_.subject_type, filter_.subject_id))
