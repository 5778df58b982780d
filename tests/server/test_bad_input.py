"""Bad requests: each is refused with its status, code and field, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from relata.authorizer import Relata
from relata.consistency import encode_zed_token
from tests.server.problems import problem_of
from tests.server.world import CHECK, MAX_BODY_BYTES, SCHEMA

JSON = {"Content-Type": "application/json"}
CHECK_FIELDS = ("resource", "permission", "subject")
ELSEWHERE = encode_zed_token("another-database", 1)
RELATIONSHIP = "document:readme#viewer@user:zoe"


def raw(text: str | bytes) -> dict[str, Any]:
    return {"content": text, "headers": JSON}


def check(**changes: Any) -> dict[str, Any]:
    return {"json": {**CHECK, **changes}}


def batch(**changes: Any) -> dict[str, Any]:
    return {"json": {"checks": [CHECK, CHECK, {**CHECK, **changes}]}}


def write(*relationships: Any, operation: Any = "touch") -> dict[str, Any]:
    updates = [{"operation": operation, "relationship": item} for item in relationships]
    return {"json": {"updates": updates}}


def resources(**changes: Any) -> dict[str, Any]:
    body = {"resource_type": "document", "permission": "view", "subject": "user:anne"}
    return {"json": {**body, **changes}}


def subjects(**changes: Any) -> dict[str, Any]:
    body = {"resource": "document:readme", "permission": "view", "subject_type": "user"}
    return {"json": {**body, **changes}}


Case = tuple[str, str, dict[str, Any], int, str, str | None]

MALFORMED: list[Case] = [
    ("POST", "/check", raw(""), 400, "invalid_argument", None),
    ("POST", "/check", raw("{"), 400, "malformed_json", None),
    ("POST", "/check", raw('{"resource": "a", }'), 400, "malformed_json", None),
    ("POST", "/check", raw('{"limit": NaN}'), 400, "malformed_json", None),
    ("POST", "/check", raw('{"limit": -Infinity}'), 400, "malformed_json", None),
    ("POST", "/check", raw(b'{"resource": "\xff"}'), 400, "malformed_json", None),
    ("POST", "/check", raw('{"resource": "x"}'.encode("utf-16")), 400, "malformed_json", None),
    ("POST", "/check", raw('{"resource": "\\ud800"}'), 400, "malformed_json", None),
    ("POST", "/check", raw('{"\\udfff": 1}'), 400, "malformed_json", None),
    ("POST", "/check", raw("[" * 65 + "]" * 65), 400, "malformed_json", None),
    ("POST", "/check", raw('{"a":' * 5000 + "1" + "}" * 5000), 400, "malformed_json", None),
    ("POST", "/check", raw("[" * 60_000), 400, "malformed_json", None),
    ("POST", "/check", raw("9" * 5000), 400, "malformed_json", None),
    ("POST", "/check", raw("[]"), 400, "invalid_argument", None),
    ("POST", "/check", raw("null"), 400, "invalid_argument", None),
    ("POST", "/check", raw('"text"'), 400, "invalid_argument", None),
    ("POST", "/check", raw("[" * 64 + "]" * 64), 400, "invalid_argument", None),
    ("PUT", "/schema", raw("{"), 400, "malformed_json", None),
    ("POST", "/check", {"content": "{}"}, 415, "unsupported_media_type", None),
    ("POST", "/check", {"data": CHECK}, 415, "unsupported_media_type", None),
    (
        "POST",
        "/check",
        {"content": "{}", "headers": {"Content-Type": "text/json"}},
        415,
        "unsupported_media_type",
        None,
    ),
    ("PUT", "/schema", {"content": SCHEMA}, 415, "unsupported_media_type", None),
    (
        "PUT",
        "/schema",
        {"content": b"\xff", "headers": {"Content-Type": "text/plain"}},
        400,
        "invalid_argument",
        "schema",
    ),
    ("GET", "/nowhere", {}, 404, "not_found", None),
    ("POST", "/check/", check(), 404, "not_found", None),
    ("GET", "/docs", {}, 404, "not_found", None),
]

SHAPES: list[Case] = [
    *(
        ("POST", "/check", check(**{field: value}), 400, "invalid_argument", field)
        for field in CHECK_FIELDS
        for value in (1, True, None, ["document:readme"], {"type": "document"})
    ),
    ("POST", "/check", {"json": {}}, 400, "invalid_argument", "resource"),
    ("POST", "/check", check(user="anne"), 400, "invalid_argument", "user"),
    ("POST", "/check?subject=user:anne", check(), 400, "invalid_argument", "subject"),
    (
        "POST",
        "/check",
        check(contextual_relationships="document:readme#viewer@user:anne"),
        400,
        "invalid_argument",
        "contextual_relationships",
    ),
    (
        "POST",
        "/check",
        check(contextual_relationships=["group:eng#member@user:a", 7]),
        400,
        "invalid_argument",
        "contextual_relationships[1]",
    ),
    *(
        ("POST", "/check", check(consistency=value), 400, "invalid_argument", "consistency")
        for value in (
            "strong",
            1,
            None,
            {},
            "at_least_as_fresh",
            {"at_least_as_fresh": 1},
            {"at_least_as_fresh": ELSEWHERE, "at_exact_snapshot": ELSEWHERE},
        )
    ),
    ("POST", "/check/batch", batch(resource=3), 400, "invalid_argument", "checks[2].resource"),
    ("POST", "/check/batch", batch(extra="x"), 400, "invalid_argument", "checks[2].extra"),
    ("POST", "/check/batch", {"json": {"checks": CHECK}}, 400, "invalid_argument", "checks"),
    ("POST", "/relationships", {"json": {"updates": []}}, 400, "invalid_argument", "updates"),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, operation="upsert"),
        400,
        "invalid_argument",
        "updates[0].operation",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, 5),
        400,
        "invalid_argument",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        {
            "json": {
                **write(RELATIONSHIP)["json"],
                "preconditions": [{"operation": "must_match", "filter": {"resource": "x"}}],
            }
        },
        400,
        "invalid_argument",
        "preconditions[0].filter.resource",
    ),
    *(
        ("POST", "/lookup/resources", resources(limit=value), 400, "invalid_argument", "limit")
        for value in ("5", 0, -1, 10_001, 1.5, 1.0, True, 10**30)
    ),
    *(
        ("GET", f"/relationships?limit={value}", {}, 400, "invalid_argument", "limit")
        for value in ("0", "-1", "ten", "1.0", "1_0", "%20%31", "10001", "")
    ),
    ("GET", "/relationships?resourcetype=x", {}, 400, "invalid_argument", "resourcetype"),
    ("DELETE", "/relationships?resourcetype=x", {}, 400, "invalid_argument", "resourcetype"),
    (
        "DELETE",
        "/relationships?resource_type=document&resource_type=folder",
        {},
        400,
        "invalid_argument",
        "resource_type",
    ),
    ("DELETE", "/relationships?resource_id=%ff", {}, 400, "invalid_argument", None),
    ("DELETE", "/relationships", {}, 400, "invalid_argument", "resource_type"),
    ("GET", "/check", {}, 400, "invalid_argument", "resource"),
    (
        "GET",
        "/check",
        {"params": {**CHECK, "consistency": "strong"}},
        400,
        "invalid_argument",
        "consistency",
    ),
    (
        "GET",
        "/check",
        {"params": {**CHECK, "consistency": "at_exact_snapshot"}},
        400,
        "invalid_argument",
        "zed_token",
    ),
    (
        "GET",
        "/check",
        {"params": {**CHECK, "zed_token": ELSEWHERE}},
        400,
        "invalid_argument",
        "zed_token",
    ),
    ("PUT", "/schema", {"json": {"schema": 5}}, 400, "invalid_argument", "schema"),
    ("PUT", "/schema", {"json": {"text": SCHEMA}}, 400, "invalid_argument", "schema"),
    ("POST", "/keys", {"json": {"name": "", "scopes": []}}, 400, "invalid_argument", "name"),
    ("POST", "/keys", {"json": {"name": "x", "scopes": []}}, 400, "invalid_argument", "scopes"),
    (
        "POST",
        "/keys",
        {"json": {"name": "x\u0000", "scopes": ["check"]}},
        400,
        "invalid_argument",
        "name",
    ),
    (
        "POST",
        "/keys",
        {"json": {"name": "x", "scopes": ["check", "root"]}},
        400,
        "invalid_argument",
        "scopes[1]",
    ),
    ("DELETE", "/keys/nobodys", {}, 404, "not_found", "id"),
]

MEANINGS: list[Case] = [
    ("POST", "/check", check(resource="readme"), 400, "invalid_argument", "resource"),
    ("POST", "/check", check(resource="document:"), 400, "invalid_argument", "resource"),
    ("POST", "/check", check(resource="document:*"), 400, "invalid_argument", "resource"),
    ("POST", "/check", check(resource="document:a\u0000b"), 400, "invalid_argument", "resource"),
    ("POST", "/check", check(subject="user:a\u0000b"), 400, "invalid_argument", "subject"),
    ("POST", "/check", check(subject="user:*"), 400, "invalid_argument", "subject"),
    ("POST", "/check", check(subject="user:" + "x" * 1025), 400, "invalid_argument", "subject"),
    ("POST", "/check", check(resource="paper:readme"), 400, "unknown_definition", "resource"),
    ("POST", "/check", check(subject="robot:r2"), 400, "unknown_definition", "subject"),
    ("POST", "/check", check(permission="fly"), 400, "unknown_relation", "permission"),
    ("POST", "/check", check(permission="\u0000"), 400, "unknown_relation", "permission"),
    ("POST", "/check", check(subject="group:eng#fan"), 400, "unknown_relation", "subject"),
    (
        "POST",
        "/check",
        check(contextual_relationships=["document:readme#view@user:anne"]),
        400,
        "permission_not_writable",
        "contextual_relationships[0]",
    ),
    (
        "POST",
        "/check",
        check(contextual_relationships=["organization:acme#chosen_by@user:eve"]),
        400,
        "question_only_relation",
        "contextual_relationships[0]",
    ),
    (
        "POST",
        "/check",
        check(consistency={"at_least_as_fresh": "?"}),
        400,
        "invalid_zed_token",
        "consistency",
    ),
    (
        "POST",
        "/check",
        check(consistency={"at_exact_snapshot": ELSEWHERE}),
        400,
        "invalid_zed_token",
        "consistency",
    ),
    (
        "POST",
        "/check/batch",
        {"json": {"checks": [CHECK] * 1001}},
        422,
        "limit_exceeded",
        "checks",
    ),
    (
        "POST",
        "/expand",
        {"json": {"resource": "document:readme", "permission": "fly"}},
        400,
        "unknown_relation",
        "permission",
    ),
    (
        "POST",
        "/lookup/resources",
        resources(resource_type="paper"),
        400,
        "unknown_definition",
        "resource_type",
    ),
    ("POST", "/lookup/resources", resources(cursor="?"), 400, "invalid_cursor", "cursor"),
    ("POST", "/lookup/resources", resources(cursor="\u0000"), 400, "invalid_cursor", "cursor"),
    ("POST", "/lookup/subjects", subjects(cursor="AAAA"), 400, "invalid_cursor", "cursor"),
    ("GET", "/relationships?cursor=x", {}, 400, "invalid_cursor", "cursor"),
    (
        "POST",
        "/lookup/subjects",
        subjects(subject_type="robot"),
        400,
        "unknown_definition",
        "subject_type",
    ),
    (
        "POST",
        "/lookup/subjects",
        subjects(subject_type="group", subject_relation="fan"),
        400,
        "unknown_relation",
        "subject_relation",
    ),
    (
        "POST",
        "/lookup/permissions",
        {"json": {"resource": "paper:readme", "subject": "user:anne"}},
        400,
        "unknown_definition",
        "resource",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "document:readme"),
        400,
        "invalid_argument",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "document:a b#viewer@user:zoe"),
        400,
        "invalid_argument",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "paper:readme#viewer@user:zoe"),
        400,
        "unknown_definition",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "document:readme#fan@user:zoe"),
        400,
        "unknown_relation",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "document:readme#view@user:zoe"),
        400,
        "permission_not_writable",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "document:readme#owner@user:*"),
        400,
        "subject_not_allowed",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "organization:acme#chosen_by@user:zoe"),
        400,
        "question_only_relation",
        "updates[1].relationship",
    ),
    (
        "POST",
        "/relationships",
        write(RELATIONSHIP, "document:readme#owner@user:olga", operation="create"),
        409,
        "relationship_exists",
        "updates[1]",
    ),
    ("POST", "/relationships", write(*[RELATIONSHIP] * 1001), 422, "limit_exceeded", "updates"),
    (
        "GET",
        "/relationships?resource_type=paper",
        {},
        400,
        "unknown_definition",
        "resource_type",
    ),
    ("DELETE", "/relationships?relation=fan", {}, 400, "unknown_relation", "relation"),
    ("DELETE", "/relationships?resource_id=", {}, 400, "invalid_argument", "resource_id"),
    (
        "GET",
        "/relationships?consistency=at_exact_snapshot&zed_token=" + ELSEWHERE,
        {},
        400,
        "invalid_zed_token",
        "consistency",
    ),
    (
        "PUT",
        "/schema",
        {"json": {"schema": "definition user {"}},
        400,
        "schema_parse_error",
        "schema",
    ),
    (
        "PUT",
        "/schema",
        {"json": {"schema": "definition doc {\n\tpermission view = viewer\n}"}},
        400,
        "schema_type_error",
        "schema",
    ),
    ("PUT", "/schema", {"json": {"schema": "\u0000"}}, 400, "schema_parse_error", "schema"),
    (
        "PUT",
        "/schema",
        {
            "json": {
                "schema": SCHEMA.replace("\trelation banned: user\n", "").replace(" - banned", "")
            }
        },
        409,
        "schema_strands_relationships",
        "schema",
    ),
]


def _name(case: Case) -> str:
    method, path, _, status, code, field = case
    return f"{method} {path[:40]} {status} {code} {field}"


@pytest.fixture
def unchanged(authorizer: Relata) -> Iterator[None]:
    """Hold a test to leaving database and graph as they were."""
    before = (authorizer.store.state(), authorizer.revision, authorizer.read_schema())
    yield
    assert (authorizer.store.state(), authorizer.revision, authorizer.read_schema()) == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", [*MALFORMED, *SHAPES, *MEANINGS], ids=_name)
def test_a_bad_request_is_refused_and_changes_nothing(admin: httpx.Client, case: Case) -> None:
    method, path, request, status, code, field = case
    answer = admin.request(method, path, **request)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"resource": "a"\n "b"}', "line 2, column 2"),
        ('{"resource": ', "line 1, column 14"),
        ("nonsense", "line 1, column 1"),
    ],
)
def test_malformed_json_says_where(admin: httpx.Client, body: str, place: str) -> None:
    assert place in problem_of(admin.post("/check", **raw(body)))["detail"]


def too_much() -> Iterator[bytes]:
    """A body in chunks, without a Content-Length, that goes on past the limit."""
    yield b'{"resource": "'
    for _ in range(MAX_BODY_BYTES // 1024 + 1):
        yield b"x" * 1024
    yield b'"}'


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("path", ["/check", "/check/batch", "/relationships"])
@pytest.mark.parametrize("body", ["declared", "chunked"])
def test_an_oversize_body_is_refused(admin: httpx.Client, path: str, body: str) -> None:
    """Whether it declares its length or comes in chunks."""
    content = b"".join(too_much()) if body == "declared" else too_much()
    answer = admin.post(path, content=content, headers=JSON)
    assert answer.status_code == 413
    assert problem_of(answer)["code"] == "body_too_large"


def test_a_body_at_the_limit_is_read(admin: httpx.Client) -> None:
    """The limit is the largest size that is allowed, chunked or not."""
    exact = b'{"resource": "' + b"x" * (MAX_BODY_BYTES - 16) + b'"}'
    assert len(exact) == MAX_BODY_BYTES
    assert admin.post("/check", content=exact, headers=JSON).status_code == 400
    assert admin.post("/check", content=iter([exact]), headers=JSON).status_code == 400


def test_a_wrong_method_names_the_right_ones(admin: httpx.Client) -> None:
    """Every method of the path, not of one of its routes."""
    for path, methods in (
        ("/check", "GET, POST"),
        ("/relationships", "DELETE, GET, POST"),
        ("/schema", "GET, PUT"),
        ("/keys/1", "DELETE"),
        ("/openapi.json", "GET"),
        ("/healthz", "GET, HEAD"),
    ):
        answer = admin.patch(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert problem_of(answer)["code"] == "method_not_allowed"


def test_a_broken_host_does_no_harm(admin: httpx.Client) -> None:
    """No refusal is made from what the Host header says."""
    for method, path, status in (("GET", "/nowhere", 404), ("PATCH", "/check", 405)):
        answer = admin.request(method, path, headers={"Host": "["})
        assert answer.status_code == status
        problem_of(answer)


def test_an_empty_list_is_refused_in_plain_words(admin: httpx.Client) -> None:
    problem = problem_of(admin.post("/relationships", json={"updates": []}))
    assert problem["detail"] == "`updates` should have at least 1 item"


def test_a_refused_schema_says_where_and_what_is_in_the_way(admin: httpx.Client) -> None:
    broken = admin.put("/schema", json={"schema": "definition user {\n  relation x y\n}"})
    first = problem_of(broken)["diagnostics"][0]
    assert first["line"] == 2
    assert first["column"] > 1
    assert first["message"]
    less = SCHEMA.replace("\trelation banned: user\n", "").replace(" - banned", "")
    problem = problem_of(admin.put("/schema", json={"schema": less}))
    assert problem["relationship"].split("@")[0].endswith("#banned")
    assert problem["relationship"] in problem["detail"]


def test_cyclic_data_gets_answers(admin: httpx.Client) -> None:
    """Groups in a ring and folders in a ring end every kind of question."""
    question = {"resource": "document:readme", "permission": "view"}
    for path, body in (
        ("/check", {**question, "subject": "user:nobody"}),
        ("/expand", question),
        ("/lookup/subjects", {**question, "subject_type": "user"}),
        ("/lookup/permissions", {"resource": "document:readme", "subject": "user:nobody"}),
    ):
        assert admin.post(path, json=body).status_code == 200, path


def test_an_exact_snapshot_of_the_future_is_refused(
    admin: httpx.Client, authorizer: Relata
) -> None:
    future = encode_zed_token(authorizer.store.datastore_id, authorizer.revision + 1000)
    answer = admin.post("/check", json={**CHECK, "consistency": {"at_exact_snapshot": future}})
    assert answer.status_code == 410
    assert problem_of(answer)["code"] == "snapshot_unavailable"


def test_a_revision_that_does_not_come_is_not_waited_for_for_ever(
    admin: httpx.Client, authorizer: Relata
) -> None:
    future = encode_zed_token(authorizer.store.datastore_id, authorizer.revision + 1000)
    answer = admin.post("/check", json={**CHECK, "consistency": {"at_least_as_fresh": future}})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert problem_of(answer)["code"] == "not_fresh"
