"""A real OpenID provider for all flows, and a server of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.world import World, running
from tests.oidc.provider import Provider, running_provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def world(provider: Provider, tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, provider) as world:
        yield world
