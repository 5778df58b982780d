"""What an organization asks of tokens: the strictest of its own policy and those above it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from relata.authorizer import Relata
from relata.demo.scenario import schema_text
from relata.errors import InvalidArgumentError, LimitExceededError, OAuthError, StoreError
from relata.tokens.organizations import NewOrganization, Organizations
from relata.tokens.policy import Policies, Policy, challenge, check_policy

NOW = 1_800_000_000
ISSUER = "https://id.example"
MFA = {"acr": "mfa", "amr": ["pwd", "otp"], "auth_time": NOW - 60}


@pytest.fixture
def relata() -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=schema_text(), follow_seconds=None) as relata:
        yield relata


@pytest.mark.parametrize(
    ("policy", "authentication"),
    [
        (Policy(), {}),
        (Policy(acr_values=("mfa",)), MFA),
        (Policy(acr_values=("phr", "mfa")), MFA),
        (Policy(amr=("otp",)), MFA),
        (Policy(amr=("otp", "pwd")), MFA),
        (Policy(max_age=60), MFA),
        (Policy(max_age=0), {"auth_time": NOW}),
        (Policy(max_age=0), {"auth_time": NOW + 60}),
        (Policy(issuers=(ISSUER, "https://other.example")), {}),
    ],
)
def test_what_suffices(policy: Policy, authentication: dict[str, Any]) -> None:
    policy.require(authentication, ISSUER, NOW)


@pytest.mark.parametrize(
    ("policy", "authentication", "extra"),
    [
        (Policy(acr_values=("phr", "mfa")), {}, {"acr_values": "phr mfa"}),
        (Policy(acr_values=("phr",)), MFA, {"acr_values": "phr"}),
        (Policy(acr_values=("mfa",)), {"acr": ["mfa"]}, {"acr_values": "mfa"}),
        (Policy(acr_values=("mfa",), max_age=59), MFA, {"acr_values": "mfa", "max_age": 59}),
        (Policy(max_age=59), MFA, {"max_age": 59}),
        (Policy(max_age=59), {}, {"max_age": 59}),
        (Policy(max_age=59), {"auth_time": str(NOW)}, {"max_age": 59}),
        (Policy(max_age=59), {"auth_time": NOW + 61}, {"max_age": 59}),
        (Policy(amr=("hwk",)), MFA, {}),
        (Policy(amr=("otp",)), {"amr": "otp"}, {}),
        (Policy(amr=("otp",)), {}, {}),
    ],
)
def test_what_does_not_suffice_gets_the_step_up_answer(
    policy: Policy, authentication: dict[str, Any], extra: dict[str, object]
) -> None:
    """RFC 9470 section 3: the error, and what a client needs to ask the user to log in again."""
    with pytest.raises(OAuthError) as refusal:
        policy.require(authentication, ISSUER, NOW)
    assert refusal.value.error == "insufficient_user_authentication"
    assert refusal.value.extra == extra


def test_an_issuer_that_is_not_taken_is_no_case_for_logging_in_again() -> None:
    """RFC 8693 section 2.2.2: a subject token that policy does not accept is `invalid_request`."""
    with pytest.raises(OAuthError) as refusal:
        Policy(issuers=("https://other.example",), max_age=1).require({}, ISSUER, NOW)
    assert (refusal.value.error, refusal.value.extra) == ("invalid_request", {})


def test_the_challenge_of_a_route_with_a_bearer_token() -> None:
    """RFC 9470 section 3, in the form of its example."""
    with pytest.raises(OAuthError) as refusal:
        Policy(acr_values=("a", "b"), max_age=5).require({}, ISSUER, NOW)
    assert challenge(refusal.value) == (
        'Bearer realm="relata", error="insufficient_user_authentication", '
        'error_description="more recent authentication is required", '
        'acr_values="a b", max_age="5"'
    )


@pytest.mark.parametrize(("most", "life"), [(None, 300), (60, 60), (3600, 300)])
def test_a_token_lives_as_long_as_is_wanted_and_allowed(most: int | None, life: int) -> None:
    assert Policy(max_lifetime=most).lifetime(300) == life


def test_the_stricter_of_two_wins_in_each_respect() -> None:
    one = Policy(max_lifetime=60, acr_values=("a", "b"), amr=("otp",), issuers=("x", "y"))
    other = Policy(max_lifetime=90, max_age=5, acr_values=("b", "c"), amr=("hwk", "otp"))
    both = Policy(
        max_lifetime=60, acr_values=("b",), amr=("otp", "hwk"), max_age=5, issuers=("x", "y")
    )
    assert one.stricter(other) == both
    assert one.stricter(Policy()) == one == Policy().stricter(one)


def test_an_organization_is_held_to_its_policy_and_those_above(relata: Relata) -> None:
    organizations = Organizations(relata)
    organizations.create(
        NewOrganization(id="top", policy=Policy(max_age=600, issuers=(ISSUER, "https://b.example")))
    )
    organizations.create(
        NewOrganization(id="mid", parent="top", policy=Policy(max_age=900, issuers=(ISSUER,)))
    )
    organizations.create(NewOrganization(id="low", parent="mid", policy=Policy(max_lifetime=60)))
    policies = Policies(relata.store)
    assert policies.of("low") == Policy(max_lifetime=60, max_age=600, issuers=(ISSUER,))
    assert policies.of("top") == Policy(max_age=600, issuers=(ISSUER, "https://b.example"))
    assert policies.of("unknown") == Policy()


def test_the_graph_says_what_is_above(relata: Relata) -> None:
    """An organization that was written as relationships is held to the policies above it too."""
    Organizations(relata).create(NewOrganization(id="top", policy=Policy(max_age=600)))
    relata.write(["organization:loose#parent@organization:top"])
    assert Policies(relata.store).of("loose") == Policy(max_age=600)


def test_a_change_counts_at_once_in_every_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('policy') / 'relata.db'}"
    with (
        Relata.open(url, schema=schema_text(), follow_seconds=None) as one,
        Relata.open(url, follow_seconds=None) as other,
    ):
        policies = Policies(other.store)
        Organizations(one).create(NewOrganization(id="top", policy=Policy(max_age=600)))
        Organizations(one).create(NewOrganization(id="low", parent="top"))
        assert policies.of("low") == Policy(max_age=600)


def test_organizations_in_a_circle_are_held_to_all_their_policies(relata: Relata) -> None:
    Organizations(relata).create(NewOrganization(id="one", policy=Policy(max_age=600)))
    Organizations(relata).create(
        NewOrganization(id="two", parent="one", policy=Policy(max_lifetime=60))
    )
    relata.write(["organization:one#parent@organization:two"])
    both = Policy(max_age=600, max_lifetime=60)
    assert Policies(relata.store).of("one") == Policies(relata.store).of("two") == both


def test_a_tower_without_end_is_refused(relata: Relata) -> None:
    relata.write([f"organization:o{n}#parent@organization:o{n + 1}" for n in range(110)])
    with pytest.raises(LimitExceededError):
        Policies(relata.store).of("o0")


def test_a_policy_that_cannot_be_read_is_not_no_policy(relata: Relata) -> None:
    for broken in (b"{", b'{"policy": {"max_age": "x"}}', b'{"policy": {"maximum": 1}}'):
        relata.store.records.put("organization", "broken", broken)
        with pytest.raises(StoreError):
            Policies(relata.store).of("broken")


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (Policy(max_lifetime=0), "policy.max_lifetime"),
        (Policy(max_age=-1), "policy.max_age"),
        (Policy(max_age=10**12), "policy.max_age"),
        (Policy(acr_values=()), "policy.acr_values"),
        (Policy(acr_values=("a b",)), "policy.acr_values[0]"),
        (Policy(acr_values=("ok", 'a"')), "policy.acr_values[1]"),
        (Policy(amr=("",)), "policy.amr[0]"),
        (Policy(amr=("größe",)), "policy.amr[0]"),
        (Policy(issuers=()), "policy.issuers"),
        (Policy(issuers=("x" * 201,)), "policy.issuers[0]"),
        (Policy(issuers=tuple(map(str, range(51)))), "policy.issuers"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy: Policy, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        check_policy(policy)
    assert refusal.value.field == field


def test_a_policy_that_nobody_could_meet_is_refused(relata: Relata) -> None:
    organizations = Organizations(relata)
    organizations.create(NewOrganization(id="top", policy=Policy(acr_values=("mfa",))))
    with pytest.raises(InvalidArgumentError, match="`acr_values` is allowed by"):
        organizations.create(
            NewOrganization(id="low", parent="top", policy=Policy(acr_values=("pwd",)))
        )
    low = organizations.create(NewOrganization(id="low", parent="top"))
    settings = organizations.settings(low.organization.id)
    with pytest.raises(InvalidArgumentError, match="`acr_values` is allowed by"):
        organizations.replace(
            "low", msgspec.structs.replace(settings, policy=Policy(acr_values=("pwd",)))
        )
