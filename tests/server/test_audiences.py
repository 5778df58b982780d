"""The routes of audiences: an administrator's own, and the permission lists that all may read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from relata.authorizer import Relata
from relata.tokens.audiences import Audiences
from relata.tokens.bitset import PermissionList, PermissionLists
from tests.server.problems import problem_of

TEMPLATE = "https://{organization}.api.example.com"
DEFAULTS: dict[str, Any] = {
    "lifetime": None,
    "max_bytes": 4096,
    "encoding": "names",
    "signing_algorithm": None,
    "enrichment": None,
    "claims": [],
}
FULL: dict[str, Any] = {
    "id": TEMPLATE,
    "products": ["wiki", "shop"],
    "lifetime": 60,
    "max_bytes": 8192,
    "encoding": "bitset",
    "signing_algorithm": "EdDSA",
    "enrichment": {
        "url": "https://facts.example/claims",
        "claim": "ext",
        "timeout": 1.5,
        "max_bytes": 1000,
        "cache_seconds": 5,
        "on_failure": "omit",
    },
    "claims": [
        {"claim": "plan", "attribute": "plan", "lookup": None, "may_leave": False},
        {
            "claim": "documents",
            "attribute": "",
            "lookup": {"resource_type": "document", "permission": "view"},
            "may_leave": True,
        },
    ],
}


@pytest.fixture(autouse=True)
def nothing_registered(authorizer: Relata) -> Iterator[None]:
    """Each test begins with no audiences, and leaves none to the other tests of this server."""
    _delete_all(Audiences(authorizer.store))
    yield
    _delete_all(Audiences(authorizer.store))


def _delete_all(audiences: Audiences) -> None:
    for audience in audiences.list():
        audiences.delete(audience.id)


def path_of(audience_id: str) -> str:
    return f"/audiences/{quote(audience_id, safe='')}"


def test_an_audience_needs_an_id_and_products(admin: httpx.Client) -> None:
    answer = admin.post("/audiences", json={"id": "suite", "products": ["wiki", "shop"]})
    assert answer.status_code == 201
    expected = {"id": "suite", "products": ["wiki", "shop"], **DEFAULTS}
    assert answer.json() == expected
    assert admin.get("/audiences/suite").json() == expected


def test_all_that_is_said_is_kept(admin: httpx.Client) -> None:
    assert admin.post("/audiences", json=FULL).json() == FULL
    assert admin.get(path_of(TEMPLATE)).json() == FULL
    assert admin.get("/audiences").json() == {"audiences": [FULL]}


def test_replacing_is_of_all_settings(admin: httpx.Client) -> None:
    """What a request leaves out goes back to its default."""
    admin.post("/audiences", json=FULL)
    answer = admin.put(path_of(TEMPLATE), json={"products": ["wiki"]})
    expected = {"id": TEMPLATE, "products": ["wiki"], **DEFAULTS}
    assert (answer.status_code, answer.json()) == (200, expected)
    assert admin.get(path_of(TEMPLATE)).json() == expected


def test_a_removed_audience_is_gone(admin: httpx.Client) -> None:
    admin.post("/audiences", json=FULL)
    answer = admin.delete(path_of(TEMPLATE))
    assert (answer.status_code, answer.content) == (204, b"")
    for request in (
        admin.get(path_of(TEMPLATE)),
        admin.put(path_of(TEMPLATE), json={"products": ["wiki"]}),
        admin.delete(path_of(TEMPLATE)),
    ):
        assert request.status_code == 404
        assert problem_of(request)["code"] == "not_found"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "https://x{organization}.example.com"}, "id"),
        ({"products": []}, "products"),
        ({"products": "wiki"}, "products"),
        ({"max_bytes": 9000}, "max_bytes"),
        ({"max_bytes": "4096"}, "max_bytes"),
        ({"encoding": "zip"}, "encoding"),
        ({"signing_algorithm": "none"}, "signing_algorithm"),
        ({"colour": "red"}, "colour"),
        ({"enrichment": {"url": "http://10.0.0.1/"}}, "enrichment.url"),
        ({"enrichment": {"url": "https://facts.example", "key": "x"}}, "enrichment.key"),
        ({"claims": [{"claim": "sub", "attribute": "plan"}]}, "claims[0].claim"),
        ({"claims": [{"claim": "plan"}]}, "claims[0].attribute"),
        (
            {"claims": [{"claim": "x", "lookup": {"resource_type": "robot", "permission": "see"}}]},
            "claims[0].lookup",
        ),
    ],
    ids=repr,
)
def test_a_malformed_audience_is_refused(
    admin: httpx.Client, changes: dict[str, Any], field: str
) -> None:
    answer = admin.post("/audiences", json={"id": "suite", "products": ["wiki"], **changes})
    assert answer.status_code == 400
    problem = problem_of(answer)
    assert (problem["code"], problem["field"]) == ("invalid_argument", field)
    assert admin.get("/audiences").json() == {"audiences": []}


def test_ambiguous_audiences_are_refused(admin: httpx.Client) -> None:
    admin.post("/audiences", json=FULL)
    for taken in (
        TEMPLATE,
        "https://acme.api.example.com",
        "https://www.{organization}.example.com",
    ):
        answer = admin.post("/audiences", json={"id": taken, "products": ["wiki"]})
        assert answer.status_code == 409
        problem = problem_of(answer)
        assert (problem["code"], problem["field"]) == ("audience_conflict", "id")


@pytest.mark.parametrize("scope", ["check", "read", "write", "schema"])
def test_only_administrators_may(anybody: httpx.Client, keys: dict[str, str], scope: str) -> None:
    headers = {"Authorization": f"Bearer {keys[scope]}"}
    settings = {"products": ["wiki"]}
    for answer in (
        anybody.post("/audiences", json={"id": "suite", **settings}, headers=headers),
        anybody.get("/audiences", headers=headers),
        anybody.get("/audiences/suite", headers=headers),
        anybody.put("/audiences/suite", json=settings, headers=headers),
        anybody.delete("/audiences/suite", headers=headers),
    ):
        assert answer.status_code == 403
    assert anybody.get("/audiences").status_code == 401


def list_path(audience: str, version: int | str) -> str:
    return f"/token/permission-lists/{quote(audience, safe='')}/{version}"


def test_a_permission_list_is_for_everybody_and_for_ever(
    anybody: httpx.Client, authorizer: Relata
) -> None:
    lists = PermissionLists(authorizer.store.records)
    lists.covering("for-all", ["read", "write"])
    lists.covering("for-all", ["größe"])
    answer = anybody.get(list_path("for-all", 1))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.json() == {
        "audience": "for-all",
        "version": 1,
        "permissions": ["read", "write"],
    }
    assert anybody.get(list_path("for-all", 2)).json()["permissions"] == ["read", "write", "größe"]
    assert anybody.get(list_path("for-all", 0)).json()["permissions"] == []


def test_the_list_of_a_template_is_found_by_the_audience_of_each_organization(
    admin: httpx.Client, anybody: httpx.Client, authorizer: Relata
) -> None:
    """By what a token's `aud` says, which is all that an API has."""
    admin.post("/audiences", json=FULL)
    published = PermissionLists(authorizer.store.records).covering(TEMPLATE, ["read"])
    assert published == PermissionList(1, ("read",))
    for name in (TEMPLATE, "https://acme.api.example.com", "https://globex.api.example.com"):
        answer = anybody.get(list_path(name, 1))
        assert answer.json() == {"audience": TEMPLATE, "version": 1, "permissions": ["read"]}


def test_a_list_outlives_its_audience(
    admin: httpx.Client, anybody: httpx.Client, authorizer: Relata
) -> None:
    admin.post("/audiences", json={"id": "short-lived", "products": ["wiki"]})
    PermissionLists(authorizer.store.records).covering("short-lived", ["read"])
    admin.delete("/audiences/short-lived")
    assert anybody.get(list_path("short-lived", 1)).json()["permissions"] == ["read"]


@pytest.mark.parametrize(
    ("audience", "version", "status"),
    [
        ("for-nobody", "1", 404),
        ("for-nobody", "-1", 400),
        ("for-nobody", "one", 400),
        ("for-nobody", "9" * 5000, 400),
        (" ", "1", 404),
        ("a\nb", "1", 404),
        ("x" * 3000, "1", 404),
    ],
)
def test_a_list_that_is_not_there_is_not_kept_by_caches(
    anybody: httpx.Client, audience: str, version: str, status: int
) -> None:
    """It may be there tomorrow."""
    answer = anybody.get(list_path(audience, version))
    assert answer.status_code == status
    problem_of(answer)
    assert answer.headers["cache-control"] == "no-store"
