"""The names by which the schema is asked about organizations, and written to for new ones."""

from __future__ import annotations

import msgspec

from relata.bounds import BELONGS_TO, ORGANIZATION


class OrganizationNames(msgspec.Struct, frozen=True, kw_only=True):
    """The schema's names for organizations and for what they can share."""

    organization: str = ORGANIZATION
    """The definition of organizations."""
    parent: str = "parent"
    """The relation of an organization to the one above it."""
    belongs_to: str = BELONGS_TO
    """The permission that objects give to the organizations that they belong to."""
    role: str = "role"
    """The definition of roles, which are of one organization each."""
    role_organization: str = "organization"
    """The relation of a role to its organization."""
    role_relations: tuple[str, ...] = ("product",)
    """Further relations of a role that are the same for every instance of a template."""
    role_template: str = "role_template"
    """The definition of roles that are defined once for many organizations."""
    instance: str = "instance"
    """The relation of a role template to the roles that are instances of it."""
    product: str = "product"
    """The definition of what organizations subscribe to."""
    subscriber: str = "subscriber"
    """The relation of a product to the organizations that subscribe to it."""
