"""The business-to-business scenario whose answers are known: the whole table, through tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from relata.authorizer import Relata
from relata.errors import OAuthError
from relata.tokens import OrganizationChoice, TokenProfile, TokenService
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import ISSUER_URL, asking, issue

SCENARIO = Path(__file__).resolve().parents[3] / "shared" / "b2b"

pytestmark = pytest.mark.skipif(
    not (SCENARIO / "README.md").exists(), reason="the scenario is not beside the project"
)


def _names(cell: str) -> tuple[str, ...]:
    return () if cell == "none" else tuple(cell.split(", "))


def _rows() -> Iterator[tuple[str, str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """User, organization, product, permissions, roles, products available."""
    if not (SCENARIO / "README.md").exists():
        return
    for line in (SCENARIO / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and re.fullmatch(r"org_\d", cells[1]):
            user, organization, products, permissions, roles, available, _ = cells
            for product in products.split(" or "):
                yield (
                    user,
                    organization,
                    product,
                    _names(permissions),
                    _names(roles),
                    _names(available),
                )


@pytest.fixture
def authorizer() -> Iterator[Relata]:
    relationships = (SCENARIO / "relationships.txt").read_text(encoding="utf-8").split()
    with Relata.open(
        "sqlite://",
        schema=SCENARIO / "model.zed",
        question_only=TokenProfile().question_only,
    ) as authorizer:
        authorizer.write(relationships)
        yield authorizer


def test_the_table_is_whole() -> None:
    """Two users, two organizations, two products."""
    assert len({row[:3] for row in _rows()}) == 8


@pytest.mark.parametrize(
    ("user", "organization", "product", "permissions", "roles", "available"), list(_rows())
)
def test_a_row(
    service: TokenService,
    issuer: LocalIssuer,
    user: str,
    organization: str,
    product: str,
    permissions: tuple[str, ...],
    roles: tuple[str, ...],
    available: tuple[str, ...],
) -> None:
    """A token where the product is available, with exactly the row's permissions and roles."""
    token = issuer.token(user)
    request = asking(token, organization=organization, audience=(product,))
    choices = service.organizations(token)
    assert (OrganizationChoice(organization, available) in choices) is bool(available)
    if product in available:
        response = issue(service, request)
        claims = jwt.decode(response.access_token, options={"verify_signature": False})
        assert claims["org_id"] == organization
        assert claims["aud"] == product
        assert claims["iss"] == ISSUER_URL
        assert tuple(claims["permissions"]) == response.permissions == permissions
        assert tuple(claims["roles"]) == response.roles == roles
    else:
        with pytest.raises(OAuthError) as caught:
            issue(service, request)
        expected = "invalid_target" if available else "invalid_request"
        assert caught.value.error == expected
        assert (permissions, roles) == ((), ())
