"""What the schema says about a subject: whether it may have a token, and what the token holds.

The chosen organization and the requested product enter every question as contextual
relationships, `organization:O#chosen_by@SUBJECT` and `product:P#requested_by@SUBJECT`. They exist
in the question alone, so nobody else's question can see them.

*Whether* is decided by checks, *what* by one lookup each for permissions and roles, which is read
to its end and never cut off.

All questions of one token are asked of one revision: the first of the newest that the database
has, so that a right withdrawn anywhere counts at once, the others at exactly that one. At *least*
that one would not do: a write in between could give the token roles of one moment and permissions
of another, or the holdings of a member who has just been removed; and asking again until all
answers agree might never end under steady writes.
"""

from __future__ import annotations

import msgspec

from relata.authorizer import Relata
from relata.consistency import FULLY_CONSISTENT, Consistency, at_exact_snapshot
from relata.errors import OAuthError, RelataError
from relata.relationships import ObjectRef, Relationship, SubjectRef
from relata.requests import Question
from relata.tokens.profile import TokenProfile


class OrganizationChoice(msgspec.Struct, frozen=True):
    """An organization that a subject may choose, and the products it may then ask for."""

    organization: str
    audiences: tuple[str, ...]
    """The ids of products, sorted."""


class Choice(msgspec.Struct, frozen=True):
    """What a token is to be about. The ids are legal ids, and nothing more is known of them."""

    subject: SubjectRef
    organization: str
    product: str


class Holdings(msgspec.Struct, frozen=True):
    """What a token holds, sorted."""

    permissions: tuple[str, ...]
    roles: tuple[str, ...]


class Questions:
    """Asks an authorizer in the names of a profile."""

    def __init__(self, authorizer: Relata, profile: TokenProfile) -> None:
        self._authorizer = authorizer
        self._profile = profile

    def organizations(self, subject: SubjectRef) -> tuple[str, ...]:
        """Return the organizations that the subject may choose, sorted."""
        return self._choosable(subject)[0]

    def choices(self, subject: SubjectRef) -> tuple[OrganizationChoice, ...]:
        """Return those organizations with the products that each makes available."""
        organizations, revision = self._choosable(subject)
        return tuple(
            OrganizationChoice(organization, self._audiences(subject, organization, revision))
            for organization in organizations
        )

    def _choosable(self, subject: SubjectRef) -> tuple[tuple[str, ...], Consistency]:
        """Look up the candidates, and keep those whose session a choice would open."""
        profile = self._profile
        candidates, revision = self._lookup(
            profile.organization, profile.access, subject, (), FULLY_CONSISTENT
        )
        organizations = tuple(
            candidate
            for candidate in candidates
            if self._authorizer.check(
                ObjectRef(profile.organization, candidate),
                profile.session,
                subject,
                contextual=(self._chosen(subject, candidate),),
                consistency=revision,
            ).allowed
        )
        return organizations, revision

    def _audiences(
        self, subject: SubjectRef, organization: str, revision: Consistency
    ) -> tuple[str, ...]:
        chosen = (self._chosen(subject, organization),)
        profile = self._profile
        return self._lookup(profile.product, profile.available, subject, chosen, revision)[0]

    def holdings(self, choice: Choice) -> Holdings:
        """Return what the subject holds in the organization for the product.

        Raises OAuthError: `invalid_request` where the organization may not be chosen, else
        `invalid_target` where the product may not be asked for.
        """
        profile = self._profile
        contextual = self._contextual(choice)
        revision = self._permit(choice, contextual)
        permissions, _ = self._lookup(
            profile.capability, profile.held, choice.subject, contextual, revision
        )
        roles, _ = self._lookup(profile.role, profile.active, choice.subject, contextual, revision)
        return Holdings(permissions, roles)

    def _permit(self, choice: Choice, contextual: tuple[Relationship, ...]) -> Consistency:
        """Check both sessions, and return the revision that the answers are of."""
        profile = self._profile
        questions = (
            Question(
                ObjectRef(profile.organization, choice.organization),
                profile.session,
                choice.subject,
            ),
            Question(ObjectRef(profile.product, choice.product), profile.session, choice.subject),
        )
        result = self._authorizer.check_many(
            questions, contextual=contextual, consistency=FULLY_CONSISTENT
        )
        refusals = (not_choosable(choice.organization), not_available(choice.product))
        for answer, refusal in zip(result.answers, refusals, strict=True):
            if isinstance(answer, RelataError):
                raise answer
            if not answer.allowed:
                raise refusal
        return at_exact_snapshot(result.checked_at)

    def _contextual(self, choice: Choice) -> tuple[Relationship, ...]:
        requested = Relationship(
            ObjectRef(self._profile.product, choice.product),
            self._profile.requested_by,
            choice.subject,
        )
        return (self._chosen(choice.subject, choice.organization), requested)

    def _chosen(self, subject: SubjectRef, organization: str) -> Relationship:
        resource = ObjectRef(self._profile.organization, organization)
        return Relationship(resource, self._profile.chosen_by, subject)

    def _lookup(
        self,
        resource_type: str,
        permission: str,
        subject: SubjectRef,
        contextual: tuple[Relationship, ...],
        consistency: Consistency,
    ) -> tuple[tuple[str, ...], Consistency]:
        """Look up all resources, page by page, and the revision that the pages are of."""
        found: list[str] = []
        cursor = None
        while True:
            page = self._authorizer.lookup_resources(
                resource_type,
                permission,
                subject,
                contextual=contextual,
                consistency=consistency,
                cursor=cursor,
            )
            found.extend(page.resource_ids)
            consistency = at_exact_snapshot(page.looked_up_at)
            cursor = page.cursor
            if cursor is None:
                return tuple(found), consistency


def not_choosable(organization: str) -> OAuthError:
    """Refuse an organization, in one wording whether it is unknown or not the subject's."""
    return OAuthError(
        "invalid_request",
        f"`{organization[:80]}` is not an organization that the subject may choose",
        field="organization",
    )


def not_available(product: str) -> OAuthError:
    """Refuse a product, in one wording whether it is unknown or not subscribed to."""
    return OAuthError(
        "invalid_target",
        f"`{product[:80]}` is not a product that is available in the organization",
        field="audience",
    )
