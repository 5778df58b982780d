"""`POST /schema/diff`: what another schema would change, and what stands in its way."""

from __future__ import annotations

import httpx
import pytest

from relata.authorizer import Relata
from tests.server.problems import problem_of
from tests.server.world import SCHEMA


def test_a_difference_with_what_blocks_it(admin: httpx.Client, authorizer: Relata) -> None:
    new = SCHEMA.replace("banned: user", "banned: group#member").replace(
        "permission edit = owner", "permission edit = owner + banned"
    )
    answer = admin.post("/schema/diff", json={"schema": new})
    assert answer.status_code == 200
    body = answer.json()
    assert body["breaking"] is True
    assert body["compared_at"]
    assert [(c["kind"], c["severity"], c["name"], c["old"], c["new"]) for c in body["changes"]] == [
        ("allowed_subject_removed", "breaking", "document#banned", "user", ""),
        (
            *("expression_changed", "changes_answers", "document#edit"),
            *("owner", "owner + banned"),
        ),
        ("allowed_subject_added", "harmless", "document#banned", "", "group#member"),
    ]
    assert {(c["place"], c["line"], c["column"]) for c in body["changes"]} == {
        ("new", 18, 11),
        ("new", 19, 13),
    }
    (blocker,) = body["blocked_by"]
    assert blocker["kind"] == "document#banned@user"
    assert blocker["relationship"].startswith("document:")
    assert authorizer.schema.text == SCHEMA, "nothing is written"


def test_what_blocks_a_write_is_what_the_difference_says(admin: httpx.Client) -> None:
    """A breaking change that no stored relationship uses can be written."""
    stranding = SCHEMA.replace("| user:* ", "")
    blocked_by = admin.post("/schema/diff", json={"schema": stranding}).json()["blocked_by"]
    assert [item["kind"] for item in blocked_by] == ["document#viewer@user:*"]
    refused = problem_of(admin.put("/schema", json={"schema": stranding}))
    assert refused["code"] == "schema_strands_relationships"
    assert refused["relationship"] == blocked_by[0]["relationship"]
    unused = SCHEMA.replace("\tpermission session = member & chosen_by\n", "")
    body = admin.post("/schema/diff", json={"schema": unused}).json()
    assert (body["breaking"], body["blocked_by"]) == (True, [])


def test_the_schema_in_force_does_not_differ(admin: httpx.Client) -> None:
    body = admin.post("/schema/diff", json={"schema": SCHEMA}).json()
    assert (body["changes"], body["breaking"], body["blocked_by"]) == ([], False, [])


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ("definition user {", "schema_parse_error"),
        ("definition user { relation one: nobody\n}", "schema_type_error"),
        ('use import\nimport "user.zed"\n', "schema_parse_error"),
    ],
)
def test_a_schema_that_does_not_compile_is_refused(
    admin: httpx.Client, schema: str, code: str
) -> None:
    problem = problem_of(admin.post("/schema/diff", json={"schema": schema}))
    assert (problem["status"], problem["code"]) == (400, code)
    assert problem["diagnostics"]


def test_other_scopes_may_not_ask(address: str, keys: dict[str, str]) -> None:
    for scope, status in (("read", 200), ("check", 403), ("write", 403), ("schema", 403)):
        headers = {"Authorization": f"Bearer {keys[scope]}"}
        answer = httpx.post(f"{address}/schema/diff", headers=headers, json={"schema": SCHEMA})
        assert answer.status_code == status, scope
