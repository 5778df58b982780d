"""How made-up requests are sent, and what every answer is held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def tried(
    operation: Any,
    mode: GenerationMode,
    headers: Mapping[str, str],
    change: Callable[[schemathesis.Case[Any]], None] = lambda _: None,
) -> None:
    """Send made-up requests of a route, each changed first, and check their answers."""

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def run(case: schemathesis.Case[Any]) -> None:
        change(case)
        case.call_and_validate(headers=dict(headers), checks=CHECKS)

    run()
