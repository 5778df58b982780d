"""What a new organization takes over from the one above it: role templates, and products.

A role template is shared by an instance of it: a role of the new organization like the parent's,
for the same product, that nobody has yet. What the template grants then goes for both, now and
later. A product is shared by a subscription.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from relata.authorizer import Relata
from relata.consistency import FULLY_CONSISTENT
from relata.relationships import (
    ObjectRef,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    parse_object,
)
from relata.tokens.organization_names import OrganizationNames


class Sharing:
    """Works out the relationships by which `child` shares what `parent` has."""

    def __init__(
        self, authorizer: Relata, names: OrganizationNames, parent: str, child: str
    ) -> None:
        self._authorizer = authorizer
        self._names = names
        self._parent = parent
        self._child = child

    def products(self) -> Iterator[Relationship]:
        """A subscription for each of the parent's."""
        names = self._names
        for subscription in self._read(
            RelationshipFilter(
                resource_type=names.product,
                relation=names.subscriber,
                subject_type=names.organization,
                subject_id=self._parent,
                subject_relation="",
            )
        ):
            yield _with_subject(subscription, self._organization)

    def role_templates(self) -> Iterator[Relationship]:
        """A role for each of the parent's roles that is an instance of a template."""
        names = self._names
        for own in self._read(
            RelationshipFilter(
                resource_type=names.role,
                relation=names.role_organization,
                subject_type=names.organization,
                subject_id=self._parent,
                subject_relation="",
            )
        ):
            instances = list(
                self._read(
                    RelationshipFilter(
                        resource_type=names.role_template,
                        relation=names.instance,
                        subject_type=names.role,
                        subject_id=own.resource.id,
                        subject_relation="",
                    )
                )
            )
            if instances:
                yield from self._instance(own, instances)

    def _instance(
        self, own: Relationship, instances: Iterable[Relationship]
    ) -> Iterator[Relationship]:
        role = self._role(own.resource)
        yield _with_resource(_with_subject(own, self._organization), role)
        for relation in self._names.role_relations:
            for alike in self._read(
                RelationshipFilter(
                    resource_type=role.type, resource_id=own.resource.id, relation=relation
                )
            ):
                yield _with_resource(alike, role)
        for instance in instances:
            yield _with_subject(instance, SubjectRef(role.type, role.id))

    def _role(self, role: ObjectRef) -> ObjectRef:
        """The role of the child that corresponds to one of the parent, `child/editor`."""
        own = role.id.removeprefix(f"{self._parent}/")
        return parse_object(ObjectRef(role.type, f"{self._child}/{own}"))

    @property
    def _organization(self) -> SubjectRef:
        return SubjectRef(self._names.organization, self._child)

    def _read(self, chosen: RelationshipFilter) -> tuple[Relationship, ...]:
        return self._authorizer.read(chosen, consistency=FULLY_CONSISTENT).relationships


def _with_resource(relationship: Relationship, resource: ObjectRef) -> Relationship:
    return msgspec.structs.replace(relationship, resource=resource)


def _with_subject(relationship: Relationship, subject: SubjectRef) -> Relationship:
    return msgspec.structs.replace(relationship, subject=subject)
