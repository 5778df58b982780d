"""An issuer, and a verifier of its tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relata.client import Verifier
from tests.client.issuer import AUDIENCE, Issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture
def verifier(issuer: Issuer) -> Verifier:
    return Verifier(issuer.url, AUDIENCE)
