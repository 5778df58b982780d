"""Cross-origin requests: who is told that it may, on which routes, and how soon a change counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from relata.authorizer import Relata
from relata.server import Settings, create_app
from relata.server.cross_origin import RegisteredOrigins
from relata.store import Store
from relata.tokens.clients import KIND, Client, Clients
from relata.tokens.exchange import TOKEN_EXCHANGE
from tests.server.live import serving
from tests.server.world import SCHEMA

APP = "https://app.example"
OFFICE = "https://office.example"
EVIL = "https://evil.example"
ALLOW = "access-control-allow-origin"
APP_ROUTES = (
    "/oauth/token",
    "/oauth/introspect",
    "/organizations",
    "/token/permissions",
    "/token/events",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
)
OTHER_ROUTES = (
    "/check",
    "/healthz",
    "/clients",
    "/tokens/revoke",
    "/organizations/acme",
    "/organizations/records",
    "/oauth",
    "/",
)


def app_client(**changes: object) -> Client:
    ordinary = {"id": "app", "authentication": "none", "grants": (TOKEN_EXCHANGE,)}
    return Client(**{**ordinary, "origins": (APP,), **changes})  # type: ignore[arg-type]  # checked by the class


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that knows an app, and whose settings allow an office."""
    file: Path = tmp_path_factory.mktemp("origins") / "relata.db"
    with Relata.open(f"sqlite:///{file}", schema=SCHEMA) as authorizer:
        clients = Clients(authorizer.store)
        clients.create(app_client())
        clients.create(app_client(id="gone", disabled=True, origins=("https://gone.example",)))
        app = create_app(authorizer, None, Settings(allowed_origins=(OFFICE,)))
        with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield client


def preflight(client: httpx.Client, path: str, origin: str, method: str = "POST") -> httpx.Response:
    """What a browser asks before it asks."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,dpop",
    }
    return client.options(path, headers=headers)


@pytest.mark.parametrize("path", APP_ROUTES)
def test_a_page_of_an_app_may_ask_what_apps_ask(client: httpx.Client, path: str) -> None:
    asked = preflight(client, path, APP)
    assert asked.status_code == 204
    assert asked.content == b""
    assert asked.headers[ALLOW] == APP
    assert asked.headers["access-control-allow-methods"] == "GET, POST"
    assert "DPoP" in asked.headers["access-control-allow-headers"].split(", ")
    assert "Authorization" in asked.headers["access-control-allow-headers"].split(", ")
    assert asked.headers["access-control-max-age"] == "600"
    assert asked.headers["vary"] == "Origin"
    answer = client.get(path, headers={"Origin": APP})
    assert answer.headers[ALLOW] == APP
    assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"].split(", ")


@pytest.mark.parametrize("path", OTHER_ROUTES)
def test_a_page_of_an_app_may_ask_nothing_else(client: httpx.Client, path: str) -> None:
    assert ALLOW not in preflight(client, path, APP).headers
    assert ALLOW not in client.get(path, headers={"Origin": APP}).headers


@pytest.mark.parametrize("path", [*APP_ROUTES, *OTHER_ROUTES])
def test_a_page_of_the_settings_may_ask_everything(client: httpx.Client, path: str) -> None:
    asked = preflight(client, path, OFFICE, "DELETE")
    assert (asked.status_code, asked.headers[ALLOW]) == (204, OFFICE)
    assert asked.headers["access-control-allow-methods"] == "GET, POST, PUT, DELETE"
    assert client.get(path, headers={"Origin": OFFICE}).headers[ALLOW] == OFFICE


@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", "*", "", "https://gone.example", f"{APP}.evil.example", f"{APP}/", APP.upper()],
)
@pytest.mark.parametrize("path", ["/oauth/token", "/.well-known/jwks.json", "/check"])
def test_any_other_page_may_not(client: httpx.Client, path: str, origin: str) -> None:
    """Nor one that resembles the app, nor one of a client that is disabled."""
    asked = preflight(client, path, origin)
    assert asked.status_code == 405
    answer = client.get(path, headers={"Origin": origin})
    for headers in (asked.headers, answer.headers):
        assert not [name for name in headers if name.startswith("access-control-")]


def test_two_origins_are_none(client: httpx.Client) -> None:
    answer = client.get("/organizations", headers=[("Origin", APP), ("Origin", EVIL)])
    assert ALLOW not in answer.headers


def test_credentials_are_never_allowed_and_nobody_is_everybody(client: httpx.Client) -> None:
    for origin in (APP, OFFICE, EVIL, "*"):
        for answer in (
            preflight(client, "/oauth/token", origin),
            client.get("/organizations", headers={"Origin": origin}),
        ):
            assert "access-control-allow-credentials" not in answer.headers
            assert answer.headers.get(ALLOW) != "*"


@pytest.mark.parametrize("headers", [{}, {"Origin": APP}, {"Origin": EVIL}])
def test_caches_are_told_that_the_origin_matters(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    """Also where nobody asked from a page: that answer would be given to one that does."""
    assert client.get("/.well-known/jwks.json", headers=headers).headers["vary"] == "Origin"


def test_an_ordinary_options_is_the_routes_own_business(client: httpx.Client) -> None:
    answer = client.options("/oauth/token", headers={"Origin": APP})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers[ALLOW] == APP, "a refusal can be read too"


# How soon a change counts


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.open("sqlite://")
    yield store
    store.close()


def includes(origins: RegisteredOrigins, origin: str) -> bool:
    return asyncio.run(origins.include(origin))


def test_a_change_counts_within_a_second(store: Store) -> None:
    clock, clients = Clock(), Clients(store)
    origins = RegisteredOrigins(clients, clock=clock)
    assert not includes(origins, APP)
    clients.create(app_client())
    clock.now += 0.9
    assert not includes(origins, APP), "it is read once a second at most"
    clock.now += 0.1
    assert includes(origins, APP)
    clients.delete("app")
    clock.now += 1
    assert not includes(origins, APP)


def test_an_origin_of_two_clients_stays_with_either(store: Store) -> None:
    clock, clients = Clock(), Clients(store)
    origins = RegisteredOrigins(clients, clock=clock)
    for name in ("app", "other"):
        clients.create(app_client(id=name))
    clients.replace(app_client(disabled=True))
    assert includes(origins, APP)


def test_while_nothing_can_be_read_the_last_that_was_counts(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock, clients = Clock(), Clients(store)
    clients.create(app_client())
    origins = RegisteredOrigins(clients, clock=clock)
    assert includes(origins, APP)
    store.records.put(KIND, "broken", b"{")
    clock.now += 1
    with caplog.at_level(logging.ERROR, "relata.server"):
        assert includes(origins, APP)
        assert not includes(origins, EVIL)
    assert caplog.messages == [
        "the clients' origins cannot be read: the stored client `broken` is malformed; "
        "delete it and create it again"
    ]
