"""Tokens of a real OpenID provider, exchanged over HTTP.

A person logs in at `oidc-provider` by the authorization code flow with PKCE. Relata knows of the
provider what an operator writes down: its issuer, and for whom its tokens are.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import jwt
import pytest

from relata.tokens import ACCESS_TOKEN, TokenProfile, TrustedIssuer
from relata.tokens.subject_tokens import ID_TOKEN, SubjectTokens
from tests.oidc.provider import STRONG, WEAK, Provider, running_provider
from tests.oidc.server import claims_of, exchange, token_server
from tests.tokens.identity import APP, AUDIENCE
from tests.tokens.world import EDITOR, ROBOT


def test_an_id_token_is_exchanged(client: httpx.Client, provider: Provider) -> None:
    """From the login to a token for one organization and one product."""
    answer = exchange(client, provider.log_in("anne")["id_token"])
    claims = claims_of(answer)
    assert (claims["sub"], claims["aud"], claims["org_id"]) == ("anne", "wiki", "acme")
    assert tuple(answer.json()["permissions"]) == EDITOR


def test_how_the_user_was_authenticated_is_carried_over(
    client: httpx.Client, provider: Provider
) -> None:
    """RFC 9068, 2.2.1: one factor or two, and when."""
    once = claims_of(exchange(client, provider.log_in("anne")["id_token"]))
    assert (once["acr"], once["amr"]) == (WEAK, ["pwd"])
    twice_in = provider.log_in("anne", otp=True)["id_token"]
    twice = claims_of(exchange(client, twice_in))
    assert (twice["acr"], twice["amr"]) == (STRONG, ["pwd", "otp"])
    told = jwt.decode(twice_in, options={"verify_signature": False})
    assert twice["auth_time"] == told["auth_time"]


def test_an_access_token_is_exchanged(client: httpx.Client, provider: Provider) -> None:
    """One that the provider issues for Relata as an API (RFC 9068)."""
    token = provider.log_in("anne", resource=AUDIENCE)["access_token"]
    claims = claims_of(exchange(client, token, subject_token_type=ACCESS_TOKEN))
    assert (claims["sub"], claims["org_id"]) == ("anne", "acme")


def test_a_token_is_taken_for_what_it_is(client: httpx.Client, provider: Provider) -> None:
    """An access token is no id token, whatever the request calls it (RFC 8725, 3.11)."""
    token = provider.log_in("anne", resource=AUDIENCE)["access_token"]
    answer = exchange(client, token, subject_token_type=ID_TOKEN)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_opaque_access_token_is_none(client: httpx.Client, provider: Provider) -> None:
    """Without an API to be for, the provider issues what only it can read."""
    token = provider.log_in("anne")["access_token"]
    answer = exchange(client, token, subject_token_type=ACCESS_TOKEN)
    assert "not a signed JWT" in answer.json()["error_description"]


def test_a_person_of_another_organization(client: httpx.Client, provider: Provider) -> None:
    """Who somebody is, the provider says; where they belong, the graph."""
    token = provider.log_in("dora")["id_token"]
    assert exchange(client, token).json()["error"] == "invalid_request"
    assert exchange(client, token, organization="").json()["organizations"] == []
    choice = exchange(client, provider.log_in("anne")["id_token"], organization="")
    assert choice.json()["organizations"] == ["acme", "globex"]


def test_a_machine_s_token_is_exchanged(client: httpx.Client, provider: Provider) -> None:
    """It has it by the provider's own client credentials grant."""
    token = provider.machine_token()
    answer = exchange(client, token, subject_token_type=ACCESS_TOKEN, client_id=ROBOT.id)
    claims = claims_of(answer)
    assert (claims["sub"], claims["client_id"]) == ("robot", "robot")
    assert claims["permissions"] == ["import:pages"]


def test_a_machine_is_told_from_a_person(trusted: TrustedIssuer, provider: Provider) -> None:
    """By its client being its subject (RFC 9068, 2.2)."""
    tokens = SubjectTokens([trusted], TokenProfile())
    machine = tokens.verify(provider.machine_token(), ACCESS_TOKEN)
    person = tokens.verify(provider.log_in("anne")["id_token"], ID_TOKEN)
    assert (str(machine.subject), machine.client_id) == ("client:robot", "robot")
    assert (str(person.subject), person.issuer) == ("user:anne", provider.issuer)


def test_a_subject_is_made_of_another_claim(trusted: TrustedIssuer, provider: Provider) -> None:
    """By a template; the provider vouches for the address (`email_verified`)."""
    settings = {name: getattr(trusted, name) for name in ("issuer", "discovery", "audiences")}
    tokens = SubjectTokens([TrustedIssuer(**settings, subject="user:{email}")], TokenProfile())
    verified = tokens.verify(provider.log_in("anne")["id_token"], ID_TOKEN)
    assert (str(verified.subject), verified.sub) == ("user:anne@people.example", "anne")


def test_a_new_key_counts_at_once(tmp_path: Path) -> None:
    """The provider rotates while both run; a token signed before is good while its key is out."""
    with running_provider() as provider:
        issuer = TrustedIssuer(issuer=provider.issuer, discovery=True, audiences=(APP,))
        with token_server(tmp_path, [issuer]) as (client, *_):
            before = provider.log_in("anne")["id_token"]
            assert exchange(client, before).status_code == 200
            provider.rotate(keep_old=True)
            after = provider.log_in("anne")["id_token"]
            assert _kid(after) != _kid(before)
            assert exchange(client, after).status_code == 200
            assert exchange(client, before).status_code == 200


def test_a_key_that_is_taken_back_stops_counting(tmp_path: Path) -> None:
    """As soon as the keys are fetched again, which a token with a new key brings about."""
    with running_provider() as provider:
        issuer = TrustedIssuer(issuer=provider.issuer, discovery=True, audiences=(APP,))
        with token_server(tmp_path, [issuer]) as (client, *_):
            before = provider.log_in("anne")["id_token"]
            assert exchange(client, before).status_code == 200
            provider.rotate(keep_old=False)
            assert exchange(client, provider.log_in("anne")["id_token"]).status_code == 200
            refused = exchange(client, before)
            assert "publishes no key" in refused.json()["error_description"]


def test_another_provider_is_not_believed(client: httpx.Client) -> None:
    """It may be as good as the first: nobody registered it."""
    with running_provider() as stranger:
        answer = exchange(client, stranger.log_in("anne")["id_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "issuer is not trusted" in answer.json()["error_description"]


def test_a_provider_that_is_gone(tmp_path: Path) -> None:
    """Its keys cannot be fetched, which is no fault of the token: ask again later."""
    with running_provider() as provider:
        token = provider.log_in("anne")["id_token"]
    issuer = TrustedIssuer(issuer=provider.issuer, discovery=True, audiences=(APP,))
    with token_server(tmp_path, [issuer]) as (client, *_):
        answer = exchange(client, token)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


def _kid(token: str) -> object:
    return jwt.get_unverified_header(token)["kid"]


@pytest.mark.parametrize("name", ["anne", "bob"])
def test_what_a_token_holds_is_the_graph_s_business(
    client: httpx.Client, provider: Provider, name: str
) -> None:
    """Two people of one organization, one with a role."""
    answer = exchange(client, provider.log_in(name)["id_token"])
    assert tuple(answer.json()["permissions"]) == (EDITOR if name == "anne" else ())
