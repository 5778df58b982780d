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

from collections.abc import Collection

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
    audience: str
    products: tuple[str, ...]
    """The products of the audience."""


class Holdings(msgspec.Struct, frozen=True):
    """What a subject holds, sorted."""

    products: dict[str, tuple[str, ...]]
    """The permissions by product, for those products that are available."""
    roles: tuple[str, ...]
    revision: Consistency
    """What the answers are of."""

    @property
    def permissions(self) -> tuple[str, ...]:
        """The permissions for all products."""
        return tuple(sorted({name for names in self.products.values() for name in names}))

    def within(self, limit: Collection[str] | None) -> Holdings:
        """The same with no permission beyond a limit; None is no limit."""
        if limit is None:
            return self
        products = {
            product: tuple(name for name in names if name in limit)
            for product, names in self.products.items()
        }
        return Holdings(products, self.roles, self.revision)


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

    def may_choose(self, subject: SubjectRef, organization: str) -> bool:
        """Whether the subject may choose an organization."""
        return self._opens(subject, organization, FULLY_CONSISTENT)

    def _choosable(self, subject: SubjectRef) -> tuple[tuple[str, ...], Consistency]:
        """Look up the candidates, and keep those whose session a choice would open."""
        profile = self._profile
        candidates, revision = self._lookup(
            profile.organization, profile.access, subject, (), FULLY_CONSISTENT
        )
        organizations = tuple(
            candidate for candidate in candidates if self._opens(subject, candidate, revision)
        )
        return organizations, revision

    def _opens(self, subject: SubjectRef, organization: str, revision: Consistency) -> bool:
        """Whether choosing an organization would open a session."""
        return self._authorizer.check(
            ObjectRef(self._profile.organization, organization),
            self._profile.session,
            subject,
            contextual=(self._chosen(subject, organization),),
            consistency=revision,
        ).allowed

    def _audiences(
        self, subject: SubjectRef, organization: str, revision: Consistency
    ) -> tuple[str, ...]:
        chosen = (self._chosen(subject, organization),)
        profile = self._profile
        return self._lookup(profile.product, profile.available, subject, chosen, revision)[0]

    def holdings(self, choice: Choice, revision: Consistency = FULLY_CONSISTENT) -> Holdings:
        """Return what the subject holds in the organization for the products.

        Each product is asked about by itself, so each permission has its product. Products that
        are not available are left out.

        Raises OAuthError: `invalid_request` where the organization may not be chosen, else
        `invalid_target` where no product may be asked for.
        """
        products: dict[str, tuple[str, ...]] = {}
        roles: set[str] = set()
        for product in choice.products:
            contextual = self._contextual(choice, product)
            revision, available = self._permit(choice, product, contextual, revision)
            if available:
                held = (choice.subject, contextual, revision)
                products[product] = self._held(*held)
                roles.update(self._active(*held))
        if not products:
            raise not_available(choice.audience)
        return Holdings(products, tuple(sorted(roles)), revision)

    def lookup(
        self, choice: Choice, resource_type: str, permission: str, revision: Consistency
    ) -> tuple[str, ...]:
        """Look up any resources, in the organization and for the products that were chosen."""
        contextual = (
            self._chosen(choice.subject, choice.organization),
            *(self._requested(choice.subject, product) for product in choice.products),
        )
        return self._lookup(resource_type, permission, choice.subject, contextual, revision)[0]

    def _permit(
        self,
        choice: Choice,
        product: str,
        contextual: tuple[Relationship, ...],
        revision: Consistency,
    ) -> tuple[Consistency, bool]:
        """Check both sessions; return the revision that the answers are of, and whether the
        product may be asked for."""
        profile = self._profile
        questions = (
            Question(
                ObjectRef(profile.organization, choice.organization),
                profile.session,
                choice.subject,
            ),
            Question(ObjectRef(profile.product, product), profile.session, choice.subject),
        )
        result = self._authorizer.check_many(questions, contextual=contextual, consistency=revision)
        allowed = []
        for answer in result.answers:
            if isinstance(answer, RelataError):
                raise answer
            allowed.append(answer.allowed)
        if not allowed[0]:
            raise not_choosable(choice.organization)
        return at_exact_snapshot(result.checked_at), allowed[1]

    def _held(
        self, subject: SubjectRef, contextual: tuple[Relationship, ...], revision: Consistency
    ) -> tuple[str, ...]:
        profile = self._profile
        return self._lookup(profile.capability, profile.held, subject, contextual, revision)[0]

    def _active(
        self, subject: SubjectRef, contextual: tuple[Relationship, ...], revision: Consistency
    ) -> tuple[str, ...]:
        profile = self._profile
        return self._lookup(profile.role, profile.active, subject, contextual, revision)[0]

    def _contextual(self, choice: Choice, product: str) -> tuple[Relationship, ...]:
        return (
            self._chosen(choice.subject, choice.organization),
            self._requested(choice.subject, product),
        )

    def _requested(self, subject: SubjectRef, product: str) -> Relationship:
        resource = ObjectRef(self._profile.product, product)
        return Relationship(resource, self._profile.requested_by, subject)

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


def not_available(audience: str) -> OAuthError:
    """Refuse an audience, in one wording whether it is unknown or not subscribed to."""
    return OAuthError(
        "invalid_target",
        f"`{audience[:80]}` is not a product that is available in the organization",
        field="audience",
    )
