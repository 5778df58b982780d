"""Short ways to compile a caveat and ask it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from relata.caveats import Caveat, CaveatFault, Outcome
from relata.errors import CaveatFailedError, ContextError

Json = Mapping[str, Any]


def ask(
    parameters: Mapping[str, str], expression: str, request: Json, stored: Json | None = None
) -> Outcome:
    """What a caveat says."""
    caveat = Caveat.compile("cav", parameters, expression)
    return caveat.evaluate(json.dumps(stored) if stored else "", request)


def missing(*names: str) -> frozenset[str]:
    """The answer that names are missing."""
    return frozenset(names)


def faults(parameters: Mapping[str, str], expression: str) -> tuple[tuple[str, int, str], ...]:
    """What is wrong with a caveat."""
    with pytest.raises(CaveatFault) as caught:
        Caveat.compile("cav", parameters, expression)
    return caught.value.faults


def reason(outcome: Outcome) -> str:
    """Why a caveat has no answer."""
    assert isinstance(outcome, CaveatFailedError), outcome
    return outcome.message.removeprefix("caveat `cav` has no answer: ")


def misfit(outcome: Outcome) -> str:
    """What is wrong with a question's context."""
    assert isinstance(outcome, ContextError), outcome
    return outcome.message
