"""One real server over one real SQLite file for all of these tests, and a key for each scope."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from starlette.types import ASGIApp

from relata.authorizer import Relata
from relata.server import Settings, create_app
from tests.server.live import serving
from tests.server.world import MAX_BODY_BYTES, RELATIONSHIPS, SCHEMA, SCOPES


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(max_body_bytes=MAX_BODY_BYTES)


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('server') / 'relata.db'}"


@pytest.fixture(scope="session")
def authorizer(url: str) -> Iterator[Relata]:
    with Relata.open(url, schema=SCHEMA) as authorizer:
        authorizer.write(RELATIONSHIPS)
        yield authorizer


@pytest.fixture(scope="session")
def keys(authorizer: Relata) -> dict[str, str]:
    """The secret of a key for each scope."""
    return {scope: authorizer.keys.create(f"a {scope} key", [scope])[1] for scope in SCOPES}


@pytest.fixture(scope="session")
def app(authorizer: Relata, settings: Settings) -> ASGIApp:
    return create_app(authorizer, None, settings)


@pytest.fixture(scope="session")
def address(app: ASGIApp) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture(scope="session")
def admin(address: str, keys: dict[str, str]) -> Iterator[httpx.Client]:
    """A client with a key that opens everything."""
    headers = {"Authorization": f"Bearer {keys['admin']}"}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def anybody(address: str) -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
