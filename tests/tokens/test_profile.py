"""The service refuses to start where tokens could not be issued, or not safely."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from relata.authorizer import Relata
from relata.errors import InvalidArgumentError
from relata.tokens import TokenProfile, TokenService
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import ISSUER_URL, SCHEMA


def start(authorizer: Relata, issuer: LocalIssuer, **changes: Any) -> TokenService:
    issuers = changes.pop("issuers", [issuer.trusted()])
    return TokenService(authorizer, issuers, **{"issuer_url": ISSUER_URL, **changes})


def refusal(authorizer: Relata, issuer: LocalIssuer, **changes: Any) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        start(authorizer, issuer, **changes)
    return caught.value


def test_the_question_only_relations_of_the_default_profile() -> None:
    assert TokenProfile().question_only == {"organization#chosen_by", "product#requested_by"}


def test_the_default_profile_fits_the_project_s_schema(issuer: LocalIssuer) -> None:
    with Relata.open("sqlite://", schema=Path(__file__).parents[2] / "schema.zed") as authorizer:
        service = start(authorizer, issuer)
        assert service.organizations(issuer.token("anne")) == ()


@pytest.mark.parametrize("storable", ["organization#chosen_by", "product#requested_by"])
def test_a_choice_that_could_be_stored(issuer: LocalIssuer, storable: str) -> None:
    """A stored choice would choose for everybody."""
    others = TokenProfile().question_only - {storable}
    with Relata.open("sqlite://", schema=SCHEMA, question_only=others) as authorizer:
        error = refusal(authorizer, issuer)
    assert error.field == "question_only"
    assert f"`{storable}` can be stored" in error.message


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ({"organization": "company"}, "there is no definition `company`"),
        ({"capability": "feature"}, "there is no definition `feature`"),
        ({"user": "person"}, "there is no definition `person`"),
        ({"access": "enter"}, "`organization` has no permission `enter`"),
        ({"session": "sitting"}, "`organization` has no permission `sitting`"),
        ({"available": "on_sale"}, "`product` has no permission `on_sale`"),
        ({"held": "owned"}, "`capability` has no permission `owned`"),
        ({"active": "awake"}, "`role` has no permission `awake`"),
        ({"chosen_by": "picked_by"}, "`organization` has no relation `picked_by`"),
        ({"chosen_by": "access"}, "`organization` has no relation `access`"),
        ({"requested_by": "wanted_by"}, "`product` has no relation `wanted_by`"),
        ({"chosen_by": "admin"}, "`organization#admin` does not allow `client`"),
    ],
)
def test_a_name_that_the_schema_lacks(
    issuer: LocalIssuer, names: dict[str, str], missing: str
) -> None:
    """The error says which name of the profile the schema does not have."""
    profile = TokenProfile(**names)
    with Relata.open("sqlite://", schema=SCHEMA, question_only=profile.question_only) as authorizer:
        error = refusal(authorizer, issuer, profile=profile)
    assert error.field == "profile"
    assert missing in error.message


def test_an_issuer_s_own_type_must_be_able_to_choose(
    authorizer: Relata, issuer: LocalIssuer
) -> None:
    """Else its subjects would all be refused, one by one, later."""
    error = refusal(authorizer, issuer, issuers=[issuer.trusted(subject="role:{sub}")])
    assert "`organization#chosen_by` does not allow `role`" in error.message


def test_no_issuer_or_the_same_one_twice(authorizer: Relata, issuer: LocalIssuer) -> None:
    assert "no issuer is trusted" in refusal(authorizer, issuer, issuers=[]).message
    twice = [issuer.trusted(), issuer.trusted(audiences=("other",))]
    assert "registered twice" in refusal(authorizer, issuer, issuers=twice).message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tokens.example",
        "http://tokens.example",
        f"{ISSUER_URL}/",
        f"{ISSUER_URL}?a=b",
        f"{ISSUER_URL}#a",
        f"{ISSUER_URL}?",
    ],
)
def test_an_issuer_url_is_https_without_query_or_fragment(
    authorizer: Relata, issuer: LocalIssuer, url: str
) -> None:
    """RFC 8414, 2."""
    assert refusal(authorizer, issuer, issuer_url=url).field == "issuer_url"


@pytest.mark.parametrize("seconds", [0, -1, 0.5])
def test_a_token_lives_at_least_a_second(
    authorizer: Relata, issuer: LocalIssuer, seconds: float
) -> None:
    error = refusal(authorizer, issuer, lifetime=timedelta(seconds=seconds))
    assert error.field == "lifetime"


def test_nothing_is_fetched_at_the_start(authorizer: Relata, issuer: LocalIssuer) -> None:
    """The service starts while an issuer is down."""
    start(authorizer, issuer)
    assert issuer.fetches == []


def test_the_service_is_no_issuer_of_its_own(authorizer: Relata, issuer: LocalIssuer) -> None:
    """Else a registration could say how its own tokens are read."""
    own = issuer.trusted(issuer=ISSUER_URL)
    with pytest.raises(InvalidArgumentError, match="own `issuer_url`"):
        TokenService(authorizer, [own], issuer_url=ISSUER_URL)
