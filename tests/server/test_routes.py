"""Every route does what it says, over a real connection, on a real database."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relata.authorizer import Relata
from tests.server.world import CHECK, RELATIONSHIPS, SCHEMA


def post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """The answer of a POST that must succeed."""
    answer = client.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def touch(client: httpx.Client, *relationships: str) -> str:
    updates = [{"operation": "touch", "relationship": text} for text in relationships]
    return str(post(client, "/relationships", updates=updates)["written_at"])


@pytest.mark.parametrize(
    ("subject", "allowed"),
    [
        ("user:anne", True),
        ("user:lee", True),
        ("user:olga", True),
        ("user:fay", True),
        ("user:bob", False),
        ("user:nobody", False),
        ("group:eng#member", True),
    ],
)
def test_check_and_its_query_form_answer_alike(
    admin: httpx.Client, subject: str, allowed: bool
) -> None:
    question = {**CHECK, "subject": subject}
    by_body = post(admin, "/check", **question)
    by_query = admin.get("/check", params=question).json()
    assert by_body == by_query
    assert by_body["allowed"] is allowed
    assert by_body["permissionship"] == ("allowed" if allowed else "denied")
    assert by_body["checked_at"]


def test_check_takes_contextual_relationships_for_this_question_only(admin: httpx.Client) -> None:
    question = {**CHECK, "subject": "user:guest"}
    context = ["group:eng#member@user:guest"]
    assert post(admin, "/check", **question, contextual_relationships=context)["allowed"]
    assert not post(admin, "/check", **question)["allowed"]


def test_check_at_every_consistency(admin: httpx.Client) -> None:
    """An answer after a write has it; one at the revision before has not."""
    before = touch(admin, "document:versions#viewer@user:old")
    after = touch(admin, "document:versions#viewer@user:new")
    question = {**CHECK, "resource": "document:versions", "subject": "user:new"}
    for consistency in (
        "minimize_latency",
        "fully_consistent",
        {"at_least_as_fresh": after},
        {"at_exact_snapshot": after},
    ):
        assert post(admin, "/check", **question, consistency=consistency)["allowed"], consistency
    exact = post(admin, "/check", **question, consistency={"at_exact_snapshot": before})
    assert exact == {
        "allowed": False,
        "permissionship": "denied",
        "missing_context": [],
        "checked_at": before,
    }
    by_query = {**question, "consistency": "at_exact_snapshot", "zed_token": before}
    assert admin.get("/check", params=by_query).json() == exact


def test_batch_answers_in_order_and_keeps_errors_to_their_items(admin: httpx.Client) -> None:
    checks = [
        CHECK,
        {**CHECK, "subject": "user:bob"},
        {**CHECK, "permission": "fly"},
        {**CHECK, "resource": "nonsense"},
        CHECK,
    ]
    answer = post(admin, "/check/batch", checks=checks)
    allowed, denied = (
        {"allowed": True, "permissionship": "allowed", "missing_context": []},
        {"allowed": False, "permissionship": "denied", "missing_context": []},
    )
    first, second, unknown, malformed, last = answer["answers"]
    assert (first, second, last) == (allowed, denied, allowed)
    assert unknown["error"]["code"] == "unknown_relation"
    assert unknown["error"]["field"] == "checks[2].permission"
    assert malformed["error"]["code"] == "invalid_argument"
    assert malformed["error"]["field"] == "checks[3].resource"
    assert answer["checked_at"]


def test_expand_shows_the_way_to_each_subject(admin: httpx.Client) -> None:
    tree = post(admin, "/expand", resource="document:readme", permission="view")["tree"]
    assert (tree["resource"], tree["name"]) == ("document:readme", "view")
    assert tree["operation"] == "exclusion"
    subjects: set[str] = set()
    seen = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        seen.append(node)
        subjects.update(node["subjects"])
        waiting.extend(node["children"])
    assert {"group:eng#member", "user:olga", "user:fay", "user:bob"} <= subjects
    assert tree["expression"] == "viewer + edit + parent->view - banned"
    assert tree["cycle"] is False
    assert any(node["cycle"] and node["resource"] == "folder:sub" for node in seen)


def test_lookup_resources_lists_all_and_pages(admin: httpx.Client) -> None:
    touch(admin, *(f"document:page{n}#owner@user:pager" for n in range(5)))
    question = {"resource_type": "document", "permission": "edit", "subject": "user:pager"}
    whole = post(admin, "/lookup/resources", **question)
    assert whole["resource_ids"] == [f"page{n}" for n in range(5)]
    assert whole["cursor"] is None
    assert paged(admin, "/lookup/resources", "resource_ids", question) == whole["resource_ids"]


def test_lookup_subjects_lists_all_and_pages(admin: httpx.Client) -> None:
    touch(admin, *(f"document:crowd#viewer@user:u{n}" for n in range(5)))
    question = {"resource": "document:crowd", "permission": "view", "subject_type": "user"}
    whole = post(admin, "/lookup/subjects", **question)
    assert whole["subject_ids"] == [f"u{n}" for n in range(5)]
    assert (whole["wildcard"], whole["excluded_ids"], whole["cursor"]) == (False, [], None)
    assert paged(admin, "/lookup/subjects", "subject_ids", question) == whole["subject_ids"]


def test_lookup_subjects_says_wildcard_and_whom_it_leaves_out(admin: httpx.Client) -> None:
    answer = post(
        admin,
        "/lookup/subjects",
        resource="document:public",
        permission="view",
        subject_type="user",
    )
    assert answer["wildcard"] is True
    assert answer["excluded_ids"] == ["bob"]


def test_lookup_subjects_pages_whom_a_wildcard_leaves_out(admin: httpx.Client) -> None:
    excluded = [f"u{n}" for n in range(5)]
    touch(
        admin, "document:open#viewer@user:*", *(f"document:open#banned@user:{u}" for u in excluded)
    )
    question = {"resource": "document:open", "permission": "view", "subject_type": "user"}
    assert post(admin, "/lookup/subjects", **question)["excluded_ids"] == excluded
    assert paged(admin, "/lookup/subjects", "excluded_ids", question) == excluded


def test_lookup_subjects_finds_usersets(admin: httpx.Client) -> None:
    answer = post(
        admin,
        "/lookup/subjects",
        resource="document:readme",
        permission="view",
        subject_type="group",
        subject_relation="member",
    )
    assert answer["subject_ids"] == ["eng", "leads"]


def test_lookup_permissions(admin: httpx.Client) -> None:
    answer = post(admin, "/lookup/permissions", resource="document:readme", subject="user:olga")
    assert answer["permissions"] == ["edit", "view"]
    assert answer["looked_up_at"]


def test_relationships_are_written_read_and_deleted(
    admin: httpx.Client, authorizer: Relata
) -> None:
    texts = [f"document:life#viewer@user:u{n}" for n in range(4)]
    written = touch(admin, *texts)
    where = {"resource_type": "document", "resource_id": "life"}
    found = admin.get("/relationships", params=where).json()
    assert found == {"relationships": texts, "read_at": written, "cursor": None}

    gone = admin.delete("/relationships", params={**where, "limit": 3}).json()
    assert (gone["deleted"], gone["complete"]) == (3, False)
    gone = admin.delete("/relationships", params=where).json()
    assert (gone["deleted"], gone["complete"]) == (1, True)
    assert admin.get("/relationships", params=where).json()["relationships"] == []
    past = {**where, "consistency": "at_exact_snapshot", "zed_token": written}
    assert admin.get("/relationships", params=past).json()["relationships"] == texts


def test_reading_pages_through_everything(admin: httpx.Client) -> None:
    texts = []
    params: dict[str, str | int] = {"limit": 4}
    while True:
        page = admin.get("/relationships", params=params).json()
        assert 1 <= len(page["relationships"]) <= 4
        texts.extend(page["relationships"])
        if page["cursor"] is None:
            break
        params["cursor"] = page["cursor"]
    assert set(RELATIONSHIPS) <= set(texts)
    assert len(texts) == len(set(texts))


def test_a_filter_can_ask_for_subjects_without_a_relation(admin: httpx.Client) -> None:
    where = {"resource_type": "group", "resource_id": "eng", "subject_relation": ""}
    found = admin.get("/relationships", params=where).json()
    assert found["relationships"] == ["group:eng#member@user:anne"]


def test_writes_happen_together_and_under_preconditions(admin: httpx.Client) -> None:
    updates = [{"operation": "create", "relationship": "document:draft#owner@user:olga"}]
    absent = {"resource_type": "document", "resource_id": "draft"}
    body = {
        "updates": updates,
        "preconditions": [{"operation": "must_not_match", "filter": absent}],
    }
    assert admin.post("/relationships", json=body).status_code == 200
    again = admin.post("/relationships", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "precondition_failed")
    exists = admin.post("/relationships", json={"updates": updates})
    assert (exists.status_code, exists.json()["code"]) == (409, "relationship_exists")


def test_schema_is_read_and_written_as_json_and_as_text(admin: httpx.Client) -> None:
    longer = f"{SCHEMA}\ndefinition robot {{}}\n"
    assert admin.put("/schema", json={"schema": longer}).status_code == 200
    assert admin.get("/schema").json()["schema"] == longer
    plain = admin.put("/schema", content=SCHEMA, headers={"Content-Type": "text/plain"})
    assert plain.status_code == 200
    assert admin.get("/schema").json() == {
        "schema": SCHEMA,
        "zed_token": plain.json()["zed_token"],
    }


def test_health_and_readiness_need_no_key(anybody: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        answer, head = anybody.get(path), anybody.head(path)
        assert answer.json() == {"status": "ok"}
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == answer.headers["content-length"]


def test_keys_are_made_listed_and_revoked(admin: httpx.Client, anybody: httpx.Client) -> None:
    made = admin.post("/keys", json={"name": "temporary", "scopes": ["check"]})
    assert made.status_code == 201
    key = made.json()
    headers = {"Authorization": f"Bearer {key['key']}"}
    assert anybody.post("/check", json=CHECK, headers=headers).status_code == 200

    listed = next(item for item in admin.get("/keys").json()["keys"] if item["id"] == key["id"])
    assert (listed["name"], listed["scopes"]) == ("temporary", ["check"])
    assert listed["revoked_at"] is None
    assert key["key"] not in admin.get("/keys").text

    assert admin.delete(f"/keys/{key['id']}").status_code == 204
    assert anybody.post("/check", json=CHECK, headers=headers).status_code == 401
    again = admin.delete(f"/keys/{key['id']}")
    assert (again.status_code, again.json()["code"]) == (404, "not_found")


def test_answers_are_neither_kept_nor_sniffed(admin: httpx.Client) -> None:
    for answer in (
        admin.post("/check", json=CHECK),
        admin.get("/check", params=CHECK),
        admin.get("/schema"),
        admin.get("/nowhere"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def paged(client: httpx.Client, path: str, member: str, question: dict[str, Any]) -> list[str]:
    """A list put together from pages of two."""
    found: list[str] = []
    cursor = None
    while True:
        page = post(client, path, **question, limit=2, cursor=cursor)
        assert 1 <= len(page[member]) <= 2
        found.extend(page[member])
        cursor = page["cursor"]
        if cursor is None:
            return found
