"""Keys that are bound to an organization, over HTTP: what they open, and what they get there.

What belongs and what does not is tested in `tests/bounds`; here, that every route asks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from relata import api_keys
from relata.authorizer import Relata
from relata.server import Settings, create_app
from relata.server.app import _ROUTERS
from relata.server.auth import Inside
from relata.server.fast_check import FastCheck
from relata.server.routing import Guarded
from relata.tokens.organizations import NewOrganization, Organizations
from tests.bounds.world import INSIDE, RELATIONSHIPS, SCHEMA
from tests.server.live import serving
from tests.server.problems import problem_of

OUTSIDE = "the key is bound to an organization, and what was asked for is not of it"
CHECK = {"resource": "folder:acme-top", "permission": "view", "subject": "user:anne"}
FOREIGN = {"resource": "folder:globex-top", "permission": "view", "subject": "user:gil"}
MISSING = {**FOREIGN, "resource": "folder:nowhere"}


@pytest.fixture(scope="module")
def relata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relata]:
    url = f"sqlite:///{tmp_path_factory.mktemp('bound') / 'relata.db'}"
    with Relata.open(url, schema=SCHEMA) as relata:
        relata.write(RELATIONSHIPS)
        yield relata


@pytest.fixture(scope="module")
def app(relata: Relata) -> ASGIApp:
    return create_app(relata, None, Settings())


@pytest.fixture(scope="module")
def address(app: ASGIApp) -> Iterator[str]:
    with serving(app) as address:
        yield address


def client_of(address: str, secret: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=address, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def acme(relata: Relata, address: str) -> Iterator[httpx.Client]:
    """A client with a key of `acme` that has every scope, also those that are of no use to it."""
    with pytest.MonkeyPatch.context() as patch:  # no such key can be made; nor would it be of use
        patch.setattr(api_keys, "BOUND_SCOPES", api_keys.SCOPES)
        _, secret = relata.keys.create("acme", ["admin"], organization="acme")
    with client_of(address, secret) as client:
        yield client


def guarded_routes() -> list[APIRoute]:
    return [route for router in _ROUTERS for route in router.routes if isinstance(route, Guarded)]


def open_inside(route: APIRoute) -> bool:
    return any(isinstance(it.dependency, Inside) for it in route.dependencies)


def test_the_routes_that_a_bound_key_opens_are_these() -> None:
    """Whoever opens another one to bound keys says here that it has been thought through."""
    opened = {
        (method, route.path)
        for route in guarded_routes()
        if open_inside(route)
        for method in route.methods or ()
    }
    assert opened == {
        ("POST", "/check"),
        ("GET", "/check"),
        ("POST", "/check/batch"),
        ("POST", "/expand"),
        ("POST", "/lookup/resources"),
        ("POST", "/lookup/subjects"),
        ("POST", "/lookup/permissions"),
        ("GET", "/relationships"),
        ("POST", "/relationships"),
        ("DELETE", "/relationships"),
        ("GET", "/relationships/export"),
        ("POST", "/organizations"),
        ("GET", "/organizations/records"),
        ("GET", "/organizations/{id:path}"),
        ("PUT", "/organizations/{id:path}"),
        ("DELETE", "/organizations/{id:path}"),
    }


@pytest.mark.parametrize(
    ("method", "path"),
    sorted(
        (method, route.path)
        for route in guarded_routes()
        if not open_inside(route)
        for method in route.methods or ()
    ),
)
def test_every_other_route_refuses_it(acme: httpx.Client, method: str, path: str) -> None:
    """Whatever its scopes: schema, keys, imports, and whatever else there is for admins."""
    answer = acme.request(method, path.replace("{id}", "x"))
    assert answer.status_code == 403
    assert problem_of(answer)["detail"] == OUTSIDE


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/check", "write"),
        ("GET", "/relationships", "check"),
        ("POST", "/relationships", "read"),
        ("DELETE", "/relationships", "read"),
        ("GET", "/relationships/export", "write"),
        ("POST", "/organizations", "read"),
        ("GET", "/organizations/records", "write"),
        ("DELETE", "/organizations/acme-eu", "check"),
    ],
)
def test_it_needs_the_scope_too(
    relata: Relata, address: str, method: str, path: str, scope: str
) -> None:
    _, secret = relata.keys.create("acme", [scope], organization="acme")
    with client_of(address, secret) as client:
        answer = client.request(method, path)
    assert answer.status_code == 403
    assert "needs the scope" in problem_of(answer)["detail"]


QUESTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/check", {"json": FOREIGN}),
    ("POST", "/check", {"json": MISSING}),
    ("POST", "/check", {"json": {**CHECK, "subject": "group:globex-staff#member"}}),
    (
        "POST",
        "/check",
        {
            "json": {
                **FOREIGN,
                "contextual_relationships": ["folder:globex-top#organization@organization:acme"],
            }
        },
    ),
    ("GET", "/check", {"params": FOREIGN}),
    ("GET", "/check", {"params": MISSING}),
    ("POST", "/expand", {"json": {"resource": "folder:globex-top", "permission": "view"}}),
    ("POST", "/expand", {"json": {"resource": "folder:nowhere", "permission": "view"}}),
    (
        "POST",
        "/lookup/resources",
        {"json": {"resource_type": "product", "permission": "session", "subject": "user:anne"}},
    ),
    (
        "POST",
        "/lookup/subjects",
        {
            "json": {
                "resource": "folder:globex-top",
                "permission": "view",
                "subject_type": "user",
            }
        },
    ),
    ("POST", "/lookup/permissions", {"json": {"resource": "team:shared", "subject": "user:tim"}}),
    (
        "POST",
        "/relationships",
        {
            "json": {
                "updates": [
                    {"operation": "create", "relationship": "folder:globex-top#viewer@user:ada"}
                ]
            }
        },
    ),
    (
        "POST",
        "/relationships",
        {
            "json": {
                "updates": [
                    {"operation": "touch", "relationship": "folder:acme-top#viewer@user:ada"}
                ],
                "preconditions": [
                    {"operation": "must_match", "filter": {"resource_type": "folder"}}
                ],
            }
        },
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "request_"), QUESTIONS, ids=lambda value: str(value)[:70]
)
def test_what_is_not_inside_is_refused_alike(
    acme: httpx.Client, method: str, path: str, request_: dict[str, Any]
) -> None:
    answer = acme.request(method, path, **request_)
    problem = problem_of(answer)
    assert answer.status_code == 403
    assert (problem["code"], problem["detail"], problem["field"]) == (
        "insufficient_scope",
        OUTSIDE,
        None,
    )


def test_what_is_inside_is_answered(acme: httpx.Client) -> None:
    assert acme.post("/check", json=CHECK).json()["allowed"] is True
    assert acme.get("/check", params={**CHECK, "subject": "user:gil"}).json()["allowed"] is False
    explained = acme.post("/check", json={**CHECK, "explain": True}).json()
    assert explained["explanation"]["answer"] == "allowed"
    body: dict[str, Any] = {"resource": "folder:acme-top", "permission": "view"}
    assert acme.post("/expand", json=body).json()["tree"]["resource"] == "folder:acme-top"
    subjects = acme.post("/lookup/subjects", json={**body, "subject_type": "user"}).json()
    assert "anne" in subjects["subject_ids"]
    resources = acme.post(
        "/lookup/resources",
        json={"resource_type": "folder", "permission": "view", "subject": "user:ada"},
    ).json()
    assert resources["resource_ids"] == ["acme-sub", "acme-top", "eu-top"]
    permissions = acme.post(
        "/lookup/permissions", json={"resource": "folder:acme-top", "subject": "user:ada"}
    ).json()
    assert permissions["permissions"] == ["view"]


def test_one_question_of_a_batch_that_is_not_inside_has_the_refusal(acme: httpx.Client) -> None:
    answers = acme.post("/check/batch", json={"checks": [CHECK, FOREIGN, MISSING]}).json()[
        "answers"
    ]
    assert answers[0]["allowed"] is True
    refusals = [answer["error"] for answer in answers[1:]]
    assert [refusal["detail"] for refusal in refusals] == [OUTSIDE, OUTSIDE]
    assert [refusal["status"] for refusal in refusals] == [403, 403]


def test_read_and_export_give_what_is_inside(acme: httpx.Client) -> None:
    read = acme.get("/relationships").json()
    assert sorted(read["relationships"]) == list(INSIDE)
    assert sorted(acme.get("/relationships/export").text.splitlines()) == list(INSIDE)
    lines = acme.get("/relationships/export", params={"format": "jsonl"}).text.splitlines()
    assert len(lines) == len(INSIDE)
    of_globex = {"resource_type": "folder", "resource_id": "globex-top"}
    assert acme.get("/relationships", params=of_globex).json()["relationships"] == []
    assert acme.get("/relationships/export", params=of_globex).text == ""
    assert acme.get("/relationships/export", params={"relation": "nothing"}).status_code == 400


def test_pages_go_on(acme: httpx.Client) -> None:
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = acme.get("/relationships", params=params).json()
        found.extend(page["relationships"])
        cursor = page["cursor"]
        if cursor is None:
            break
    assert sorted(found) == list(INSIDE)


def test_write_and_delete_inside(acme: httpx.Client, relata: Relata) -> None:
    update = {"operation": "create", "relationship": "folder:eu-top#viewer@user:zoe"}
    written = acme.post("/relationships", json={"updates": [update]})
    assert written.status_code == 200
    assert relata.check("folder:eu-top", "view", "user:zoe").allowed
    again = acme.post("/relationships", json={"updates": [update]})
    assert (again.status_code, problem_of(again)["code"]) == (409, "relationship_exists")
    deleted = acme.delete("/relationships", params={"subject_id": "zoe"}).json()
    assert (deleted["deleted"], deleted["complete"]) == (1, True)
    assert not relata.check("folder:eu-top", "view", "user:zoe").allowed


def test_the_past_before_the_organization_is_refused(relata: Relata, address: str) -> None:
    before = relata.write(["team:shared#member@user:tom"]).written_at
    relata.write(["team:shared#member@user:tam"])
    created = Organizations(relata).create(NewOrganization(id="young"))
    question = {"resource": "organization:young", "permission": "manage", "subject": "user:anne"}
    with client_of(address, created.secret) as client:
        for token, status in ((created.written_at, 200), (before, 410)):
            asked = {**question, "consistency": {"at_exact_snapshot": token}}
            assert client.post("/check", json=asked).status_code == status


def test_a_key_of_a_deleted_organization_opens_nothing(relata: Relata, address: str) -> None:
    created = Organizations(relata).create(NewOrganization(id="short-lived"))
    question = {"resource": "organization:short-lived", "permission": "manage", "subject": "user:a"}
    with client_of(address, created.secret) as client:
        assert client.post("/check", json=question).status_code == 200
        Organizations(relata).delete("short-lived")
        assert client.post("/check", json=question).status_code == 401


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_the_short_way_hands_bound_keys_on(relata: Relata) -> None:
    """To the declared route, which asks what belongs; a key without an organization stays short."""
    short = FastCheck(refuse, relata, 100_000)

    async def ask(secret: str) -> int:
        transport = httpx.ASGITransport(short)
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://relata") as client:
            return (await client.post("/check", json=CHECK, headers=headers)).status_code

    _, bound = relata.keys.create("acme", ["check"], organization="acme")
    _, unbound = relata.keys.create("anybody", ["check"])
    assert {asyncio.run(ask(bound)) for _ in range(20)} == {299}
    relata.check("folder:acme-top", "view", "user:anne")  # which takes in what others have written
    assert 200 in {asyncio.run(ask(unbound)) for _ in range(20)}
