"""A provider that is discovered, and a server that believes it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from relata.tokens import TrustedIssuer
from tests.oidc.provider import OTHER_APP, Provider, running_provider
from tests.oidc.server import TokenServer, token_server
from tests.tokens.identity import APP, AUDIENCE


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def trusted(provider: Provider) -> TrustedIssuer:
    """All that Relata is told of the provider: its name, and for whom its tokens are."""
    audiences = (AUDIENCE, APP, OTHER_APP)
    return TrustedIssuer(issuer=provider.issuer, discovery=True, audiences=audiences)


@pytest.fixture(scope="module")
def server(
    trusted: TrustedIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TokenServer]:
    with token_server(tmp_path_factory.mktemp("relata"), [trusted]) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: TokenServer) -> httpx.Client:
    return server.client
