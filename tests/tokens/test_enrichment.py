"""Enrichment: a real service on this machine is asked, and whatever it does is survived."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relata.errors import InvalidArgumentError, OAuthError
from relata.store import Store
from relata.tokens import SigningKeys, TokenService, enrichment
from relata.tokens.audiences import Audience
from relata.tokens.enrichment import REQUEST_TYPE, Enricher, Enrichment
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import asking, issue

ISSUER_URL = "https://relata.example"
KEY = ec.generate_private_key(ec.SECP256R1())
CLAIM = "https://example.com/facts"
PATIENT = 30.0


class Reply(NamedTuple):
    """What the service answers."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


class FactsService:
    """A service at `http://127.0.0.1:<port>` that knows a plan for everybody.

    `requests` has the bodies that came; while `released` is not set, nothing is answered.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.reply: Reply | None = None
        self.requests: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.released = threading.Event()
        self.released.set()
        self.arrived = threading.Semaphore(0)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}/claims"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def settings(self, **changes: Any) -> Enrichment:
        return Enrichment(**{"url": self.url, "claim": CLAIM, "timeout": 5.0, **changes})


def _handler(service: FactsService) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            request = self.rfile.read(length).decode()
            service.requests.append(request)
            service.headers.append(dict(self.headers.items()))
            service.arrived.release()
            service.released.wait(PATIENT)
            reply = service.reply or Reply(_plan_of(request))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *args: object) -> None:
            """Say nothing on the test's terminal."""

    return Handler


def _plan_of(request: str) -> bytes:
    claims = jwt.decode(request, options={"verify_signature": False})
    return json.dumps({"plan": f"{claims['organization']}-{claims['sub']}"}).encode()


def sign(claims: Mapping[str, object], typ: str) -> str:
    return jwt.encode(dict(claims), KEY, algorithm="ES256", headers={"typ": typ, "kid": "key-1"})


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def facts() -> Iterator[FactsService]:
    facts = FactsService()
    yield facts
    facts.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def enricher(facts: FactsService, clock: Clock) -> Iterator[Enricher]:
    enricher = Enricher(ISSUER_URL, sign, clock=clock)
    yield enricher
    facts.released.set()
    enricher.close()


def ask(
    enricher: Enricher, settings: Enrichment, sub: str = "anne", organization: str = "acme"
) -> dict[str, object]:
    return enricher.claims(settings, sub=sub, organization=organization, audience="wiki")


def test_the_answer_is_one_claim(enricher: Enricher, facts: FactsService) -> None:
    assert ask(enricher, facts.settings()) == {CLAIM: {"plan": "acme-anne"}}
    assert ask(enricher, facts.settings(claim="ext")) == {"ext": {"plan": "acme-anne"}}


def test_the_request_says_who_is_asked_about_and_can_be_verified(
    enricher: Enricher, facts: FactsService
) -> None:
    """By the published key alone, as the documentation tells the service to."""
    before = int(time.time())
    ask(enricher, facts.settings())
    (request,) = facts.requests
    header = jwt.get_unverified_header(request)
    assert (header["typ"], header["alg"], header["kid"]) == (REQUEST_TYPE, "ES256", "key-1")
    claims = jwt.decode(
        request,
        KEY.public_key(),
        algorithms=["ES256"],
        audience=facts.url,
        issuer=ISSUER_URL,
        options={"require": ["iss", "aud", "sub", "iat", "exp", "jti"]},
    )
    assert {name: claims[name] for name in ("sub", "organization", "audience")} == {
        "sub": "anne",
        "organization": "acme",
        "audience": "wiki",
    }
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 60
    assert facts.headers[0]["Content-Type"] == "application/jwt"
    assert facts.headers[0]["Accept"] == "application/json"


def test_the_published_keys_verify_the_request(facts: FactsService) -> None:
    """Those of Relata's JWKS; as an access token it passes for nothing."""
    store = Store.open("sqlite://")
    keys = SigningKeys(store)
    enricher = Enricher(ISSUER_URL, lambda claims, typ: keys.sign(claims, typ=typ))
    ask(enricher, facts.settings())
    enricher.close()
    (request,) = facts.requests
    header = jwt.get_unverified_header(request)
    published = jwt.PyJWKSet.from_dict(keys.jwks())[header["kid"]]
    claims = jwt.decode(request, published, algorithms=["ES256"], audience=facts.url)
    store.close()
    assert claims["sub"] == "anne"
    assert header["typ"] != "at+jwt"


def test_every_request_has_its_own_id(enricher: Enricher, facts: FactsService) -> None:
    """So a service can refuse one that it has seen."""
    for sub in ("anne", "bob"):
        ask(enricher, facts.settings(), sub)
    ids = {jwt.decode(it, options={"verify_signature": False})["jti"] for it in facts.requests}
    assert len(ids) == 2


def test_a_protocol_claim_in_the_answer_is_only_part_of_it(
    enricher: Enricher, facts: FactsService
) -> None:
    """Whatever the service says, it says under one name."""
    facts.reply = Reply(b'{"sub": "root", "permissions": ["all"], "exp": 9999999999}')
    claims = ask(enricher, facts.settings())
    assert claims.keys() == {CLAIM}


@pytest.mark.parametrize("claim", ["sub", "permissions", "ISS", "plan", "", "two words", "a:ü"])
def test_the_claim_is_namespaced(claim: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Enrichment(url="https://facts.example/claims", claim=claim)
    assert caught.value.field == "claim"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "facts.example/claims",
        "http://facts.example/claims",
        "http://10.0.0.1/claims",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.facts.example/claims",
        "file:///etc/passwd",
        "ftp://facts.example/claims",
        "https://user:secret@facts.example/claims",
        "https://facts.example/claims?key=secret",
        "https://facts.example/claims#part",
    ],
)
def test_an_address_is_https_and_holds_no_secret(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Enrichment(url=url)
    assert caught.value.field == "url"
    assert "user:secret" not in caught.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0.0),
        ("timeout", 10.1),
        ("timeout", float("nan")),
        ("max_bytes", 1),
        ("max_bytes", 6145),
        ("cache_seconds", -1),
        ("cache_seconds", 86401),
    ],
)
def test_settings_have_bounds(field: str, value: float) -> None:
    settings: dict[str, Any] = {"url": "https://facts.example/claims", field: value}
    with pytest.raises(InvalidArgumentError) as caught:
        Enrichment(**settings)
    assert caught.value.field == field


def test_an_answer_is_kept_for_the_stated_time(
    enricher: Enricher, facts: FactsService, clock: Clock
) -> None:
    settings = facts.settings(cache_seconds=60)
    for clock.now in (0.0, 30.0, 59.9):
        ask(enricher, settings)
    assert len(facts.requests) == 1
    clock.now = 60.0
    ask(enricher, settings)
    assert len(facts.requests) == 2


def test_an_answer_need_not_be_kept(enricher: Enricher, facts: FactsService) -> None:
    for _ in range(3):
        ask(enricher, facts.settings(cache_seconds=0))
    assert len(facts.requests) == 3


def test_nobody_gets_the_answer_about_somebody_else(
    enricher: Enricher, facts: FactsService
) -> None:
    """Neither another subject, nor the same in another organization, nor for another audience."""
    settings = facts.settings()
    assert ask(enricher, settings, "anne", "acme") == {CLAIM: {"plan": "acme-anne"}}
    assert ask(enricher, settings, "bob", "acme") == {CLAIM: {"plan": "acme-bob"}}
    assert ask(enricher, settings, "anne", "globex") == {CLAIM: {"plan": "globex-anne"}}
    enricher.claims(settings, sub="anne", organization="acme", audience="shop")
    assert len(facts.requests) == 4


def test_changed_settings_count_at_once(enricher: Enricher, facts: FactsService) -> None:
    ask(enricher, facts.settings())
    ask(enricher, facts.settings(max_bytes=1000))
    assert len(facts.requests) == 2


def test_an_answer_that_is_changed_stays_as_it_was(enricher: Enricher, facts: FactsService) -> None:
    """What a token does with its claims does not reach the next token."""
    settings = facts.settings()
    claims: dict[str, Any] = ask(enricher, settings)
    claims[CLAIM]["plan"] = "gold"
    assert ask(enricher, settings) == {CLAIM: {"plan": "acme-anne"}}


def test_the_cache_has_a_size(facts: FactsService, clock: Clock) -> None:
    """The answers that nobody asked for lately go first."""
    enricher = Enricher(ISSUER_URL, sign, clock=clock, cached_bytes=3 * 600)
    settings = facts.settings()
    for sub in ("anne", "bob", "carol", "anne", "dora", "anne", "bob"):
        ask(enricher, settings, sub)
    enricher.close()
    subjects = [jwt.decode(it, options={"verify_signature": False})["sub"] for it in facts.requests]
    assert subjects == ["anne", "bob", "carol", "dora", "bob"]


def test_many_who_ask_at_once_ask_once(enricher: Enricher, facts: FactsService) -> None:
    """All of them wait for the one request that is under way."""
    facts.released.clear()
    got: list[dict[str, object]] = []
    settings = facts.settings()
    threads = [
        threading.Thread(target=lambda: got.append(ask(enricher, settings))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert facts.arrived.acquire(timeout=PATIENT)
    facts.released.set()
    for thread in threads:
        thread.join()
    assert got == [{CLAIM: {"plan": "acme-anne"}}] * 8
    assert len(facts.requests) == 1


BAD_REPLIES = {
    "an error": (Reply(b"{}", 500), "it answers with the status 500"),
    "no content": (Reply(b"", 204), "it answers with the status 204"),
    "a redirect": (
        Reply(b"", 307, {"Location": "https://elsewhere.example/"}),
        "it answers with the status 307",
    ),
    "no JSON": (Reply(b"secret-answer"), "its answer is not a JSON object"),
    "a list": (Reply(b'["secret-answer"]'), "its answer is not a JSON object"),
    "not UTF-8": (Reply(b'{"a": "\xff"}'), "its answer is not a JSON object"),
    "half a surrogate pair": (Reply(b'{"a": "\\ud800"}'), "its answer is not a JSON object"),
    "not a number": (Reply(b'{"a": NaN}'), "its answer is not a JSON object"),
    "compressed": (
        Reply(b"\x1f\x8b\x08\x00", 200, {"Content-Encoding": "gzip"}),
        "its answer is not a JSON object",
    ),
    "too long": (
        Reply(b'{"secret-answer": "' + b"x" * 3000 + b'"}'),
        "its answer is longer than 2048 bytes",
    ),
    "too deep": (
        Reply(b'{"a": ' + b"[" * 17 + b"]" * 17 + b"}"),
        "its answer is nested deeper than 16",
    ),
    "far too deep": (
        Reply(b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}"),
        "its answer is nested deeper than 16",
    ),
}


@pytest.mark.parametrize(("reply", "reason"), BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_a_bad_answer_is_no_answer(
    enricher: Enricher,
    facts: FactsService,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
    reason: str,
) -> None:
    """The log says why, without what was answered or sent."""
    facts.reply = reply
    with pytest.raises(OAuthError) as caught:
        ask(enricher, facts.settings())
    assert caught.value.error == "temporarily_unavailable"
    assert caught.value.message == "the token cannot be completed now; try again later"
    warnings = [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]
    assert warnings == [
        "enrichment of 'wiki' for the organization 'acme' failed, and no token is issued: " + reason
    ]
    assert "secret-answer" not in caplog.text
    assert facts.requests[0] not in caplog.text


def test_a_token_may_do_without(
    enricher: Enricher, facts: FactsService, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the configuration says so; the log says so too."""
    facts.reply = Reply(b"", 503)
    assert ask(enricher, facts.settings(on_failure="omit")) == {}
    assert "the token is issued without it: it answers with the status 503" in caplog.text


def test_a_failure_is_not_kept(enricher: Enricher, facts: FactsService) -> None:
    facts.reply = Reply(b"", 503)
    assert ask(enricher, facts.settings(on_failure="omit")) == {}
    facts.reply = None
    assert ask(enricher, facts.settings(on_failure="omit")) == {CLAIM: {"plan": "acme-anne"}}


def test_a_service_that_does_not_answer_is_left_alone_for_a_moment(
    enricher: Enricher, facts: FactsService, clock: Clock
) -> None:
    """Who comes then does not wait; other organizations are asked about as before."""
    facts.released.clear()
    settings = facts.settings(timeout=0.1, on_failure="omit")
    assert ask(enricher, settings) == {}
    assert ask(enricher, settings) == {}
    assert ask(enricher, settings, "bob") == {}
    assert len(facts.requests) <= 1  # none where the machine is too busy to ask in time
    facts.released.set()
    other = facts.settings(on_failure="omit")
    assert ask(enricher, other, "anne", "globex") == {CLAIM: {"plan": "globex-anne"}}
    assert ask(enricher, other) == {}
    clock.now = enrichment.RETRY_SECONDS
    assert ask(enricher, other) == {CLAIM: {"plan": "acme-anne"}}


def test_a_service_that_answers_byte_by_byte(enricher: Enricher) -> None:
    """The time is for the whole answer, its head included."""
    slow = _DripServer()
    settings = Enrichment(url=slow.url, timeout=0.3, on_failure="omit")
    started = time.monotonic()
    assert ask(enricher, settings) == {}
    assert time.monotonic() - started < 5
    slow.close()


class _DripServer:
    """Sends a header a letter at a time, for as long as anybody listens."""

    def __init__(self) -> None:
        drip = self
        self._stop = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                try:
                    while not drip._stop.wait(0.02):
                        self.wfile.write(b"x")
                except OSError:
                    pass

            def log_message(self, *args: object) -> None:
                """Say nothing on the test's terminal."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_service_that_is_gone(
    enricher: Enricher, facts: FactsService, caplog: pytest.LogCaptureFixture
) -> None:
    facts.close()
    with pytest.raises(OAuthError) as caught:
        ask(enricher, facts.settings())
    assert caught.value.error == "temporarily_unavailable"
    assert "it cannot be reached: ConnectError" in caplog.text


def test_redirects_are_not_followed(enricher: Enricher, facts: FactsService) -> None:
    """Or the service could make Relata ask an address that nobody configured."""
    elsewhere = FactsService()
    for status in (301, 302, 303, 307, 308):
        facts.reply = Reply(b"", status, {"Location": elsewhere.url})
        assert ask(enricher, facts.settings(on_failure="omit"), f"user-{status}") == {}
    elsewhere.close()
    assert elsewhere.requests == []


def test_cookies_are_not_kept(enricher: Enricher, facts: FactsService) -> None:
    """One subject's cookie must not go with the question about another."""
    facts.reply = Reply(b"{}", 200, {"Set-Cookie": "session=annes"})
    ask(enricher, facts.settings(), "anne")
    ask(enricher, facts.settings(), "bob")
    assert ["Cookie" in headers for headers in facts.headers] == [False, False]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine that its own key signs, and a server's side of it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "facts")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(KEY, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key = tmp_path / "key.pem"
    key.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


@pytest.mark.parametrize("trusted", [True, False])
def test_a_service_over_https_shows_a_certificate_that_is_trusted(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """And is sent nothing otherwise."""
    file, context = certificate
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    secure = FactsService(context)
    enricher = Enricher(ISSUER_URL, sign)
    claims = ask(enricher, secure.settings(on_failure="omit"))
    enricher.close()
    secure.close()
    assert claims == ({CLAIM: {"plan": "acme-anne"}} if trusted else {})
    assert len(secure.requests) == trusted


def test_an_issued_token_has_the_claim_or_there_is_no_token(
    service: TokenService, issuer: LocalIssuer, facts: FactsService
) -> None:
    """And a token may do without where the audience says so."""
    strict = Audience(id="wiki", products=("wiki",), enrichment=facts.settings(cache_seconds=0))
    service.audiences.create(strict)
    token = issue(service, asking(issuer.token())).access_token
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims[CLAIM] == {"plan": "acme-anne"}
    facts.reply = Reply(b"", 503)
    with pytest.raises(OAuthError) as caught:
        issue(service, asking(issuer.token()))
    assert caught.value.error == "temporarily_unavailable"
    lenient = facts.settings(on_failure="omit")
    service.audiences.replace(Audience(id="wiki", products=("wiki",), enrichment=lenient))
    token = issue(service, asking(issuer.token())).access_token
    assert CLAIM not in jwt.decode(token, options={"verify_signature": False})
