"""Organizations: made in one call, shown, changed and deleted.

A new organization is a document, its relationships and an API key that is bound to it. The key is
made first and given out last, and the rest is one transaction; so whatever breaks off leaves
either all of it, or a key that nobody has. A key bound to an organization may make, change and
delete those below it, and no others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from relata.api_keys import BOUND_SCOPES, ApiKeys
from relata.authorizer import Relata
from relata.bounds import Bounded, OutsideError
from relata.consistency import FULLY_CONSISTENT
from relata.errors import (
    InvalidArgumentError,
    NotFoundError,
    OrganizationConflictError,
    ScopeError,
)
from relata.relationships import (
    ObjectRef,
    Relationship,
    RelationshipFilter,
    SubjectRef,
    create,
    parse_object,
)
from relata.store import Connection, StoredKey
from relata.tokens.ancestry import Ancestry
from relata.tokens.organization_names import OrganizationNames
from relata.tokens.organization_records import (
    Organization,
    OrganizationRecords,
    check_organization,
)
from relata.tokens.organization_removal import Removal, naming
from relata.tokens.pairwise import Users
from relata.tokens.policy import Policies, Policy
from relata.tokens.sharing import Sharing

RESERVED = frozenset({"records"})
"""Ids that would be confused with a path of the HTTP interface."""


class OrganizationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an organization can be told, and told anew."""

    name: str = ""
    attributes: Mapping[str, Any] = {}
    users: Users = "shared"
    policy: Policy = Policy()


class NewOrganization(OrganizationSettings, frozen=True, kw_only=True):
    """An organization to be made."""

    id: str
    parent: str = ""
    share_role_templates: bool = False
    """Whether it gets a role of its own for each of the parent's that a template defines."""
    share_products: bool = False
    """Whether it subscribes to what the parent subscribes to."""
    key_scopes: tuple[str, ...] | None = None
    """What its key may do; without it, all of BOUND_SCOPES that who makes it may give."""


class CreatedOrganization(msgspec.Struct, frozen=True):
    """A new organization, with its key, which cannot be had again."""

    organization: Organization
    key: StoredKey
    secret: str
    written_at: str
    """The zed token from which on the graph has it."""

    def __repr__(self) -> str:
        return f"CreatedOrganization({self.organization!r}, {self.key!r})"


class Organizations:
    """The organizations of an authorizer. Threads may share it.

    `by` is the key that asks, and None for an owner of the database; a key that is bound to no
    organization reaches all of them.
    """

    def __init__(self, authorizer: Relata, names: OrganizationNames | None = None) -> None:
        self._authorizer = authorizer
        self._store = authorizer.store
        self._names = names or OrganizationNames()
        self._records = OrganizationRecords(authorizer.store)

    def inside(self, organization: str) -> Bounded:
        """The authorizer as a key has it that is bound to an organization."""

        def since() -> int | None:
            record = self._records.get(organization)
            return None if record is None else record.revision

        return Bounded(
            self._authorizer,
            organization,
            since=since,
            definition=self._names.organization,
            permission=self._names.belongs_to,
        )

    # Making

    def create(self, new: NewOrganization, *, by: StoredKey | None = None) -> CreatedOrganization:
        """Make an organization; return it with its key.

        Raises InvalidArgumentError, OrganizationConflictError where the id is taken,
        OutsideError where the parent is not of the organization of `by`, ScopeError where the
        key could do what `by` cannot.
        """
        object_ = self._checked_id(new.id)
        parent = new.parent or _bound_to(by)
        if parent:
            parse_object(ObjectRef(self._names.organization, parent), field="parent")
            self._require_reached(parent, by)
        organization = Organization(
            **_settings(new), id=new.id, parent=parent, created_at=int(time.time()), revision=0
        )
        check_organization(organization)
        self._require_possible(organization)
        self._require_free([object_])
        key, secret = self._authorizer.keys.create(
            new.id[:100],
            _scopes(new, by),
            organization=new.id,
        )
        try:
            with self._store.engine.begin() as connection:
                organization, written_at = self._write(new, organization, by, connection)
        except BaseException:
            self._authorizer.keys.revoke(key.id)
            raise
        self._authorizer.refresh()
        return CreatedOrganization(organization, key, secret, written_at)

    def _write(
        self,
        new: NewOrganization,
        organization: Organization,
        by: StoredKey | None,
        connection: Connection,
    ) -> tuple[Organization, str]:
        # INVARIANT: the first statement takes the database's write lock, so what is read from
        # then on is all that there is until the transaction ends.
        if not self._records.reserve(organization.id, connection):
            raise _taken(organization.id)
        written_at = self._authorizer.check_many((), consistency=FULLY_CONSISTENT).checked_at
        organization = msgspec.structs.replace(organization, revision=self._store.state().head)
        self._require_parent(organization.parent, by)
        relationships = list(self._relationships(new, organization))
        own = [ObjectRef(self._names.organization, organization.id)]
        roles = {it.resource for it in relationships if it.resource.type == self._names.role}
        self._require_free([*own, *sorted(roles)])
        self._records.put(organization, connection)
        for part in _parts(relationships, self._authorizer.limits.updates):
            result = self._authorizer.write(map(create, part), connection=connection)
            written_at = result.written_at
        return organization, written_at

    def _relationships(
        self, new: NewOrganization, organization: Organization
    ) -> Iterator[Relationship]:
        if not organization.parent:
            return
        names, parent = self._names, organization.parent
        yield Relationship(
            ObjectRef(names.organization, organization.id),
            names.parent,
            SubjectRef(names.organization, parent),
        )
        sharing = Sharing(self._authorizer, names, parent, organization.id)
        if new.share_role_templates:
            yield from sharing.role_templates()
        if new.share_products:
            yield from sharing.products()

    # Showing

    def get(self, organization: str, *, by: StoredKey | None = None) -> Organization:
        """A stored organization. Raises NotFoundError, and OutsideError."""
        self._require_reached(organization, by)
        found = self._records.get(organization)
        if found is None:
            raise _unknown(organization)
        return found

    def list(
        self, *, after: str = "", limit: int = 1_000, by: StoredKey | None = None
    ) -> tuple[Organization, ...]:
        """Stored organizations by id, at most `limit`, from the one after `after`."""
        if not _bound_to(by):
            return self._records.list(after=after, limit=limit)
        inside = self.inside(_bound_to(by)).organizations()
        ids = (id_ for id_ in inside if id_ > after)
        found = (self._records.get(id_) for id_ in ids)
        return tuple(islice((it for it in found if it is not None), limit))

    # Changing

    def settings(self, organization: str) -> OrganizationSettings:
        """What an organization has been told; of one that only the graph knows, what new ones are.

        Raises NotFoundError.
        """
        present = self._records.get(organization)
        if present is None:
            self._kept(organization, None)
            return OrganizationSettings()
        return OrganizationSettings(**_settings(present))

    def replace(
        self, organization: str, settings: OrganizationSettings, *, by: StoredKey | None = None
    ) -> Organization:
        """Tell an organization anew what it can be told; return it.

        One of which only the graph speaks is stored by it. Raises NotFoundError,
        InvalidArgumentError, OutsideError, WriteConflictError.
        """
        self._require_below(organization, by)
        present = self._records.get(organization)
        changed = Organization(**_settings(settings), **self._kept(organization, present))
        check_organization(changed)
        self._require_possible(changed)
        self._records.replace(present, changed)
        return changed

    def _kept(self, organization: str, present: Organization | None) -> dict[str, Any]:
        """What stays of an organization whatever it is told."""
        if present is not None:
            names = ("id", "parent", "created_at", "revision", "deleting")
            return {name: getattr(present, name) for name in names}
        object_ = ObjectRef(self._names.organization, organization)
        if not self._is_named(object_):
            raise _unknown(organization)
        above = list(self._ancestry.of(organization))[1:]
        return {
            "id": organization,
            "parent": above[0] if above else "",
            "created_at": int(time.time()),
            "revision": self._store.state().head,
        }

    def _require_possible(self, organization: Organization) -> None:
        """Refuse a policy that leaves, with those above, nobody who could meet it."""
        policy = organization.policy
        if organization.parent:
            policy = policy.stricter(Policies(self._store, self._ancestry).of(organization.parent))
        for name in ("acr_values", "issuers"):
            if getattr(policy, name) == ():
                raise InvalidArgumentError(
                    f"none of `{name}` is allowed by the organizations above; "
                    "name one that they allow too",
                    field=f"policy.{name}",
                )

    # Deleting

    def delete(
        self,
        organization: str,
        *,
        with_organizations: bool = False,
        by: StoredKey | None = None,
    ) -> None:
        """Delete an organization with all that belongs to it; its keys and tokens end first.

        Those below it are deleted only `with_organizations`. Deleting again goes on with a
        deletion that was broken off. Raises NotFoundError, OutsideError, and
        OrganizationConflictError where there are some below it.
        """
        self._require_below(organization, by)
        object_ = ObjectRef(self._names.organization, organization)
        if self._records.get(organization) is None and not self._is_named(object_):
            raise _unknown(organization)
        below = self._below(organization)
        if below and not with_organizations:
            raise OrganizationConflictError(
                f"there are organizations below it: {_listed(below)}; "
                "delete them first, or with it",
                field="id",
            )
        self._delete(organization, {organization})

    def _delete(self, organization: str, seen: set[str]) -> None:
        self._mark_deleting(organization)
        for one in self._below(organization):
            if one not in seen:
                seen.add(one)
                self._delete(one, seen)
        self._end_access(organization)
        Removal(self._authorizer, self._names, organization).run()
        self._end_access(organization)  # of what was made while it went on
        self._records.delete(organization)

    def _mark_deleting(self, organization: str) -> None:
        present = self._records.get(organization)
        if present is not None and not present.deleting:
            self._records.replace(present, msgspec.structs.replace(present, deleting=True))

    def _end_access(self, organization: str) -> None:
        self._authorizer.keys.revoke_of(organization)
        self._store.issued.revoke(
            organization=organization,
            reason="the organization was deleted",
            now=int(time.time()),
        )

    def _below(self, organization: str) -> Sequence[str]:
        """The organizations directly below one, sorted."""
        names = self._names
        found = self._authorizer.read(
            RelationshipFilter(
                resource_type=names.organization,
                relation=names.parent,
                subject_type=names.organization,
                subject_id=organization,
            ),
            consistency=FULLY_CONSISTENT,
        )
        return sorted({it.resource.id for it in found.relationships})

    # What is asked before

    @property
    def _ancestry(self) -> Ancestry:
        names = self._names
        return Ancestry(self._store, definition=names.organization, parent=names.parent)

    def _checked_id(self, organization: str) -> ObjectRef:
        if organization in RESERVED:
            raise InvalidArgumentError(
                f"`{organization}` cannot be the id of an organization; choose another", field="id"
            )
        return parse_object(ObjectRef(self._names.organization, organization), field="id")

    def _require_reached(self, organization: str, by: StoredKey | None) -> None:
        """Refuse an organization that a bound key does not reach: its own, and those below.

        Raises OutsideError, or NotFoundError where a key that reaches all names none.
        """
        bound = _bound_to(by)
        object_ = ObjectRef(self._names.organization, organization)
        try:
            parse_object(object_)
        except InvalidArgumentError:
            raise (OutsideError() if bound else _unknown(organization)) from None
        if bound and not self.inside(bound).belongs(object_):
            raise OutsideError

    def _require_below(self, organization: str, by: StoredKey | None) -> None:
        """Refuse a bound key its own organization too: that is for those above it."""
        bound = _bound_to(by)
        if bound and organization == bound:
            raise OutsideError
        self._require_reached(organization, by)

    def _require_parent(self, parent: str, by: StoredKey | None) -> None:
        if not parent:
            return
        self._require_reached(parent, by)
        record = self._records.get(parent)
        if record is None:
            if not self._is_named(ObjectRef(self._names.organization, parent)):
                raise InvalidArgumentError(f"there is no organization `{parent}`", field="parent")
        elif record.deleting:
            raise OrganizationConflictError(
                f"the organization `{parent}` is being deleted", field="parent"
            )

    def _require_free(self, objects: Sequence[ObjectRef]) -> None:
        for object_ in objects:
            if self._is_named(object_):
                raise _taken(object_.id)

    def _is_named(self, object_: ObjectRef) -> bool:
        return any(
            self._authorizer.read(chosen, consistency=FULLY_CONSISTENT, limit=1).relationships
            for chosen in naming(object_)
        )


def _settings(settings: OrganizationSettings | Organization) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in OrganizationSettings.__struct_fields__}


def _bound_to(by: StoredKey | None) -> str:
    return "" if by is None else by.organization


def _scopes(new: NewOrganization, by: StoredKey | None) -> tuple[str, ...]:
    """The scopes of a new organization's key: none that its maker has not."""
    bound = by is not None and by.organization
    given = (
        BOUND_SCOPES
        if by is None or not bound
        else tuple(scope for scope in BOUND_SCOPES if ApiKeys.allows(by, scope))
    )
    if new.key_scopes is None:
        return given
    for scope in new.key_scopes:
        if scope not in BOUND_SCOPES:
            raise InvalidArgumentError(
                f"`{scope}` is not a scope of an organization's key; "
                f"the scopes are {', '.join(BOUND_SCOPES)}",
                field="key_scopes",
            )
        if scope not in given:
            raise ScopeError(f"the key lacks the scope `{scope}` itself")
    return new.key_scopes


def _taken(id_: str) -> OrganizationConflictError:
    return OrganizationConflictError(
        f"there is something by the name `{id_}` already; choose another id", field="id"
    )


def _unknown(organization: str) -> NotFoundError:
    return NotFoundError(f"there is no organization `{organization[:80]}`", field="id")


def _listed(ids: Sequence[str]) -> str:
    named = ", ".join(f"`{id_}`" for id_ in ids[:10])
    return f"{named} and {len(ids) - 10} more" if len(ids) > 10 else named


def _parts(items: Sequence[Relationship], size: int) -> Iterator[Sequence[Relationship]]:
    return (items[start : start + size] for start in range(0, len(items), size))
