"""Who may ask for which token: own tokens, acting for users, machines, and the clients' limits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import structs

from relata.authorizer import Relata
from relata.errors import OAuthError, WriteConflictError
from relata.relationships import delete
from relata.tokens import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    JWT,
    TOKEN_EXCHANGE,
    Client,
    TokenRequest,
    TokenResponse,
    TokenService,
)
from relata.tokens.audiences import Audience
from tests.tokens.identity import APP, LocalIssuer, compact
from tests.tokens.world import ISSUER_URL, SHOP, THE_APP, asking, issue

Organize = Callable[..., bool]

BACKEND = Client(
    id="backend",
    authentication="client_secret_basic",
    grants=(TOKEN_EXCHANGE, CLIENT_CREDENTIALS),
    delegation=True,
)
MACHINE = Client(id="robot", authentication="client_secret_basic", grants=(CLIENT_CREDENTIALS,))


def said(response: TokenResponse) -> dict[str, Any]:
    """What a token says."""
    claims: dict[str, Any] = jwt.decode(response.access_token, options={"verify_signature": False})
    return claims


def refusal(
    service: TokenService, request: TokenRequest, client: Client = THE_APP, **more: Any
) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        service.issue(request, client, **more)
    return caught.value


def by_itself(**changes: Any) -> TokenRequest:
    """A machine's request for itself."""
    return TokenRequest(
        **{
            "grant_type": CLIENT_CREDENTIALS,
            "audience": ("wiki",),
            "organization": "acme",
            **changes,
        }
    )


# Own tokens


class TestSwitching:
    def test_an_own_token_switches_organization_and_audience(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """Without going back to the issuer, and by what the graph grants there."""
        first = issue(service, asking(issuer.token("anne", acr="mfa", sid="s1")))
        there = issue(service, asking(first.access_token, organization="globex"))
        assert (there.organization, there.permissions) == ("globex", ("read:pages",))
        shop = issue(service, asking(first.access_token, audience=(SHOP,)))
        assert shop.permissions == ("buy",)
        claims = said(shop)
        assert (claims["sub"], claims["acr"], claims["sid"]) == ("anne", "mfa", "s1")

    def test_it_never_outlives_what_it_came_from(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        first = issue(service, asking(issuer.token("anne")))
        second = issue(service, asking(first.access_token, organization="globex"))
        assert said(second)["exp"] <= said(first)["exp"]

    def test_it_never_widens(
        self, service: TokenService, issuer: LocalIssuer, authorizer: Relata
    ) -> None:
        """A scope that was asked for stays a limit, wherever the token goes."""
        narrow = issue(service, asking(issuer.token("anne"), scope="read:pages"))
        again = issue(service, asking(narrow.access_token))
        assert again.permissions == ("read:pages",)
        there = issue(service, asking(narrow.access_token, organization="globex"))
        assert there.permissions == ("read:pages",)
        shop = issue(service, asking(narrow.access_token, audience=(SHOP,)))
        assert shop.permissions == ()
        error = refusal(service, asking(narrow.access_token, scope="write:pages"))
        assert error.error == "invalid_scope"
        whole = issue(service, asking(issuer.token("anne")))
        authorizer.write(["capability:new#granted_to@role:acme/editor"])
        assert issue(service, asking(whole.access_token)).permissions == whole.permissions
        assert "new" in issue(service, asking(issuer.token("anne"))).permissions

    def test_it_never_widens_by_a_detour(
        self, service: TokenService, issuer: LocalIssuer, authorizer: Relata
    ) -> None:
        """What the first token held in an organization is a limit there, also on the way back."""
        first = issue(service, asking(issuer.token("anne"), organization="globex"))
        authorizer.write(["capability:new#granted_to@role:globex/reader"])
        away = issue(service, asking(first.access_token, organization="acme"))
        back = issue(service, asking(away.access_token, organization="globex"))
        assert back.permissions == first.permissions

    def test_nothing_is_exchanged_for_ever(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        token = issue(service, asking(issuer.token("anne"))).access_token
        for _ in range(20):
            token = issue(service, asking(token)).access_token
        assert "too often" in refusal(service, asking(token)).message

    def test_what_is_revoked_while_it_is_exchanged_is_gone(
        self, service: TokenService, issuer: LocalIssuer, authorizer: Relata
    ) -> None:
        """A revocation reaches tokens that are about to be issued, too."""
        first = issue(service, asking(issuer.token("anne")))
        issued = authorizer.store.issued.find(said(first)["jti"])
        assert issued is not None
        since = authorizer.store.issued.last_event()
        service.revoke(subject="user:anne")
        child = structs.replace(issued, id=0, jti="child", parent=issued.jti)
        sister = structs.replace(issued, id=0, jti="sister", parent="")
        for token in (child, sister):
            with pytest.raises(WriteConflictError):
                authorizer.store.issued.add(token, since=since)
        later = authorizer.store.issued.last_event()
        assert authorizer.store.issued.add(sister, since=later).id

    def test_what_was_withdrawn_is_gone(
        self, service: TokenService, issuer: LocalIssuer, authorizer: Relata
    ) -> None:
        first = issue(service, asking(issuer.token("anne")))
        authorizer.write([delete("role:acme/editor#assignee@user:anne")])
        assert issue(service, asking(first.access_token)).permissions == ()

    def test_a_revoked_token_is_no_subject_token(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        first = issue(service, asking(issuer.token("anne")))
        service.revoke(jti=said(first)["jti"])
        error = refusal(service, asking(first.access_token))
        assert (error.error, error.field) == ("invalid_request", "subject_token")

    def test_what_was_exchanged_from_it_goes_with_it(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        first = issue(service, asking(issuer.token("anne")))
        second = issue(service, asking(first.access_token, organization="globex"))
        assert service.revoke(jti=said(first)["jti"]) == 2
        assert service.introspection.introspect(second.access_token, lambda _: True) == {
            "active": False
        }

    def test_a_forged_own_token_is_refused(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        first = issue(service, asking(issuer.token("anne"))).access_token
        header, payload, signature = first.split(".")
        flipped = signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")
        assert refusal(service, asking(f"{header}.{payload}.{flipped}")).error == "invalid_request"


# Acting for users


class TestDelegation:
    def test_an_api_acts_for_the_user_that_called_it(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """RFC 8693, 4.1: the token is about the user, and says who acts."""
        called = issue(service, asking(issuer.token("anne"), audience=(SHOP,)))
        onward = issue(service, asking(called.access_token), BACKEND)
        claims = said(onward)
        assert (claims["sub"], claims["client_id"], claims["aud"]) == ("anne", "backend", "wiki")
        assert claims["act"] == {"sub": "backend"}

    def test_an_api_stays_in_the_organization_of_its_caller(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """Whoever calls an API for one organization opens no other to it."""
        called = issue(service, asking(issuer.token("anne"), audience=(SHOP,)))
        error = refusal(service, asking(called.access_token, organization="globex"), BACKEND)
        assert (error.error, error.field) == ("invalid_request", "organization")
        unnamed = issue(service, asking(called.access_token, organization=""), BACKEND)
        assert unnamed.organization == "acme"
        further = refusal(service, asking(unnamed.access_token, organization="globex"), BACKEND)
        assert further.field == "organization"

    def test_an_actor_token_is_a_limit(self, service: TokenService, issuer: LocalIssuer) -> None:
        """The token ends with the actor's, which must be one that anybody may present."""
        end = int(time.time()) + 20
        actor = {"actor_token_type": ACCESS_TOKEN}
        short = issuer.token("robot", client_id="backend", exp=end)
        request = asking(issuer.token("anne"), actor_token=short, **actor)
        assert said(issue(service, request, BACKEND))["exp"] == end
        bound = issuer.token("robot", client_id="backend", cnf={"jkt": "k"})
        error = refusal(service, asking(issuer.token("anne"), actor_token=bound, **actor), BACKEND)
        assert (error.error, error.field) == ("invalid_request", "actor_token")

    def test_who_may_act_stays_so_in_the_next_token(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        token = issuer.token("anne", may_act={"sub": "another"})
        first = issue(service, asking(token))
        assert said(first)["may_act"] == {"sub": "another"}
        assert "may_act" in refusal(service, asking(first.access_token), BACKEND).message

    def test_who_acted_before_stays_named(self, service: TokenService, issuer: LocalIssuer) -> None:
        other = Client(**{**_fields(BACKEND), "id": "second"})
        first = issue(service, asking(issuer.token("anne")))
        onward = issue(service, asking(first.access_token), BACKEND)
        further = issue(service, asking(onward.access_token), other)
        assert said(further)["act"] == {"sub": "second", "act": {"sub": "backend"}}

    def test_another_client_may_not(self, service: TokenService, issuer: LocalIssuer) -> None:
        first = issue(service, asking(issuer.token("anne")))
        other = Client(id="other", authentication="none", grants=(TOKEN_EXCHANGE,))
        for token in (first.access_token, issuer.token("anne")):
            error = refusal(service, asking(token), other)
            assert (error.error, error.field) == ("invalid_request", "subject_token")

    def test_an_actor_token_names_the_actor(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """RFC 8693, 2.1: and it must be the client's own."""
        request = asking(
            issuer.token("anne"),
            actor_token=issuer.token("robot", client_id="backend"),
            actor_token_type=ACCESS_TOKEN,
        )
        claims = said(issue(service, request, BACKEND))
        assert claims["act"] == {"sub": "robot", "iss": issuer.url}
        other = asking(
            issuer.token("anne"),
            actor_token=issuer.token("robot", client_id="somebody"),
            actor_token_type=ACCESS_TOKEN,
        )
        error = refusal(service, other, BACKEND)
        assert (error.error, error.field) == ("invalid_request", "actor_token")
        bad = asking(issuer.token("anne"), actor_token="x.y.z", actor_token_type=JWT)
        error = refusal(service, bad, BACKEND)
        assert (error.error, error.field) == ("invalid_request", "actor_token")
        assert "actor token" in error.message

    def test_a_token_may_name_who_may_act(self, service: TokenService, issuer: LocalIssuer) -> None:
        """RFC 8693, 4.4."""
        allowed = issuer.token("anne", may_act={"sub": "backend"})
        assert said(issue(service, asking(allowed), BACKEND))["act"] == {"sub": "backend"}
        other = issuer.token("anne", may_act={"sub": "another"})
        assert "may_act" in refusal(service, asking(other), BACKEND).message
        assert "act" not in said(issue(service, asking(other)))


# Machines


class TestClientCredentials:
    def test_a_machine_asks_for_itself(self, service: TokenService) -> None:
        """RFC 6749, 4.4: by its client, which is `client:robot` in the graph."""
        response = issue(service, by_itself(), MACHINE)
        claims = said(response)
        assert claims["permissions"] == ["import:pages"]
        assert claims["sub"] == claims["client_id"] == "robot"
        assert "issued_token_type" not in response.body()

    def test_a_machine_may_be_another_object(self, service: TokenService) -> None:
        client = Client(**{**_fields(MACHINE), "id": "job-7", "subject": "client:robot"})
        assert issue(service, by_itself(), client).permissions == ("import:pages",)

    def test_a_machine_is_in_the_organizations_that_the_graph_says(
        self, service: TokenService
    ) -> None:
        assert issue(service, by_itself(organization=""), MACHINE).organization == "acme"
        error = refusal(service, by_itself(organization="globex"), MACHINE)
        assert (error.error, error.field) == ("invalid_request", "organization")

    @pytest.mark.parametrize(
        "name", ["subject_token", "subject_token_type", "actor_token", "requested_token_type"]
    )
    def test_what_belongs_to_the_other_grant_is_refused(
        self, service: TokenService, name: str
    ) -> None:
        error = refusal(service, by_itself(**{name: "x"}), MACHINE)
        assert (error.error, error.field) == ("invalid_request", name)


# What a client may


class TestLimits:
    def test_a_client_uses_the_grants_it_has(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        assert refusal(service, by_itself(), THE_APP).error == "unauthorized_client"
        assert refusal(service, asking(issuer.token("anne")), MACHINE).error == (
            "unauthorized_client"
        )

    def test_permissions_are_those_of_user_client_and_wish_together(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        client = Client(**{**_fields(THE_APP), "scopes": ("read:pages", "write:pages", "fly")})
        response = issue(service, asking(issuer.token("anne")), client)
        assert response.permissions == ("read:pages", "write:pages")
        wished = issue(service, asking(issuer.token("anne"), scope="write:pages fly"), client)
        assert wished.permissions == ("write:pages",)
        assert (
            refusal(service, asking(issuer.token("anne"), scope="fly"), client).error
            == "invalid_scope"
        )
        nothing = Client(**{**_fields(THE_APP), "scopes": ("fly",)})
        assert issue(service, asking(issuer.token("anne")), nothing).permissions == ()

    def test_a_client_asks_for_its_audiences(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """In the wording for one that is unknown."""
        client = Client(**{**_fields(THE_APP), "audiences": ("wiki",)})
        assert issue(service, asking(issuer.token("anne")), client).permissions
        error = refusal(service, asking(issuer.token("anne"), audience=(SHOP,)), client)
        unknown = refusal(service, asking(issuer.token("anne"), audience=("nothing",)), client)
        assert error.error == unknown.error == "invalid_target"
        assert error.message.replace(SHOP, "X") == unknown.message.replace("nothing", "X")

    def test_an_app_of_one_organization_need_not_name_it(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        client = Client(**{**_fields(THE_APP), "organizations": ("globex",)})
        request = asking(issuer.token("anne"), organization="")
        assert issue(service, request, client).organization == "globex"
        error = refusal(service, asking(issuer.token("anne"), organization="acme"), client)
        assert (error.error, error.field) == ("invalid_request", "organization")
        assert (
            refusal(service, asking(issuer.token("bob"), organization=""), client).field
            == "organization"
        )

    def test_the_choices_are_the_clients(self, service: TokenService, issuer: LocalIssuer) -> None:
        client = Client(**{**_fields(THE_APP), "organizations": ("globex", "hooli")})
        request = asking(issuer.token("anne"), organization="")
        assert issue(service, request, client).organization == "globex"

    def test_a_client_that_needs_a_key(self, service: TokenService, issuer: LocalIssuer) -> None:
        """RFC 9449, 5.2; and the token says to which key it is bound."""
        client = Client(**{**_fields(THE_APP), "require_dpop": True})
        request = asking(issuer.token("anne"))
        assert refusal(service, request, client).error == "invalid_dpop_proof"
        response = service.issue(request, client, key="thumbprint")
        assert response.token_type == "DPoP"
        assert said(response)["cnf"] == {"jkt": "thumbprint"}

    def test_an_issuers_bound_token_needs_its_key(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """RFC 9449, and any other confirmation is not understood (RFC 7800, 3.1)."""
        request = asking(issuer.token("anne", cnf={"jkt": "k1"}))
        for key in (None, "k2"):
            assert refusal(service, request, key=key).error == "invalid_dpop_proof"
        assert service.issue(request, THE_APP, key="k1").token_type == "DPoP"
        other = asking(issuer.token("anne", cnf={"x5t#S256": "k1"}))
        assert refusal(service, other).error == "invalid_request"

    def test_a_bound_token_is_exchanged_by_who_holds_its_key(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        bound = service.issue(asking(issuer.token("anne")), THE_APP, key="k1").access_token
        request = asking(bound, organization="globex")
        for key in (None, "k2"):
            assert refusal(service, request, key=key).error == "invalid_dpop_proof"
        assert service.issue(request, THE_APP, key="k1").organization == "globex"


# What a token is for


class TestAudiences:
    def test_one_audience_over_several_products(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """Permissions carry their product, and a product that is not available is left out."""
        service.audiences.create(Audience(id="https://api.example", products=("wiki", SHOP)))
        request = asking(issuer.token("anne"), audience=("https://api.example",))
        claims = said(issue(service, request))
        assert claims["aud"] == "https://api.example"
        assert claims["products"] == {
            "wiki": ["größe", "read:pages", "write:pages"],
            SHOP: ["buy"],
        }
        assert claims["permissions"] == ["buy", "größe", "read:pages", "write:pages"]
        there = asking(
            issuer.token("anne"), audience=("https://api.example",), organization="globex"
        )
        assert said(issue(service, there))["products"] == {"wiki": ["read:pages"]}

    def test_a_template_yields_the_organization(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        """And must agree with the one that is asked for."""
        service.audiences.create(
            Audience(id="https://{organization}.api.example", products=("wiki",))
        )
        of_globex = ("https://globex.api.example",)
        request = asking(issuer.token("anne"), audience=of_globex, organization="")
        claims = said(issue(service, request))
        assert (claims["aud"], claims["org_id"]) == (of_globex[0], "globex")
        error = refusal(service, asking(issuer.token("anne"), audience=of_globex))
        assert (error.error, error.field) == ("invalid_request", "organization")
        foreign = asking(
            issuer.token("anne"), audience=("https://initech.api.example",), organization=""
        )
        assert refusal(service, foreign).field == "organization"

    def test_an_audience_has_its_own_lifetime(
        self, service: TokenService, issuer: LocalIssuer
    ) -> None:
        service.audiences.create(Audience(id="wiki", products=("wiki",), lifetime=20))
        assert issue(service, asking(issuer.token("anne"))).expires_in == 20

    def test_a_token_keeps_to_its_budget(
        self, service: TokenService, issuer: LocalIssuer, authorizer: Relata
    ) -> None:
        """OpenID Connect Core, 5.6.2; the response has the whole list all the same."""
        many = [f"capability:do:{number:04}#granted_to@role:acme/editor" for number in range(400)]
        authorizer.write(many)
        response = issue(service, asking(issuer.token("anne")))
        claims = said(response)
        assert len(response.permissions) == 403
        assert len(response.access_token) <= 4096
        assert "permissions" not in claims
        assert claims["_claim_names"]["permissions"] == "relata"
        told = service.introspection.introspect(response.access_token, lambda _: True)
        assert told["permissions"] == list(response.permissions)
        service.audiences.create(Audience(id="wiki", products=("wiki",), encoding="bitset"))
        compact = said(issue(service, asking(issuer.token("anne"))))
        assert compact["permissions_bits"]["v"] == 1
        assert "_claim_names" not in compact


# What people are called


def test_two_people_are_never_called_the_same(
    authorizer: Relata, issuer: LocalIssuer, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Two issuers may call two people the same; the graph does not."""
    with closing(LocalIssuer(rsa_key)) as other:
        trusted = [issuer.trusted(), other.trusted(subject="user:other/{sub}")]
        authorizer.write(["organization:acme#member@user:other/anne"])
        with closing(TokenService(authorizer, trusted, issuer_url=ISSUER_URL)) as service:
            subs = [said(issue(service, asking(it.token("anne"))))["sub"] for it in (issuer, other)]
    assert subs == ["anne", "other/anne"]


@pytest.mark.parametrize("header", [{"alg": []}, {"alg": {}}, {"alg": None}])
def test_an_odd_header_is_refused(service: TokenService, header: dict[str, object]) -> None:
    for issuer_name in (ISSUER_URL, "https://other.example"):
        token = compact({"typ": "at+jwt", "kid": "k", **header}, {"iss": issuer_name})
        assert refusal(service, asking(token)).error == "invalid_request"
        with pytest.raises(OAuthError):
            service.organizations(token)


# What an organization asks for


@pytest.fixture
def organize(authorizer: Relata) -> Organize:
    """Store what an organization asks for, as its administrator would have."""

    def store(organization: str, **settings: Any) -> bool:
        return authorizer.store.records.put(
            "organization", organization, json.dumps(settings).encode()
        )

    return store


class TestStepUp:
    def test_an_organization_asks_for_more(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        """RFC 9470: the error says what would do, and the next login may."""
        organize("acme", policy={"acr_values": ["mfa"], "max_age": 600})
        now = int(time.time())
        for told in ({}, {"acr": "pwd", "auth_time": now}, {"acr": "mfa", "auth_time": now - 700}):
            error = refusal(service, asking(issuer.token("anne", **told)))
            assert error.error == "insufficient_user_authentication"
            assert (error.body()["acr_values"], error.body()["max_age"]) == ("mfa", 600)
        good = issuer.token("anne", acr="mfa", auth_time=now)
        assert issue(service, asking(good)).organization == "acme"
        there = asking(issuer.token("anne"), organization="globex")
        assert issue(service, there).organization == "globex"

    def test_nobody_else_learns_what_it_asks_for(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        organize("acme", policy={"acr_values": ["mfa"]})
        assert refusal(service, asking(issuer.token("dora"))).error == "invalid_request"

    def test_a_machine_logs_in_nowhere(self, service: TokenService, organize: Organize) -> None:
        organize("acme", policy={"acr_values": ["mfa"]})
        assert issue(service, by_itself(), MACHINE).organization == "acme"

    def test_its_tokens_live_as_long_as_it_says(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        organize("acme", policy={"max_lifetime": 15})
        assert issue(service, asking(issuer.token("anne"))).expires_in == 15

    def test_it_takes_tokens_of_its_issuers(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        organize("acme", policy={"issuers": ["https://other.example"]})
        error = refusal(service, asking(issuer.token("anne")))
        assert (error.error, error.field) == ("invalid_request", "subject_token")


class TestUsersApart:
    def test_a_user_kept_apart_is_another_for_each_organization(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        """And the same one each time; nothing else in the token tells who it is."""
        for organization in ("acme", "globex"):
            organize(organization, users="pairwise")
        token = issuer.token("anne", sid="s1")
        subs = {}
        for organization in ("acme", "globex"):
            first, second = (
                said(issue(service, asking(token, organization=organization))) for _ in range(2)
            )
            assert first["sub"] == second["sub"]
            assert "sid" not in first
            assert "anne" not in json.dumps(first)
            subs[organization] = first["sub"]
        assert subs["acme"] != subs["globex"]

    def test_an_actor_is_called_as_its_token_calls_it(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        organize("acme", users="pairwise")
        own = issue(service, asking(issuer.token("anne", client_id="backend")), BACKEND)
        request = asking(
            issuer.token("bob"),
            organization="acme",
            actor_token=own.access_token,
            actor_token_type=ACCESS_TOKEN,
        )
        told = said(issue(service, request, BACKEND))
        assert told["act"] == {"sub": said(own)["sub"]}
        assert "anne" not in json.dumps(told)

    def test_who_is_kept_apart_still_switches(
        self, service: TokenService, issuer: LocalIssuer, organize: Organize
    ) -> None:
        """The graph is asked about the user, whatever their token calls them."""
        organize("acme", users="pairwise")
        first = issue(service, asking(issuer.token("anne")))
        there = issue(service, asking(first.access_token, organization="globex"))
        assert said(there)["sub"] == "anne"
        assert there.permissions == ("read:pages",)


def _fields(client: Client) -> dict[str, Any]:
    return {name: getattr(client, name) for name in client.__struct_fields__}


def test_the_app_is_the_issuers_client() -> None:
    assert THE_APP.id == APP
