"""Nobody gets in without a good key, and no key gets further than its scopes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from relata.authorizer import Relata
from relata.server.routing import Guarded
from relata.tokens import TOKEN_EXCHANGE
from tests.server.problems import problem_of
from tests.server.world import CHECK, SCHEMA, SCOPES

AUDIENCE = {"id": "api", "products": ["api"]}
BLANK_CLIENT = {"authentication": "none", "grants": [TOKEN_EXCHANGE]}
CLIENT = {**BLANK_CLIENT, "id": "app"}
TOKENS_ALONE = {"/signing-keys", "/signing-keys/rotate", "/tokens/revoke"}
"""What is not there on a server that issues no tokens, such as this one."""
# Those that an administrator alone may ask.
ADMIN_ROUTES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("POST", "/audiences", {"json": AUDIENCE}, set()),
    ("GET", "/audiences", {}, set()),
    ("GET", "/audiences/nobodys", {}, set()),
    ("PUT", "/audiences/nobodys", {"json": {"products": ["api"]}}, set()),
    ("DELETE", "/audiences/nobodys", {}, set()),
    ("POST", "/clients", {"json": CLIENT}, set()),
    ("GET", "/clients", {}, set()),
    ("GET", "/clients/nobodys", {}, set()),
    ("PUT", "/clients/nobodys", {"json": BLANK_CLIENT}, set()),
    ("DELETE", "/clients/nobodys", {}, set()),
    ("POST", "/clients/nobodys/secret", {"json": {}}, set()),
    ("POST", "/organizations", {"json": {"id": "initech"}}, set()),
    ("GET", "/organizations/records", {}, set()),
    ("GET", "/organizations/nobodys", {}, set()),
    ("PUT", "/organizations/nobodys", {"json": {"name": "Nobody's"}}, set()),
    ("DELETE", "/organizations/nobodys", {}, set()),
    ("GET", "/signing-keys", {}, set()),
    ("POST", "/signing-keys/rotate", {"json": {}}, set()),
    ("POST", "/tokens/revoke", {"json": {"subject": "user:anne"}}, set()),
]
# A route, a request that would succeed or be refused for what it says, and who may ask.
ROUTES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("POST", "/check", {"json": CHECK}, {"check"}),
    ("GET", "/check", {"params": CHECK}, {"check"}),
    ("POST", "/check/batch", {"json": {"checks": [CHECK]}}, {"check"}),
    (
        "POST",
        "/expand",
        {"json": {"resource": "document:readme", "permission": "view"}},
        {"check", "read"},
    ),
    (
        "POST",
        "/lookup/resources",
        {"json": {"resource_type": "document", "permission": "view", "subject": "user:anne"}},
        {"check", "read"},
    ),
    (
        "POST",
        "/lookup/subjects",
        {"json": {"resource": "document:readme", "permission": "view", "subject_type": "user"}},
        {"check", "read"},
    ),
    (
        "POST",
        "/lookup/permissions",
        {"json": {"resource": "document:readme", "subject": "user:anne"}},
        {"check", "read"},
    ),
    ("GET", "/relationships", {}, {"read"}),
    (
        "POST",
        "/relationships",
        {
            "json": {
                "updates": [{"operation": "touch", "relationship": "document:s#owner@user:anne"}]
            }
        },
        {"write"},
    ),
    (
        "POST",
        "/relationships/import",
        {"content": b"document:s#owner@user:anne", "headers": {"Content-Type": "text/plain"}},
        {"write"},
    ),
    ("GET", "/relationships/export", {}, {"read"}),
    ("DELETE", "/relationships", {"params": {"resource_id": "s"}}, {"write"}),
    ("GET", "/schema", {}, {"read"}),
    ("PUT", "/schema", {"json": {"schema": SCHEMA}}, {"schema"}),
    ("POST", "/schema/diff", {"json": {"schema": SCHEMA}}, {"read"}),
    ("POST", "/keys", {"json": {"name": "another", "scopes": ["check"]}}, set()),
    ("GET", "/keys", {}, set()),
    ("DELETE", "/keys/nobodys", {}, set()),
    ("GET", "/openapi.json", {}, set(SCOPES)),
    *ADMIN_ROUTES,
]
OPEN = {
    "/healthz",
    "/readyz",
    "/oauth/token",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/oauth/introspect",
    "/oauth/revoke",
    "/oauth/events",
    "/oauth/status/{list}",
    "/token/permissions",
    "/token/permission-lists/{audience}/{version}",
}
OF_USERS = ("get", "/organizations")
"""Asked with a user's token; the other methods of that path are guarded."""

guarded = pytest.mark.parametrize(
    ("method", "path", "request_", "permitted"),
    ROUTES,
    ids=[f"{row[0]} {row[1]}" for row in ROUTES],
)


def test_the_table_has_every_guarded_route(admin: httpx.Client) -> None:
    """A route that is added without a row here is a route whose scopes nobody tests."""
    paths = admin.get("/openapi.json").json()["paths"]
    declared = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method in operations
        if path not in OPEN and (method, path) != OF_USERS
    }
    tested = {(method, path.replace("nobodys", "{id}")) for method, path, _, _ in ROUTES}
    assert declared | {("GET", "/openapi.json")} == tested  # which does not describe itself


@guarded
@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_what_its_scope_says(
    anybody: httpx.Client,
    keys: dict[str, str],
    method: str,
    path: str,
    request_: dict[str, Any],
    permitted: set[str],
    scope: str,
) -> None:
    headers = {"Authorization": f"Bearer {keys[scope]}"}
    headers |= request_.get("headers", {})
    answer = anybody.request(method, path, **{**request_, "headers": headers})
    if scope in permitted or scope == "admin":
        if "nobodys" in path or path in TOKENS_ALONE:
            assert answer.status_code in (204, 404), answer.text
        else:
            assert answer.status_code < 300, answer.text
        return
    assert answer.status_code == 403
    problem = problem_of(answer)
    assert problem["code"] == "insufficient_scope"
    assert all(f"`{name}`" in problem["detail"] for name in permitted or {"admin"})
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@guarded
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Bearer relata_AAAAAAAAAAAA_nonsense",
        "Basic dXNlcjpwYXNz",
        "{key}",
        "Bearer {key}x",
        "Bearer {key} {key}",
        "Basic {key}",
    ],
)
def test_without_a_good_key_nothing_is_said(
    anybody: httpx.Client,
    keys: dict[str, str],
    authorizer: Relata,
    method: str,
    path: str,
    request_: dict[str, Any],
    permitted: set[str],
    authorization: str | None,
) -> None:
    """And nothing is done: neither the database nor the keys change."""
    before = authorizer.store.state()
    headers = {}
    if authorization is not None:
        headers["Authorization"] = authorization.format(key=keys["admin"])
    headers |= request_.get("headers", {})
    answer = anybody.request(method, path, **{**request_, "headers": headers})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="relata"')
    problem = problem_of(answer)
    assert (problem["code"], problem["field"]) == ("unauthenticated", None)
    assert keys["admin"] not in answer.text
    assert authorizer.store.state() == before


def test_a_guarded_route_without_a_scope_cannot_be_made() -> None:
    """So nobody can add a route that every key opens by forgetting to say who may."""
    with pytest.raises(RuntimeError, match="names no scope"):
        APIRouter(route_class=Guarded).get("/forgotten")(lambda: None)


def test_two_keys_at_once_are_none(anybody: httpx.Client, keys: dict[str, str]) -> None:
    """Which of them counts would be anybody's guess."""
    headers = [("Authorization", f"Bearer {keys[scope]}") for scope in ("check", "admin")]
    assert anybody.post("/check", json=CHECK, headers=headers).status_code == 401


def test_the_key_comes_before_the_body(anybody: httpx.Client, keys: dict[str, str]) -> None:
    """Who may not ask is not told what is wrong with the question."""
    broken: dict[str, Any] = {
        "content": "{",
        "headers": {"Content-Type": "application/json"},
    }
    assert anybody.post("/check", **broken).status_code == 401
    assert anybody.post("/check?x=1", content="{").status_code == 401
    broken["headers"] = {"Authorization": f"Bearer {keys['read']}", **broken["headers"]}
    assert anybody.post("/check", **broken).status_code == 403


def test_a_revoked_key_opens_nothing(anybody: httpx.Client, authorizer: Relata) -> None:
    stored, secret = authorizer.keys.create("short-lived", ["admin"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert anybody.get("/keys", headers=headers).status_code == 200
    authorizer.keys.revoke(stored.id)
    for method, path, request, _ in ROUTES:
        both = {**request, "headers": {**headers, **request.get("headers", {})}}
        assert anybody.request(method, path, **both).status_code == 401


def test_the_scheme_is_read_in_any_case(anybody: httpx.Client, keys: dict[str, str]) -> None:
    """RFC 9110 section 11.1: an authentication scheme's name has no case."""
    headers = {"Authorization": f"bEARER {keys['check']}"}
    assert anybody.post("/check", json=CHECK, headers=headers).status_code == 200
