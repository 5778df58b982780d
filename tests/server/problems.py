"""What every refusal looks like."""

from __future__ import annotations

from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "code", "field"}
EXTRA_MEMBERS = {"diagnostics", "relationship", "instance"}


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of a refusal, after making sure that it is one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert MEMBERS <= problem.keys() <= MEMBERS | EXTRA_MEMBERS
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:relata:problem:{problem['code']}"
    assert problem["title"] == problem["code"].replace("_", " ")
    detail = problem["detail"]
    assert detail, problem
    assert not detail[0].isupper(), detail
    assert not detail.endswith("."), detail
    return problem
