"""The exchange as a whole: what a token says, and whom it is refused to."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import jwt
import pytest

from relata.authorizer import Relata
from relata.engine import WorkLimits
from relata.errors import OAuthError
from relata.relationships import delete
from relata.requests import Limits
from relata.tokens import (
    ACCESS_TOKEN,
    ID_TOKEN,
    JWT,
    TOKEN_EXCHANGE,
    Client,
    OrganizationChoice,
    TokenProfile,
    TokenRequest,
    TokenResponse,
    TokenService,
)
from tests.tokens.identity import APP, AUDIENCE, LocalIssuer
from tests.tokens.world import (
    EDITOR,
    ISSUER_URL,
    RELATIONSHIPS,
    ROBOT,
    SCHEMA,
    SHOP,
    THE_APP,
    asking,
    issue,
)


def claims_of(service: TokenService, response: TokenResponse, audience: str) -> dict[str, Any]:
    """What an API reads from a token, having verified it as any API would."""
    keys = jwt.PyJWKSet.from_dict(service.jwks())
    kid = jwt.get_unverified_header(response.access_token)["kid"]
    claims: dict[str, Any] = jwt.decode(
        response.access_token,
        keys[kid],
        audience=audience,
        issuer=ISSUER_URL,
        options={"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
    )
    return claims


def refusal(service: TokenService, request: TokenRequest, client: Client = THE_APP) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        service.issue(request, client)
    return caught.value


# What a token says


def test_a_token_says_what_the_schema_grants(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 9068, 2.2: every required claim, and ours."""
    before = int(time.time())
    response = issue(service, asking(issuer.token("anne", acr="urn:mfa", auth_time=5)))
    claims = claims_of(service, response, "wiki")
    assert before <= claims.pop("iat") <= time.time()
    assert claims.pop("exp") - before in {300, 301}
    assert len(claims.pop("jti")) == 36
    assert claims.pop("status")["status_list"]["uri"].startswith(f"{ISSUER_URL}/oauth/status/")
    assert claims.pop("revision") == response.revision
    assert claims == {
        "iss": ISSUER_URL,
        "sub": "anne",
        "aud": "wiki",
        "client_id": APP,
        "org_id": "acme",
        "permissions": list(EDITOR),
        "roles": ["acme/editor"],
        "scope": "read:pages write:pages",
        "auth_time": 5,
        "acr": "urn:mfa",
    }


def test_the_response_says_it_beside_the_token(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 8693, 2.2.1, and the permissions for an app that treats the token as opaque."""
    body = json.loads(json.dumps(issue(service, asking(issuer.token("anne"))).body()))
    assert isinstance(body.pop("access_token"), str)
    assert isinstance(body.pop("revision"), str)
    assert body == {
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "read:pages write:pages",
        "organization": "acme",
        "permissions": list(EDITOR),
        "roles": ["acme/editor"],
    }


def test_every_token_has_its_own_id(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 7519, 4.1.7."""
    request = asking(issuer.token("anne"))
    tokens = [issue(service, request) for _ in range(3)]
    assert len({claims_of(service, token, "wiki")["jti"] for token in tokens}) == 3


def test_the_requested_type_is_the_issued_type(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 8693, 2.2.1."""
    response = issue(service, asking(issuer.token("anne"), requested_token_type=JWT))
    assert response.issued_token_type == JWT


def test_an_id_token_is_as_good(service: TokenService, issuer: LocalIssuer) -> None:
    """The client is then the id token's audience."""
    request = asking(issuer.id_token("anne"), subject_token_type=ID_TOKEN)
    assert claims_of(service, issue(service, request), "wiki")["client_id"] == APP


def test_a_machine_has_its_own_permissions(service: TokenService, issuer: LocalIssuer) -> None:
    """`client:robot` is a member of its own; `user:robot` would be nobody."""
    machine = issuer.token("robot", client_id="robot")
    claims = claims_of(service, issue(service, asking(machine), ROBOT), "wiki")
    assert claims["permissions"] == ["import:pages"]
    assert claims["client_id"] == claims["sub"] == "robot"
    assert refusal(service, asking(issuer.token("robot"))).error == "invalid_request"


def test_a_member_without_a_role_gets_an_empty_token(
    service: TokenService, issuer: LocalIssuer
) -> None:
    """Membership opens a session; an empty scope, which RFC 6749 has no form for, is left out."""
    response = issue(service, asking(issuer.token("bob")))
    claims = claims_of(service, response, "wiki")
    assert (claims["permissions"], claims["roles"]) == ([], [])
    assert "scope" not in claims
    assert "scope" not in response.body()


def test_a_product_named_by_its_uri(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 8707, 2: `resource` narrows audience and permissions."""
    response = issue(service, asking(issuer.token("anne"), audience=(), resource=(SHOP,)))
    assert claims_of(service, response, SHOP)["permissions"] == ["buy"]


def test_a_token_never_outlives_the_one_it_was_exchanged_for(
    service: TokenService, issuer: LocalIssuer
) -> None:
    end = int(time.time()) + 60
    response = issue(service, asking(issuer.token("anne", exp=end)))
    assert claims_of(service, response, "wiki")["exp"] == end
    assert 0 < response.expires_in <= 60


def test_the_lifetime_is_set_by_the_service(authorizer: Relata, issuer: LocalIssuer) -> None:
    service = TokenService(
        authorizer, [issuer.trusted()], issuer_url=ISSUER_URL, lifetime=timedelta(seconds=30)
    )
    with closing(service):
        assert issue(service, asking(issuer.token("anne"))).expires_in == 30


# Scope


def test_scope_narrows_the_token(service: TokenService, issuer: LocalIssuer) -> None:
    """Scopes say what the client may do with the token, permissions what the user may do."""
    request = asking(issuer.token("anne"), scope="write:pages fly")
    response = issue(service, request)
    claims = claims_of(service, response, "wiki")
    assert claims["permissions"] == ["write:pages"]
    assert claims["scope"] == response.scope == "write:pages"
    assert claims["roles"] == ["acme/editor"]


@pytest.mark.parametrize("scope", ["fly", "buy", "import:pages", "openid profile"])
def test_scope_of_nothing_held(service: TokenService, issuer: LocalIssuer, scope: str) -> None:
    """Also what is held for another product, or by another subject."""
    assert refusal(service, asking(issuer.token("anne"), scope=scope)).error == "invalid_scope"


# The organization


def test_permissions_are_those_of_the_chosen_organization(
    service: TokenService, issuer: LocalIssuer
) -> None:
    """What anne may do at acme does not follow her to globex."""
    response = issue(service, asking(issuer.token("anne"), organization="globex"))
    assert response.permissions == ("read:pages",)
    assert response.roles == ("globex/reader",)


def test_the_only_organization_is_chosen(service: TokenService, issuer: LocalIssuer) -> None:
    response = issue(service, asking(issuer.token("bob"), organization=""))
    assert response.organization == "acme"


def test_several_organizations_must_be_chosen_from(
    service: TokenService, issuer: LocalIssuer
) -> None:
    """The error names them, so that the app can ask its user."""
    error = refusal(service, asking(issuer.token("anne"), organization=""))
    assert (error.error, error.field) == ("invalid_request", "organization")
    assert error.body()["organizations"] == ["acme", "globex"]


def test_nobody_s_member(service: TokenService, issuer: LocalIssuer) -> None:
    error = refusal(service, asking(issuer.token("dora"), organization=""))
    assert error.error == "invalid_request"
    assert error.body()["organizations"] == []


def test_an_organization_that_may_not_be_chosen(service: TokenService, issuer: LocalIssuer) -> None:
    """Unknown, another's, and one whose session does not open: one wording (RFC 8693, 2.2.2)."""
    messages = set()
    for organization in ("nowhere", "initech", "hooli"):
        error = refusal(service, asking(issuer.token("anne"), organization=organization))
        assert (error.error, error.field) == ("invalid_request", "organization")
        messages.add(error.message.replace(organization, "X"))
    assert messages == {"`X` is not an organization that the subject may choose"}


@pytest.mark.parametrize(
    "organization",
    [
        "acme#member",
        "acme#member@user:anne",
        "a b",
        "acme ",
        "*",
        "[acme]",
        "acme\n",
        "acme\x00",
        "\ud800",
        "x" * 1025,
        "ACME",
        "organization:acme",
    ],
    ids=ascii,
)
def test_an_organization_is_an_id_and_nothing_else(
    service: TokenService, issuer: LocalIssuer, organization: str
) -> None:
    """No text from outside becomes another reference than an organization's."""
    error = refusal(service, asking(issuer.token("anne"), organization=organization))
    assert (error.error, error.field) == ("invalid_request", "organization")
    assert len(error.message) < 200


# The product


def test_a_product_that_may_not_be_asked_for(service: TokenService, issuer: LocalIssuer) -> None:
    """Unknown, not subscribed to, and no id at all: one wording (RFC 8707, 2)."""
    messages = set()
    for product in ("nothing", SHOP, "wiki#subscriber", "*", "a b", "wiki ", "WIKI"):
        request = asking(issuer.token("anne"), organization="globex", audience=(product,))
        error = refusal(service, request)
        assert error.error == "invalid_target"
        messages.add(error.message.replace(product, "X"))
    assert messages == {"`X` is not a product that is available in the organization"}


def test_who_is_not_a_member_learns_nothing_of_products(
    service: TokenService, issuer: LocalIssuer
) -> None:
    """The organization is refused before the product is looked at."""
    errors = {
        refusal(service, asking(issuer.token("dora"), audience=(product,))).message
        for product in ("wiki", "nothing")
    }
    assert len(errors) == 1


def test_an_organization_that_subscribes_to_nothing(
    service: TokenService, issuer: LocalIssuer
) -> None:
    request = asking(issuer.token("carol"), organization="initech")
    assert refusal(service, request).error == "invalid_target"


# The client and the subject token


def test_a_token_of_another_client_is_refused(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 8693, 2.2.2: what policy does not accept is `invalid_request`."""
    error = refusal(service, asking(issuer.token("anne", client_id="app-2")))
    assert error.error == "invalid_request"
    assert "another client" in error.message


def test_a_token_that_names_no_client(service: TokenService, issuer: LocalIssuer) -> None:
    """RFC 9068, 2.2 requires `client_id`, and the form's word for it proves nothing."""
    request = asking(issuer.token("anne", client_id=None), client_id=APP)
    error = refusal(service, request)
    assert error.error == "invalid_request"
    assert "names no client" in error.message


def test_keys_out_of_reach_are_a_passing_fault(service: TokenService, issuer: LocalIssuer) -> None:
    issuer.close()
    error = refusal(service, asking(issuer.token("anne")))
    assert error.error == "temporarily_unavailable"


# Changes


def test_a_withdrawn_right_is_gone_from_the_next_token(
    service: TokenService, issuer: LocalIssuer, authorizer: Relata
) -> None:
    """Every exchange asks the newest revision."""
    request = asking(issuer.token("anne"))
    assert issue(service, request).roles == ("acme/editor",)
    authorizer.write([delete("role:acme/editor#assignee@user:anne")])
    assert issue(service, request).permissions == ()
    authorizer.write([delete("organization:acme#member@user:anne")])
    assert refusal(service, request).error == "invalid_request"


def test_a_right_withdrawn_by_another_process(issuer: LocalIssuer, tmp_path: Path) -> None:
    """Also where this process has not heard of it yet: nothing follows the database here."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    here = Relata.open(
        url, schema=SCHEMA, question_only=TokenProfile().question_only, follow_seconds=None
    )
    there = Relata.open(url, follow_seconds=None)
    here.write(RELATIONSHIPS)
    service = TokenService(here, [issuer.trusted()], issuer_url=ISSUER_URL)
    request = asking(issuer.token("anne"))
    assert issue(service, request).permissions == EDITOR
    there.refresh()
    there.write([delete("organization:acme#member@user:anne")])
    choices = service.organizations(request.subject_token)
    there.write([delete("organization:globex#member@user:anne")])
    error = refusal(service, asking(request.subject_token, organization="globex"))
    service.close()
    here.close()
    there.close()
    assert [choice.organization for choice in choices] == ["globex"]
    assert error.error == "invalid_request"


def test_the_choice_is_not_left_behind(
    service: TokenService, issuer: LocalIssuer, authorizer: Relata
) -> None:
    """What came with the question is gone after it."""
    issue(service, asking(issuer.token("anne")))
    assert not authorizer.check("organization:acme", "session", "user:anne").allowed
    stored = {str(relationship) for relationship in authorizer.read().relationships}
    assert stored == set(RELATIONSHIPS)


def test_a_schema_that_no_longer_fits(
    service: TokenService, issuer: LocalIssuer, authorizer: Relata
) -> None:
    """A question that cannot be asked is the server's fault, and its particulars stay inside."""
    authorizer.write_schema(SCHEMA.replace("permission active", "permission lively"))
    error = refusal(service, asking(issuer.token("bob")))
    assert error.error == "server_error"
    assert "active" not in error.message


def test_a_limit_is_an_error_and_never_an_empty_token(issuer: LocalIssuer) -> None:
    """OpenFGA #2828: a list cut off at a limit must not pass for the whole."""
    with Relata.open(
        "sqlite://",
        schema=SCHEMA,
        question_only=TokenProfile().question_only,
        limits=Limits(work=WorkLimits(lookup_steps=1)),
    ) as authorizer:
        authorizer.write(RELATIONSHIPS)
        service = TokenService(authorizer, [issuer.trusted()], issuer_url=ISSUER_URL)
        with closing(service):
            assert refusal(service, asking(issuer.token("anne"))).error == "server_error"


# The choices


def test_the_organizations_of_a_user(service: TokenService, issuer: LocalIssuer) -> None:
    """Those whose session opens, with the products that each may ask for, sorted."""
    assert service.organizations(issuer.token("anne")) == (
        OrganizationChoice("acme", (SHOP, "wiki")),
        OrganizationChoice("globex", ("wiki",)),
    )
    assert service.organizations(issuer.id_token("carol")) == (OrganizationChoice("initech", ()),)
    assert service.organizations(issuer.token("dora")) == ()


def test_the_organizations_of_a_machine(service: TokenService, issuer: LocalIssuer) -> None:
    machine = issuer.token("robot", client_id="robot")
    assert [choice.organization for choice in service.organizations(machine)] == ["acme"]


def test_the_organizations_need_a_good_token(service: TokenService, issuer: LocalIssuer) -> None:
    with pytest.raises(OAuthError, match="has expired"):
        service.organizations(issuer.token("anne", exp=1))


def test_the_organizations_need_a_token_that_can_be_exchanged(
    service: TokenService, issuer: LocalIssuer
) -> None:
    """A token that names no client could not, of whatever kind it is said to be."""
    unnamed = issuer.token("anne", client_id=None)
    for kind in (ACCESS_TOKEN, JWT, ID_TOKEN):
        error = refusal(service, asking(unnamed, subject_token_type=kind))
        assert error.error == "invalid_request"
    for token in (unnamed, issuer.id_token("anne", aud=[APP, AUDIENCE])):
        with pytest.raises(OAuthError, match="names no client"):
            service.organizations(token)


def test_every_choice_can_be_exchanged(service: TokenService, issuer: LocalIssuer) -> None:
    """What is offered is what is issued."""
    token = issuer.token("anne")
    for choice in service.organizations(token):
        for audience in choice.audiences:
            request = asking(token, organization=choice.organization, audience=(audience,))
            assert issue(service, request).organization == choice.organization


# The rest of the face


def test_metadata(service: TokenService) -> None:
    """RFC 8414, 2."""
    methods = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
    metadata = service.metadata()
    assert {
        name: metadata[name] for name in metadata if not name.endswith("alg_values_supported")
    } == {
        "issuer": ISSUER_URL,
        "token_endpoint": f"{ISSUER_URL}/oauth/token",
        "jwks_uri": f"{ISSUER_URL}/.well-known/jwks.json",
        "introspection_endpoint": f"{ISSUER_URL}/oauth/introspect",
        "revocation_endpoint": f"{ISSUER_URL}/oauth/revoke",
        "response_types_supported": [],
        "grant_types_supported": [TOKEN_EXCHANGE, "client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": [*methods[1:], "Bearer"],
        "revocation_endpoint_auth_methods_supported": methods,
    }
    algorithms = [name for name in metadata if name.endswith("alg_values_supported")]
    assert len(algorithms) == 3
    for name in algorithms:
        assert not {"none", "HS256"} & set(cast("list[str]", metadata[name]))


def test_tokens_stay_out_of_logs(service: TokenService, issuer: LocalIssuer) -> None:
    """A request or response that is printed shows no token."""
    request = asking(issuer.token("anne"), actor_token="secret")
    response = issue(service, asking(request.subject_token))
    assert request.subject_token not in repr(request)
    assert "secret" not in repr(request)
    assert response.access_token not in repr(response)
