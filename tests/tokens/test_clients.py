"""Clients: what can be registered, what is kept of a secret, and how it changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relata.errors import InvalidArgumentError, NotFoundError, StoreError, WriteConflictError
from relata.store import IssuedToken, Store, TokenState
from relata.tokens.clients import (
    KIND,
    MAX_KEYS,
    MAX_NAMES,
    MAX_OVERLAP,
    Client,
    Clients,
    check_id,
    check_origin,
    new_id,
    read_client,
    secret_digest,
)
from relata.tokens.exchange import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tests.tokens.identity import PrivateKey, public_jwk

NOW = int(time.time())


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.open("sqlite://")
    yield store
    store.close()


@pytest.fixture
def clients(store: Store) -> Clients:
    return Clients(store)


def app(**changes: Any) -> Client:
    """A single-page app, but for the changes."""
    return Client(
        **{"id": "app-1", "authentication": "none", "grants": (TOKEN_EXCHANGE,), **changes}
    )


def machine(**changes: Any) -> Client:
    """A machine with a secret, but for the changes."""
    ordinary = {
        "id": "nightly",
        "authentication": "client_secret_basic",
        "grants": (CLIENT_CREDENTIALS,),
    }
    return Client(**{**ordinary, **changes})


def token_of(client: str, jti: str) -> IssuedToken:
    return IssuedToken(
        jti=jti,
        subject="user:anne",
        client=client,
        organization="acme",
        audience="reports",
        products=("reports",),
        issued_at=NOW,
        expires_at=NOW + 300,
        revision=1,
        permissions=(),
        roles=(),
    )


def test_a_public_client_has_no_secret(clients: Clients) -> None:
    client, secret = clients.create(app())
    assert secret is None
    assert clients.get("app-1") == client
    assert client.created_at is not None
    assert clients.registration("app-1").secrets == ()  # type: ignore[union-attr]  # just created


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_has_256_bits_and_is_kept_as_its_digest_alone(
    clients: Clients, store: Store, method: str
) -> None:
    _, secret = clients.create(machine(authentication=method))
    assert secret is not None
    assert len(secret) == 43  # 32 bytes in base64url
    stored = store.records.get(KIND, "nightly") or b""
    assert secret.encode() not in stored
    registration = clients.registration("nightly")
    assert registration is not None
    assert [kept.digest for kept in registration.secrets] == [secret_digest(secret)]
    assert secret not in repr(registration)


def test_an_id_is_registered_once(clients: Clients) -> None:
    clients.create(app())
    with pytest.raises(InvalidArgumentError, match="`app-1` exists") as caught:
        clients.create(app(name="another"))
    assert caught.value.field == "id"
    assert [registration.client.name for registration in clients.list()] == [""]


def test_the_list_is_by_id_and_longer_than_a_page(clients: Clients, store: Store) -> None:
    for number in range(3):
        clients.create(app(id=f"app-{number}"))
    stored = store.records.get(KIND, "app-0")
    assert stored is not None
    with store.engine.begin() as connection:
        for number in range(1_000):
            value = stored.replace(b'"app-0"', f'"more-{number:04}"'.encode())
            store.records.put(KIND, f"more-{number:04}", value, connection=connection)
    names = [registration.client.id for registration in clients.list()]
    assert len(names) == 1_003
    assert names == sorted(names)


def test_a_client_is_replaced_as_a_whole_but_for_its_secrets_and_its_birth(
    clients: Clients,
) -> None:
    created, secret = clients.create(machine(name="nightly job", scopes=("read:reports",)))
    changed = clients.replace(machine(authentication="client_secret_post"))
    assert changed.client.created_at == created.created_at
    assert (changed.client.name, changed.client.scopes) == ("", None)
    assert [kept.digest for kept in changed.secrets] == [secret_digest(secret or "")]
    assert clients.registration("nightly") == changed


def test_who_no_longer_uses_a_secret_loses_it(clients: Clients) -> None:
    """It would come back to life with the next change."""
    clients.create(machine(grants=(TOKEN_EXCHANGE,)))
    clients.replace(machine(authentication="none", grants=(TOKEN_EXCHANGE,)))
    assert clients.replace(machine(grants=(TOKEN_EXCHANGE,))).secrets == ()
    clients.rotate_secret("nightly")
    assert len(clients.replace(machine(grants=(TOKEN_EXCHANGE,))).secrets) == 1


def test_two_secrets_overlap_and_a_third_ends_the_first(clients: Clients) -> None:
    _, first = clients.create(machine())
    second = clients.rotate_secret("nightly", overlap=timedelta(hours=1))
    assert first is not None
    newest, older = secrets_of(clients)
    assert (newest.digest, newest.ends_at) == (secret_digest(second), None)
    assert older.digest == secret_digest(first)
    assert NOW + 3_600 <= (older.ends_at or 0) <= time.time() + 3_600
    assert older.counts(NOW)
    assert not older.counts(older.ends_at or 0)
    third = clients.rotate_secret("nightly")
    assert [kept.digest for kept in secrets_of(clients)] == [
        secret_digest(third),
        secret_digest(second),
    ]


def test_without_overlap_the_older_secret_ends_at_once(clients: Clients) -> None:
    clients.create(machine())
    secret = clients.rotate_secret("nightly", overlap=timedelta(0))
    assert [kept.digest for kept in secrets_of(clients)] == [secret_digest(secret)]


def secrets_of(clients: Clients) -> Any:
    registration = clients.registration("nightly")
    assert registration is not None
    return registration.secrets


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), MAX_OVERLAP + timedelta(seconds=1)])
def test_an_overlap_is_bounded(clients: Clients, overlap: timedelta) -> None:
    clients.create(machine())
    with pytest.raises(InvalidArgumentError, match="counts for 0 to 7776000") as caught:
        clients.rotate_secret("nightly", overlap=overlap)
    assert caught.value.field == "overlap_seconds"


def test_who_has_no_use_for_a_secret_gets_none(clients: Clients) -> None:
    clients.create(app())
    with pytest.raises(InvalidArgumentError, match="authenticates by `none`, without a secret"):
        clients.rotate_secret("app-1")


@pytest.mark.parametrize("client_id", ["nobody", "", "no such id", "a/b", "x" * 5_000])
def test_who_is_not_there_cannot_be_changed(clients: Clients, client_id: str) -> None:
    assert clients.get(client_id) is None
    assert not clients.delete(client_id)
    with pytest.raises(NotFoundError):
        clients.rotate_secret(client_id)
    with pytest.raises(NotFoundError):
        clients.replace(app(id="nobody"))


@pytest.mark.parametrize("end", ["delete", "disable"])
def test_the_tokens_of_a_client_end_with_it(clients: Clients, store: Store, end: str) -> None:
    """And those of no other."""
    clients.create(app())
    for client, jti in (("app-1", "its"), ("app-2", "another's")):
        store.issued.add(token_of(client, jti))
    if end == "delete":
        assert clients.delete("app-1")
        assert clients.get("app-1") is None
    else:
        clients.replace(app(disabled=True))
    states = {jti: store.issued.find(jti) for jti in ("its", "another's")}
    assert {jti: token and token.state for jti, token in states.items()} == {
        "its": TokenState.REVOKED,
        "another's": TokenState.VALID,
    }


def test_a_change_that_meets_another_is_refused(clients: Clients, store: Store) -> None:
    """Two changes at once are never mixed."""

    class Interrupted(Clients):
        def _present(self, client_id: str) -> Any:
            present = super()._present(client_id)
            clients.replace(app(name="the other's"))
            return present

    clients.create(app())
    with pytest.raises(WriteConflictError, match="`app-1` was changed by somebody else"):
        Interrupted(store).replace(app(name="mine"))
    assert [registration.client.name for registration in clients.list()] == ["the other's"]


def test_a_stored_client_that_cannot_be_read_is_named(clients: Clients, store: Store) -> None:
    store.records.put(KIND, "app-1", b'{"client": {"id": ""}}')
    with pytest.raises(StoreError, match="the stored client `app-1` is malformed"):
        clients.get("app-1")


@pytest.mark.parametrize("client_id", ["a", "app-1", "0oa1.b~c_d-e", "_x", "A" * 200])
def test_ids_that_read_the_same_everywhere(client_id: str) -> None:
    assert app(id=client_id).id == client_id


def test_an_id_that_is_made_up_is_one() -> None:
    check_id(new_id())


@pytest.mark.parametrize(
    "client_id",
    ["", ".", "..", "-x", "~x", "a b", "a/b", "a:b", "a%20", "é", "a\n", "a\x00", "A" * 201],
)
def test_ids_that_would_not_be_are_refused(client_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="a client's id has 1 to 200") as caught:
        app(id=client_id)
    assert caught.value.field == "id"


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "https://app.example:8443",
        "https://localhost",
        "http://localhost:5173",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "https://[2001:db8::1]",
        "https://xn--bcher-kva.example",
        "https://192.0.2.7",
    ],
)
def test_origins_as_browsers_write_them(origin: str) -> None:
    assert app(origins=(origin,)).origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "*",
        "null",
        "https://*",
        "https://*.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?",
        "https://app.example#",
        "https://App.example",
        "HTTPS://app.example",
        "https://app.example:443",
        "https://app.example:",
        "https://app.example:08443",
        "https://app.example:99999",
        "https://anne@app.example",
        "https://",
        "https://app..example",
        "https://app.example.",
        "https://-app.example",
        "https://bücher.example",
        "https://[2001:DB8::1]",
        "https://[::1",
        "https://app.example ",
        "https://app.example\n",
        "http://app.example",
        "http://app.example:80",
        "http://localhost:80",
        "ftp://app.example",
        "app.example",
        "file://",
        "chrome-extension://abcdef",
        "https://" + "a." * 200 + "example",
    ],
)
def test_what_no_browser_would_send_as_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"origin|https") as caught:
        app(origins=("https://app.example", origin))
    assert caught.value.field == "origins[1]"


def test_an_origin_names_its_own_field() -> None:
    with pytest.raises(InvalidArgumentError, match=r"`http://app\.example` is not https") as caught:
        check_origin("http://app.example", field="allowed_origins")
    assert caught.value.field == "allowed_origins"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"name": "a\nb"}, "name", "at most 200 printable characters"),
        ({"name": "x" * 201}, "name", "at most 200 printable characters"),
        ({"grants": ()}, "grants", "needs a grant"),
        ({"grants": ("password",)}, "grants[0]", "`password` is not a grant"),
        ({"grants": (TOKEN_EXCHANGE, TOKEN_EXCHANGE)}, "grants[1]", "named twice"),
        ({"grants": (CLIENT_CREDENTIALS,)}, "grants", "a public client has no credentials"),
        ({"delegation": True}, "delegation", "cannot act for the users of others"),
        ({"audiences": ()}, "audiences", "leave it out for no limit"),
        ({"audiences": ("reports", "")}, "audiences[1]", "id"),
        ({"scopes": ("read reports",)}, "scopes[0]", "read reports"),
        ({"scopes": ("a", "b", "a")}, "scopes[2]", "`a` is named twice"),
        ({"organizations": ("*",)}, "organizations[0]", "wildcard"),
        ({"organizations": tuple(map(str, range(MAX_NAMES + 1)))}, "organizations", "1 to 1000"),
        ({"origins": ("https://a.example",) * (MAX_NAMES + 1)}, "origins", "at most 1000"),
        ({"subject": "client:app"}, "subject", "leave its subject out"),
        ({"jwks": {"keys": []}}, "jwks", "keys are for clients that authenticate by"),
        ({"jwks_uri": "https://app.example/keys"}, "jwks_uri", "and this one does by `none`"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        app(**changes)
    assert caught.value.field == field


def signing(**changes: Any) -> Client:
    return machine(authentication="private_key_jwt", **changes)


def test_the_keys_of_a_client_are_here_or_at_an_address(
    signing_keys: dict[str, PrivateKey],
) -> None:
    jwks = {"keys": [public_jwk(key, kid=name) for name, key in signing_keys.items()]}
    assert signing(jwks=jwks).jwks == jwks
    assert signing(jwks_uri="https://app.example/keys").jwks is None
    for both in ({}, {"jwks": jwks, "jwks_uri": "https://app.example/keys"}):
        with pytest.raises(InvalidArgumentError, match="exactly one of `jwks` and `jwks_uri`"):
            signing(**both)


def test_keys_that_would_prove_nothing_are_refused(signing_keys: dict[str, PrivateKey]) -> None:
    good = public_jwk(signing_keys["ES256"], kid="one")
    private = {**good, "d": "AAAA"}
    weak = {"kty": "oct", "k": "c2VjcmV0", "kid": "one"}
    other = public_jwk(ec.generate_private_key(ec.SECP256K1()), kid="one")
    for keys in ([private], [weak], [other], [good, good], [], [{**good, "kid": ""}]):
        with pytest.raises(InvalidArgumentError) as caught:
            signing(jwks={"keys": keys})
        assert caught.value.field == "jwks"
    malformed: list[dict[str, object]] = [{}, {"keys": {}}, {"keys": [good] * (MAX_KEYS + 1)}]
    for jwks in malformed:
        with pytest.raises(InvalidArgumentError, match="a JWK Set has a list `keys`"):
            signing(jwks=jwks)


@pytest.mark.parametrize("address", ["http://app.example/keys", "file:///etc/passwd", "keys", ""])
def test_keys_come_over_https(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="https") as caught:
        signing(jwks_uri=address)
    assert caught.value.field == "jwks_uri"


def test_a_client_is_read_from_json_and_written_again() -> None:
    client = machine(subject="machine:nightly", audiences=("reports",), disabled=True)
    assert read_client(msgspec.to_builtins(client)) == client


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({"id": 7}, "id", "expected `str`, got `int`"),
        ({"id": "a"}, None, "missing required field `authentication`"),
        ({"id": "a", "authentication": "tls"}, "authentication", "invalid enum value `tls`"),
        (
            {"id": "a", "authentication": "none", "grants": [TOKEN_EXCHANGE, 7]},
            "grants[1]",
            "expected `str`, got `int`",
        ),
        (
            {"id": "a", "authentication": "none", "grants": [TOKEN_EXCHANGE], "secret": "x"},
            None,
            "unknown field `secret`",
        ),
    ],
)
def test_a_malformed_document_says_where(
    document: dict[str, Any], field: str | None, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        read_client(document)
    assert caught.value.field == field
