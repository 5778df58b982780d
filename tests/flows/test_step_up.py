"""Step-up by the age of a login, which takes longer than a page waits; and whom a policy asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from relata.tokens import ACCESS_TOKEN
from relata.tokens.exchange import CLIENT_CREDENTIALS
from tests.flows.world import World, begin, register
from tests.oidc.provider import Provider
from tests.oidc.server import claims_of, exchange

MAX_AGE = 4
LABS = (
    "organization:globex-labs#member@user:anne",
    "organization:globex-labs#member@client:importer",
)


@pytest.fixture
def admin(world: World) -> Iterator[httpx.Client]:
    """Globex takes logins that are a few seconds old, for itself and for its labs."""
    with world.admin() as admin:
        begin(admin)
        policy = {"policy": {"max_age": MAX_AGE}}
        admin.put("/organizations/globex", json=policy).raise_for_status()
        labs = {"id": "globex-labs", "parent": "globex", "share_products": True}
        admin.post("/organizations", json=labs).raise_for_status()
        updates = [{"operation": "touch", "relationship": member} for member in LABS]
        admin.post("/relationships", json={"updates": updates}).raise_for_status()
        yield admin


@pytest.mark.parametrize("organization", ["globex", "globex-labs"])
def test_a_login_that_is_too_old(
    organization: str, world: World, admin: httpx.Client, provider: Provider
) -> None:
    """It is good for a while; after a fresh one there is a token again (RFC 9470)."""
    anne = provider.log_in("anne")["id_token"]
    until = time.monotonic() + 2 * MAX_AGE
    with httpx.Client(base_url=world.address, timeout=30) as app:
        wanted = {"organization": organization, "audience": "reports"}
        while (answer := exchange(app, anne, **wanted)).status_code == 200:
            assert time.monotonic() < until
        assert answer.json() == {
            "error": "insufficient_user_authentication",
            "error_description": "more recent authentication is required",
            "max_age": MAX_AGE,
        }
        elsewhere = exchange(app, anne, organization="acme", audience="reports")
        assert elsewhere.status_code == 200
        own = elsewhere.json()["access_token"]
        by_way_of = exchange(app, own, subject_token_type=ACCESS_TOKEN, **wanted)
        assert by_way_of.json() == answer.json(), "a newer token is no newer login"
        again = claims_of(exchange(app, provider.log_in("anne")["id_token"], **wanted))
        assert again["org_id"] == organization
        assert again["auth_time"] >= claims_of(elsewhere)["auth_time"] + MAX_AGE


def test_a_machine_is_not_asked(world: World, admin: httpx.Client) -> None:
    """It has no login that could be old."""
    secret = register(
        admin,
        id="importer",
        authentication="client_secret_basic",
        grants=[CLIENT_CREDENTIALS],
        organizations=["globex-labs"],
    )
    answer = httpx.post(
        f"{world.address}/oauth/token",
        data={"grant_type": CLIENT_CREDENTIALS, "audience": "reports"},
        auth=("importer", str(secret)),
    )
    assert claims_of(answer)["org_id"] == "globex-labs"
