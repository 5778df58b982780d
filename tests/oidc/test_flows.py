"""Whole flows over HTTP, from the login at a real OpenID provider to what an API learns.

The recipes of `docs/tokens.md`, one test each. The world is that of `tests/tokens/world.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from relata.relationships import delete, parse_relationship
from relata.tokens import ACCESS_TOKEN, TOKEN_EXCHANGE
from relata.tokens.audiences import Audience
from relata.tokens.clients import Client
from relata.tokens.exchange import CLIENT_CREDENTIALS
from tests.oidc.provider import OTHER_APP, STRONG, Provider
from tests.oidc.server import TokenServer, claims_of, exchange, with_key
from tests.tokens.test_enrichment import FactsService
from tests.tokens.world import EDITOR, SHOP


@pytest.fixture(scope="module")
def anne(provider: Provider) -> str:
    """Anne's id token: she is logged in, and nothing is known of what she may do."""
    return str(provider.log_in("anne")["id_token"])


@pytest.fixture
def facts() -> Iterator[FactsService]:
    facts = FactsService()
    yield facts
    facts.close()


def switched(client: httpx.Client, token: httpx.Response, **changes: str) -> httpx.Response:
    """Exchange a token of Relata's own for another."""
    own = token.json()["access_token"]
    return exchange(client, own, subject_token_type=ACCESS_TOKEN, **changes)


def error_of(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


def becomes(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes to hold within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


def test_several_organizations(client: httpx.Client, anne: str) -> None:
    """The app shows what there is to choose from, and asks for a token per product."""
    listed = client.get("/organizations", headers={"Authorization": f"Bearer {anne}"}).json()
    choices = {item["organization"]: item["audiences"] for item in listed["organizations"]}
    assert choices == {"acme": [SHOP, "wiki"], "globex": ["wiki"]}

    held = {
        (organization, audience): claims_of(
            exchange(client, anne, organization=organization, audience=audience)
        )["permissions"]
        for organization, audiences in choices.items()
        for audience in audiences
    }
    assert held == {
        ("acme", "wiki"): list(EDITOR),
        ("acme", SHOP): ["buy"],
        ("globex", "wiki"): ["read:pages"],
    }


def test_a_choice_is_only_a_wish(client: httpx.Client, anne: str) -> None:
    """An organization of others, and one that is unknown: one answer."""
    for organization in ("initech", "nowhere"):
        assert error_of(exchange(client, anne, organization=organization)) == "invalid_request"
    assert (
        error_of(exchange(client, anne, organization="globex", audience=SHOP)) == "invalid_target"
    )


def test_one_organization(client: httpx.Client, provider: Provider) -> None:
    """With one to choose from there is nothing to choose."""
    bob = provider.log_in("bob")["id_token"]
    assert claims_of(exchange(client, bob, organization=""))["org_id"] == "acme"


def test_the_organization_by_its_subdomain(server: TokenServer, anne: str) -> None:
    """The audience says it; what is said beside it must agree."""
    template = "https://{organization}.wiki.example"
    server.service.audiences.create(Audience(id=template, products=("wiki",)))
    at_globex = "https://globex.wiki.example"
    claims = claims_of(exchange(server.client, anne, organization="", audience=at_globex))
    assert (claims["aud"], claims["org_id"]) == (at_globex, "globex")
    assert claims["permissions"] == ["read:pages"]
    assert error_of(exchange(server.client, anne, audience=at_globex)) == "invalid_request"
    theirs = exchange(server.client, anne, organization="", audience="https://initech.wiki.example")
    assert error_of(theirs) == "invalid_request"


def test_the_organization_by_its_app(server: TokenServer, provider: Provider) -> None:
    """An app that belongs to one organization asks for that one, and for no other."""
    app = Client(
        id=OTHER_APP, authentication="none", grants=(TOKEN_EXCHANGE,), organizations=("acme",)
    )
    server.service.clients.create(app)
    anne = provider.log_in("anne", app=OTHER_APP)["id_token"]
    claims = claims_of(exchange(server.client, anne, organization="", client_id=OTHER_APP))
    assert (claims["org_id"], claims["client_id"]) == ("acme", OTHER_APP)
    elsewhere = exchange(server.client, anne, organization="globex", client_id=OTHER_APP)
    assert error_of(elsewhere) == "invalid_request"
    assert error_of(exchange(server.client, anne)) == "invalid_request"


def test_a_machine(server: TokenServer) -> None:
    """It asks with its own credentials; the same graph answers."""
    machine = Client(
        id="importer",
        authentication="client_secret_basic",
        grants=(CLIENT_CREDENTIALS,),
        subject="client:robot",
    )
    _, secret = server.service.clients.create(machine)
    form = {"grant_type": CLIENT_CREDENTIALS, "organization": "acme", "audience": "wiki"}
    claims = claims_of(
        server.client.post("/oauth/token", data=form, auth=("importer", str(secret)))
    )
    assert (claims["sub"], claims["client_id"]) == ("importer", "importer")
    assert claims["permissions"] == ["import:pages"]
    wrong = server.client.post("/oauth/token", data=form, auth=("importer", "guessed"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")


def test_one_logical_api(server: TokenServer, anne: str) -> None:
    """One audience over several products: each permission says whose it is."""
    products = ("wiki", SHOP)
    server.service.audiences.create(Audience(id="https://api.example", products=products))
    claims = claims_of(exchange(server.client, anne, audience="https://api.example"))
    assert claims["aud"] == "https://api.example"
    assert claims["products"] == {"wiki": list(EDITOR), SHOP: ["buy"]}


def test_delegation(server: TokenServer, anne: str) -> None:
    """A service acts for the user; its own rights are added to nothing, and its name is said."""
    client = server.client
    service = Client(
        id="gateway",
        authentication="client_secret_post",
        grants=(TOKEN_EXCHANGE,),
        scopes=("read:pages",),
        delegation=True,
    )
    _, secret = server.service.clients.create(service)
    users = exchange(client, anne)
    form = {"client_id": "gateway", "client_secret": str(secret)}
    claims = claims_of(switched(client, users, **form))
    assert (claims["sub"], claims["act"]) == ("anne", {"sub": "gateway"})
    assert claims["client_id"] == "gateway"
    assert claims["permissions"] == ["read:pages"]


def test_delegation_is_not_for_everybody(client: httpx.Client, anne: str) -> None:
    """A client exchanges its own tokens, unless it may act for users."""
    refused = switched(client, exchange(client, anne), client_id="robot")
    assert error_of(refused) == "invalid_request"
    assert "issued to another client" in refused.json()["error_description"]


def test_another_organization_without_the_provider(client: httpx.Client, anne: str) -> None:
    """A token of Relata's own is a subject token: it never lives longer, nor holds more."""
    first = exchange(client, anne)
    second = switched(client, first, organization="globex")
    assert claims_of(second)["org_id"] == "globex"
    assert claims_of(second)["permissions"] == ["read:pages"]
    assert claims_of(second)["exp"] <= claims_of(first)["exp"]
    narrow = exchange(client, anne, scope="read:pages")
    assert claims_of(switched(client, narrow))["permissions"] == ["read:pages"]
    assert error_of(switched(client, narrow, scope="write:pages")) == "invalid_scope"


@pytest.fixture
def two_factors(server: TokenServer) -> Iterator[None]:
    """Globex asks its users for two factors."""
    policy = {"policy": {"acr_values": [STRONG]}}
    answer = server.admin.put("/organizations/globex", json=policy)
    assert answer.status_code == 200, answer.text
    yield
    server.admin.put("/organizations/globex", json={})


def test_step_up(server: TokenServer, provider: Provider, two_factors: None) -> None:
    """RFC 9470: the app sends the user back to log in as the organization asks."""
    weak = exchange(server.client, provider.log_in("anne")["id_token"], organization="globex")
    assert error_of(weak) == "insufficient_user_authentication"
    assert weak.json()["acr_values"] == STRONG
    strong = provider.log_in("anne", otp=True)["id_token"]
    claims = claims_of(exchange(server.client, strong, organization="globex"))
    assert claims["acr"] == STRONG


def is_active(server: TokenServer, answer: httpx.Response) -> bool:
    """What an API learns of a token by asking (RFC 7662)."""
    form = {"token": answer.json()["access_token"]}
    said: dict[str, Any] = server.admin.post("/oauth/introspect", data=form).json()
    return bool(said["active"])


def test_a_role_removed_while_a_token_lives(server: TokenServer, anne: str) -> None:
    """An API that asks learns that the token says more than is true, and of no other token."""
    editor = exchange(server.client, anne)
    reader = exchange(server.client, anne, organization="globex")
    assert is_active(server, editor)
    assert is_active(server, reader)
    assignment = parse_relationship("role:acme/editor#assignee@user:anne")
    server.relata.write([delete(assignment)])
    assert becomes(lambda: not is_active(server, editor))
    assert is_active(server, reader)
    server.relata.write([assignment])


def test_enrichment(server: TokenServer, anne: str, facts: FactsService) -> None:
    """What an outside service knows stands in the token under a name of its own."""
    claim = "https://facts.example/plan"
    settings = {
        "id": "wiki",
        "products": ["wiki"],
        "enrichment": {"url": facts.url, "claim": claim},
    }
    assert server.admin.post("/audiences", json=settings).status_code == 201
    assert claims_of(exchange(server.client, anne))[claim] == {"plan": "acme-anne"}
    assert server.admin.delete("/audiences/wiki").status_code == 204


def test_overage(server: TokenServer, anne: str) -> None:
    """What has no room in the token is in the answer, and where the token says that it is."""
    names = sorted(f"read:report-{number:03}" for number in range(300))
    server.relata.write([f"capability:{name}#granted_to@role:acme/buyer" for name in names])
    answer = exchange(server.client, anne, audience=SHOP)
    assert answer.json()["permissions"] == ["buy", *names]
    assert len(answer.json()["access_token"]) <= 4096
    claims = claims_of(answer)
    assert "permissions" not in claims
    source = claims["_claim_sources"][claims["_claim_names"]["permissions"]]
    with with_key(server.client.base_url, answer.json()["access_token"]) as api:
        assert api.get(source["endpoint"]).json()["permissions"] == ["buy", *names]


@contextmanager
def sub_organization(server: TokenServer, name: str, **settings: Any) -> Iterator[httpx.Client]:
    """Make an organization below acme, with Anne as a reader; gives a client with its key."""
    settings = {"id": name, "parent": "acme", "share_products": True, **settings}
    created = server.admin.post("/organizations", json={**settings, "share_role_templates": True})
    assert created.status_code == 201, created.text
    member = f"organization:{name}#member@user:anne"
    reader = f"role:{name}/reader#assignee@user:anne"
    updates = [{"operation": "touch", "relationship": fact} for fact in (member, reader)]
    with with_key(server.client.base_url, created.json()["key"]) as own:
        written = own.post("/relationships", json={"updates": updates})
        assert written.status_code == 200, written.text
        yield own


def test_a_sub_organization_with_shared_users(server: TokenServer, anne: str) -> None:
    """One call makes it, with a key for it alone; its roles come from acme's template."""
    with sub_organization(server, "acme-labs") as own:
        token = exchange(server.client, anne, organization="acme-labs")
        claims = claims_of(token)
        assert (claims["sub"], claims["permissions"]) == ("anne", ["read:pages"])
        assert claims["roles"] == ["acme-labs/reader"]

        outside = {"operation": "touch", "relationship": "organization:globex#member@user:eve"}
        assert own.post("/relationships", json={"updates": [outside]}).status_code == 403

        assert server.admin.delete("/organizations/acme-labs").status_code == 204
        assert not is_active(server, token)
        assert own.get("/relationships?resource_type=role").status_code == 401
    assert error_of(exchange(server.client, anne, organization="acme-labs")) == "invalid_request"


def test_sub_organizations_with_separate_users(server: TokenServer, anne: str) -> None:
    """Each knows Anne by a name of its own, the same every time."""
    with (
        sub_organization(server, "acme-north", users="pairwise"),
        sub_organization(server, "acme-south", users="pairwise"),
    ):
        north, again, south = (
            claims_of(exchange(server.client, anne, organization=name))["sub"]
            for name in ("acme-north", "acme-north", "acme-south")
        )
    assert north == again
    assert len({"anne", north, south}) == 3
