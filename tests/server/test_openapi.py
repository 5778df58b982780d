"""The OpenAPI document says what the routes do, and the reference says it in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from relata.errors import RelataError
from relata.server.problems import HTTP_STATUS
from relata.server.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "http.md"
OAUTH = {"/oauth/token", "/oauth/introspect", "/oauth/revoke"}
OAUTH_STATUSES = {"400", "401"}
"""Of what these routes refuse, they refuse this in the words of RFC 6749 alone."""


@pytest.fixture(scope="module")
def document(admin: httpx.Client) -> dict[str, Any]:
    answer = admin.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return dict(document["components"]["schemas"][name]) if name else schema


def has_example(document: dict[str, Any], content: dict[str, Any]) -> bool:
    return "example" in content or bool(resolve(document, content["schema"]).get("examples"))


def test_every_route_is_described_with_examples(document: dict[str, Any]) -> None:
    """Summary, description, and an example of each body that it takes and gives."""
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"].endswith("."), where
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert has_example(document, content), f"{where}: no example of a request"
        status, success = next(iter(operation["responses"].items()))
        assert status.startswith("2"), where
        for content in success.get("content", {}).values():
            assert has_example(document, content), f"{where}: no example of an answer"


def test_every_refusal_is_the_same_problem_document(document: dict[str, Any]) -> None:
    """Of every route and status; what the OAuth endpoints refuse is RFC 6749's."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    oauth = {"application/json": {"schema": {"$ref": "#/components/schemas/OAuthProblem"}}}
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            where = f"{method} {path} {status}"
            if status.startswith("2"):
                continue
            if status == "429":
                assert response["content"] == oauth, where
            elif path not in OAUTH:
                assert response["content"] == problem, where
            elif status in OAUTH_STATUSES:
                assert response["content"] == oauth, where
            else:
                assert response["content"] in (problem, oauth, {**problem, **oauth}), where
    assert set(document["components"]["schemas"]["Problem"]["required"]) == {
        "type",
        "title",
        "status",
        "detail",
        "code",
        "field",
    }


def test_guarded_routes_name_their_scopes_and_refusals(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        security = operation.get("security", [])
        if any("key" in requirement for requirement in security):
            assert all(len(requirement["key"]) == 1 for requirement in security), where
            assert {"401", "403"} <= operation["responses"].keys(), where
        if "requestBody" in operation:
            assert "413" in operation["responses"], where
            assert path in OAUTH or "415" in operation["responses"], where
            assert operation["requestBody"]["required"], where


def test_nothing_is_fetched_from_elsewhere(document: dict[str, Any], admin: httpx.Client) -> None:
    """No page that loads scripts from another host is served."""
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert admin.get(path).status_code == 404


@pytest.fixture(scope="module")
def reference() -> str:
    return REFERENCE.read_text(encoding="utf-8")


def headings(reference: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", reference, re.MULTILINE)


def section(reference: str, heading: str) -> str:
    _, _, rest = reference.partition(f"\n### {heading}\n")
    return re.split(r"\n#{2,3} ", rest)[0]


def test_the_reference_has_a_heading_for_every_route_and_no_other(
    document: dict[str, Any], reference: str
) -> None:
    declared = {f"`{method} {path}`" for method, path, _ in operations(document)}
    written = {heading for heading in headings(reference, 3) if heading.startswith("`")}
    assert {h for h in written if " /" in h} == declared


def test_the_reference_names_every_field_scope_and_status(
    document: dict[str, Any], reference: str
) -> None:
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        text = section(reference, f"`{where}`")
        for name in names(document, operation):
            assert f"`{name}`" in text, f"{where} does not explain {name}"
        for requirement in operation.get("security", []):
            for scope in requirement.get("key", []):
                assert f"`{scope}`" in text, f"{where} does not name the scope {scope}"


def names(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """The fields and parameters of a request and of its answer."""
    found = {parameter["name"] for parameter in operation.get("parameters", [])}
    bodies = [operation.get("requestBody", {}), next(iter(operation["responses"].values()))]
    for body in bodies:
        for content in body.get("content", {}).values():
            found |= resolve(document, content["schema"]).get("properties", {}).keys()
    # Explained once for all questions, at the top of the reference.
    return found - {"consistency", "zed_token", "contextual_relationships", "cursor", "limit"}


def test_the_reference_has_a_heading_for_every_code(reference: str) -> None:
    """Those of the library's errors, and those of HTTP itself."""
    waiting, codes = RelataError.__subclasses__(), set()
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if "code" in vars(kind):
            codes.add(kind.code)
    written = set(re.findall(r"^### `([a-z_]+)`$", reference, re.MULTILINE))
    assert written == codes | HTTP_STATUS.keys() | {"not_acceptable"}  # one route's own


def test_the_reference_has_every_setting(reference: str) -> None:
    for name in Settings.model_fields:
        assert f"`RELATA_{name.upper()}`" in reference
