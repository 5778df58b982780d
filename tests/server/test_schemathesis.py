"""Requests made up from the OpenAPI document: none crashes the server, all answers conform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp

from relata.authorizer import Relata
from relata.server import Settings, create_app
from tests.server.world import RELATIONSHIPS, SCHEMA

EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


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
        _try(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), headers)
        if operation.body or operation.query or operation.path_parameters:
            _try(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), headers)


def _try(cases: SearchStrategy[schemathesis.Case[Any]], headers: dict[str, str]) -> None:
    @given(cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def run(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    run()
