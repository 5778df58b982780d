"""Which subject tokens are believed, and every way of forging one that is tried on us."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata.errors import OAuthError
from relata.relationships import SubjectRef
from relata.tokens import ACCESS_TOKEN, ID_TOKEN, JWT, TokenProfile, TrustedIssuer
from relata.tokens.discovery import DISCOVERY_PATH
from relata.tokens.signed_tokens import MAX_TOKEN_CHARACTERS
from relata.tokens.subject_tokens import SubjectTokens
from tests.tokens.identity import (
    APP,
    AUDIENCE,
    LocalIssuer,
    PrivateKey,
    compact,
    encoded,
    public_jwk,
)


@pytest.fixture
def subject_tokens(issuer: LocalIssuer) -> SubjectTokens:
    return SubjectTokens([issuer.trusted()], TokenProfile())


@pytest.fixture
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def refusal(subject_tokens: SubjectTokens) -> Callable[..., str]:
    """Why a token is refused."""

    def reason(token: str, token_type: str = ACCESS_TOKEN) -> str:
        with pytest.raises(OAuthError) as caught:
            subject_tokens.verify(token, token_type)
        assert (caught.value.error, caught.value.field) == ("invalid_request", "subject_token")
        return caught.value.message.removeprefix("the subject token is refused: ")

    return reason


def now() -> int:
    return int(time.time())


def _signed(issuer: LocalIssuer, claim: str, value: object) -> str:
    """An ordinary token with one claim changed, or taken away by None."""
    claims = {**issuer.claims(), claim: value}
    return issuer.sign({name: value for name, value in claims.items() if value is not None})


# Whom it believes


def test_a_person(issuer: LocalIssuer, subject_tokens: SubjectTokens) -> None:
    """Subject, client, end and how the user was authenticated."""
    end = now() + 60
    token = issuer.token(
        "auth0|7", exp=end, auth_time=5, acr="urn:mfa", amr=["pwd", "otp"], email="a@b.c"
    )
    verified = subject_tokens.verify(token, ACCESS_TOKEN)
    assert verified.subject == SubjectRef("user", "auth0|7")
    assert (verified.sub, verified.client_id, verified.expires_at) == ("auth0|7", APP, end)
    assert verified.authentication == {"auth_time": 5, "acr": "urn:mfa", "amr": ["pwd", "otp"]}
    moment = issuer.token(auth_time=5.9)
    assert subject_tokens.verify(moment, ACCESS_TOKEN).authentication == {"auth_time": 5}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_every_kind_of_key(signing_keys: dict[str, PrivateKey], algorithm: str) -> None:
    issuer = LocalIssuer(signing_keys[algorithm], algorithm=algorithm)
    try:
        tokens = SubjectTokens([issuer.trusted()], TokenProfile())
        assert tokens.verify(issuer.token("anne"), ACCESS_TOKEN).sub == "anne"
    finally:
        issuer.close()


@pytest.mark.parametrize("claim", ["client_id", "azp"])
def test_a_machine_is_its_own_client(
    issuer: LocalIssuer, subject_tokens: SubjectTokens, claim: str
) -> None:
    """RFC 9068, 2.2: with client credentials the subject is the client."""
    token = issuer.token("robot", **{"client_id": None, claim: "robot"})
    verified = subject_tokens.verify(token, ACCESS_TOKEN)
    assert verified.subject == SubjectRef("client", "robot")
    assert verified.client_id == "robot"


def test_an_issuer_s_own_templates(issuer: LocalIssuer) -> None:
    """Two issuers' subjects can be kept apart."""
    trusted = issuer.trusted(subject="partner:{sub}", client_subject="partner_client:{sub}")
    tokens = SubjectTokens([trusted], TokenProfile())
    person = tokens.verify(issuer.token("anne"), ACCESS_TOKEN)
    machine = tokens.verify(issuer.token("robot", client_id="robot"), ACCESS_TOKEN)
    assert person.subject == SubjectRef("partner", "anne")
    assert machine.subject == SubjectRef("partner_client", "robot")
    assert tokens.subject_types() == {"partner", "partner_client"}


def test_claims_are_mapped_by_templates(issuer: LocalIssuer) -> None:
    """Any claims that are texts, and others for machines than for people."""
    trusted = issuer.trusted(subject="user:{email}", client_subject="client:{tenant}/{sub}")
    tokens = SubjectTokens([trusted], TokenProfile())
    anne = issuer.token("7", email="anne@acme.example", email_verified=True)
    person = tokens.verify(anne, ACCESS_TOKEN)
    machine = tokens.verify(issuer.token("robot", client_id="robot", tenant="acme"), ACCESS_TOKEN)
    assert (person.subject, person.sub) == (SubjectRef("user", "anne@acme.example"), "7")
    assert (machine.subject, machine.sub) == (SubjectRef("client", "acme/robot"), "robot")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, "it has no `email`"),
        ({"email": 7}, "its `email` is not a string"),
        ({"email": "a@b.example"}, "its `email` is not verified"),
        ({"email": "", "email_verified": True}, "its `email` cannot be part of"),
    ],
    ids=str,
)
def test_claims_that_make_no_subject(issuer: LocalIssuer, claims: dict[str, Any], why: str) -> None:
    tokens = SubjectTokens([issuer.trusted(subject="user:{email}")], TokenProfile())
    with pytest.raises(OAuthError, match=why) as caught:
        tokens.verify(issuer.token(**claims), ACCESS_TOKEN)
    assert (caught.value.error, caught.value.field) == ("invalid_request", "subject_token")


def test_issuer_session_and_actors(issuer: LocalIssuer, subject_tokens: SubjectTokens) -> None:
    """RFC 8693, 4.1 and 4.4; the `sid` of OpenID Connect's logout."""
    act = {"sub": "robot", "act": {"sub": "gateway"}}
    token = issuer.token(sid="session-1", act=act, may_act={"sub": "helper"})
    verified = subject_tokens.verify(token, ACCESS_TOKEN)
    assert (verified.issuer, verified.session) == (issuer.url, "session-1")
    assert (verified.act, verified.may_act) == (act, {"sub": "helper"})
    plain = subject_tokens.verify(issuer.token(sid=7), ACCESS_TOKEN)
    assert (plain.session, plain.act, plain.may_act) == ("", None, None)


@pytest.mark.parametrize(
    "actor", ["robot", ["robot"], 7, 0, True, "", [], {}, {"act": "robot"}, {"sub": "x", "act": {}}]
)
@pytest.mark.parametrize("claim", ["act", "may_act"])
def test_an_actor_that_cannot_be_read(
    issuer: LocalIssuer, refusal: Callable[..., str], claim: str, actor: object
) -> None:
    """RFC 8693, 4.1: what is delegated must not pass for what is not."""
    assert refusal(_signed(issuer, claim, actor)) == f"its `{claim}` is malformed"


def test_keys_are_found_however_the_issuer_is_registered(issuer: LocalIssuer) -> None:
    """By discovery, at an address, or pinned."""
    for way in ({}, {"discovery": True}, {"keys": {"keys": issuer.published}}):
        tokens = SubjectTokens([issuer.trusted(**way)], TokenProfile())
        assert tokens.verify(issuer.token(), ACCESS_TOKEN).sub == "anne"
    assert issuer.fetches == ["/keys", DISCOVERY_PATH, "/keys"]


@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({"client_id": "a", "azp": "b"}, "a"),
        ({"client_id": None, "azp": "b"}, "b"),
        ({"client_id": None}, None),
    ],
)
def test_the_client_of_an_access_token(
    issuer: LocalIssuer, subject_tokens: SubjectTokens, claims: dict[str, Any], client: str | None
) -> None:
    """`client_id`, else `azp`; the audience of an access token is an API, not a client."""
    assert subject_tokens.verify(issuer.token(**claims), ACCESS_TOKEN).client_id == client
    assert subject_tokens.verify(issuer.token(**claims), JWT).client_id == client


@pytest.mark.parametrize(
    ("claims", "client"),
    [({"aud": APP}, APP), ({"aud": [APP]}, APP), ({"aud": [APP, "x"], "azp": APP}, APP)],
)
def test_the_client_of_an_id_token(
    issuer: LocalIssuer, subject_tokens: SubjectTokens, claims: dict[str, Any], client: str
) -> None:
    """The one audience of an id token is the client that it was issued to."""
    assert subject_tokens.verify(issuer.id_token(**claims), ID_TOKEN).client_id == client


def test_one_of_several_audiences_is_enough(
    issuer: LocalIssuer, subject_tokens: SubjectTokens
) -> None:
    """RFC 7519, 4.1.3."""
    token = issuer.token(aud=["https://other.example", AUDIENCE])
    assert subject_tokens.verify(token, ACCESS_TOKEN).sub == "anne"


@pytest.mark.parametrize(
    ("token_type", "typ"),
    [
        (ACCESS_TOKEN, "at+jwt"),
        (ACCESS_TOKEN, "application/at+jwt"),
        (ACCESS_TOKEN, "AT+JWT"),
        (ACCESS_TOKEN, "JWT"),
        (ACCESS_TOKEN, ""),
        (JWT, "at+jwt"),
        (JWT, "jwt"),
        (ID_TOKEN, "JWT"),
        (ID_TOKEN, ""),
    ],
)
def test_types_that_fit(
    issuer: LocalIssuer, subject_tokens: SubjectTokens, token_type: str, typ: str
) -> None:
    """RFC 9068, 4, and RFC 7515, 4.1.9: compared without case and `application/`."""
    token = issuer.sign(issuer.claims(aud=APP), header={"typ": typ})
    assert ("typ" in jwt.get_unverified_header(token)) is bool(typ)
    assert subject_tokens.verify(token, token_type).sub == "anne"


def test_a_clock_that_runs_ahead_a_little(
    issuer: LocalIssuer, subject_tokens: SubjectTokens
) -> None:
    """The leeway is for the start of a token."""
    token = issuer.token(iat=now() + 10, nbf=now() + 10)
    assert subject_tokens.verify(token, ACCESS_TOKEN).sub == "anne"


# Forged and stolen tokens


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_no_signature_at_all(issuer: LocalIssuer, refusal: Callable[..., str], alg: str) -> None:
    """RFC 8725, 3.2."""
    token = compact({"alg": alg, "typ": "at+jwt", "kid": "key-1"}, issuer.claims())
    assert refusal(token) == "its `alg` is not allowed for its issuer"


@pytest.mark.parametrize("secret_form", ["pem", "der", "jwk"])
def test_the_public_key_as_a_secret(
    issuer: LocalIssuer, rsa_key: rsa.RSAPrivateKey, refusal: Callable[..., str], secret_form: str
) -> None:
    """PyJWT GHSA-ffqj-6fqr-9h24: everybody has the public key, so it proves nothing."""
    public = rsa_key.public_key()
    encoding = serialization.Encoding.DER if secret_form == "der" else serialization.Encoding.PEM
    spki = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret = issuer.published[0]["n"].encode() if secret_form == "jwk" else spki
    token = compact(
        {"alg": "HS256", "typ": "at+jwt", "kid": "key-1"},
        issuer.claims(),
        lambda signed: hmac.digest(secret, signed, hashlib.sha256),
    )
    assert refusal(token) == "its `alg` is not allowed for its issuer"


def test_a_secret_among_the_published_keys(
    issuer: LocalIssuer, refusal: Callable[..., str]
) -> None:
    """Even if the issuer published a symmetric key, it would not count."""
    secret = b"0123456789abcdef0123456789abcdef"
    issuer.published.append({"kty": "oct", "kid": "shared", "k": encoded(secret), "alg": "RS256"})
    header = {"alg": "RS256", "typ": "at+jwt", "kid": "shared"}
    token = compact(
        header, issuer.claims(), lambda signed: hmac.digest(secret, signed, hashlib.sha256)
    )
    assert "publishes no key" in refusal(token)


def test_an_algorithm_that_is_not_allowed(
    issuer: LocalIssuer, rsa_key: rsa.RSAPrivateKey, refusal: Callable[..., str]
) -> None:
    """A good signature under an algorithm that the issuer was not registered with."""
    token = compact(
        {"alg": "RS512", "typ": "at+jwt", "kid": "key-1"},
        issuer.claims(),
        lambda signed: rsa_key.sign(signed, padding.PKCS1v15(), hashes.SHA512()),
    )
    assert refusal(token) == "its `alg` is not allowed for its issuer"


def test_another_key_under_a_known_name(
    issuer: LocalIssuer, refusal: Callable[..., str], other_key: rsa.RSAPrivateKey
) -> None:
    assert refusal(issuer.sign(issuer.claims(), key=other_key)) == "its signature does not hold"


def test_claims_exchanged_after_signing(issuer: LocalIssuer, refusal: Callable[..., str]) -> None:
    """The signature of one token under the claims of another."""
    theirs, mine = issuer.token("anne").split("."), issuer.token("mallory").split(".")
    assert refusal(".".join([mine[0], theirs[1], mine[2]])) == "its signature does not hold"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_keys_that_a_token_brings_along(
    issuer: LocalIssuer, refusal: Callable[..., str], other_key: rsa.RSAPrivateKey, name: str
) -> None:
    """RFC 8725, 3.10: what a header says about keys is neither followed nor believed."""
    own = public_jwk(other_key, kid="mine")
    brought: dict[str, object] = {
        "jwk": own,
        "jku": f"{issuer.url}/mallory",
        "x5u": f"{issuer.url}/mallory",
        "x5c": ["MIIB"],
    }
    unknown = issuer.sign(
        issuer.claims(), key=other_key, header={"kid": "mine", name: brought[name]}
    )
    known = issuer.sign(issuer.claims(), key=other_key, header={name: brought[name]})
    assert "publishes no key" in refusal(unknown)
    assert refusal(known) == "its signature does not hold"
    assert set(issuer.fetches) == {"/keys"}


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["http://example.com/UNDEFINED"], "http://example.com/UNDEFINED": True},
        {"crit": []},
        {"crit": "exp"},
        {"crit": [7]},
        {"crit": ["b64"], "b64": True},
        {"b64": True},
        {"kid": 7},
        {"kid": ["key-1"]},
    ],
    ids=str,
)
def test_a_header_that_must_be_understood(
    issuer: LocalIssuer,
    rsa_key: rsa.RSAPrivateKey,
    refusal: Callable[..., str],
    header: dict[str, object],
) -> None:
    """Authlib CVE-2025-59420; RFC 7515, 4.1.11: a critical header not understood is refused."""
    token = compact(
        {"alg": "RS256", "typ": "at+jwt", "kid": "key-1", **header},
        issuer.claims(),
        lambda signed: rsa_key.sign(signed, padding.PKCS1v15(), hashes.SHA256()),
    )
    assert "header" in refusal(token)


def test_an_unencoded_payload(issuer: LocalIssuer, refusal: Callable[..., str]) -> None:
    """RFC 7797 lets a payload be detached; a token has none of that."""
    header = encoded(b'{"alg":"RS256","kid":"key-1","b64":false,"crit":["b64"]}')
    assert refusal(f"{header}..{encoded(b'signature')}")
    assert refusal(f"{header}.{{}}.{encoded(b'signature')}")


def test_a_header_without_kid(
    issuer: LocalIssuer, rsa_key: rsa.RSAPrivateKey, refusal: Callable[..., str]
) -> None:
    token = compact(
        {"alg": "RS256", "typ": "at+jwt"},
        issuer.claims(),
        lambda signed: rsa_key.sign(signed, padding.PKCS1v15(), hashes.SHA256()),
    )
    assert refusal(token) == "its header has no `kid`"


@pytest.mark.parametrize(
    ("token_type", "typ"),
    [
        (ACCESS_TOKEN, "logout+jwt"),
        (ACCESS_TOKEN, "dpop+jwt"),
        (ACCESS_TOKEN, "secevent+jwt"),
        (JWT, "logout+jwt"),
        (ID_TOKEN, "at+jwt"),
        (ID_TOKEN, "logout+jwt"),
    ],
)
def test_a_token_for_something_else(
    issuer: LocalIssuer, refusal: Callable[..., str], token_type: str, typ: str
) -> None:
    """RFC 8725, 3.11: the issuer's logout tokens and the like are no subject tokens."""
    token = issuer.sign(issuer.claims(aud=APP), header={"typ": typ})
    assert "`typ`" in refusal(token, token_type)


@pytest.mark.parametrize("suffix", ["/", " ", "#", "?", "/realms/other"])
def test_an_issuer_that_almost_matches(
    issuer: LocalIssuer, refusal: Callable[..., str], suffix: str
) -> None:
    """An issuer is compared character by character (RFC 8414, 4)."""
    assert refusal(issuer.token(iss=issuer.url + suffix)) == "its issuer is not trusted"
    assert refusal(issuer.token(iss=issuer.url.upper())) == "its issuer is not trusted"
    assert issuer.fetches == []


def test_no_issuer(issuer: LocalIssuer, refusal: Callable[..., str]) -> None:
    assert refusal(issuer.token(iss=None)) == "its issuer is not trusted"
    odd = compact({"alg": "RS256", "kid": "key-1"}, {**issuer.claims(), "iss": [issuer.url]})
    assert refusal(odd) == "its issuer is not trusted"


@pytest.mark.parametrize("way", [{"jwks_uri": "https://id.invalid/keys"}, {"discovery": True}])
def test_no_address_that_a_token_names_is_asked(
    neighbour: LocalIssuer, signing_keys: dict[str, PrivateKey], way: dict[str, Any]
) -> None:
    """RFC 8725, 3.10: only registered issuers are, and this one listens for anybody who comes."""
    trusted = TrustedIssuer(issuer="https://id.invalid", audiences=(AUDIENCE,), **way)
    tokens = SubjectTokens([trusted], TokenProfile())
    brought: dict[str, object] = {
        "jku": neighbour.jwks_uri,
        "x5u": f"{neighbour.url}/certificates",
        "jwk": public_jwk(neighbour.key, jku=neighbour.jwks_uri),
    }
    for issuer in (neighbour.url, f"{neighbour.url}/", f"{neighbour.url}?iss=https://id.invalid"):
        token = neighbour.sign(neighbour.claims(iss=issuer), header=brought)
        for token_type in (ACCESS_TOKEN, ID_TOKEN, JWT):
            with pytest.raises(OAuthError) as caught:
                tokens.verify(token, token_type)
            assert caught.value.message.endswith("its issuer is not trusted")
    assert neighbour.fetches == []


def test_a_flood_of_unknown_keys(issuer: LocalIssuer, refusal: Callable[..., str]) -> None:
    """Anybody can name an issuer and make up a `kid`: the issuer is asked twice, not each time."""
    for number in range(100):
        token = issuer.sign(issuer.claims(), header={"kid": f"made-up-{number}"})
        assert "publishes no key" in refusal(token)
    assert issuer.fetches == ["/keys", "/keys"]


@pytest.fixture
def neighbour(signing_keys: dict[str, PrivateKey]) -> Iterator[LocalIssuer]:
    issuer = LocalIssuer(signing_keys["ES256"], algorithm="ES256")
    yield issuer
    issuer.close()


def test_one_trusted_issuer_cannot_speak_for_another(
    issuer: LocalIssuer, neighbour: LocalIssuer
) -> None:
    """Keys, algorithms and audiences belong to the issuer that was registered with them."""
    tokens = SubjectTokens(
        [issuer.trusted(), neighbour.trusted(audiences=("neighbour",))], TokenProfile()
    )
    for claims in (neighbour.claims(iss=issuer.url), neighbour.claims()):
        with pytest.raises(OAuthError) as caught:
            tokens.verify(neighbour.sign(claims), ACCESS_TOKEN)
        assert caught.value.error == "invalid_request"
    assert tokens.verify(neighbour.token(aud="neighbour"), ACCESS_TOKEN).sub == "anne"


@pytest.mark.parametrize(
    "aud", ["https://other.example", AUDIENCE + "/", AUDIENCE.upper(), [], ["x"], [7], {}, 7, ""]
)
def test_a_token_for_somebody_else(
    issuer: LocalIssuer, refusal: Callable[..., str], aud: object
) -> None:
    """RFC 7519, 4.1.3."""
    assert "`aud`" in refusal(issuer.token(aud=aud))


def test_an_id_token_for_another_client(issuer: LocalIssuer, refusal: Callable[..., str]) -> None:
    """OpenID Connect Core, 3.1.3.7: an id token is for the client it was issued to."""
    assert "`aud`" in refusal(issuer.id_token(aud="app-2"), ID_TOKEN)
    shared = issuer.id_token(aud=[APP, "app-2"], azp="app-2")
    assert "`azp`" in refusal(shared, ID_TOKEN)


def test_an_id_token_that_speaks_for_a_machine(
    issuer: LocalIssuer, refusal: Callable[..., str]
) -> None:
    """A user who got their client's name for a subject is still no machine (RFC 9068, 5)."""
    assert "id token" in refusal(issuer.id_token(APP), ID_TOKEN)


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "aud"])
def test_a_claim_that_is_missing(
    issuer: LocalIssuer, refusal: Callable[..., str], claim: str
) -> None:
    assert refusal(_signed(issuer, claim, None)) == f"it has no `{claim}`"


@pytest.mark.parametrize("ago", [1, 5, 3600])
def test_an_expired_token(issuer: LocalIssuer, refusal: Callable[..., str], ago: int) -> None:
    """RFC 7519, 4.1.4; no leeway, since the issued token would be dead at birth."""
    assert refusal(issuer.token(exp=now() - ago)) == "it has expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_from_the_future(
    issuer: LocalIssuer, refusal: Callable[..., str], claim: str
) -> None:
    """RFC 7519, 4.1.5 and 4.1.6."""
    assert refusal(_signed(issuer, claim, now() + 3600)) == "it is not valid yet"


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["soon", [], {}, float("inf"), float("nan"), "1e400"])
def test_times_that_are_none(
    issuer: LocalIssuer, refusal: Callable[..., str], claim: str, value: object
) -> None:
    """Refused like any other bad token, never an accident of ours."""
    assert refusal(_signed(issuer, claim, value)) == "its claims are malformed"


@pytest.mark.parametrize(
    "sub",
    ["*", "anne#member", "a b", "anne\n", "anne\u2028", "[x]", "\x00", "x" * 1025, "\ud800"],
    ids=ascii,
)
def test_a_subject_that_cannot_be_an_object(
    issuer: LocalIssuer, refusal: Callable[..., str], sub: str
) -> None:
    """Nothing that an issuer says can become a wildcard, a userset or another reference."""
    assert refusal(issuer.token(sub)) == "its `sub` cannot be the id of an object"


def test_a_subject_with_colons_stays_one_id(
    issuer: LocalIssuer, subject_tokens: SubjectTokens
) -> None:
    """The type ends at the template's own colon."""
    verified = subject_tokens.verify(issuer.token("organization:acme@x"), ACCESS_TOKEN)
    assert verified.subject == SubjectRef("user", "organization:acme@x")


@pytest.mark.parametrize("claim", ["sub", "client_id", "azp"])
@pytest.mark.parametrize("value", [7, ["anne"], {}, True])
def test_names_that_are_no_text(
    issuer: LocalIssuer,
    rsa_key: rsa.RSAPrivateKey,
    refusal: Callable[..., str],
    claim: str,
    value: object,
) -> None:
    claims = {**issuer.claims(client_id=None), claim: value}
    token = compact(
        {"alg": "RS256", "kid": "key-1"},
        claims,
        lambda signed: rsa_key.sign(signed, padding.PKCS1v15(), hashes.SHA256()),
    )
    assert refusal(token) in {"its `sub` is not a string", "its client is not a text"}


def test_an_oversize_token(issuer: LocalIssuer, refusal: Callable[..., str]) -> None:
    """Nothing of it is parsed."""
    token = issuer.token(padding="x" * MAX_TOKEN_CHARACTERS)
    for oversize in (token, "x" * 5_000_000, "." * 5_000_000, f"{token}.{'x' * 5_000_000}"):
        assert refusal(oversize) == f"it is longer than {MAX_TOKEN_CHARACTERS} characters"
    assert issuer.fetches == []


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "ä.ö.ü",
        "\ud800",
        f"{encoded(b'[]')}.{encoded(b'{}')}.",
        f"{encoded(b'{}')}.{encoded(b'[]')}.",
        f"{encoded(b'{}')}.{encoded(b'7')}.",
        f"{encoded(b'[' * 9000)}.{encoded(b'{}')}.",
        f"{encoded(b'{}')}.{encoded(b'[' * 9000)}.",
        "a.b.c.d.e",
    ],
    ids=lambda token: ascii(token[:20]),
)
def test_what_is_no_token(refusal: Callable[..., str], token: str) -> None:
    assert refusal(token) == "it is not a signed JWT"


@pytest.mark.parametrize(
    "token_type",
    ["", "access_token", "urn:ietf:params:oauth:token-type:refresh_token", ACCESS_TOKEN.upper()],
)
def test_token_types_that_are_not_taken(
    issuer: LocalIssuer, subject_tokens: SubjectTokens, token_type: str
) -> None:
    """RFC 8693, 3."""
    with pytest.raises(OAuthError) as caught:
        subject_tokens.verify(issuer.token(), token_type)
    assert (caught.value.error, caught.value.field) == ("invalid_request", "subject_token_type")


def test_what_is_odd_about_authentication_is_left_out(
    issuer: LocalIssuer, subject_tokens: SubjectTokens
) -> None:
    """Only well-formed claims are carried over into our token."""
    moments: list[object] = ["yesterday", True, [], float("inf"), float("nan"), -1, 10**400]
    for moment in moments:
        token = issuer.token(auth_time=moment, acr=3, amr="otp")
        assert subject_tokens.verify(token, ACCESS_TOKEN).authentication == {}
    assert not subject_tokens.verify(issuer.token(amr=[1], acr={}), ACCESS_TOKEN).authentication


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_names = ["sub", "aud", "exp", "iat", "nbf", "azp", "client_id", "sid", "act", "may_act"]
_more_names = ["auth_time", "acr", "amr", "email", "email_verified"]


@given(changes=st.dictionaries(st.sampled_from(_names + _more_names), _json, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_trusted_issuer_says(
    signing_keys: dict[str, PrivateKey], changes: dict[str, Any]
) -> None:
    """It is read, or refused in the standard's words; it is never an accident of ours."""
    key = signing_keys["ES256"]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    trusted = TrustedIssuer(
        issuer="https://id.example",
        audiences=(AUDIENCE,),
        keys={"keys": [public_jwk(key, kid="key-1")]},
        subject="user:{email}/{sub}",
    )
    claims = {"iss": trusted.issuer, "aud": AUDIENCE, "sub": "7", "iat": now(), "exp": now() + 60}
    verified_email = {"email": "a@b.example", "email_verified": True}

    def sign(signed: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    header = {"alg": "ES256", "kid": "key-1", "typ": "at+jwt"}
    token = compact(header, {**claims, **verified_email, **changes}, sign)
    for token_type in (ACCESS_TOKEN, JWT):
        try:
            answer = SubjectTokens([trusted], TokenProfile()).verify(token, token_type).subject.type
        except OAuthError as error:
            answer = error.error
        assert answer in {"user", "client", "invalid_request"}
