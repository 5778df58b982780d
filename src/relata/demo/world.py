"""Everything that the demo talks to, started together and stopped together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext

import httpx
import msgspec
from starlette.types import ASGIApp

from relata.authorizer import Relata
from relata.demo.issuer import ALGORITHM, Issuer, create_issuer
from relata.demo.product_api import create_product_api
from relata.demo.scenario import GERARDO, IMPORTER, SAM, open_scenario
from relata.demo.serving import HOST, serving
from relata.server import address, create_app, listen, read_settings, token_service
from relata.tokens import (
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
    Client,
    Clients,
    TrustedIssuer,
)

PRODUCT = "api_1"
APP = "demo-app"
TOKEN_LIFETIME_SECONDS = 300
_TEMPORARY = "sqlite://"


class World(msgspec.Struct, frozen=True):
    """Where everything is. The secrets are good until the demo ends."""

    relata: str
    issuer: str
    product: str
    """The API of the product `api_1`."""
    key: str
    """An API key with the scope `admin`."""
    client_secret: str
    """What the machine `importer` authenticates with."""

    def __repr__(self) -> str:
        return f"World(relata={self.relata!r}, issuer={self.issuer!r}, product={self.product!r})"


@contextmanager
def running(*, database: str | None, first_port: int) -> Iterator[World]:
    """Start the three servers, on three ports from `first_port` on, or on free ones if it is 0.

    Raises RelataError where the database or a port cannot be used.
    """
    with ExitStack() as stack:
        ports = [first_port + offset if first_port else 0 for offset in range(3)]
        sockets = [stack.enter_context(listen(HOST, port)) for port in ports]
        relata = stack.enter_context(open_scenario(database or _TEMPORARY))
        client_secret = stack.enter_context(_clients(Clients(relata.store)))
        urls = [address(socket) for socket in sockets]
        world = World(
            relata=urls[0],
            issuer=urls[1],
            product=urls[2],
            key=stack.enter_context(_key(relata, "demo: admin", "admin")),
            client_secret=client_secret,
        )
        check_key = stack.enter_context(_key(relata, f"demo: {PRODUCT}", "check"))
        checks = stack.enter_context(_client(world.relata, check_key))
        apps: tuple[ASGIApp, ...] = (
            stack.enter_context(_relata_app(relata, world)),
            create_issuer(_issuer(world)),
            create_product_api(PRODUCT, world.relata, checks),
        )
        for app, socket in zip(apps, sockets, strict=True):
            stack.enter_context(serving(app, socket))
        yield world


@contextmanager
def _key(relata: Relata, name: str, scope: str) -> Iterator[str]:
    """Make an API key that is revoked when the block ends."""
    stored, secret = relata.keys.create(name, [scope])
    try:
        yield secret
    finally:
        relata.keys.revoke(stored.id)


@contextmanager
def _clients(clients: Clients) -> Iterator[str]:
    """Register the app and the machine until the block ends; the machine's secret."""
    for client_id in (APP, IMPORTER):
        clients.delete(client_id)  # a demo that was killed has left its own
    clients.create(Client(id=APP, authentication="none", grants=(TOKEN_EXCHANGE,)))
    machine = Client(
        id=IMPORTER, authentication="client_secret_basic", grants=(CLIENT_CREDENTIALS,)
    )
    _, secret = clients.create(machine)
    try:
        yield secret or ""
    finally:
        for client_id in (APP, IMPORTER):
            clients.delete(client_id)


def _client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"})


@contextmanager
def _relata_app(relata: Relata, world: World) -> Iterator[ASGIApp]:
    trusted = TrustedIssuer(
        issuer=world.issuer,
        jwks_uri=f"{world.issuer}/keys",
        audiences=(world.relata, APP),
        algorithms=(ALGORITHM,),
    )
    settings = read_settings(
        issuer_url=world.relata, issuers=(trusted,), token_lifetime=TOKEN_LIFETIME_SECONDS
    )
    tokens = token_service(relata, settings)
    with closing(tokens) if tokens else nullcontext():
        yield create_app(relata, tokens, settings)


def _issuer(world: World) -> Issuer:
    return Issuer(
        url=world.issuer,
        audience=world.relata,
        app=APP,
        people=(GERARDO, SAM),
    )
