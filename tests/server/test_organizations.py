"""The routes of organizations: made, shown, changed and deleted over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from starlette.types import ASGIApp

from relata.authorizer import Relata
from relata.demo.scenario import RELATIONSHIPS, schema_text
from relata.server import Settings, create_app
from tests.server.live import serving
from tests.server.problems import problem_of
from tests.server.schemathesis_cases import tried


@pytest.fixture(scope="module")
def relata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relata]:
    url = f"sqlite:///{tmp_path_factory.mktemp('organizations') / 'relata.db'}"
    with Relata.open(url, schema=schema_text()) as relata:
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
def admin(relata: Relata, address: str) -> Iterator[httpx.Client]:
    with client_of(address, relata.keys.create("admin", ["admin"])[1]) as client:
        yield client


def make(client: httpx.Client, id_: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/organizations", json={"id": id_, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_an_organization_from_beginning_to_end(admin: httpx.Client, address: str) -> None:
    """Made with its key, which assigns a role inside it, is refused outside, and ends with it."""
    made = make(
        admin,
        "eu",
        parent="org_1",
        name="Europe",
        attributes={"region": "eu", "limits": {"seats": 5}},
        users="pairwise",
        policy={"max_lifetime": 60, "acr_values": ["mfa"], "amr": ["otp"]},
        share_role_templates=True,
        share_products=True,
    )
    assert made["key_scopes"] == ["check", "read", "write"]
    assert made["policy"] == {
        "max_lifetime": 60,
        "acr_values": ["mfa"],
        "amr": ["otp"],
        "max_age": None,
        "issuers": None,
    }
    with client_of(address, made["key"]) as eu:
        updates = [
            {"operation": "touch", "relationship": relationship}
            for relationship in (
                "organization:eu#member@user:zoe",
                "role:eu/user_api_1#assignee@user:zoe",
            )
        ]
        assert eu.post("/relationships", json={"updates": updates}).status_code == 200
        question = {
            "resource": "role:eu/user_api_1",
            "permission": "active",
            "subject": "user:zoe",
            "contextual_relationships": [
                "organization:eu#chosen_by@user:zoe",
                "product:api_1#requested_by@user:zoe",
            ],
        }
        assert eu.post("/check", json=question).json()["allowed"] is True
        outside = {**question, "resource": "role:org_1/user_api_1", "subject": "user:gerardo"}
        assert eu.post("/check", json=outside).status_code == 403
        assert eu.get("/organizations/eu").json()["attributes"]["limits"] == {"seats": 5}
        assert eu.delete("/organizations/eu").status_code == 403
        assert admin.delete("/organizations/eu").status_code == 204
        assert eu.post("/check", json=question).status_code == 401
    assert admin.get("/organizations/eu").status_code == 404
    assert "eu/" not in admin.get("/relationships/export").text


def test_the_secret_is_in_the_answer_that_makes_it_only(admin: httpx.Client) -> None:
    made = make(admin, "secretive")
    for path in ("/organizations/secretive", "/organizations/records", "/keys"):
        assert made["key"] not in admin.get(path).text


def test_making_one_again_is_a_conflict(admin: httpx.Client) -> None:
    make(admin, "again")
    answer = admin.post("/organizations", json={"id": "again"})
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "organization_conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "id"),
        ({"id": 1}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "x", "extra": 1}, "extra"),
        ({"id": "x", "parent": "nobody"}, "parent"),
        ({"id": "x", "users": "hidden"}, "users"),
        ({"id": "x", "attributes": []}, "attributes"),
        ({"id": "x", "attributes": {"a": "b" * 9_000}}, "attributes"),
        ({"id": "x", "policy": {"max_age": "1"}}, "policy.max_age"),
        ({"id": "x", "policy": {"max_age": -1}}, "policy.max_age"),
        ({"id": "x", "policy": {"acr_values": []}}, "policy.acr_values"),
        ({"id": "x", "key_scopes": ["admin"]}, "key_scopes[0]"),
        ({"id": "x", "key_scopes": []}, "key_scopes"),
    ],
)
def test_what_makes_no_sense_is_refused(
    admin: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = admin.post("/organizations", json=body)
    assert answer.status_code == 400
    assert problem_of(answer)["field"] == field


def test_the_list_goes_on(admin: httpx.Client) -> None:
    for number in range(5):
        make(admin, f"list-{number}")
    found: list[str] = []
    after = "list-"
    while True:
        page = admin.get("/organizations/records", params={"after": after, "limit": 2}).json()
        found.extend(it["id"] for it in page["organizations"])
        if page["after"] is None:
            break
        after = page["after"]
    assert [id_ for id_ in found if id_.startswith("list-")] == [f"list-{n}" for n in range(5)]


def test_an_organization_is_told_anew(admin: httpx.Client) -> None:
    """As a whole: what is left out is as in a new one. An id may have a slash."""
    make(admin, "a/b", name="before", attributes={"x": 1})
    changed = admin.put("/organizations/a%2Fb", json={"policy": {"max_age": 60}}).json()
    assert (changed["name"], changed["attributes"]) == ("", {})
    assert changed["policy"]["max_age"] == 60
    assert admin.get("/organizations/a%2Fb").json() == changed
    assert admin.put("/organizations/org_2", json={"name": "Two"}).json()["name"] == "Two"
    assert admin.put("/organizations/nobody", json={}).status_code == 404


def test_those_below_are_named_before_they_are_deleted(admin: httpx.Client) -> None:
    make(admin, "above")
    make(admin, "below", parent="above")
    answer = admin.delete("/organizations/above")
    assert answer.status_code == 409
    assert "`below`" in problem_of(answer)["detail"]
    deleted = admin.delete("/organizations/above", params={"with_organizations": "true"})
    assert deleted.status_code == 204
    assert admin.get("/organizations/below").status_code == 404


def test_a_bound_key_reaches_those_below_its_own(admin: httpx.Client, address: str) -> None:
    key = make(admin, "reach", key_scopes=["read", "write"])["key"]
    with client_of(address, key) as bound:
        made = make(bound, "reach-low")
        assert (made["parent"], made["key_scopes"]) == ("reach", ["read", "write"])
        listed = bound.get("/organizations/records").json()["organizations"]
        assert [it["id"] for it in listed] == ["reach", "reach-low"]
        assert bound.put("/organizations/reach-low", json={"name": "Low"}).status_code == 200
        for method, path in (
            ("PUT", "/organizations/reach"),
            ("PUT", "/organizations/org_1"),
            ("DELETE", "/organizations/org_1"),
            ("GET", "/organizations/org_1"),
            ("GET", "/organizations/nobody"),
        ):
            answer = bound.request(method, path, json={} if method == "PUT" else None)
            assert answer.status_code == 403, (method, path)
        elsewhere = bound.post("/organizations", json={"id": "x", "parent": "org_1"})
        assert elsewhere.status_code == 403
        more = bound.post("/organizations", json={"id": "x", "key_scopes": ["check"]})
        assert more.status_code == 403
        assert bound.delete("/organizations/reach-low").status_code == 204


def test_a_key_of_no_organization_needs_the_scope_admin(relata: Relata, address: str) -> None:
    _, secret = relata.keys.create("writer", ["check", "read", "write", "schema"])
    with client_of(address, secret) as writer:
        for method, path in (
            ("POST", "/organizations"),
            ("GET", "/organizations/records"),
            ("GET", "/organizations/org_1"),
            ("PUT", "/organizations/org_1"),
            ("DELETE", "/organizations/org_1"),
        ):
            assert writer.request(method, path).status_code == 403


def test_every_answer_is_one_that_the_document_describes(relata: Relata, app: ASGIApp) -> None:
    """Requests made up from the OpenAPI document, with a key that is bound and one that is not."""
    for organization in ("", "org_1"):
        scopes = ["check", "read", "write"] if organization else ["admin"]
        _, key = relata.keys.create("fuzzer", scopes, organization=organization)
        _, reader = relata.keys.create("reader", ["admin"])
        document = schemathesis.openapi.from_asgi(
            "/openapi.json", app, headers={"Authorization": f"Bearer {reader}"}
        )
        operations = [it.ok() for it in document.get_all_operations() if isinstance(it, Ok)]
        ours = [it for it in operations if "organizations" in (it.tags or ())]
        assert len(ours) == 5
        for operation in ours:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                tried(operation, mode, {"Authorization": f"Bearer {key}"})
