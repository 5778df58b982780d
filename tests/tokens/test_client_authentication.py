"""Client authentication: each way, what does not pass, and that a refusal says nothing."""

from __future__ import annotations

import base64
import logging
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import FrameType
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest

from relata.errors import OAuthError
from relata.store import Store
from relata.tokens.client_assertions import MAX_SECONDS
from relata.tokens.client_authentication import (
    ASSERTION_TYPE,
    ClientAuthentication,
    InvalidClientError,
    PresentedClient,
    read_presented,
)
from relata.tokens.clients import ASSERTION_ALGORITHMS, Client, Clients, secret_digest
from relata.tokens.exchange import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tests.tokens.identity import Answer, LocalIssuer, PrivateKey, compact, encoded, public_jwk

NOW = 1_800_000_000
ISSUER = "https://auth.example"
ENDPOINT = "https://auth.example/oauth/token"
REFUSAL = {"error": "invalid_client", "error_description": "client authentication failed"}
SOMEBODY = "somebody"

Form = list[tuple[str, str]]


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.open("sqlite://")
    yield store
    store.close()


@pytest.fixture
def clients(store: Store) -> Clients:
    return Clients(store)


@pytest.fixture
def authentication(store: Store, clients: Clients) -> ClientAuthentication:
    return ClientAuthentication(clients, store.replays, audiences=(ISSUER, ENDPOINT))


@pytest.fixture
def assertions(signing_keys: dict[str, PrivateKey]) -> Assertions:
    return Assertions(signing_keys["ES256"])


class Assertions:
    """What a client signs with its key, of the id `key-1`."""

    def __init__(self, key: PrivateKey, algorithm: str = "ES256") -> None:
        self.key = key
        self.algorithm = algorithm
        self.jwks: dict[str, object] = {"keys": [public_jwk(key, kid="key-1")]}

    def claims(self, **changes: object) -> dict[str, object]:
        """Good claims; a change to None takes a claim away."""
        claims = {
            "iss": "signer",
            "sub": "signer",
            "aud": ISSUER,
            "exp": NOW + 60,
            "iat": NOW,
            "jti": str(uuid.uuid4()),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, header: Mapping[str, object] | None = None, **changes: object) -> str:
        """An assertion; entries of `header` replace the ordinary ones, or with None remove them."""
        fields = {"alg": self.algorithm, "kid": "key-1", "typ": "JWT", **(header or {})}
        kept = {name: value for name, value in fields.items() if value is not None}
        return compact(kept, self.claims(**changes), self._sign)

    def _sign(self, data: bytes) -> bytes:
        return jwt.get_algorithm_by_name(self.algorithm).sign(data, self.key)

    def form(self, header: Mapping[str, object] | None = None, **changes: object) -> Form:
        return form_of(self.signed(header, **changes))


def form_of(assertion: str, **more: str) -> Form:
    fields = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **more}
    return list(fields.items())


def basic(client_id: str, secret: str, scheme: str = "Basic") -> str:
    """RFC 6749, section 2.3.1."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"{scheme} {base64.b64encode(pair.encode()).decode()}"


def machine(method: str, **changes: Any) -> Client:
    ordinary = {"id": SOMEBODY, "authentication": method, "grants": (CLIENT_CREDENTIALS,)}
    return Client(**{**ordinary, **changes})


def signer(**changes: Any) -> Client:
    return machine("private_key_jwt", id="signer", **changes)


def refusal(
    authentication: ClientAuthentication,
    form: Form,
    authorization: str | None = None,
    now: int = NOW,
) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        authentication.authenticate(form, authorization, now=now)
    return caught.value


def passed(
    authentication: ClientAuthentication,
    form: Form,
    authorization: str | None = None,
    now: int = NOW,
) -> str:
    """The id of the client that is let pass."""
    return authentication.authenticate(form, authorization, now=now).id


# Each way


def test_a_public_client_says_who_it_is(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    client, _ = clients.create(Client(id="app", authentication="none", grants=(TOKEN_EXCHANGE,)))
    assert authentication.authenticate([("client_id", "app")], None, now=NOW) == client


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_client_secret_basic(
    authentication: ClientAuthentication, clients: Clients, scheme: str
) -> None:
    client, secret = clients.create(machine("client_secret_basic"))
    header = basic(SOMEBODY, secret or "", scheme)
    assert authentication.authenticate([], header, now=NOW) == client
    assert authentication.authenticate([("client_id", SOMEBODY)], header, now=NOW) == client


def test_basic_credentials_are_encoded_as_in_a_form(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    """RFC 6749, section 2.3.1: even where every letter is escaped that need not be."""
    client, secret = clients.create(machine("client_secret_basic", id="a.b~c"))
    escaped = (
        "".join(f"%{ord(letter):02X}" for letter in text) for text in ("a.b~c", secret or "")
    )
    header = f"Basic {base64.b64encode(':'.join(escaped).encode()).decode()}"
    assert authentication.authenticate([], header, now=NOW) == client


def test_the_parts_of_basic_credentials_may_hold_anything() -> None:
    presented = read_presented([], basic("a:b c", "100% +ü:"))
    assert (presented.client_id, presented.credential) == ("a:b c", "100% +ü:")


def test_client_secret_post(authentication: ClientAuthentication, clients: Clients) -> None:
    client, secret = clients.create(machine("client_secret_post"))
    form = [("grant_type", "x"), ("client_id", SOMEBODY), ("client_secret", secret or "")]
    assert authentication.authenticate(form, None, now=NOW) == client


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_private_key_jwt(
    authentication: ClientAuthentication,
    clients: Clients,
    signing_keys: dict[str, PrivateKey],
    algorithm: str,
) -> None:
    assert algorithm in ASSERTION_ALGORITHMS
    signs = Assertions(signing_keys[algorithm], algorithm)
    client, secret = clients.create(signer(jwks=signs.jwks))
    assert secret is None
    assert authentication.authenticate(signs.form(), None, now=NOW) == client
    named = form_of(signs.signed(), client_id="signer")
    assert authentication.authenticate(named, None, now=NOW) == client


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ENDPOINT},
        {"aud": [ISSUER]},
        {"aud": [ISSUER, ENDPOINT]},
        {"exp": NOW + 1},
        {"exp": NOW + MAX_SECONDS},
        {"exp": NOW + 60.5},
        {"iat": None},
        {"iat": NOW + 20},
        {"nbf": NOW},
    ],
    ids=str,
)
def test_assertions_within_the_rules(
    authentication: ClientAuthentication,
    clients: Clients,
    assertions: Assertions,
    changes: dict[str, object],
) -> None:
    clients.create(signer(jwks=assertions.jwks))
    assert passed(authentication, assertions.form(None, **changes)) == "signer"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "client-authentication+jwt", "application/JWT"])
def test_an_assertion_may_say_that_it_is_one(
    authentication: ClientAuthentication, clients: Clients, assertions: Assertions, typ: str
) -> None:
    clients.create(signer(jwks=assertions.jwks))
    form = assertions.form({"typ": typ})
    assert passed(authentication, form) == "signer"


# More than one way, and none


def test_more_than_one_way_at_once_is_an_invalid_request(
    authentication: ClientAuthentication, clients: Clients, assertions: Assertions
) -> None:
    """RFC 6749, section 2.3: even where each would do."""
    _, secret = clients.create(machine("client_secret_basic"))
    header = basic(SOMEBODY, secret or "")
    by_post = [("client_id", SOMEBODY), ("client_secret", secret or "")]
    by_assertion = assertions.form()
    half = [("client_assertion_type", ASSERTION_TYPE)]
    tries: list[tuple[Form, str | None]] = [
        (by_post, header),
        (by_assertion, header),
        (half, header),
        (by_post + by_assertion, None),
        (by_post + by_assertion, header),
    ]
    for form, authorization in tries:
        error = refusal(authentication, form, authorization)
        assert (error.error, "in one way only" in error.message) == ("invalid_request", True)


@pytest.mark.parametrize(
    "name", ["client_id", "client_secret", "client_assertion", "client_assertion_type"]
)
def test_a_repeated_field_is_an_invalid_request(
    authentication: ClientAuthentication, name: str
) -> None:
    """RFC 6749, section 3.2."""
    error = refusal(authentication, [(name, "a"), (name, "a")])
    assert (error.error, error.field) == ("invalid_request", name)


def test_empty_fields_are_as_good_as_none(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    clients.create(Client(id="app", authentication="none", grants=(TOKEN_EXCHANGE,)))
    form = [
        ("client_id", ""),
        ("client_secret", ""),
        ("client_assertion", ""),
        ("client_id", "app"),
    ]
    assert passed(authentication, form) == "app"


# Refusals, which are all the same


def test_every_refusal_reads_the_same(
    authentication: ClientAuthentication, clients: Clients, assertions: Assertions
) -> None:
    """Unknown, disabled, registered for another way, wrong: nobody outside can tell."""
    _, secret = clients.create(machine("client_secret_post"))
    _, disabled = clients.create(machine("client_secret_post", id="disabled", disabled=True))
    clients.create(Client(id="app", authentication="none", grants=(TOKEN_EXCHANGE,)))
    clients.create(signer(jwks=assertions.jwks))
    forms: list[Form] = [
        [],
        [("grant_type", CLIENT_CREDENTIALS)],
        [("client_id", "nobody")],
        [("client_id", "no such\nid")],
        [("client_id", SOMEBODY)],
        [("client_id", SOMEBODY), ("client_secret", "wrong")],
        [("client_id", "nobody"), ("client_secret", secret or "")],
        [("client_id", "disabled"), ("client_secret", disabled or "")],
        [("client_id", "app"), ("client_secret", secret or "")],
        [("client_secret", secret or "")],
        assertions.form(sub=SOMEBODY, iss=SOMEBODY),
        assertions.form(sub="nobody", iss="nobody"),
        form_of(assertions.signed(), client_id="app"),
        [("client_assertion", assertions.signed())],
        [("client_assertion_type", ASSERTION_TYPE)],
        [("client_assertion", assertions.signed()), ("client_assertion_type", "saml2-bearer")],
    ]
    for form in forms:
        error = refusal(authentication, form)
        assert isinstance(error, InvalidClientError)
        assert (error.body(), error.field, error.basic) == (REFUSAL, None, False), form


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YQ",  # not padded
        f"Basic {base64.b64encode(b'no colon').decode()}",
        f"Basic {base64.b64encode(b':').decode()}",
        f"Basic {base64.b64encode(bytes([0xFF, 0x3A])).decode()}",
        f"Basic {base64.b64encode(b'%FF:%FF').decode()}",
        "Basic \xe9",
        "Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
        "DPoP eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
        basic(SOMEBODY, "wrong"),
        basic(SOMEBODY, ""),
        basic("nobody", "wrong"),
    ],
)
def test_whoever_tried_the_header_is_asked_by_it_again(
    authentication: ClientAuthentication, clients: Clients, header: str
) -> None:
    """RFC 6749, section 5.2: 401 with a challenge, for which the error says that it was tried."""
    clients.create(machine("client_secret_basic"))
    error = refusal(authentication, [], header)
    assert isinstance(error, InvalidClientError)
    assert (error.body(), error.basic) == (REFUSAL, True)


def test_what_is_not_base64_is_not_read_as_if_it_were(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    """A secret has one spelling."""
    _, secret = clients.create(machine("client_secret_basic"))
    header = basic(SOMEBODY, secret or "")
    for spelling in (f"{header}!", f"{header[:12]}\n{header[12:]}", f"{header}\t"):
        assert refusal(authentication, [], spelling).body() == REFUSAL


def test_a_header_and_a_form_that_name_two_clients(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    _, secret = clients.create(machine("client_secret_basic"))
    error = refusal(authentication, [("client_id", "other")], basic(SOMEBODY, secret or ""))
    assert error.body() == REFUSAL


def test_a_client_uses_the_way_that_it_is_registered_for(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    """A secret that is right does not help in the wrong place."""
    _, secret = clients.create(machine("client_secret_basic"))
    form = [("client_id", SOMEBODY), ("client_secret", secret or "")]
    assert refusal(authentication, form).body() == REFUSAL
    clients.replace(machine("client_secret_post"))
    assert passed(authentication, form) == SOMEBODY
    assert refusal(authentication, [], basic(SOMEBODY, secret or "")).body() == REFUSAL


def test_a_change_counts_at_once(authentication: ClientAuthentication, clients: Clients) -> None:
    _, secret = clients.create(machine("client_secret_basic"))
    header = basic(SOMEBODY, secret or "")
    assert passed(authentication, [], header)
    clients.replace(machine("client_secret_basic", disabled=True))
    assert refusal(authentication, [], header).body() == REFUSAL
    clients.replace(machine("client_secret_basic"))
    assert passed(authentication, [], header)
    clients.delete(SOMEBODY)
    assert refusal(authentication, [], header).body() == REFUSAL


def test_both_secrets_count_until_the_older_one_ends(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    _, first = clients.create(machine("client_secret_basic"))
    second = clients.rotate_secret(SOMEBODY, overlap=timedelta(hours=1))
    registration = clients.registration(SOMEBODY)
    assert registration is not None
    end = registration.secrets[1].ends_at or 0
    assert registration.secrets[1].digest == secret_digest(first or "")
    for secret in (first, second):
        assert passed(authentication, [], basic(SOMEBODY, secret or ""), now=end - 1)
    assert refusal(authentication, [], basic(SOMEBODY, first or ""), end).body() == REFUSAL
    assert passed(authentication, [], basic(SOMEBODY, second), now=end)


def test_the_log_says_why_and_on_one_line(
    authentication: ClientAuthentication, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = clients.create(machine("client_secret_basic"))
    with caplog.at_level(logging.INFO, "relata.tokens"):
        refusal(authentication, [("client_id", "two\nlines")])
        refusal(authentication, [("client_id", SOMEBODY), ("client_secret", secret or "")])
        refusal(authentication, [], basic(SOMEBODY, "wrong"))
    assert caplog.messages == [
        "the client 'two\\nlines' is refused: there is no such client",
        "the client 'somebody' is refused: it is registered for `client_secret_basic`, and used "
        "`client_secret_post`",
        "the client 'somebody' is refused: its secret is wrong, or has ended",
    ]


def test_a_credential_is_in_no_repr() -> None:
    presented = PresentedClient("client_secret_post", "app", "hunter2")
    assert repr(presented) == "PresentedClient(method='client_secret_post', client_id='app')"


# The same work


def work_of_refusal(authentication: ClientAuthentication, form: Form) -> Counter[str]:
    """How often what takes the time is called: comparisons, and verifications of signatures."""
    calls: Counter[str] = Counter()

    def count(_frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in ("compare_digest", "verify", "once"):
            calls[called.__name__] += 1

    sys.setprofile(count)
    try:
        refusal(authentication, form)
    finally:
        sys.setprofile(None)
    return calls


def test_a_secret_is_compared_as_often_whether_or_not_there_is_such_a_client(
    authentication: ClientAuthentication, clients: Clients
) -> None:
    clients.create(machine("client_secret_post"))
    clients.create(machine("client_secret_post", id="disabled", disabled=True))
    clients.create(machine("client_secret_basic", id="other"))
    clients.create(machine("client_secret_post", id="rotated"))
    clients.rotate_secret("rotated")
    seen = [
        work_of_refusal(authentication, [("client_id", name), ("client_secret", "x")])
        for name in (SOMEBODY, "nobody", "disabled", "other", "rotated", "no id")
    ]
    assert seen == [Counter(compare_digest=2)] * 6


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_signature_is_verified_whether_or_not_there_is_such_a_client(
    authentication: ClientAuthentication,
    clients: Clients,
    signing_keys: dict[str, PrivateKey],
    algorithm: str,
) -> None:
    signs = Assertions(signing_keys[algorithm], algorithm)
    clients.create(signer(jwks=signs.jwks))
    clients.create(machine("private_key_jwt", id="disabled", jwks=signs.jwks, disabled=True))
    clients.create(machine("client_secret_post"))
    seen = []
    for name in ("nobody", "disabled", SOMEBODY):
        form = signs.form(iss=name, sub=name)
        seen.append(work_of_refusal(authentication, form)["verify"])
    for header in ({"kid": "unknown"}, {}):
        form = signs.form(header, iss="other")
        seen.append(work_of_refusal(authentication, form)["verify"])
    assert seen == [1] * 5


# Assertions


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "other"}, "its `iss` and `sub` are not both the client's id"),
        ({"iss": None}, "its `iss` and `sub` are not both the client's id"),
        ({"aud": None}, "its `aud` is not this server, or not this server alone"),
        ({"aud": "https://other.example"}, "its `aud` is not this server"),
        ({"aud": f"{ISSUER}/"}, "its `aud` is not this server"),
        ({"aud": [ISSUER, "https://other.example"]}, "not this server alone"),
        ({"aud": []}, "its `aud` is not this server"),
        ({"aud": [ISSUER, 7]}, "its `aud` is not this server"),
        ({"aud": {"a": 1}}, "its `aud` is not this server"),
        ({"exp": None}, "its `exp` is missing or no moment"),
        ({"exp": str(NOW + 60)}, "its `exp` is missing or no moment"),
        ({"exp": True}, "its `exp` is missing or no moment"),
        ({"exp": NOW}, "it has expired"),
        ({"exp": NOW - 1}, "it has expired"),
        ({"exp": NOW + MAX_SECONDS + 31}, "its `exp` is more than 300 seconds ahead"),
        ({"exp": 1e300}, "its `exp` is more than 300 seconds ahead"),
        ({"iat": NOW + 31}, "its `iat` is in the future"),
        ({"iat": "now"}, "its `iat` is missing or no moment"),
        ({"nbf": NOW + 31}, "its `nbf` is in the future"),
        ({"jti": None}, "its `jti` is not a text"),
        ({"jti": ""}, "its `jti` is not a text"),
        ({"jti": 7}, "its `jti` is not a text"),
        ({"jti": "x" * 257}, "its `jti` is not a text of 1 to 256 characters"),
    ],
    ids=lambda part: str(part)[:50],
)
def test_assertions_that_break_a_rule(
    authentication: ClientAuthentication,
    clients: Clients,
    assertions: Assertions,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, object],
    reason: str,
) -> None:
    """RFC 7523, section 3: signed well, and refused all the same."""
    clients.create(signer(jwks=assertions.jwks))
    with caplog.at_level(logging.INFO, "relata.tokens"):
        error = refusal(authentication, assertions.form(None, **changes))
    assert error.body() == REFUSAL
    assert reason in caplog.messages[0]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"kid": "unknown"}, "there is no key with its `kid`"),
        ({"kid": None}, "its header has no `kid`"),
        ({"typ": "at+jwt"}, "its `typ` is that of something else"),
        ({"typ": "dpop+jwt"}, "its `typ` is that of something else"),
        ({"crit": ["x"], "x": 1}, "signed JWT"),
        ({"b64": True}, "its header has a critical extension"),
    ],
    ids=str,
)
def test_headers_that_break_a_rule(
    authentication: ClientAuthentication,
    clients: Clients,
    assertions: Assertions,
    caplog: pytest.LogCaptureFixture,
    header: dict[str, Any],
    reason: str,
) -> None:
    """RFC 8725, sections 3.1 and 3.11."""
    clients.create(signer(jwks=assertions.jwks))
    with caplog.at_level(logging.INFO, "relata.tokens"):
        assert refusal(authentication, assertions.form(header)).body() == REFUSAL
    assert reason in caplog.messages[0]


def test_forged_signatures(
    authentication: ClientAuthentication,
    clients: Clients,
    assertions: Assertions,
    signing_keys: dict[str, PrivateKey],
) -> None:
    """`none`, an HMAC made from the public key, another's key, another family's algorithm."""
    clients.create(signer(jwks=assertions.jwks))
    header = {"alg": "none", "kid": "key-1"}
    point = encoded(str(assertions.jwks).encode())
    hmac_header = {"alg": "HS256", "kid": "key-1"}
    body = assertions.signed().rpartition(".")[0]
    forgeries = [
        compact(header, assertions.claims()),
        compact({**header, "alg": "None"}, assertions.claims()),
        jwt.encode(assertions.claims(), point, "HS256", headers=hmac_header),
        Assertions(signing_keys["RS256"], "RS256").signed(),
        Assertions(signing_keys["EdDSA"], "EdDSA").signed(),
        Assertions(signing_keys["ES384"], "ES384").signed(),
        f"{body}.",
        f"{body}.{encoded(b'0' * 64)}",
        f"{assertions.signed()[:-8]}AAAAAAAA",
        "not.a.jwt",
        "",
        "a" * 100_000,
        compact({"alg": "ES256", "kid": "key-1", "jwk": assertions.jwks}, assertions.claims()),
    ]
    for forgery in forgeries:
        assert refusal(authentication, form_of(forgery)).body() == REFUSAL, forgery[:80]


def test_an_assertion_is_good_once(
    authentication: ClientAuthentication, clients: Clients, store: Store, assertions: Assertions
) -> None:
    """RFC 7523, section 3, point 7; by whichever process it was seen first."""
    clients.create(signer(jwks=assertions.jwks))
    form = assertions.form(exp=NOW + 60)
    other = ClientAuthentication(Clients(store), store.replays, audiences=(ISSUER,))
    assert passed(authentication, form)
    for now in (NOW, NOW + 59, NOW + 60):
        for process in (authentication, other):
            assert refusal(process, form, now=now).body() == REFUSAL


def test_of_many_at_once_one_passes(
    authentication: ClientAuthentication, clients: Clients, assertions: Assertions
) -> None:
    clients.create(signer(jwks=assertions.jwks))
    form = assertions.form()
    together = threading.Barrier(8)
    passed: list[bool] = []

    def send() -> None:
        together.wait()
        try:
            authentication.authenticate(form, None, now=NOW)
        except InvalidClientError:
            passed.append(False)
        else:
            passed.append(True)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(passed) == [False] * 7 + [True]


def test_the_same_jti_of_two_clients_is_two(
    authentication: ClientAuthentication, clients: Clients, assertions: Assertions
) -> None:
    clients.create(signer(jwks=assertions.jwks))
    clients.create(machine("private_key_jwt", id="second", jwks=assertions.jwks))
    assert passed(authentication, assertions.form(jti="x"))
    second = assertions.form(jti="x", iss="second", sub="second")
    assert passed(authentication, second)


def test_a_refused_assertion_uses_nothing_up(
    authentication: ClientAuthentication, clients: Clients, assertions: Assertions
) -> None:
    """A disabled client that is enabled again may send what was refused; so may nobody else fill
    the memory of what was used."""
    clients.create(signer(jwks=assertions.jwks, disabled=True))
    form = assertions.form()
    assert refusal(authentication, form).body() == REFUSAL
    clients.replace(signer(jwks=assertions.jwks))
    assert passed(authentication, form)


# Published keys


@pytest.fixture
def published(signing_keys: dict[str, PrivateKey]) -> Iterator[LocalIssuer]:
    """A client that publishes its keys."""
    host = LocalIssuer(signing_keys["ES256"], algorithm="ES256", kid="key-1")
    yield host
    host.close()


def test_published_keys_are_fetched_once_and_again_for_an_unknown_kid(
    authentication: ClientAuthentication,
    clients: Clients,
    published: LocalIssuer,
    assertions: Assertions,
    signing_keys: dict[str, PrivateKey],
) -> None:
    """A rotation counts at once, and a flood of made-up names is not passed on."""
    clients.create(signer(jwks_uri=published.jwks_uri))
    for _ in range(3):
        assert passed(authentication, assertions.form())
    assert len(published.fetches) == 1
    published.published = [public_jwk(signing_keys["RS256"], kid="key-2")]
    rotated = Assertions(signing_keys["RS256"], "RS256")
    assert passed(authentication, rotated.form({"kid": "key-2"}))
    for number in range(5):
        refusal(authentication, rotated.form({"kid": f"made-up-{number}"}))
    assert len(published.fetches) == 2


def test_nothing_is_fetched_for_who_cannot_be_a_client(
    authentication: ClientAuthentication,
    clients: Clients,
    published: LocalIssuer,
    assertions: Assertions,
) -> None:
    """Neither for a disabled client, nor from where the assertion itself says."""
    clients.create(signer(jwks_uri=published.jwks_uri, disabled=True))
    elsewhere = {"jku": published.jwks_uri, "x5u": published.jwks_uri}
    refusal(authentication, assertions.form(elsewhere))
    refusal(authentication, assertions.form(elsewhere, iss="nobody", sub="nobody"))
    assert published.fetches == []


def test_an_address_that_changes_counts_at_once(
    authentication: ClientAuthentication,
    clients: Clients,
    published: LocalIssuer,
    assertions: Assertions,
    signing_keys: dict[str, PrivateKey],
) -> None:
    clients.create(signer(jwks_uri=published.jwks_uri))
    assert passed(authentication, assertions.form())
    moved = LocalIssuer(signing_keys["EdDSA"], algorithm="EdDSA", kid="key-1")
    try:
        clients.replace(signer(jwks_uri=moved.jwks_uri))
        assert refusal(authentication, assertions.form()).body() == REFUSAL
        now_good = Assertions(signing_keys["EdDSA"], "EdDSA").form()
        assert passed(authentication, now_good)
    finally:
        moved.close()


def test_while_the_keys_cannot_be_fetched_the_client_is_asked_to_wait(
    authentication: ClientAuthentication,
    clients: Clients,
    published: LocalIssuer,
    assertions: Assertions,
) -> None:
    published.answer = Answer(503, b"")
    clients.create(signer(jwks_uri=published.jwks_uri))
    error = refusal(authentication, assertions.form())
    assert error.body() == {
        "error": "temporarily_unavailable",
        "error_description": "the client's keys cannot be fetched; try again later",
    }
