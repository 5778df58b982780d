"""The routes of clients: registered, shown, replaced, removed, and their secrets changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relata.authorizer import Relata
from relata.tokens.client_authentication import ClientAuthentication, InvalidClientError
from relata.tokens.clients import Clients
from relata.tokens.exchange import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tests.server.problems import problem_of
from tests.tokens.identity import public_jwk

APP: dict[str, Any] = {
    "id": "app",
    "authentication": "none",
    "grants": [TOKEN_EXCHANGE],
    "origins": ["https://app.example"],
}
MACHINE: dict[str, Any] = {
    "id": "nightly",
    "authentication": "client_secret_post",
    "grants": [CLIENT_CREDENTIALS],
}
DEFAULTS: dict[str, Any] = {
    "name": "",
    "audiences": None,
    "scopes": None,
    "organizations": None,
    "origins": [],
    "delegation": False,
    "require_dpop": False,
    "subject": "",
    "jwks": None,
    "jwks_uri": None,
    "disabled": False,
}
ROUTES = [
    ("POST", "/clients"),
    ("GET", "/clients"),
    ("GET", "/clients/app"),
    ("PUT", "/clients/app"),
    ("DELETE", "/clients/app"),
    ("POST", "/clients/app/secret"),
]


@pytest.fixture(autouse=True)
def nothing_registered(authorizer: Relata) -> Iterator[None]:
    """Each test begins with no clients, and leaves none to the other tests of this server."""
    _delete_all(Clients(authorizer.store))
    yield
    _delete_all(Clients(authorizer.store))


def _delete_all(clients: Clients) -> None:
    for registration in clients.list():
        clients.delete(registration.client.id)


def create(admin: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = admin.post("/clients", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def is_good(authorizer: Relata, secret: str) -> bool:
    """Whether `nightly` is let pass with a secret."""
    store = authorizer.store
    authentication = ClientAuthentication(Clients(store), store.replays, audiences=())
    form = [("client_id", "nightly"), ("client_secret", secret)]
    try:
        authentication.authenticate(form, None, now=int(time.time()))
    except InvalidClientError:
        return False
    return True


def test_an_app_is_registered_without_a_secret(admin: httpx.Client) -> None:
    created = create(admin, APP)
    moment = datetime.fromisoformat(created.pop("created_at"))
    assert abs(moment.timestamp() - time.time()) < 60
    assert created == {**DEFAULTS, **APP, "secrets": [], "secret": None}


def test_a_machine_gets_a_secret_which_is_shown_once(
    admin: httpx.Client, authorizer: Relata
) -> None:
    created = create(admin, MACHINE)
    secret = created.pop("secret")
    assert is_good(authorizer, secret)
    assert [kept["ends_at"] for kept in created["secrets"]] == [None]
    shown = admin.get("/clients/nightly")
    assert shown.json() == created
    listed = admin.get("/clients")
    assert listed.json() == {"clients": [created]}
    assert secret not in shown.text + listed.text


def test_every_setting_is_kept(admin: httpx.Client) -> None:
    key = public_jwk(ec.generate_private_key(ec.SECP256R1()), kid="key-1")
    full = {
        "id": "full",
        "name": "Bücher",
        "authentication": "private_key_jwt",
        "grants": [TOKEN_EXCHANGE, CLIENT_CREDENTIALS],
        "audiences": ["reports", "https://{organization}.api.example.com"],
        "scopes": ["read:reports"],
        "organizations": ["acme"],
        "origins": ["https://app.example", "http://localhost:5173"],
        "delegation": True,
        "require_dpop": True,
        "subject": "machine:full",
        "jwks": {"keys": [key]},
        "jwks_uri": None,
        "disabled": True,
    }
    create(admin, full)
    shown = admin.get("/clients/full").json()
    assert {name: shown[name] for name in full} == full


def test_an_id_is_made_up_where_none_is_given(admin: httpx.Client) -> None:
    ids = {create(admin, {**APP, "id": given})["id"] for given in (None, None)}
    ids.add(create(admin, {name: value for name, value in APP.items() if name != "id"})["id"])
    assert len(ids) == 3
    assert all(admin.get(f"/clients/{name}").status_code == 200 for name in ids)


def test_a_client_is_replaced_as_a_whole_and_keeps_its_secret(
    admin: httpx.Client, authorizer: Relata
) -> None:
    created = create(admin, {**MACHINE, "name": "nightly", "scopes": ["read"]})
    changes = {**MACHINE, "audiences": ["reports"]}
    del changes["id"]
    answer = admin.put("/clients/nightly", json=changes)
    assert answer.status_code == 200
    kept = {"id": "nightly", "created_at": created["created_at"], "secrets": created["secrets"]}
    assert answer.json() == {**DEFAULTS, **changes, **kept}
    assert is_good(authorizer, created["secret"])
    assert admin.put("/clients/nightly", json={**changes, "disabled": True}).status_code == 200
    assert not is_good(authorizer, created["secret"])


def test_a_secret_is_changed_with_an_overlap(admin: httpx.Client, authorizer: Relata) -> None:
    first = create(admin, MACHINE)["secret"]
    before = int(time.time())
    rotated = admin.post("/clients/nightly/secret", json={"overlap_seconds": 3_600})
    assert rotated.status_code == 201
    second = rotated.json()["secret"]
    newest, older = rotated.json()["secrets"]
    assert newest["ends_at"] is None
    ends_at = datetime.fromisoformat(older["ends_at"]).timestamp()
    assert before + 3_600 <= ends_at <= time.time() + 3_600
    assert [is_good(authorizer, secret) for secret in (first, second)] == [True, True]
    third = admin.post("/clients/nightly/secret", json={"overlap_seconds": 0}).json()["secret"]
    good = [is_good(authorizer, secret) for secret in (first, second, third)]
    assert good == [False, False, True]


def test_the_overlap_is_a_day_unless_said_otherwise(admin: httpx.Client) -> None:
    create(admin, MACHINE)
    older = admin.post("/clients/nightly/secret", json={}).json()["secrets"][1]
    left = datetime.fromisoformat(older["ends_at"]).timestamp() - time.time()
    assert 86_000 < left <= 86_400


def test_a_client_is_removed(admin: httpx.Client) -> None:
    create(admin, APP)
    assert admin.delete("/clients/app").status_code == 204
    assert problem_of(admin.delete("/clients/app"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/clients/nobody", None),
        ("GET", "/clients/no%20id", None),
        ("DELETE", "/clients/%00", None),
        ("PUT", "/clients/nobody", {"authentication": "none", "grants": [TOKEN_EXCHANGE]}),
        ("POST", "/clients/nobody/secret", {}),
    ],
)
def test_a_client_that_is_not_there(
    admin: httpx.Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = admin.request(method, path, json=body)
    assert (answer.status_code, problem_of(answer)["field"]) == (404, "id")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "a/b"}, "id"),
        ({"id": 7}, "id"),
        ({"name": "a\nb"}, "name"),
        ({"authentication": "tls_client_auth"}, "authentication"),
        ({"authentication": "private_key_jwt"}, "jwks"),
        ({"grants": []}, "grants"),
        ({"grants": ["password"]}, "grants[0]"),
        ({"grants": [CLIENT_CREDENTIALS]}, "grants"),
        ({"audiences": []}, "audiences"),
        ({"scopes": ["a", "a"]}, "scopes[1]"),
        ({"organizations": "acme"}, "organizations"),
        ({"origins": ["*"]}, "origins[0]"),
        ({"origins": ["https://app.example/"]}, "origins[0]"),
        ({"delegation": True}, "delegation"),
        ({"delegation": "yes"}, "delegation"),
        ({"subject": "client:app"}, "subject"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks_uri": "https://app.example/keys"}, "jwks_uri"),
        ({"secret": "my own"}, "secret"),
        ({"created_at": "2026-11-22T08:00:00Z"}, "created_at"),
    ],
    ids=str,
)
def test_a_client_that_makes_no_sense_is_refused_by_its_field(
    admin: httpx.Client, changes: dict[str, Any], field: str
) -> None:
    answer = admin.post("/clients", json={**APP, **changes})
    assert (answer.status_code, problem_of(answer)["field"]) == (400, field), answer.text
    assert admin.get("/clients").json() == {"clients": []}


def test_an_id_is_registered_once(admin: httpx.Client) -> None:
    create(admin, APP)
    problem = problem_of(admin.post("/clients", json=APP))
    assert (problem["status"], problem["field"]) == (400, "id")


@pytest.mark.parametrize("overlap", [-1, 7_776_001, "60", None])
def test_an_overlap_is_a_bounded_number(admin: httpx.Client, overlap: object) -> None:
    create(admin, MACHINE)
    answer = admin.post("/clients/nightly/secret", json={"overlap_seconds": overlap})
    assert (answer.status_code, problem_of(answer)["field"]) == (400, "overlap_seconds")


def test_who_has_no_use_for_a_secret_gets_none(admin: httpx.Client) -> None:
    create(admin, APP)
    answer = admin.post("/clients/app/secret", json={})
    assert (answer.status_code, problem_of(answer)["field"]) == (400, "authentication")


@pytest.mark.parametrize("scope", ["check", "read", "write", "schema"])
def test_only_an_admin_may(anybody: httpx.Client, keys: dict[str, str], scope: str) -> None:
    for method, path in ROUTES:
        assert anybody.request(method, path).status_code == 401
        headers = {"Authorization": f"Bearer {keys[scope]}"}
        answer = anybody.request(method, path, headers=headers)
        assert problem_of(answer)["code"] == "insufficient_scope"
