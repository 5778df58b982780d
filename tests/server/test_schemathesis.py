"""Requests made up from the OpenAPI document: none crashes the server, all answers conform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from starlette.types import ASGIApp

from relata.authorizer import Relata
from relata.server import Settings, create_app
from tests.server.schemathesis_cases import tried
from tests.server.world import RELATIONSHIPS, SCHEMA


@pytest.fixture(scope="module")
def authorizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relata]:
    """A database of its own: these requests may delete and rewrite anything."""
    file: Path = tmp_path_factory.mktemp("fuzzed") / "relata.db"
    with Relata.open(f"sqlite:///{file}", schema=SCHEMA) as authorizer:
        authorizer.write(RELATIONSHIPS)
        yield authorizer


@pytest.fixture(scope="module")
def app(authorizer: Relata) -> ASGIApp:
    return create_app(authorizer, None, Settings())


def test_every_answer_is_one_that_the_document_describes(authorizer: Relata, app: ASGIApp) -> None:
    """For every route, with requests that follow the document and requests that break it."""
    _, key = authorizer.keys.create("fuzzer", ["admin"])
    headers = {"Authorization": f"Bearer {key}"}
    document = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    results = list(document.get_all_operations())
    assert results
    for result in results:
        assert isinstance(result, Ok)
        operation = result.ok()
        tried(operation, GenerationMode.POSITIVE, headers)
        if operation.body or operation.query or operation.path_parameters:
            tried(operation, GenerationMode.NEGATIVE, headers)
