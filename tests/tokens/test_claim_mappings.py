"""Claims of an audience's own: where they come from, and which they can never be."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from relata.authorizer import Relata
from relata.errors import InvalidArgumentError, SchemaMissingError, StoreError
from relata.tokens.claim_mappings import (
    PROTOCOL_CLAIMS,
    ClaimMapping,
    Lookup,
    attributes_of,
    check_lookups,
    mapped_claims,
)

SCHEMA = """
definition user {}

definition organization {
    relation member: user
    relation chosen_by: user
    permission session = member & chosen_by
}

definition dataset {
    relation shared_with: organization
    permission visible = shared_with->session
}
"""
DATASETS = ClaimMapping(claim="datasets", lookup=Lookup("dataset", "visible"))
PLAN = ClaimMapping(claim="plan", attribute="plan")


@pytest.fixture
def authorizer() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=SCHEMA) as authorizer:
        authorizer.write(
            [
                "organization:acme#member@user:anne",
                "organization:globex#member@user:anne",
                "dataset:sales#shared_with@organization:acme",
                "dataset:costs#shared_with@organization:acme",
                "dataset:globex-only#shared_with@organization:globex",
            ]
        )
        yield authorizer


def nothing(resource_type: str, permission: str) -> tuple[str, ...]:
    return ()


@pytest.mark.parametrize("name", sorted(PROTOCOL_CLAIMS))
def test_a_claim_with_a_meaning_cannot_be_mapped_to(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="a meaning of its own") as caught:
        ClaimMapping(claim=name, attribute="plan")
    assert caught.value.field == "claim"


@pytest.mark.parametrize("name", ["ISS", "Permissions", "\u017fub", "Org_Id", "_CLAIM_NAMES"])
def test_case_tells_no_names_apart(name: str) -> None:
    """Some JSON readers take `ISS`, or `sub` with a long s, for the claim itself."""
    with pytest.raises(InvalidArgumentError, match="a meaning of its own"):
        ClaimMapping(claim=name, attribute="plan")


def test_every_claim_that_a_token_has_is_protected() -> None:
    """RFC 9068 section 2.2, and what Relata adds."""
    issued = {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "org_id", "permissions"}
    issued |= {"roles", "scope", "auth_time", "acr", "amr", "act", "cnf", "status", "revision"}
    issued |= {"sid", "products", "permissions_bits", "products_bits", "_claim_names"}
    assert issued <= PROTOCOL_CLAIMS


@pytest.mark.parametrize("name", ["", " ", "two words", "a\nb", "a\x00", "x" * 201, "\ud800"])
def test_a_claims_name_is_one_printable_word(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="printable characters") as caught:
        ClaimMapping(claim=name, attribute="plan")
    assert caught.value.field == "claim"


@pytest.mark.parametrize("name", ["plan", "groups", "entitlements", "https://example.com/plan"])
def test_other_claims_can_be_mapped_to(name: str) -> None:
    """`groups` and `entitlements` are RFC 9068's names for lists like these."""
    assert ClaimMapping(claim=name, attribute="plan").claim == name


def test_a_mapping_has_one_source() -> None:
    with pytest.raises(InvalidArgumentError, match="needs one source"):
        ClaimMapping(claim="plan")
    with pytest.raises(InvalidArgumentError, match="needs one source"):
        ClaimMapping(claim="plan", attribute="plan", lookup=Lookup("dataset", "visible"))


@pytest.mark.parametrize(
    ("resource_type", "permission", "field"),
    [
        ("", "visible", "lookup.resource_type"),
        ("Dataset", "visible", "lookup.resource_type"),
        ("dataset:sales", "visible", "lookup.resource_type"),
        ("dataset", "", "lookup.permission"),
        ("dataset", "visible#x", "lookup.permission"),
    ],
)
def test_a_lookup_names_what_a_schema_can_have(
    resource_type: str, permission: str, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Lookup(resource_type, permission)
    assert caught.value.field == field


def test_a_lookup_names_what_the_schema_has(authorizer: Relata) -> None:
    check_lookups([PLAN, DATASETS], lambda: authorizer.schema)
    for lookup in (Lookup("report", "visible"), Lookup("dataset", "readable")):
        unknown = ClaimMapping(claim="other", lookup=lookup)
        with pytest.raises(InvalidArgumentError, match="the schema has no") as caught:
            check_lookups([PLAN, unknown], lambda: authorizer.schema)
        assert caught.value.field == "claims[1].lookup"


def test_attributes_need_no_schema() -> None:
    with Relata.open("sqlite://") as authorizer:
        check_lookups([PLAN], lambda: authorizer.schema)
        with pytest.raises(SchemaMissingError):
            check_lookups([DATASETS], lambda: authorizer.schema)


def test_an_attribute_becomes_a_claim_as_it_is() -> None:
    attributes = {"plan": "gold", "limits": {"seats": 5, "regions": ["eu"]}, "trial": False}
    mappings = [PLAN, *(ClaimMapping(claim=f"x_{it}", attribute=it) for it in ("limits", "trial"))]
    assert mapped_claims(mappings, attributes, nothing) == {
        "plan": "gold",
        "x_limits": {"seats": 5, "regions": ["eu"]},
        "x_trial": False,
    }


def test_an_attribute_that_is_not_there_makes_no_claim() -> None:
    """Null would be a value that somebody stored."""
    assert mapped_claims([PLAN], {}, nothing) == {}
    assert mapped_claims([PLAN], {"plan": None}, nothing) == {"plan": None}


def test_a_lookup_that_finds_nothing_says_so() -> None:
    """An empty list is an answer; a claim that is missing might have left the token."""
    assert mapped_claims([DATASETS], {}, nothing) == {"datasets": []}


def test_a_lookup_is_asked_in_the_organization_of_the_token(authorizer: Relata) -> None:
    """With the token's contextual relationships, so another organization's datasets stay out."""

    def look_up(resource_type: str, permission: str) -> tuple[str, ...]:
        return authorizer.lookup_resources(
            resource_type,
            permission,
            "user:anne",
            contextual=["organization:acme#chosen_by@user:anne"],
        ).resource_ids

    assert mapped_claims([DATASETS], {}, look_up) == {"datasets": ["costs", "sales"]}


def test_the_attributes_of_a_stored_organization() -> None:
    stored = {"name": "Acme Ltd", "attributes": {"plan": "gold"}, "policy": {"acr": "x"}}
    assert attributes_of(msgspec.json.encode(stored)) == {"name": "Acme Ltd", "plan": "gold"}
    assert attributes_of(b"{}") == {}
    assert attributes_of(None) == {}


def test_the_name_is_the_organizations_and_no_attribute_of_that_name() -> None:
    stored = {"name": "Acme Ltd", "attributes": {"name": "Globex"}}
    assert attributes_of(msgspec.json.encode(stored)) == {"name": "Acme Ltd"}


@pytest.mark.parametrize("document", [b"", b"[]", b'{"attributes": 5}', b"\xff"])
def test_a_malformed_organization_is_the_stores_fault(document: bytes) -> None:
    with pytest.raises(StoreError, match="malformed"):
        attributes_of(document)
