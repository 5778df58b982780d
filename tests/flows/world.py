"""What the recipes need around them: Relata at an address, a login, and programs that are served.

Nothing is known to the server beforehand but the schema, the provider and one administrator's
key: everything else it is told over HTTP by whoever runs a recipe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from relata.authorizer import Relata
from relata.server import create_app
from relata.server.serving import token_service
from relata.server.settings import read_settings
from relata.tokens import TOKEN_EXCHANGE, TokenProfile
from tests.cli.transcripts import shell_environment
from tests.docs.pages import page
from tests.flows.recipes import PAGE
from tests.oidc.provider import Provider
from tests.oidc.server import with_key
from tests.server.live import serving

SCHEMA = Path(__file__).parents[2] / "schema.zed"

APP = "app-1"

_ISSUER = "https://login.example"
_ISSUERS = re.compile(r"^\$ export RELATA_ISSUERS='(.*)'$", re.M)
_RELATIONSHIPS = re.compile(r"^cat > world.txt <<'END'\n(.*?)^END$", re.M | re.S)
_LOG_IN = """#!/bin/sh
exec curl -sS {address} -d name="$1" -d app="${{2:-app-1}}" -d factor="$3"
"""


class World(NamedTuple):
    """A running server that has been told nothing yet."""

    address: str
    admin_key: str

    def admin(self) -> httpx.Client:
        """A client of the server with the administrator's key."""
        return with_key(self.address, self.admin_key)


class _Late:
    """An application that is made once its address is known."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def running(folder: Path, provider: Provider) -> Iterator[World]:
    """Serve Relata with the settings of the page, at an address that is its `issuer_url`."""
    late = _Late()
    (issuers,) = _ISSUERS.findall(page(PAGE))
    url = f"sqlite:///{folder / 'relata.db'}"
    question_only = TokenProfile().question_only
    with (
        Relata.open(url, schema=SCHEMA, question_only=question_only) as relata,
        serving(late) as address,
    ):
        settings = read_settings(
            issuer_url=address,
            issuers=msgspec.json.decode(issuers.replace(_ISSUER, provider.issuer)),
            key_secret="a secret of a test, which encrypts its keys",
        )
        service = token_service(relata, settings)
        assert service is not None, "the page names an issuer"
        with closing(service):
            late.app = create_app(relata, service, settings)
            _, key = relata.keys.create("administrator", ["admin"])
            yield World(address, key)


def begin(admin: httpx.Client) -> None:
    """Tell a server what the page's beginning tells it: who belongs where, and the app."""
    (relationships,) = _RELATIONSHIPS.findall(page(PAGE))
    imported = admin.post(
        "/relationships/import", content=relationships, headers={"Content-Type": "text/plain"}
    )
    assert imported.status_code == 200, imported.text
    register(admin, id=APP, authentication="none", grants=[TOKEN_EXCHANGE])


def register(admin: httpx.Client, **settings: object) -> str | None:
    """Register a client; gives its secret."""
    registered = admin.post("/clients", json=settings)
    assert registered.status_code == 201, registered.text
    secret: str | None = registered.json()["secret"]
    return secret


@contextmanager
def log_in_command(folder: Path, provider: Provider) -> Iterator[str]:
    """Put a command `log_in NAME [APP] [FACTOR]` into a folder; gives a PATH that has it.

    It prints the ID token of somebody who logs in at the provider.
    """

    async def log_in(request: Request) -> PlainTextResponse:
        form = dict(parse_qsl((await request.body()).decode()))
        tokens = await run_in_threadpool(
            provider.log_in, form["name"], app=form["app"], otp="factor" in form
        )
        return PlainTextResponse(tokens["id_token"])

    with serving(Starlette(routes=[Route("/", log_in, methods=["POST"])])) as address:
        command = folder / "log_in"
        command.write_text(_LOG_IN.format(address=address), encoding="utf-8")
        command.chmod(0o755)
        yield f"{folder}{os.pathsep}{shell_environment()['PATH']}"


@contextmanager
def serving_programs(
    programs: Mapping[str, str], world: World, setting: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Serve a recipe's programs; gives the variables that say where: `FACTS` for `facts.py`."""
    setting.setenv("RELATA", world.address)
    addresses = {}
    with ExitStack() as stack:
        for name, text in programs.items():
            names: dict[str, Any] = {}
            exec(compile(text, name, "exec"), names)
            variable = name.removesuffix(".py").upper()
            addresses[variable] = stack.enter_context(serving(names["app"]))
            setting.setenv(variable, addresses[variable])
        yield addresses
