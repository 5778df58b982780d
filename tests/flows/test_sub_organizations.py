"""Sub-organizations: what one that keeps its users apart lets anybody know of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from relata.tokens import ACCESS_TOKEN
from tests.flows.world import World, begin
from tests.oidc.provider import Provider
from tests.oidc.server import claims_of, exchange, with_key

ABOUT_THE_USER = ("sub", "sid", "act", "email")


@pytest.fixture
def admin(world: World) -> Iterator[httpx.Client]:
    with world.admin() as admin:
        begin(admin)
        yield admin


@pytest.fixture
def app(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.address, timeout=30) as app:
        yield app


def make(admin: httpx.Client, name: str, **settings: Any) -> str:
    """Make an organization below acme that has its products, with Anne; gives its key."""
    made = admin.post(
        "/organizations",
        json={"id": name, "parent": "acme", "share_products": True, **settings},
    )
    assert made.status_code == 201, made.text
    key = str(made.json()["key"])
    member = {"operation": "touch", "relationship": f"organization:{name}#member@user:anne"}
    with with_key(str(admin.base_url), key) as own:
        own.post("/relationships", json={"updates": [member]}).raise_for_status()
    return key


def test_users_that_are_kept_apart(
    world: World, admin: httpx.Client, app: httpx.Client, provider: Provider
) -> None:
    """No claim about Anne is the same in two organizations, at two logins neither; hers stays."""
    keys = {name: make(admin, name, users="pairwise") for name in ("north", "south")}
    first, second = (provider.log_in("anne")["id_token"] for _ in range(2))
    found: dict[str, set[str]] = {}
    for name in keys:
        answers = [
            exchange(app, token, organization=name, audience="reports") for token in (first, second)
        ]
        subs = {claims_of(answer)["sub"] for answer in answers}
        assert len(subs) == 1, "it is stable"
        found[name] = {
            str(claims_of(answer)[claim])
            for answer in answers
            for claim in ABOUT_THE_USER
            if claim in claims_of(answer)
        }
        with with_key(world.address, keys[name]) as own:
            told = own.post(
                "/oauth/introspect", data={"token": answers[0].json()["access_token"]}
            ).json()
        assert told["active"]
        assert {told["sub"]} == subs
        assert not set(ABOUT_THE_USER[1:]) & set(told)
    shared = claims_of(exchange(app, first, organization="acme", audience="reports"))
    known = jwt.decode(first, options={"verify_signature": False})
    assert shared["sub"] == known["sub"] == "anne"
    assert found["north"].isdisjoint(found["south"])
    assert (found["north"] | found["south"]).isdisjoint(map(str, known.values()))


def test_a_pairwise_token_is_exchanged(
    admin: httpx.Client, app: httpx.Client, provider: Provider
) -> None:
    """The app that has it can go on to another organization, in which Anne is who she is there."""
    make(admin, "north", users="pairwise")
    make(admin, "labs")
    anne = provider.log_in("anne")["id_token"]
    north = exchange(app, anne, organization="north", audience="reports")
    for organization, shared in (("labs", True), ("north", False)):
        other = exchange(
            app,
            north.json()["access_token"],
            subject_token_type=ACCESS_TOKEN,
            organization=organization,
            audience="reports",
        )
        expected = "anne" if shared else claims_of(north)["sub"]
        assert claims_of(other)["sub"] == expected


def test_a_key_learns_of_its_own_organization_s_tokens_alone(
    world: World, admin: httpx.Client, app: httpx.Client, provider: Provider
) -> None:
    """Of another's it is told what it is told of one that does not exist."""
    key = make(admin, "labs")
    anne = provider.log_in("anne")["id_token"]
    with with_key(world.address, key) as own:
        told = {
            name: own.post(
                "/oauth/introspect", data={"token": answer.json()["access_token"]}
            ).json()
            for name in ("labs", "acme")
            for answer in [exchange(app, anne, organization=name, audience="reports")]
        }
    assert told["labs"]["active"]
    assert told["acme"] == {"active": False}


def test_deletion_ends_what_the_organization_had(
    world: World, admin: httpx.Client, app: httpx.Client, provider: Provider
) -> None:
    """Its key and its tokens, and those exchanged from them; nobody else's."""
    key = make(admin, "labs")
    anne = provider.log_in("anne")["id_token"]
    of_labs = exchange(app, anne, organization="labs", audience="reports")
    descendant = exchange(
        app,
        of_labs.json()["access_token"],
        subject_token_type=ACCESS_TOKEN,
        organization="globex",
        audience="reports",
    )
    of_acme = exchange(app, anne, organization="acme", audience="reports")
    assert admin.delete("/organizations/labs").status_code == 204

    states = [
        admin.post("/oauth/introspect", data={"token": answer.json()["access_token"]}).json()[
            "active"
        ]
        for answer in (of_labs, descendant, of_acme)
    ]
    assert states == [False, False, True]
    with with_key(world.address, key) as own:
        assert own.get("/relationships?resource_type=role").status_code == 401
    left = admin.get("/relationships/export").text
    assert "labs" not in left
    assert "organization:acme#member@user:anne" in left
    with admin.stream(
        "GET", "/oauth/events", params={"seconds": 0}, headers={"Last-Event-ID": "0"}
    ) as stream:
        ended = [line for line in stream.iter_lines() if line == "event: session-revoked"]
    assert len(ended) == 2
