"""What belongs to an organization, at one revision.

Stored relationships alone decide: neither contextual relationships nor the values of a context are
in these questions, since who asks could send what makes another's object their own. An answer that
is not a plain yes, an error too, is a no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from relata.authorizer import Relata
from relata.bounds.outside import OutsideError
from relata.consistency import FULLY_CONSISTENT, Consistency, at_exact_snapshot
from relata.relationships import ObjectRef, Relationship, SubjectRef, Update
from relata.requests import Question
from relata.results import CheckManyResult, CheckResult
from relata.schema import Schema

ORGANIZATION = "organization"
"""The definition of organizations."""
BELONGS_TO = "belongs_to"
"""The permission that an object gives to the organizations that it belongs to."""

Ask = Callable[[Sequence[Question]], CheckManyResult]


class Belonging:
    """Knows what belongs to `organization`; asks `ask`, and remembers what it was told.

    `at` is the revision that the answers are of.
    """

    def __init__(
        self, authorizer: Relata, organization: ObjectRef, permission: str, ask: Ask
    ) -> None:
        self._authorizer = authorizer
        self._organization = organization
        self._permission = permission
        self._ask = ask
        self._schema: Schema = authorizer.schema
        self._known = {organization: True}
        self.zed_token = ask(()).checked_at
        self.at = at_exact_snapshot(self.zed_token)

    @classmethod
    def stored(
        cls, authorizer: Relata, organization: ObjectRef, permission: str, consistency: Consistency
    ) -> Belonging:
        """What belongs by what is stored, at a revision that is fresh enough."""
        token = authorizer.check_many((), consistency=consistency).checked_at
        at = at_exact_snapshot(token)
        return cls(
            authorizer,
            organization,
            permission,
            lambda questions: authorizer.check_many(questions, consistency=at),
        )

    @classmethod
    def after(
        cls,
        authorizer: Relata,
        organization: ObjectRef,
        permission: str,
        updates: Sequence[Update],
    ) -> Belonging:
        """What will belong when some updates have been written."""
        return cls(
            authorizer,
            organization,
            permission,
            lambda questions: authorizer.foresee(updates, questions, consistency=FULLY_CONSISTENT),
        )

    def is_owned(self, type_: str) -> bool:
        """Whether objects of a definition belong to organizations."""
        definition = self._schema.definitions.get(type_)
        return type_ == self._organization.type or (
            definition is not None and self._permission in definition
        )

    @property
    def owned_types(self) -> list[str]:
        """The definitions whose objects belong to organizations, sorted."""
        return sorted(filter(self.is_owned, self._schema.definitions))

    def know(self, objects: Iterable[ObjectRef]) -> None:
        """Ask about objects in as few questions as there may be."""
        unknown = [it for it in dict.fromkeys(objects) if it not in self._known]
        owned = (it for it in unknown if self.is_owned(it.type))
        self._known.update(dict.fromkeys(unknown, False))
        subject = SubjectRef(self._organization.type, self._organization.id)
        while part := list(islice(owned, self._authorizer.limits.checks)):
            questions = [Question(it, self._permission, subject) for it in part]
            for it, answer in zip(part, self._ask(questions).answers, strict=True):
                self._known[it] = isinstance(answer, CheckResult) and answer.allowed

    def has(self, object_: ObjectRef) -> bool:
        """Whether an object belongs to the organization."""
        self.know((object_,))
        return self._known[object_]

    def admits(self, subject: SubjectRef) -> bool:
        """Whether a subject may be named: it belongs, or it is of those that belong to nobody.

        Of those a userset may not be named, since it would lead to what it consists of; nor may
        everybody of a definition whose objects are of many organizations.
        """
        if self.is_owned(subject.type):
            return not subject.is_wildcard and self.has(subject.object)
        return not subject.relation

    def shows(self, relationship: Relationship) -> bool:
        """Whether a relationship is wholly inside: its resource, and its subject as `admits` has
        it."""
        return self.has(relationship.resource) and self.admits(relationship.subject)

    def require(self, object_: ObjectRef) -> None:
        """Raise OutsideError unless an object belongs to the organization."""
        if not self.has(object_):
            raise OutsideError

    def require_subject(self, subject: SubjectRef) -> None:
        """Raise OutsideError unless a subject may be named."""
        if not self.admits(subject):
            raise OutsideError

    def ids(self, type_: str) -> frozenset[str]:
        """The ids of all objects of a definition that belong to the organization."""
        own = {self._organization.id} if type_ == self._organization.type else set()
        definition = self._schema.definitions.get(type_)
        if definition is None or self._permission not in definition:
            return frozenset(own)
        found = self._authorizer.lookup_resources(
            type_, self._permission, self._organization, consistency=self.at
        )
        return frozenset(own.union(found.resource_ids))
