"""Claims of an audience's own: from what is stored of the organization, or from the graph.

A mapping names a claim and where it comes from: an attribute of the token's organization, or a
lookup whose answer, the ids of resources, becomes a list. Lookups are asked as the token's own are:
of its revision, with its contextual relationships. A lookup decides what a token says, never
whether there is one.

A claim that Relata or a standard gives a meaning cannot be mapped to, so no configuration can make
a token say that it is somebody else's. Some JSON readers take `ISS` for `iss`, so case does not
tell names apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from relata.errors import InvalidArgumentError, StoreError
from relata.relationships import check_relation_name, is_type_name
from relata.schema.model import Schema

PROTOCOL_CLAIMS = frozenset(
    {
        # RFC 7519, RFC 7800, RFC 8693, RFC 8417, Token Status List
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act", "may_act"),
        *("events", "toe", "txn", "sub_id", "status", "status_list"),
        # RFC 9068, RFC 9396, RFC 7662 and RFC 9701, whose answers have a token's claims in them
        *("client_id", "scope", "roles", "auth_time", "acr", "amr", "authorization_details"),
        *("active", "token_type", "username", "token_introspection"),
        # OpenID Connect
        *("azp", "nonce", "at_hash", "c_hash", "s_hash", "sid", "sub_jwk"),
        *("_claim_names", "_claim_sources"),
        # Relata
        *("org_id", "permissions", "permissions_bits", "products", "products_bits", "revision"),
    }
)
"""The claims whose meaning is fixed."""
MAX_CLAIM_NAME_CHARACTERS = 200
NAME = "name"
"""The attribute that is the organization's name."""

LookUp = Callable[[str, str], tuple[str, ...]]
"""Answers which resources of a type the token's subject holds a permission on."""


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question to the graph: which resources of a type the subject has a permission on.

    Raises InvalidArgumentError where a name cannot be one of a schema's.
    """

    resource_type: str
    permission: str

    def __post_init__(self) -> None:
        """Refuse what no schema can have."""
        if not is_type_name(self.resource_type):
            raise InvalidArgumentError(
                f"`{self.resource_type[:80]}` cannot name a definition",
                field="lookup.resource_type",
            )
        check_relation_name(self.permission, field="lookup.permission")


class ClaimMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim and its source, which is exactly one of `attribute` and `lookup`.

    Raises InvalidArgumentError where the claim's meaning is fixed, or the source is none or two.
    """

    claim: str
    attribute: str = ""
    """The organization's attribute, or `name`. Without one the claim is left out."""
    lookup: Lookup | None = None
    may_leave: bool = False
    """Whether the claim may leave a token that would be too large (`size`)."""

    def __post_init__(self) -> None:
        """Refuse a claim that is another's, and a source that is not one."""
        check_claim_name(self.claim, field="claim")
        if bool(self.attribute) is (self.lookup is not None):
            raise InvalidArgumentError(
                f"the claim `{self.claim}` needs one source: an `attribute` or a `lookup`",
                field="attribute",
            )


class _Organization(msgspec.Struct):
    """What is read of a stored organization."""

    name: str = ""
    attributes: dict[str, object] = {}


def check_claim_name(name: str, *, field: str) -> None:
    """Raise InvalidArgumentError unless a claim of this name can be added to a token."""
    if not 1 <= len(name) <= MAX_CLAIM_NAME_CHARACTERS or not name.isprintable() or " " in name:
        raise InvalidArgumentError(
            f"a claim's name is 1 to {MAX_CLAIM_NAME_CHARACTERS} printable characters "
            "without spaces",
            field=field,
        )
    if name.casefold() in PROTOCOL_CLAIMS:
        raise InvalidArgumentError(
            f"the claim `{name}` has a meaning of its own; choose another name, such as a URI",
            field=field,
        )


def check_lookups(mappings: Iterable[ClaimMapping], schema: Callable[[], Schema]) -> None:
    """Raise InvalidArgumentError where a lookup names what the schema has not.

    `schema` is asked where there is a lookup; without one there need not be a schema.
    """
    for position, mapping in enumerate(mappings):
        lookup = mapping.lookup
        if lookup is None:
            continue
        definition = schema().definitions.get(lookup.resource_type)
        if definition is None or lookup.permission not in definition:
            raise InvalidArgumentError(
                f"the schema has no `{lookup.resource_type}#{lookup.permission}`",
                field=f"claims[{position}].lookup",
            )


def attributes_of(document: bytes | None) -> dict[str, object]:
    """Read the attributes of a stored organization, its name among them as `name`.

    There are none where it is not stored. Raises StoreError where the document is malformed.
    """
    if document is None:
        return {}
    try:
        organization = msgspec.json.decode(document, type=_Organization)
    except msgspec.MsgspecError as error:
        raise StoreError("a stored organization is malformed; store it again") from error
    name = {NAME: organization.name} if organization.name else {}
    return {**organization.attributes, **name}


def mapped_claims(
    mappings: Iterable[ClaimMapping], attributes: Mapping[str, object], look_up: LookUp
) -> dict[str, object]:
    """Return the claims of the mappings; errors of `look_up` pass through."""
    claims: dict[str, object] = {}
    for mapping in mappings:
        if mapping.lookup is not None:
            found = look_up(mapping.lookup.resource_type, mapping.lookup.permission)
            claims[mapping.claim] = list(found)
        elif mapping.attribute in attributes:
            claims[mapping.claim] = attributes[mapping.attribute]
    return claims
