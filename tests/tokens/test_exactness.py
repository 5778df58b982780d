"""Every token says exactly what single checks say: nothing more, and nothing less.

Worlds are drawn from a seed: organizations with parents, nested groups, roles and role templates
shared by several of them, exclusions, caveats with stored context, expirations. Each token of each
world is held to the checks of every capability and role, asked one by one with the same context.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from relata.authorizer import Relata
from relata.errors import OAuthError
from relata.relationships import moment_text
from relata.tokens import CLIENT_CREDENTIALS, Client, TokenProfile, TokenRequest, TokenService
from tests.tokens.identity import APP, LocalIssuer
from tests.tokens.world import ISSUER_URL, asking

WORLDS = 20
TOKENS = 250
"""How many tokens are issued in each world: 5,000 in all."""

SCHEMA = """
use expiration

caveat on_plan(plan string, needed string) { plan == needed }

definition user {}
definition client {}

definition group {
    relation member: user | client | group#member | user with expiration
}

definition organization {
    relation parent: organization
    relation admin: user | group#member
    relation member: user | client | group#member | user:*
    relation lapsed: user
    relation chosen_by: user | client

    permission manage = admin + parent->manage
    permission access = member + manage
    permission session = (access & chosen_by) - lapsed
}

definition product {
    relation subscriber: organization | organization with expiration
    relation requested_by: user | client

    permission available = subscriber->session
    permission session = available & requested_by
}

definition role {
    relation organization: organization
    relation product: product
    relation assignee: user | client | group#member | user with on_plan
    relation suspended: user

    permission active = (assignee - suspended) & organization->session & product->session
}

definition role_template {
    relation instance: role
    permission active = instance->active
}

definition capability {
    relation granted_to: role | role_template
    relation revoked_from: group#member
    permission held = granted_to->active - revoked_from
}
"""

ORGANIZATIONS = [f"org{number}" for number in range(4)]
USERS = [f"user{number}" for number in range(6)]
GROUPS = [f"group{number}" for number in range(4)]
PRODUCTS = [f"api{number}" for number in range(3)]
TEMPLATES = [f"template{number}" for number in range(2)]
CAPABILITIES = [f"do:{number}" for number in range(12)]
MACHINE = "machine"
LATER = moment_text(datetime.now(UTC) + timedelta(days=1))
BEFORE = moment_text(datetime.now(UTC) - timedelta(days=1))


def drawn(rng: random.Random) -> list[str]:
    """The relationships of a world."""

    def some(items: list[str], most: int) -> list[str]:
        return rng.sample(items, rng.randint(0, min(most, len(items))))

    def subject() -> str:
        who = rng.randint(0, 9)
        if who == 0:
            return f"client:{MACHINE}"
        return f"group:{rng.choice(GROUPS)}#member" if who < 4 else f"user:{rng.choice(USERS)}"

    def ending() -> str:
        return rng.choice(["", "", f"[expiration:{LATER}]", f"[expiration:{BEFORE}]"])

    facts = []
    for group in GROUPS:
        facts += [f"group:{group}#member@user:{user}{ending()}" for user in some(USERS, 3)]
        facts += [f"group:{group}#member@group:{other}#member" for other in some(GROUPS, 1)]
    for organization in ORGANIZATIONS:
        it = f"organization:{organization}"
        facts += [f"{it}#parent@organization:{other}" for other in some(ORGANIZATIONS, 1)]
        facts += [f"{it}#admin@user:{user}" for user in some(USERS, 1)]
        facts += [f"{it}#member@{subject()}" for _ in range(4)]
        facts += [f"{it}#member@user:*" for _ in some(["*"], 1)]
        facts += [f"{it}#member@client:{MACHINE}", f"{it}#lapsed@user:{rng.choice(USERS)}"]
        for product in PRODUCTS:
            if rng.random() < 0.8:
                facts.append(f"product:{product}#subscriber@{it}{ending()}")
            facts += role(rng, organization, product, subject)
    for template in TEMPLATES:
        names = [f"{rng.choice(ORGANIZATIONS)}/{rng.choice(PRODUCTS)}" for _ in range(4)]
        facts += [f"role_template:{template}#instance@role:{name}" for name in names]
    for capability in CAPABILITIES:
        it = f"capability:{capability}"
        facts += [f"{it}#granted_to@role_template:{name}" for name in some(TEMPLATES, 1)]
        names = [f"{rng.choice(ORGANIZATIONS)}/{rng.choice(PRODUCTS)}" for _ in range(4)]
        facts += [f"{it}#granted_to@role:{name}" for name in names]
        facts += [f"{it}#revoked_from@group:{name}#member" for name in some(GROUPS, 1)]
    return list({fact.partition("[")[0]: fact for fact in facts}.values())


def role(rng: random.Random, organization: str, product: str, subject: object) -> list[str]:
    """A role of an organization for a product, with who has it and who is suspended."""
    it = f"role:{organization}/{product}"
    plan = rng.choice(['{"plan":"gold","needed":"gold"}', '{"plan":"tin","needed":"gold"}', ""])
    conditional = f"[on_plan:{plan}]" if plan else "[on_plan]"
    assert callable(subject)
    return [
        f"{it}#organization@organization:{organization}",
        f"{it}#product@product:{product}",
        f"{it}#assignee@{subject()}",
        f"{it}#assignee@{subject()}",
        f"{it}#assignee@user:{rng.choice(USERS)}{conditional}",
        f"{it}#suspended@user:{rng.choice(USERS)}",
    ]


@pytest.fixture
def authorizer() -> Iterator[Relata]:
    only = TokenProfile().question_only
    with Relata.open("sqlite://", schema=SCHEMA, question_only=only) as authorizer:
        yield authorizer


def granted(
    authorizer: Relata, type_: str, permission: str, names: list[str], who: str, about: list[str]
) -> list[str]:
    """Those of the names that single checks allow."""
    return sorted(
        name
        for name in names
        if authorizer.check(f"{type_}:{name}", permission, who, contextual=about).allowed
    )


@pytest.mark.parametrize("seed", range(WORLDS))
def test_a_token_holds_exactly_what_checks_allow(
    service: TokenService, authorizer: Relata, issuer: LocalIssuer, seed: int
) -> None:
    """5,000 tokens, no difference; and no token where a session is not allowed."""
    rng = random.Random(seed)
    authorizer.write(drawn(rng))
    service.clients.create(
        Client(id=MACHINE, authentication="client_secret_basic", grants=(CLIENT_CREDENTIALS,))
    )
    limit = tuple(rng.sample(CAPABILITIES, 8))
    app = service.clients.get(APP)
    machine = service.clients.get(MACHINE)
    assert app is not None
    assert machine is not None
    narrow = Client(id=APP, authentication="none", grants=app.grants, scopes=limit)
    tokens = {user: issuer.token(user) for user in USERS}
    issued = refused = 0
    while issued < TOKENS and refused < 20 * TOKENS:
        organization, product = rng.choice(ORGANIZATIONS), rng.choice(PRODUCTS)
        client = rng.choice([app, app, narrow, machine])
        user = rng.choice(USERS)
        who = f"client:{MACHINE}" if client is machine else f"user:{user}"
        wished = rng.sample(CAPABILITIES, rng.choice([0, 0, 0, 5]))
        request = asking(
            tokens[user],
            organization=organization,
            audience=(product,),
            scope=" ".join(wished),
        )
        if client is machine:
            request = TokenRequest(
                grant_type=CLIENT_CREDENTIALS,
                organization=organization,
                audience=(product,),
                scope=" ".join(wished),
            )
        about = [
            f"organization:{organization}#chosen_by@{who}",
            f"product:{product}#requested_by@{who}",
        ]
        held = granted(authorizer, "capability", "held", CAPABILITIES, who, about)
        expected = [
            name
            for name in held
            if (client is not narrow or name in limit) and (not wished or name in wished)
        ]
        sessions = [
            authorizer.check(f"{type_}:{name}", "session", who, contextual=about).allowed
            for type_, name in (("organization", organization), ("product", product))
        ]
        if not all(sessions) or (wished and not expected):
            with pytest.raises(OAuthError) as caught:
                service.issue(request, client)
            reason = "invalid_request" if not sessions[0] else "invalid_target"
            assert caught.value.error == (reason if not all(sessions) else "invalid_scope")
            refused += 1
            continue
        response = service.issue(request, client)
        claims = jwt.decode(response.access_token, options={"verify_signature": False})
        assert claims["permissions"] == list(response.permissions) == expected
        roles = [f"{name}/{api}" for name in ORGANIZATIONS for api in PRODUCTS]
        assert claims["roles"] == granted(authorizer, "role", "active", roles, who, about)
        assert (claims["iss"], claims["org_id"]) == (ISSUER_URL, organization)
        issued += 1
    assert (issued, refused > 0) == (TOKENS, True)
