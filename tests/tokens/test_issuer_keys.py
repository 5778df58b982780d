"""The keys of an issuer: fetched from one address, kept, refreshed within limits."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from relata.errors import OAuthError
from relata.tokens import fetching
from relata.tokens.issuer_keys import PublishedKeys, keys_of
from tests.tokens.identity import Answer, LocalIssuer, PrivateKey, encoded, public_jwk

NO_LIMIT = timedelta(0)


@pytest.fixture
def keys(issuer: LocalIssuer) -> PublishedKeys:
    return PublishedKeys(issuer.trusted())


@pytest.fixture
def elsewhere(signing_keys: dict[str, PrivateKey]) -> Iterator[LocalIssuer]:
    issuer = LocalIssuer(signing_keys["ES256"], algorithm="ES256")
    yield issuer
    issuer.close()


def test_keys_are_fetched_once_and_only_when_needed(
    issuer: LocalIssuer, keys: PublishedKeys
) -> None:
    assert issuer.fetches == []
    assert all(keys.find("key-1", "RS256") for _ in range(5))
    assert issuer.fetches == ["/keys"]


def test_many_threads_fetch_once(issuer: LocalIssuer, keys: PublishedKeys) -> None:
    """Those who come while the keys are being fetched wait for them."""
    together = threading.Barrier(8)
    found: list[bool] = []

    def ask() -> None:
        together.wait()
        found.append(keys.find("key-1", "RS256") is not None)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert issuer.fetches == ["/keys"]


def test_unknown_keys_are_looked_for_no_more_often_than_the_limit(
    issuer: LocalIssuer, keys: PublishedKeys
) -> None:
    """Anybody can make up a `kid`; that must not become a way to flood the issuer."""
    assert [keys.find(f"made-up-{number}", "RS256") for number in range(20)] == [None] * 20
    assert len(issuer.fetches) == 2


def test_a_new_key_counts_at_once(
    issuer: LocalIssuer, keys: PublishedKeys, signing_keys: dict[str, PrivateKey]
) -> None:
    """A rotation does not have to wait for the old keys to grow old."""
    assert keys.find("key-1", "RS256")
    issuer.published = [public_jwk(signing_keys["ES256"], kid="key-2")]
    assert keys.find("key-2", "ES256")
    assert len(issuer.fetches) == 2


def test_a_withdrawn_key_stops_counting(issuer: LocalIssuer) -> None:
    """Keys are used for a while, not for ever."""
    keys = PublishedKeys(issuer.trusted(), max_age=timedelta(0))
    assert keys.find("key-1", "RS256")
    issuer.published = []
    assert keys.find("key-1", "RS256") is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"{}"),
        Answer(404, b""),
        Answer(204, b""),
        Answer(200, b"not json"),
        Answer(200, b'"\xff"'),
        Answer(200, b"[]"),
        Answer(200, b"{}"),
        Answer(200, b'{"keys": {}}'),
        Answer(500, b'{"keys": []}'),
        Answer(200, b'{"keys": ' + b"[" * 100_000),
        Answer(200, b'{"\xff": []}'),
        Answer(200, b'{"keys": [' + b" " * 300_000 + b"]}"),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:10]!r}",
)
def test_without_keys_nobody_is_believed_for_the_moment(
    issuer: LocalIssuer, keys: PublishedKeys, answer: Answer
) -> None:
    """An answer that is no set of keys is a fault that passes, not a refusal."""
    issuer.answer = answer
    with pytest.raises(OAuthError, match="try again later") as caught:
        keys.find("key-1", "RS256")
    assert caught.value.error == "temporarily_unavailable"


def test_a_failure_is_not_repeated_by_everyone_at_once(
    issuer: LocalIssuer, keys: PublishedKeys
) -> None:
    """While the issuer is down, requests are answered without waiting for it each time."""
    issuer.answer = Answer(503, b"")
    for _ in range(10):
        with pytest.raises(OAuthError):
            keys.find("key-1", "RS256")
    assert len(issuer.fetches) == 1


def test_an_issuer_that_is_gone(issuer: LocalIssuer, keys: PublishedKeys) -> None:
    issuer.close()
    with pytest.raises(OAuthError) as caught:
        keys.find("key-1", "RS256")
    assert caught.value.error == "temporarily_unavailable"


def test_known_keys_outlast_a_failing_refresh(issuer: LocalIssuer) -> None:
    """A made-up `kid` while the issuer is down must not lock out good tokens."""
    keys = PublishedKeys(issuer.trusted(), refresh_limit=NO_LIMIT)
    assert keys.find("key-1", "RS256")
    issuer.answer = Answer(503, b"")
    with pytest.raises(OAuthError):
        keys.find("made-up", "RS256")
    assert keys.find("key-1", "RS256")


def test_redirects_are_not_followed(
    issuer: LocalIssuer, keys: PublishedKeys, elsewhere: LocalIssuer
) -> None:
    """Keys come from the registered address and from nowhere else."""
    issuer.answer = Answer(302, b"", {"Location": elsewhere.jwks_uri})
    with pytest.raises(OAuthError):
        keys.find("key-1", "ES256")
    assert elsewhere.fetches == []


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_key_fits_only_algorithms_of_its_type(
    issuer: LocalIssuer, signing_keys: dict[str, PrivateKey], algorithm: str
) -> None:
    """RFC 8725, 3.1: one key, one family of algorithms."""
    issuer.published = [public_jwk(signing_keys[algorithm], kid="key")]
    keys = PublishedKeys(issuer.trusted())
    family = {"RS256", "PS256"} if algorithm in {"RS256", "PS256"} else {algorithm}
    fitting = {name for name in signing_keys if keys.find("key", name)}
    assert fitting == family


@pytest.mark.parametrize(
    "members",
    [{"alg": "RS512"}, {"use": "enc"}, {"key_ops": ["sign"]}, {"key_ops": "verify"}, {"kid": 7}],
)
def test_a_key_for_something_else_is_not_used(
    issuer: LocalIssuer, rsa_key: rsa.RSAPrivateKey, members: dict[str, object]
) -> None:
    """RFC 7517, 4.2 to 4.4: what a key says about its own use holds."""
    issuer.published = [public_jwk(rsa_key, **{"kid": "key", **members})]
    assert PublishedKeys(issuer.trusted()).find("key", "RS256") is None


def test_a_published_private_key_is_not_used(
    issuer: LocalIssuer, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Everybody could sign with it."""
    issuer.published = [{**RSAAlgorithm.to_jwk(rsa_key, as_dict=True), "kid": "key"}]
    issuer.published[0].pop("key_ops")
    assert PublishedKeys(issuer.trusted()).find("key", "RS256") is None


def test_a_weak_key_is_not_used(issuer: LocalIssuer) -> None:
    """RFC 7518, 3.3: at least 2048 bits."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    issuer.published = [public_jwk(weak, kid="key")]
    assert PublishedKeys(issuer.trusted()).find("key", "RS256") is None


def test_broken_keys_do_not_hide_good_ones(
    issuer: LocalIssuer, signing_keys: dict[str, PrivateKey]
) -> None:
    """An unknown kind of key in the set is no reason to lose the others (RFC 7517, 5)."""
    good = public_jwk(signing_keys["ES256"], kid="key")
    broken: list[object] = [
        7,
        {"kid": "key"},
        {"kid": "key", "kty": "oct", "k": encoded(b"secret" * 8)},
        {**good, "x": 7},
        {**good, "x": "AA"},
        {name: value for name, value in good.items() if name != "y"},
        public_jwk(ec.generate_private_key(ec.SECP384R1()), kid="key"),
    ]
    issuer.answer = Answer(200, json.dumps({"keys": [*broken, good]}).encode())
    assert PublishedKeys(issuer.trusted()).find("key", "ES256")


def test_pinned_keys_are_never_fetched(
    issuer: LocalIssuer, signing_keys: dict[str, PrivateKey]
) -> None:
    """An unknown `kid` is unknown, and a key published elsewhere does not count."""
    pinned = keys_of(issuer.trusted(keys={"keys": issuer.published}))
    issuer.published = [public_jwk(signing_keys["ES256"], kid="key-2")]
    assert pinned.find("key-1", "RS256")
    assert pinned.find("key-1", "ES256") is None
    assert pinned.find("key-2", "ES256") is None
    assert issuer.fetches == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(503, b""), "the answer has the status 503"),
        (Answer(200, b"<html>"), "the answer is not a JSON object"),
        (Answer(200, b"{}"), "the answer is not a set of keys"),
        (Answer(200, b" " * 300_000), "the answer is longer than 262144 bytes"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_the_log_says_why_there_are_no_keys(
    issuer: LocalIssuer,
    keys: PublishedKeys,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    reason: str,
) -> None:
    """Who asks for a token is told nothing of it, so who runs the service has to be."""
    issuer.answer = answer
    with pytest.raises(OAuthError) as caught:
        keys.find("key-1", "RS256")
    assert reason not in caught.value.message
    assert caplog.messages == [f"no keys of the issuer `{issuer.url}`: {reason}"]


def test_an_issuer_that_keeps_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and never answers."""
    monkeypatch.setattr(fetching, "_TIMEOUT", httpx.Timeout(0.05))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(fetching.FetchError, match="ReadTimeout"):
            fetching.fetch_object(address, accept="application/json")


def test_an_issuer_that_takes_its_time(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of an answer may come in time and the whole still not."""
    monkeypatch.setattr(fetching, "_FETCH_SECONDS", 0.0)
    with pytest.raises(fetching.FetchError, match="longer than 0 seconds"):
        fetching.fetch_object(issuer.jwks_uri, accept="application/json")
