"""The authorizer that a bound key has: the same questions and writes, inside one organization."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import msgspec

from relata.authorizer import Relata
from relata.bounds.belonging import BELONGS_TO, ORGANIZATION, Belonging
from relata.bounds.outside import OutsideError
from relata.bounds.reading import START, Place, read_inside
from relata.bounds.trees import expansion_inside, explanation_inside
from relata.bounds.writing import Writing
from relata.consistency import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Consistency,
    Freshness,
    at_exact_snapshot,
    decode_zed_token,
    encode_zed_token,
)
from relata.cursors import Cursor, decode_cursor, encode_cursor, question_digest
from relata.errors import RelataError, SnapshotUnavailableError
from relata.relationships import (
    ObjectRef,
    Precondition,
    Relationship,
    RelationshipFilter,
    Update,
    delete,
)
from relata.requests import (
    NO_CONTEXT,
    Context,
    Object,
    Question,
    Requests,
    Subject,
    object_of,
    subject_of,
)
from relata.results import (
    CheckManyResult,
    CheckResult,
    DeleteResult,
    ExpandResult,
    PermissionsResult,
    ReadResult,
    ResourcesResult,
    SubjectsResult,
    WriteResult,
)
from relata.schema import require_filter

T = TypeVar("T")


class Bounded:
    """An authorizer that ends where an organization does. Threads may share it.

    Its methods are those of `Relata` and raise what those raise, and OutsideError for what is not
    of the organization. `since` gives the revision that the organization is from, and is asked by
    questions about the past: of what was before, under whoever's name, nothing is told. Where it
    gives None, only the present is.
    """

    def __init__(
        self,
        authorizer: Relata,
        organization: str,
        *,
        since: Callable[[], int | None] = lambda: None,
        definition: str = ORGANIZATION,
        permission: str = BELONGS_TO,
    ) -> None:
        self.organization = object_of(ObjectRef(definition, organization))
        self.limits = authorizer.limits
        self._authorizer = authorizer
        self._since = since
        self._permission = permission
        self._requests = Requests(authorizer.limits)
        self._writing = Writing(authorizer, self.organization, permission)

    def belongs(self, object_: Object) -> bool:
        """Whether an object belongs to the organization, by all that is stored by now."""
        return self._at(FULLY_CONSISTENT).has(object_of(object_))

    def organizations(self) -> list[str]:
        """The ids of the organization and of those that belong to it, sorted."""
        return sorted(self._at(FULLY_CONSISTENT).ids(self.organization.type))

    # Writing

    def write(
        self,
        updates: Iterable[Update | Relationship | str],
        *,
        preconditions: Iterable[Precondition] = (),
    ) -> WriteResult:
        """Create, touch and delete relationships that are wholly inside: all of them or none."""
        return self._writing.write(
            self._requests.updates(updates), self._requests.preconditions(preconditions)
        )

    def delete(
        self,
        filter: RelationshipFilter,  # noqa: A002  the field's word for it
        *,
        preconditions: Iterable[Precondition] = (),
        limit: int | None = None,
    ) -> DeleteResult:
        """Delete the relationships that match a filter and are wholly inside.

        Without a `limit`, or with a larger one, as many as one write may have.
        """
        most = min(limit or self.limits.updates, self.limits.updates, self.limits.page)
        found = self.read(filter, limit=most, consistency=FULLY_CONSISTENT)
        complete = found.cursor is None
        if not found.relationships:
            return DeleteResult(found.read_at, 0, complete)
        updates = [delete(it.key) for it in found.relationships]
        written = self.write(updates, preconditions=preconditions)
        return DeleteResult(written.written_at, len(updates), complete)

    # Reading

    def read(
        self,
        filter: RelationshipFilter | None = None,  # noqa: A002  the field's word for it
        *,
        consistency: Consistency = MINIMIZE_LATENCY,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ReadResult:
        """Stored relationships that match a filter and are wholly inside.

        A page may be short of its limit, and has a cursor where there may be more.
        """
        if filter is not None:
            require_filter(self._authorizer.schema, filter, field="filter")
        self._requests.require_page(limit)
        question = self._digest("read", filter)
        consistency, after = self._page(consistency, cursor, question)
        return read_inside(
            self._authorizer,
            self._at(consistency),
            filter or RelationshipFilter(),
            Place.of(after) if after else START,
            limit=limit or self.limits.page,
            question=question,
        )

    # Questions

    def check(
        self,
        resource: Object,
        permission: str,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
        explain: bool = False,
    ) -> CheckResult:
        """Whether the subject has the permission (or relation) on a resource inside."""
        object_, asking = object_of(resource), subject_of(subject)
        belonging, known = self._prepare(consistency, contextual)
        belonging.require(object_)
        belonging.require_subject(asking)
        result = self._authorizer.check(
            object_,
            permission,
            asking,
            context=context,
            contextual=known,
            consistency=belonging.at,
            explain=explain,
        )
        if result.explanation is None:
            return result
        shown = explanation_inside(result.explanation, belonging)
        return msgspec.structs.replace(result, explanation=shown)

    def check_many(
        self,
        questions: Sequence[Question],
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> CheckManyResult:
        """Several checks at one revision; one that is not of the organization has OutsideError."""
        self._requests.require_checks(len(questions))
        belonging, known = self._prepare(consistency, contextual)
        refusals = [_attempt(self._require, question, belonging) for question in questions]
        asked = [
            question
            for question, refusal in zip(questions, refusals, strict=True)
            if refusal is None
        ]
        result = self._authorizer.check_many(
            asked, context=context, contextual=known, consistency=belonging.at
        )
        answers = iter(result.answers)
        return CheckManyResult(
            tuple(next(answers) if refusal is None else refusal for refusal in refusals),
            result.checked_at,
        )

    def expand(
        self,
        resource: Object,
        permission: str,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> ExpandResult:
        """The tree of who is in the permission of a resource inside, as far as it is inside."""
        object_ = object_of(resource)
        belonging, known = self._prepare(consistency, contextual)
        belonging.require(object_)
        result = self._authorizer.expand(
            object_, permission, context=context, contextual=known, consistency=belonging.at
        )
        return msgspec.structs.replace(result, tree=expansion_inside(result.tree, belonging))

    def lookup_resources(
        self,
        resource_type: str,
        permission: str,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ResourcesResult:
        """The ids of the resources inside that the subject has the permission on."""
        asking = subject_of(subject)
        self._requests.require_page(limit)
        parsed = self._requests.contextual(contextual)
        question = self._digest(
            "resources",
            resource_type,
            permission,
            asking,
            sorted(parsed),
            self._requests.context_key(context),
        )
        consistency, after = self._page(consistency, cursor, question)
        belonging, known = self._prepare(consistency, parsed)
        if not belonging.is_owned(resource_type):
            raise OutsideError
        belonging.require_subject(asking)
        found = self._authorizer.lookup_resources(
            resource_type,
            permission,
            asking,
            context=context,
            contextual=known,
            consistency=belonging.at,
        )
        inside = belonging.ids(resource_type)
        ids = _page_of({*found.resource_ids, *found.conditional} & inside, after, limit)
        return ResourcesResult(
            tuple(id_ for id_ in ids.page if id_ not in found.conditional),
            found.looked_up_at,
            self._cursor(question, belonging, ids),
            {id_: found.conditional[id_] for id_ in ids.page if id_ in found.conditional},
        )

    def lookup_subjects(
        self,
        resource: Object,
        permission: str,
        subject_type: str,
        subject_relation: str = "",
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> SubjectsResult:
        """The ids of the subjects of a kind that have the permission on a resource inside.

        Subjects whose definition has owners are inside too.
        """
        object_ = object_of(resource)
        self._requests.require_page(limit)
        parsed = self._requests.contextual(contextual)
        question = self._digest(
            "subjects",
            object_,
            permission,
            subject_type,
            subject_relation,
            sorted(parsed),
            self._requests.context_key(context),
        )
        consistency, after = self._page(consistency, cursor, question)
        belonging, known = self._prepare(consistency, parsed)
        belonging.require(object_)
        if subject_relation and not belonging.is_owned(subject_type):
            raise OutsideError
        found = self._authorizer.lookup_subjects(
            object_,
            permission,
            subject_type,
            subject_relation,
            context=context,
            contextual=known,
            consistency=belonging.at,
        )
        shown = _inside(belonging, subject_type)
        excluded = shown(found.excluded_ids)
        ids = _page_of(
            {*shown(found.subject_ids), *shown(found.conditional), *excluded}, after, limit
        )
        listed = excluded.union(found.conditional)
        return SubjectsResult(
            tuple(id_ for id_ in ids.page if id_ not in listed),
            found.wildcard,
            tuple(id_ for id_ in ids.page if id_ in excluded),
            found.looked_up_at,
            self._cursor(question, belonging, ids),
            {id_: found.conditional[id_] for id_ in ids.page if id_ in found.conditional},
            found.wildcard_missing_context,
        )

    def lookup_permissions(
        self,
        resource: Object,
        subject: Subject,
        *,
        context: Context = NO_CONTEXT,
        contextual: Iterable[Relationship | str] = (),
        consistency: Consistency = MINIMIZE_LATENCY,
    ) -> PermissionsResult:
        """Every permission that the subject has on a resource inside."""
        object_, asking = object_of(resource), subject_of(subject)
        belonging, known = self._prepare(consistency, contextual)
        belonging.require(object_)
        belonging.require_subject(asking)
        return self._authorizer.lookup_permissions(
            object_, asking, context=context, contextual=known, consistency=belonging.at
        )

    # What a question is asked of

    def _at(self, consistency: Consistency) -> Belonging:
        if consistency.freshness is Freshness.AT_EXACT_SNAPSHOT:
            self._require_own_past(consistency.zed_token)
        return Belonging.stored(self._authorizer, self.organization, self._permission, consistency)

    def _require_own_past(self, zed_token: str) -> None:
        """Refuse what was before the organization.

        Another may have had its name; who holds the key of this one is told nothing of that one.
        """
        revision = decode_zed_token(zed_token, self._authorizer.store.datastore_id)
        since = self._since()
        if revision < (self._authorizer.revision if since is None else since):
            raise SnapshotUnavailableError(
                "that revision is from before the organization", field="consistency"
            )

    def _prepare(
        self, consistency: Consistency, contextual: Iterable[Relationship | str]
    ) -> tuple[Belonging, list[Relationship]]:
        """What belongs at the revision of a question, and the relationships that come with it."""
        parsed = self._requests.contextual(contextual)
        belonging = self._at(consistency)
        belonging.know(it.resource for it in parsed)
        belonging.know(it.subject.object for it in parsed)
        for relationship in parsed:
            if not self._is_choice(relationship, belonging):
                belonging.require(relationship.resource)
            belonging.require_subject(relationship.subject)
        return belonging, parsed

    def _is_choice(self, relationship: Relationship, belonging: Belonging) -> bool:
        """Whether a relationship says no more than what is asked for, of what nobody owns.

        Such as the product that a question is about: it speaks of the asker, in this question.
        """
        name = f"{relationship.resource.type}#{relationship.relation}"
        return name in self._authorizer.question_only and not belonging.is_owned(
            relationship.resource.type
        )

    def _require(self, question: Question, belonging: Belonging) -> None:
        belonging.require(object_of(question.resource))
        belonging.require_subject(subject_of(question.subject))

    # Pages

    def _digest(self, *question: object) -> bytes:
        return question_digest("inside", self.organization, *question)

    def _page(
        self, consistency: Consistency, cursor: str | None, question: bytes
    ) -> tuple[Consistency, str]:
        """The consistency of a page and what it goes on after."""
        if cursor is None:
            return consistency, ""
        place = decode_cursor(cursor, question)
        datastore = self._authorizer.store.datastore_id
        return at_exact_snapshot(encode_zed_token(datastore, place.revision)), place.after

    def _cursor(self, question: bytes, belonging: Belonging, ids: _Ids) -> str | None:
        if not ids.more:
            return None
        datastore = self._authorizer.store.datastore_id
        revision = decode_zed_token(belonging.zed_token, datastore)
        return encode_cursor(Cursor(question, revision, ids.page[-1]))


class _Ids(msgspec.Struct, frozen=True):
    """The ids of a page, and whether there are more."""

    page: tuple[str, ...]
    more: bool


def _page_of(ids: Iterable[str], after: str, limit: int | None) -> _Ids:
    rest = sorted(id_ for id_ in ids if id_ > after)
    page = tuple(rest[:limit])
    return _Ids(page, len(page) < len(rest))


def _inside(belonging: Belonging, type_: str) -> Callable[[Iterable[str]], set[str]]:
    """What keeps of the ids of a definition those that may be shown."""
    inside: Collection[str] | None = belonging.ids(type_) if belonging.is_owned(type_) else None
    return lambda ids: {id_ for id_ in ids if inside is None or id_ in inside}


def _attempt(require: Callable[..., None], *arguments: object) -> RelataError | None:
    try:
        require(*arguments)
    except RelataError as error:
        return error
    return None
