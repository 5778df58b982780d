"""The token profile: the names by which the schema is asked what a token contains.

Token code holds no permission rule: it asks the questions named here, and the schema answers.
Two of the names are *question only*: the relations that say which organization and which product
a question is about. They come with a question as contextual relationships and are never stored,
since a stored one would choose for everybody.

This module asks nothing; it names, and checks that a schema knows the names.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from relata.errors import InvalidArgumentError
from relata.schema.model import AllowedSubject, Definition, Schema


class TokenProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The schema's names for what a token is about and what it holds."""

    user: str = "user"
    """The definition of people."""
    client: str = "client"
    """The definition of machines that act for themselves."""
    organization: str = "organization"
    """The definition of organizations."""
    access: str = "access"
    """The permission of an organization that makes it one to choose from."""
    chosen_by: str = "chosen_by"
    """The relation of an organization to who chose it for the question. Question only."""
    session: str = "session"
    """The permission, of organizations and of products, that decides whether a token is issued."""
    product: str = "product"
    """The definition of products; a product's id is the audience of its tokens."""
    requested_by: str = "requested_by"
    """The relation of a product to who asks for its token. Question only."""
    available: str = "available"
    """The permission of a product that makes it one to ask for, once an organization is chosen."""
    capability: str = "capability"
    """The definition whose objects are the token's `permissions`."""
    held: str = "held"
    """The permission of a capability that puts it into the token."""
    role: str = "role"
    """The definition whose objects are the token's `roles`."""
    active: str = "active"
    """The permission of a role that puts it into the token."""

    @property
    def question_only(self) -> frozenset[str]:
        """The relations that must never be stored, such as `organization#chosen_by`."""
        return frozenset(
            {f"{self.organization}#{self.chosen_by}", f"{self.product}#{self.requested_by}"}
        )

    @property
    def permissions(self) -> tuple[tuple[str, str], ...]:
        """Every definition and permission that is asked for."""
        return (
            (self.organization, self.access),
            (self.organization, self.session),
            (self.product, self.available),
            (self.product, self.session),
            (self.capability, self.held),
            (self.role, self.active),
        )


def check_profile(
    profile: TokenProfile,
    schema: Schema,
    *,
    question_only: frozenset[str],
    subject_types: Iterable[str],
) -> None:
    """Make sure that tokens can be issued safely under a schema.

    Raises InvalidArgumentError, saying which name is missing, where the schema lacks a name of
    the profile, where a choice would not allow one of `subject_types`, or where a relation that
    comes only with a question could be stored because it is not in `question_only`.
    """
    for name in sorted(profile.question_only - question_only):
        raise InvalidArgumentError(
            f"`{name}` can be stored, which would choose for everybody; "
            "name it among the relations that come only with a question",
            field="question_only",
        )
    for definition, permission in profile.permissions:
        if permission not in _definition(schema, definition):
            raise _missing(f"`{definition}` has no permission `{permission}`")
    for subject_type in sorted(set(subject_types)):
        _definition(schema, subject_type)
        _check_choice(schema, profile.organization, profile.chosen_by, subject_type)
        _check_choice(schema, profile.product, profile.requested_by, subject_type)


def _definition(schema: Schema, name: str) -> Definition:
    definition = schema.definitions.get(name)
    if definition is None:
        raise _missing(f"there is no definition `{name}`")
    return definition


def _check_choice(schema: Schema, definition: str, name: str, subject_type: str) -> None:
    relation = _definition(schema, definition).relations.get(name)
    if relation is None:
        raise _missing(f"`{definition}` has no relation `{name}`")
    if AllowedSubject(subject_type) not in relation.allowed:
        raise _missing(f"`{definition}#{name}` does not allow `{subject_type}`")


def _missing(what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the schema does not fit the token profile: {what}; change the schema or the profile",
        field="profile",
    )
