"""Caveats and expirations over HTTP: context, conditional answers, and what is wrong with them.

`POST /check` is asked both ways, the short one and, with a consistency that it does not serve, the
declared route; the two must not differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from relata.authorizer import Relata
from relata.server import Settings, create_app
from tests.server.live import serving

SCHEMA = """
use expiration

caveat on_weekday(weekday int, first int) {
	weekday >= first
}

caveat share(parts int) {
	100 / parts > 1
}

definition user {}

definition document {
	relation viewer: user | user with on_weekday | user:* with on_weekday | user with share
	relation guest: user with expiration
	permission view = viewer + guest
}
"""
RELATIONSHIPS = (
    "document:plan#viewer@user:anne",
    'document:plan#viewer@user:bob[on_weekday:{"first":2}]',
    "document:plan#viewer@user:carol[share]",
    "document:plan#guest@user:dora[expiration:2999-01-01T00:00:00Z]",
    "document:plan#guest@user:eve[expiration:2001-01-01T00:00:00Z]",
    "document:open#viewer@user:*[on_weekday]",
)
LONG_WAY = {"consistency": "fully_consistent"}


@pytest.fixture(scope="module")
def api() -> Iterator[httpx.Client]:
    """A client with every scope, of a server of its own."""
    with Relata.open("sqlite://", schema=SCHEMA) as authorizer:
        authorizer.write(RELATIONSHIPS)
        _, secret = authorizer.keys.create("all", ["admin"])
        with (
            serving(create_app(authorizer, None, Settings())) as address,
            httpx.Client(
                base_url=address, headers={"Authorization": f"Bearer {secret}"}, timeout=30
            ) as client,
        ):
            yield client


def question(user: str, **more: Any) -> dict[str, Any]:
    return {"resource": "document:plan", "permission": "view", "subject": f"user:{user}", **more}


@pytest.mark.parametrize(
    ("user", "context", "answer", "missing"),
    [
        ("anne", {}, "allowed", []),
        ("anne", {"parts": 0, "weekday": "x"}, "allowed", []),
        ("bob", {}, "conditional", ["weekday"]),
        ("bob", {"first": 0}, "conditional", ["weekday"]),
        ("bob", {"weekday": 2}, "allowed", []),
        ("bob", {"weekday": "3"}, "allowed", []),
        ("bob", {"weekday": 1, "first": 0}, "denied", []),
        ("carol", {}, "conditional", ["parts"]),
        ("dora", {}, "allowed", []),
        ("eve", {}, "denied", []),
    ],
)
def test_a_check_with_context(
    api: httpx.Client, user: str, context: dict[str, Any], answer: str, missing: list[str]
) -> None:
    for way in ({}, LONG_WAY):
        told = api.post("/check", json=question(user, context=context, **way)).json()
        assert told.pop("checked_at")
        assert told == {
            "allowed": answer == "allowed",
            "permissionship": answer,
            "missing_context": missing,
        }


@pytest.mark.parametrize(
    ("user", "context", "status", "code", "field"),
    [
        ("bob", {"weekday": "x"}, 400, "invalid_context", "context.weekday"),
        ("bob", {"weekday": None}, 400, "invalid_context", "context.weekday"),
        ("bob", {"weekday": 1.5}, 400, "invalid_context", "context.weekday"),
        ("carol", {"parts": 0}, 422, "caveat_failed", None),
        ("anne", {"x": "y" * 5_000}, 422, "limit_exceeded", "context"),
        ("anne", [1], 400, "invalid_argument", "context"),
    ],
)
def test_a_context_that_does_not_do(
    api: httpx.Client, user: str, context: Any, status: int, code: str, field: str | None
) -> None:
    for way in ({}, LONG_WAY):
        refused = api.post("/check", json=question(user, context=context, **way))
        problem = refused.json()
        assert (refused.status_code, problem["code"], problem["field"]) == (status, code, field)


def test_a_batch_answers_each_with_its_context(api: httpx.Client) -> None:
    checks = [
        question("bob"),
        question("bob", context={"weekday": 1}),
        question("carol", context={"parts": 0}),
        question("anne"),
    ]
    answers = api.post("/check/batch", json={"checks": checks, "context": {"weekday": 5}}).json()
    first, second, third, fourth = answers["answers"]
    assert [first["permissionship"], second["permissionship"]] == ["allowed", "denied"]
    assert third["error"]["code"] == "caveat_failed"
    assert fourth["allowed"]


def test_lookups_keep_the_conditional_apart(api: httpx.Client) -> None:
    resources = api.post(
        "/lookup/resources",
        json={"resource_type": "document", "permission": "view", "subject": "user:bob"},
    ).json()
    assert resources["resource_ids"] == []
    assert resources["conditional"] == {"open": ["weekday"], "plan": ["weekday"]}
    subjects = {"resource": "document:open", "permission": "view", "subject_type": "user"}
    found = api.post("/lookup/subjects", json=subjects).json()
    assert (found["wildcard"], found["wildcard_missing_context"]) == (False, ["weekday"])
    context = {"weekday": 3, "first": 3}
    found = api.post("/lookup/subjects", json={**subjects, "context": context}).json()
    assert (found["wildcard"], found["wildcard_missing_context"]) == (True, None)
    permissions = api.post(
        "/lookup/permissions", json={"resource": "document:plan", "subject": "user:bob"}
    ).json()
    assert (permissions["permissions"], permissions["conditional"]) == ([], {"view": ["weekday"]})


def test_an_expansion_shows_what_waits(api: httpx.Client) -> None:
    asked = {"resource": "document:plan", "permission": "viewer", "context": {"parts": 2}}
    leaf = api.post("/expand", json=asked).json()["tree"]
    assert leaf["subjects"] == ["user:anne", "user:carol"]
    assert leaf["conditional"] == {"user:bob": ["weekday"]}
    guests = api.post("/expand", json={**asked, "permission": "guest"}).json()["tree"]
    assert guests["subjects"] == ["user:dora"]


def test_a_relationship_is_read_as_it_was_written(api: httpx.Client) -> None:
    read = api.get("/relationships", params={"resource_id": "plan"}).json()["relationships"]
    assert read == [item for item in RELATIONSHIPS if ":plan#" in item and "2001" not in item]


@pytest.mark.parametrize(
    ("relationship", "code"),
    [
        ("document:a#viewer@user:x[unheard]", "unknown_caveat"),
        ("document:a#guest@user:x", "subject_not_allowed"),
        ("document:a#guest@user:x[share]", "subject_not_allowed"),
        ('document:a#viewer@user:x[share:{"part":1}]', "invalid_context"),
        ('document:a#viewer@user:x[share:{"parts":"one"}]', "invalid_context"),
        ("document:a#viewer@user:x[share:{]", "invalid_argument"),
        ("document:a#guest@user:x[expiration:tomorrow]", "invalid_argument"),
    ],
)
def test_a_write_that_does_not_fit(api: httpx.Client, relationship: str, code: str) -> None:
    update = {"operation": "touch", "relationship": relationship}
    refused = api.post("/relationships", json={"updates": [update]})
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (400, code)
    assert problem["field"].startswith("updates[0]")
