"""Which tokens a verifier believes, and what it fetches for that."""

from __future__ import annotations

import asyncio
import base64
import functools
import hmac
import json
import time
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from relata.client import MemoryReplays, Proof, Verifier
from relata.errors import InvalidArgumentError, OAuthError
from relata.tokens.dpop import Nonces
from tests.client.issuer import AUDIENCE, JWKS_PATH, LIST_PATH, Issuer
from tests.tokens.identity import compact
from tests.tokens.proofs import make_proof, new_key

API = "https://api.example/reports"


def refusal(verifier: Verifier, token: str, proof: Proof | None = None) -> OAuthError:
    """Why a token is refused, which is the same for threads and for event loops."""
    with pytest.raises(OAuthError) as caught:
        verifier.verify(token, proof)
    with pytest.raises(OAuthError) as again:
        asyncio.run(verifier.verify_async(token, proof))
    assert again.value.error == caught.value.error
    return caught.value


def test_a_good_token_says_who_may_do_what(issuer: Issuer, verifier: Verifier) -> None:
    now = int(time.time())
    more = {"auth_time": now - 60, "acr": "mfa", "amr": ["pwd", "otp"], "act": {"sub": "robot"}}
    token = verifier.verify(issuer.token(jti="t-1", iat=now, exp=now + 300, **more))
    assert (token.subject, token.organization, token.client) == ("anne", "acme", "app-1")
    assert (token.audience, token.id) == (AUDIENCE, "t-1")
    assert (token.issued_at, token.expires_at) == (now, now + 300)
    assert token.permissions == ("read:reports", "write:reports")
    assert token.roles == ("acme/analyst",)
    assert (token.auth_time, token.acr, token.amr) == (now - 60, "mfa", ("pwd", "otp"))
    assert token.actor == {"sub": "robot"}
    assert not token.is_machine
    assert token.claims["iss"] == issuer.url


def test_an_event_loop_gets_the_same(issuer: Issuer, verifier: Verifier) -> None:
    issuer.publish_list([0])
    token = issuer.listed_token()
    assert asyncio.run(verifier.verify_async(token)) == verifier.verify(token)


def test_what_a_token_allows(issuer: Issuer, verifier: Verifier) -> None:
    token = verifier.verify(issuer.token())
    assert token.allows()
    assert token.allows("read:reports")
    assert token.allows("read:reports", "write:reports")
    assert not token.allows("read:reports", "delete:reports")


def test_a_machine_is_its_own_client(issuer: Issuer, verifier: Verifier) -> None:
    """RFC 9068, 2.2."""
    assert verifier.verify(issuer.token(sub="importer", client_id="importer")).is_machine


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "billing"},
        {"aud": ["billing"]},
        {"aud": []},
        {"aud": None},
        {"aud": 5},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": int(time.time()) + 60},
        {"iat": int(time.time()) + 60},
        {"iat": None},
        {"sub": None},
        {"sub": 5},
        {"jti": None},
        {"client_id": None},
        {"org_id": None},
        {"org_id": 5},
        {"permissions": None},
        {"permissions": "read:reports"},
        {"permissions": [5]},
        {"roles": "admin"},
        {"auth_time": "now"},
        {"status": "good"},
        {"status": {}},
        {"status": {"other": 1}},
        {"status": {"status_list": {}}},
        {"status": {"status_list": {"idx": -1, "uri": "x"}}},
        {"status": {"status_list": {"idx": "0", "uri": "x"}}},
        {"status": {"status_list": {"idx": 0, "uri": "https://elsewhere.example/list"}}},
        {"cnf": {"x5t#S256": "x"}},
    ],
    ids=lambda change: next(iter(change)),  # the same in each process that collects
)
def test_other_claims_are_refused(
    issuer: Issuer, verifier: Verifier, changes: dict[str, Any]
) -> None:
    """RFC 9068, 4; RFC 8725, 3.8 and 3.9."""
    assert refusal(verifier, issuer.token(**changes)).error == "invalid_token"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "statuslist+jwt"},
        {"kid": "other"},
        {"kid": None},
        {"kid": 5},
        {"alg": "none"},
        {"alg": "RS256"},
        {"crit": ["b64"], "b64": True},
        {"crit": ["x"], "x": 1},
        {"b64": False},
    ],
    ids=str,
)
def test_other_headers_are_refused(
    issuer: Issuer, verifier: Verifier, header: dict[str, Any]
) -> None:
    """RFC 8725, 3.1 and 3.11; RFC 7515, 4.1.11."""
    fields = {"typ": "at+jwt", "alg": "ES256", "kid": "key-1", **header}
    made = compact({name: value for name, value in fields.items() if value}, issuer.claims())
    assert refusal(verifier, made).error == "invalid_token"


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt"])
def test_a_type_may_be_written_in_full(issuer: Issuer, verifier: Verifier, typ: str) -> None:
    assert verifier.verify(issuer.sign(issuer.claims(), header={"typ": typ})).subject == "anne"


def test_another_s_signature_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    other = ECKey.generate_key("P-256")
    assert refusal(verifier, issuer.sign(issuer.claims(), key=other)).error == "invalid_token"


def test_the_public_key_is_no_secret(issuer: Issuer, verifier: Verifier) -> None:
    """RFC 8725, 2.1: an HMAC with the text of the public key."""
    header = {"typ": "at+jwt", "alg": "HS256", "kid": "key-1"}
    public = json.dumps(issuer.key.as_dict(private=False)).encode()
    for secret in (public, issuer.key.as_pem(private=False)):
        sign = functools.partial(hmac.digest, secret, digest="sha256")
        assert refusal(verifier, compact(header, issuer.claims(), sign)).error == "invalid_token"


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "..", "e30.e30.e30", "ü.ü.ü", "x" * 20_000])
def test_what_is_no_token_is_refused(verifier: Verifier, text: str) -> None:
    assert refusal(verifier, text).error == "invalid_token"


def test_keys_that_a_token_brings_along_are_not_read(issuer: Issuer, verifier: Verifier) -> None:
    """RFC 8725, 3.10."""
    own = ECKey.generate_key("P-256")
    header = {"jwk": own.as_dict(private=False), "jku": f"{issuer.url}/mine"}
    made = issuer.sign(issuer.claims(), key=own, header=header)
    assert refusal(verifier, made).error == "invalid_token"
    assert issuer.fetches["/mine"] == 0


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 renames it to Ed25519
def test_algorithms_that_are_allowed(issuer: Issuer) -> None:
    keys: dict[str, RSAKey | OKPKey] = {
        "RS256": RSAKey.generate_key(2048, {"kid": "RS256"}),
        "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "EdDSA"}),
    }
    issuer.publish(issuer.key, *keys.values())
    verifier = Verifier(issuer.url, AUDIENCE, algorithms=("RS256", "EdDSA"))
    for algorithm, key in keys.items():
        header = {"alg": algorithm, "kid": algorithm}
        made = issuer.sign(issuer.claims(), key=key, header=header)
        assert verifier.verify(made).subject == "anne"
    assert refusal(verifier, issuer.token()).error == "invalid_token"


def test_leeway_is_for_clocks(issuer: Issuer) -> None:
    late = {"exp": int(time.time()) - 5}
    lenient = Verifier(issuer.url, AUDIENCE, leeway=30)
    assert lenient.verify(issuer.token(**late)).subject == "anne"
    strict = Verifier(issuer.url, AUDIENCE)
    assert refusal(strict, issuer.token(**late)).error == "invalid_token"


def test_one_organization_alone(issuer: Issuer) -> None:
    verifier = Verifier(issuer.url, AUDIENCE, organization="acme")
    assert verifier.verify(issuer.token()).organization == "acme"
    assert refusal(verifier, issuer.token(org_id="globex")).error == "invalid_token"


def test_an_audience_for_each_organization(issuer: Issuer) -> None:
    """The template stands for the token's own organization, and for no other."""
    verifier = Verifier(issuer.url, "https://{organization}.api.example")
    token = verifier.verify(issuer.token(aud="https://acme.api.example"))
    assert token.audience == "https://acme.api.example"
    for audience in ("https://globex.api.example", "https://{organization}.api.example"):
        assert refusal(verifier, issuer.token(aud=audience)).error == "invalid_token"


def test_one_of_several_audiences(issuer: Issuer, verifier: Verifier) -> None:
    assert verifier.verify(issuer.token(aud=["billing", AUDIENCE])).audience == AUDIENCE


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": ""},
        {"issuer": "https://relata.example/"},
        {"audience": ""},
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": ("HS256",)},
        {"algorithms": "ES256"},
    ],
    ids=str,
)
def test_settings_that_would_verify_nothing(settings: dict[str, Any]) -> None:
    given = {"issuer": "https://relata.example", "audience": "reports", **settings}
    with pytest.raises(InvalidArgumentError):
        Verifier(**given)


def test_keys_are_fetched_once(issuer: Issuer, verifier: Verifier) -> None:
    for _ in range(5):
        verifier.verify(issuer.token())
    assert issuer.fetches == {JWKS_PATH: 1}


def test_a_new_key_is_found(issuer: Issuer, verifier: Verifier) -> None:
    """A rotation at the issuer needs nothing here."""
    verifier.verify(issuer.token())
    new = ECKey.generate_key("P-256", {"kid": "key-2"})
    issuer.publish(issuer.key, new)
    made = issuer.sign(issuer.claims(), key=new, header={"kid": "key-2"})
    assert verifier.verify(made).subject == "anne"


def test_a_flood_of_unknown_keys_does_not_reach_the_issuer(
    issuer: Issuer, verifier: Verifier
) -> None:
    for number in range(20):
        made_up = issuer.sign(issuer.claims(), header={"kid": f"made-up-{number}"})
        assert refusal(verifier, made_up).error == "invalid_token"
    assert issuer.fetches == {JWKS_PATH: 2}


@pytest.mark.parametrize(
    "document",
    [(500, b""), (302, b""), (200, b"no JSON"), (200, b"[]"), (200, b"{}"), (200, b'{"keys":{}}')],
)
def test_without_keys_nobody_is_believed_and_nobody_is_called_a_liar(
    issuer: Issuer, verifier: Verifier, document: tuple[int, bytes]
) -> None:
    issuer.documents[JWKS_PATH] = document
    assert refusal(verifier, issuer.token()).error == "temporarily_unavailable"
    assert issuer.fetches[JWKS_PATH] == 1


@pytest.mark.parametrize(("state", "stands"), [(0, True), (1, False), (2, False), (3, False)])
def test_a_token_stands_or_does_not(
    issuer: Issuer, verifier: Verifier, state: int, stands: bool
) -> None:
    """Draft 21, 7.1 and 8.3: revoked, suspended and out of date all mean to get another."""
    issuer.publish_list([1, 3, 2, 1, 3, state, 1, 2])
    token = issuer.listed_token(5)
    if stands:
        assert verifier.verify(token).subject == "anne"
    else:
        assert refusal(verifier, token).error == "invalid_token"


def test_a_token_without_a_status_stands(issuer: Issuer, verifier: Verifier) -> None:
    assert verifier.verify(issuer.token()).subject == "anne"
    assert issuer.fetches == {JWKS_PATH: 1}


def test_an_index_beyond_the_list_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    """Draft 21, 8.3."""
    issuer.publish_list([0] * 8)
    assert refusal(verifier, issuer.listed_token(8)).error == "invalid_token"
    assert refusal(verifier, issuer.listed_token(10**12)).error == "invalid_token"


def test_a_list_is_fetched_once_while_it_is_fresh(issuer: Issuer, verifier: Verifier) -> None:
    issuer.publish_list([0, 0, 1])
    for index in (0, 1, 0, 1):
        verifier.verify(issuer.listed_token(index))
    assert issuer.fetches[LIST_PATH] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "https://elsewhere.example/list"},
        {"iss": "https://elsewhere.example"},
        {"exp": int(time.time()) - 1},
        {"status_list": None},
        {"status_list": {"bits": 3, "lst": "eNpjAAAAAQAB"}},
        {"status_list": {"bits": 2, "lst": "AAAA"}},
        {"status_list": {"bits": 2, "lst": "ü"}},
        {"status_list": {"bits": 2, "lst": ""}},
        {"status_list": {"bits": 2}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"kid": "other"}},
        {"key": ECKey.generate_key("P-256")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_list_says_nothing(
    issuer: Issuer, verifier: Verifier, changes: dict[str, Any]
) -> None:
    """Draft 21, 8.3: without a list that verifies a token is not believed."""
    issuer.publish_list([0], **changes)
    assert refusal(verifier, issuer.listed_token()).error == "temporarily_unavailable"


def test_a_list_cannot_grow_without_end(issuer: Issuer, verifier: Verifier) -> None:
    """A few kilobytes that inflate to megabytes."""
    issuer.publish_list([0] * (5 * 1024 * 1024))
    assert refusal(verifier, issuer.listed_token()).error == "temporarily_unavailable"


def test_the_status_may_be_ignored(issuer: Issuer) -> None:
    issuer.publish_list([1])
    verifier = Verifier(issuer.url, AUDIENCE, status="ignored")
    assert verifier.verify(issuer.listed_token()).subject == "anne"
    assert issuer.fetches[LIST_PATH] == 0


def compact_permissions(names: list[str], held: list[str]) -> str:
    """Permissions as bits, the first lowest."""
    bits = sum(1 << names.index(name) for name in held)
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_compact_permissions_are_read_by_their_list(issuer: Issuer) -> None:
    """Each version of a list is fetched once: it never changes."""
    names = [f"p{number}" for number in range(20)]
    path = "/token/permission-lists/https%3A%2F%2Facme.api.example/3"
    issuer.serve(path, {"audience": "x", "version": 3, "permissions": names})
    verifier = Verifier(issuer.url, "https://{organization}.api.example")
    held, billing = ["p0", "p9", "p17"], ["p9"]
    token = issuer.token(
        aud="https://acme.api.example",
        permissions=None,
        permissions_bits={"v": 3, "b": compact_permissions(names, held)},
        products_bits={"v": 3, "b": {"billing": compact_permissions(names, billing)}},
    )
    for _ in range(2):
        verified = verifier.verify(token)
    assert sorted(verified.permissions) == sorted(held)
    assert verified.products == {"billing": ("p9",)}
    assert issuer.fetches[path] == 1


@pytest.mark.parametrize(
    "bits",
    [5, {}, {"v": 1}, {"b": "AQ"}, {"v": "x", "b": "AQ"}, {"v": 1, "b": "!"}, {"v": 1, "b": "gA"}],
    ids=str,
)
def test_malformed_bits_are_refused(issuer: Issuer, verifier: Verifier, bits: object) -> None:
    issuer.serve("/token/permission-lists/reports/1", {"permissions": ["p0"]})
    token = issuer.token(permissions=None, permissions_bits=bits)
    assert refusal(verifier, token).error == "invalid_token"


def test_a_list_that_is_not_there(issuer: Issuer, verifier: Verifier) -> None:
    token = issuer.token(permissions=None, permissions_bits={"v": 9, "b": "AQ"})
    assert refusal(verifier, token).error == "temporarily_unavailable"


def overage(issuer: Issuer, path: str = "/token/permissions") -> dict[str, Any]:
    return {
        "permissions": None,
        "_claim_names": {"permissions": "relata"},
        "_claim_sources": {"relata": {"endpoint": f"{issuer.url}{path}"}},
    }


def test_permissions_that_left_the_token_are_asked_for(issuer: Issuer, verifier: Verifier) -> None:
    """OpenID Connect Core, 5.6.2, with the token itself; once for each token."""
    answer = {"permissions": ["read:reports"], "roles": ["forged"], "sub": "mallory"}
    issuer.serve("/token/permissions", answer)
    token = issuer.token(**overage(issuer))
    for _ in range(2):
        verified = verifier.verify(token)
    assert verified.permissions == ("read:reports",)
    assert (verified.roles, verified.subject) == (("acme/analyst",), "anne")
    assert issuer.fetches["/token/permissions"] == 1
    assert f"Bearer {token}" in issuer.authorizations


def test_permissions_are_asked_for_at_the_issuer_alone(issuer: Issuer, verifier: Verifier) -> None:
    sources: list[object] = [
        {"relata": {"endpoint": "https://elsewhere.example/permissions"}},
        {"a": {"endpoint": f"{issuer.url}/a"}, "b": {"endpoint": f"{issuer.url}/b"}},
        {"relata": {}},
        {},
        "relata",
    ]
    for source in sources:
        token = issuer.token(**{**overage(issuer), "_claim_sources": source})
        assert refusal(verifier, token).error == "invalid_token"


def test_permissions_that_cannot_be_had(issuer: Issuer, verifier: Verifier) -> None:
    """Then there is no telling what the token allows; it is not taken for one without."""
    assert refusal(verifier, issuer.token(**overage(issuer))).error == "temporarily_unavailable"
    issuer.serve("/token/permissions", {"roles": []})
    second = issuer.token(**overage(issuer))
    assert refusal(verifier, second).error == "invalid_token"


def test_permissions_of_a_bound_token_are_asked_for_by_the_api(issuer: Issuer) -> None:
    """By introspection (RFC 7662), with the API's own key, once for each token."""
    issuer.serve("/oauth/introspect", {"active": True, "permissions": ["read:reports"]})
    verifier = Verifier(issuer.url, AUDIENCE, api_key="relata_id_secret")
    key = new_key()
    token = issuer.token(**overage(issuer), cnf={"jkt": key.thumbprint()})
    for _ in range(2):
        proof = Proof(make_proof(key, "GET", API, token=token), "GET", API)
        assert verifier.verify(token, proof).permissions == ("read:reports",)
    assert issuer.bodies == [f"token={token}".encode()]
    assert issuer.authorizations[-1] == "Bearer relata_id_secret"
    issuer.serve("/oauth/introspect", {"active": False})
    assert refusal(verifier, issuer.token(**overage(issuer))).error == "invalid_token"


def test_a_bound_token_with_its_proof(issuer: Issuer, verifier: Verifier) -> None:
    """RFC 9449, 7.1."""
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    proof = make_proof(key, "GET", API, token=token)
    assert verifier.verify(token, Proof(proof, "GET", f"{API}?page=2")).subject == "anne"


def test_a_bound_token_without_a_good_proof(issuer: Issuer, verifier: Verifier) -> None:
    """Stolen, it opens nothing: not as a bearer token, not with another's or a used proof."""
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    assert refusal(verifier, token).error == "invalid_token"
    used = make_proof(key, "GET", API, token=token)
    verifier.verify(token, Proof(used, "GET", API))
    for proof in (
        used,
        make_proof(new_key(), "GET", API, token=token),
        make_proof(key, "POST", API, token=token),
        make_proof(key, "GET", f"{API}/other", token=token),
        make_proof(key, "GET", API, token="another"),
        make_proof(key, "GET", API),
    ):
        assert refusal(verifier, token, Proof(proof, "GET", API)).error == "invalid_dpop_proof"


def test_a_bearer_token_is_not_taken_for_a_bound_one(issuer: Issuer, verifier: Verifier) -> None:
    """RFC 9449, 7.2."""
    token = issuer.token()
    proof = Proof(make_proof(new_key(), "GET", API, token=token), "GET", API)
    assert refusal(verifier, token, proof).error == "invalid_token"


def test_bound_tokens_alone(issuer: Issuer) -> None:
    verifier = Verifier(issuer.url, AUDIENCE, dpop="required")
    assert refusal(verifier, issuer.token()).error == "invalid_token"
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    proof = Proof(make_proof(key, "GET", API, token=token), "GET", API)
    assert verifier.verify(token, proof).subject == "anne"


def test_a_nonce_of_the_api_s(issuer: Issuer) -> None:
    """RFC 9449, 9."""
    nonces = Nonces(b"k" * 32)
    verifier = Verifier(issuer.url, AUDIENCE, nonces=nonces)
    key = new_key()
    token = issuer.token(cnf={"jkt": key.thumbprint()})
    without = Proof(make_proof(key, "GET", API, token=token), "GET", API)
    assert refusal(verifier, token, without).error == "use_dpop_nonce"
    nonce = nonces.issue(int(time.time()))
    made = make_proof(key, "GET", API, token=token, nonce=nonce)
    assert verifier.verify(token, Proof(made, "GET", API)).subject == "anne"


def test_a_memory_of_proofs_has_an_end() -> None:
    """The oldest are forgotten where there are too many, and those that are over at once."""
    replays = MemoryReplays(size=2)
    for value in ("a", "b", "c"):
        assert replays.once("dpop", value, expires_at=100, now=0)
    assert not replays.once("dpop", "c", expires_at=100, now=99)
    assert not replays.once("dpop", "b", expires_at=100, now=99)
    assert replays.once("dpop", "a", expires_at=100, now=99)
    assert replays.once("dpop", "c", expires_at=200, now=100)
    assert replays.once("other", "c", expires_at=200, now=100)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["status_list", "jkt", "v", "b", "relata"]), inner)
    ),
    max_leaves=8,
)
_CLAIMS = [
    "iss",
    "sub",
    "aud",
    "iat",
    "exp",
    "nbf",
    "jti",
    "client_id",
    "org_id",
    "permissions",
    "roles",
    "products",
    "permissions_bits",
    "products_bits",
    "status",
    "cnf",
    "act",
    "acr",
    "amr",
    "auth_time",
    "_claim_names",
    "_claim_sources",
]


def verdict(verifier: Verifier, token: str) -> str:
    """Whom a token is believed to be about, or why it is not."""
    try:
        return verifier.verify(token).subject
    except OAuthError as error:
        return error.error


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.sampled_from(_CLAIMS), _JSON, min_size=1, max_size=3))
def test_whatever_the_issuer_signs_is_believed_or_refused(
    issuer: Issuer, verifier: Verifier, changes: dict[str, Any]
) -> None:
    """Nothing else comes of a token, however odd its claims are."""
    now = int(time.time())
    plain = {
        "iss": issuer.url,
        "sub": "anne",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "jti": "t-1",
        "client_id": "app-1",
        "org_id": "acme",
        "permissions": ["read:reports"],
    }
    pem = issuer.key.as_pem(private=True)
    headers = {"typ": "at+jwt", "kid": "key-1"}
    try:
        token = pyjwt.encode({**plain, **changes}, pem, algorithm="ES256", headers=headers)
    except TypeError:
        return  # PyJWT does not make such a token
    subject = changes.get("sub", "anne")
    assert verdict(verifier, token) in ("invalid_token", "temporarily_unavailable", subject)
