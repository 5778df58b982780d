"""Relata's own tokens as subject tokens: which are read, and which are refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relata.errors import OAuthError
from relata.tokens.own_tokens import OwnToken, OwnTokens
from relata.tokens.signed_tokens import MAX_TOKEN_CHARACTERS
from relata.tokens.subject_tokens import ACCESS_TOKEN, ID_TOKEN, JWT
from tests.tokens.identity import LocalIssuer, PrivateKey, compact, encoded, public_jwk


@pytest.fixture(scope="module")
def relata(signing_keys: dict[str, PrivateKey]) -> Iterator[LocalIssuer]:
    """Signs as the service does; that it also listens shows that nobody asks it for its keys."""
    issuer = LocalIssuer(signing_keys["ES256"], algorithm="ES256", kid="own-1")
    yield issuer
    assert issuer.fetches == []
    issuer.close()


@pytest.fixture
def own(relata: LocalIssuer) -> OwnTokens:
    return OwnTokens(lambda: {"keys": relata.published}, relata.url)


@pytest.fixture
def refusal(own: OwnTokens) -> Callable[..., str]:
    """Why a token is refused."""

    def reason(token: str, token_type: str = ACCESS_TOKEN) -> str:
        with pytest.raises(OAuthError) as caught:
            own.verify(token, token_type)
        assert (caught.value.error, caught.value.field) == ("invalid_request", "subject_token")
        return caught.value.message.removeprefix("the subject token is refused: ")

    return reason


def claims(relata: LocalIssuer, **changes: Any) -> dict[str, Any]:
    """The claims of an ordinary token of the service."""
    return relata.claims(
        **{"aud": "wiki", "jti": "token-1", "org_id": "acme", "permissions": ["read"], **changes}
    )


def token(relata: LocalIssuer, **changes: Any) -> str:
    return relata.sign(claims(relata, **changes))


def test_what_a_token_says(relata: LocalIssuer, own: OwnTokens) -> None:
    now = int(time.time())
    machine = {"sub": "robot", "act": {"sub": "gateway"}}
    verified = own.verify(
        token(
            relata,
            iat=now,
            exp=now + 60,
            scope="read write",
            auth_time=5,
            acr="urn:mfa",
            amr=["otp"],
            sid="session-1",
            act=machine,
            may_act={"sub": "helper"},
            cnf={"jkt": "thumbprint"},
        ),
        ACCESS_TOKEN,
    )
    assert verified == OwnToken(
        sub="anne",
        organization="acme",
        audience="wiki",
        client_id="app-1",
        jti="token-1",
        issued_at=now,
        expires_at=now + 60,
        permissions=("read",),
        scope=("read", "write"),
        authentication={"auth_time": 5, "acr": "urn:mfa", "amr": ["otp"]},
        session="session-1",
        act=machine,
        may_act={"sub": "helper"},
        cnf={"jkt": "thumbprint"},
    )


def test_what_a_token_need_not_say(relata: LocalIssuer, own: OwnTokens) -> None:
    """Permissions that are not listed are not the same as none."""
    verified = own.verify(token(relata, permissions=None), JWT)
    assert (verified.permissions, verified.scope, verified.session) == (None, (), "")
    assert (verified.act, verified.may_act, verified.cnf) == (None, None, None)
    assert verified.authentication == {}
    assert own.verify(token(relata, permissions=[]), JWT).permissions == ()


def test_an_own_token_is_told_by_its_issuer(relata: LocalIssuer, own: OwnTokens) -> None:
    """Which selects how it is verified, and nothing else."""
    assert own.recognizes(token(relata))
    assert not own.recognizes(token(relata, iss=relata.url + "/"))
    assert not own.recognizes(token(relata, iss=None))
    with pytest.raises(OAuthError, match="not a signed JWT"):
        own.recognizes("nonsense")


def test_keys_are_those_of_the_moment(
    relata: LocalIssuer, signing_keys: dict[str, PrivateKey]
) -> None:
    """A key that is rotated in counts at once, and one that is taken back no longer."""
    published: list[dict[str, Any]] = []
    own = OwnTokens(lambda: {"keys": published}, relata.url)
    with pytest.raises(OAuthError, match="no key"):
        own.verify(token(relata), ACCESS_TOKEN)
    for algorithm in ("ES256", "RS256", "EdDSA"):
        issuer = LocalIssuer(signing_keys[algorithm], algorithm=algorithm, kid=algorithm)
        issuer.close()
        published.append(public_jwk(signing_keys[algorithm], kid=algorithm, alg=algorithm))
        signed = issuer.sign(claims(relata))
        assert own.verify(signed, ACCESS_TOKEN).jti == "token-1"
        published.clear()
        with pytest.raises(OAuthError, match="no key"):
            own.verify(signed, ACCESS_TOKEN)


@pytest.mark.parametrize(
    "typ", ["JWT", "", "token-introspection+jwt", "statuslist+jwt", "dpop+jwt"]
)
def test_what_else_the_service_signs_is_no_token(
    relata: LocalIssuer, refusal: Callable[..., str], typ: str
) -> None:
    """RFC 8725, 3.11: the same key signs status lists and introspection answers."""
    assert "`typ`" in refusal(relata.sign(claims(relata), header={"typ": typ}))


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT"])
def test_a_type_is_compared_as_media_types_are(
    relata: LocalIssuer, own: OwnTokens, typ: str
) -> None:
    signed = relata.sign(claims(relata), header={"typ": typ})
    assert own.verify(signed, ACCESS_TOKEN).jti == "token-1"


@pytest.mark.parametrize("token_type", ["", ID_TOKEN, "urn:ietf:params:oauth:token-type:saml2"])
def test_an_own_token_is_an_access_token(
    relata: LocalIssuer, own: OwnTokens, token_type: str
) -> None:
    with pytest.raises(OAuthError) as caught:
        own.verify(token(relata), token_type)
    assert (caught.value.error, caught.value.field) == ("invalid_request", "subject_token_type")


@pytest.mark.parametrize("claim", ["sub", "aud", "iat", "exp"])
def test_a_registered_claim_that_is_missing(
    relata: LocalIssuer, refusal: Callable[..., str], claim: str
) -> None:
    assert refusal(token(relata, **{claim: None})) == f"it has no `{claim}`"


@pytest.mark.parametrize(
    "changes",
    [
        {"jti": None},
        {"org_id": None},
        {"client_id": None},
        {"client_id": 7},
        {"aud": ["wiki"]},
        {"permissions": "read"},
        {"permissions": [7]},
        {"scope": ["read"]},
        {"cnf": "thumbprint"},
        {"iat": "now"},
    ],
    ids=str,
)
def test_claims_that_are_not_those_of_such_a_token(
    relata: LocalIssuer, refusal: Callable[..., str], changes: dict[str, Any]
) -> None:
    assert refusal(token(relata, **changes)) == "its claims are malformed"


@pytest.mark.parametrize("actor", ["robot", ["robot"], 7, {}, {"act": "robot"}])
@pytest.mark.parametrize("claim", ["act", "may_act"])
def test_an_actor_that_cannot_be_read(
    relata: LocalIssuer, refusal: Callable[..., str], claim: str, actor: object
) -> None:
    """RFC 8693, 4.1: delegation must not be lost on the way."""
    assert refusal(token(relata, **{claim: actor})) == f"its `{claim}` is malformed"


def test_an_expired_token(relata: LocalIssuer, refusal: Callable[..., str]) -> None:
    assert refusal(token(relata, exp=int(time.time()) - 1)) == "it has expired"


def test_somebody_else_s_token(relata: LocalIssuer, refusal: Callable[..., str]) -> None:
    """Signed by one of our keys, it would still not be ours."""
    assert refusal(token(relata, iss="https://id.example")) == "its issuer is not trusted"


def test_a_forged_token(
    relata: LocalIssuer, refusal: Callable[..., str], rsa_key: PrivateKey
) -> None:
    """Under a known `kid` and an unknown one, without a signature, and too long to be read."""
    forger = LocalIssuer(rsa_key, kid="own-1")
    forger.close()
    assert "publishes no key" in refusal(forger.sign(claims(relata)))
    good = token(relata)
    assert (
        refusal(good[: good.rindex(".") + 1] + encoded(b"x" * 64)) == "its signature does not hold"
    )
    unknown = relata.sign(claims(relata), header={"kid": "own-2"})
    assert "publishes no key" in refusal(unknown)
    unsigned = compact({"alg": "none", "typ": "at+jwt", "kid": "own-1"}, claims(relata))
    assert "`alg`" in refusal(unsigned)
    assert "longer than" in refusal(token(relata, padding="x" * MAX_TOKEN_CHARACTERS))
