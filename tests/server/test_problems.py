"""Every error has a status, and what nobody foresaw tells nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from relata import errors
from relata.authorizer import Relata
from relata.errors import Diagnostic, RelataError
from relata.results import SchemaResult
from relata.server import Settings, create_app
from relata.server.problems import field_path, problem_of, status_of
from tests.server import problems
from tests.server.live import serving
from tests.server.world import CHECK


def subclasses(kind: type[RelataError]) -> Iterator[type[RelataError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_every_error_of_the_tree_has_a_status_of_its_own() -> None:
    """Only the root, and OAuth's errors with their own bodies, are not in the table."""
    for kind in subclasses(RelataError):
        error = kind.__new__(kind)
        without = kind is RelataError or issubclass(kind, errors.OAuthError)
        assert (status_of(error) == 500) == without, kind


def test_diagnostics_pass_through() -> None:
    diagnostic = Diagnostic("expected `}`", "schema.zed", 3, 7, "text\n    ^")
    problem = problem_of(errors.SchemaParseError([diagnostic]))
    assert problem.diagnostics is not None
    only = problem.diagnostics[0]
    assert (only.message, only.line, only.column) == ("expected `}`", 3, 7)
    assert only.excerpt == "text\n    ^"


def test_a_database_error_keeps_its_particulars_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    problem = problem_of(errors.StoreError("cannot open /secret/path"))
    assert problem.status == 503
    assert "/secret/path" not in problem.detail
    assert "/secret/path" in caplog.text


def test_paths_name_places() -> None:
    assert field_path(("checks", 3, "resource")) == "checks[3].resource"
    assert field_path((0, "a")) == "[0].a"
    assert field_path(()) is None


def drop_every_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        names = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (name,) in names:
            database.execute(f'DROP TABLE "{name}"')
        database.commit()


def test_a_database_that_is_gone_is_a_503_without_particulars(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The tables go away under the server: a real failure, in a real request."""
    file = tmp_path_factory.mktemp("gone") / "relata.db"
    with Relata.open(f"sqlite:///{file}", schema="definition user {}") as authorizer:
        _, key = authorizer.keys.create("admin", ["admin"])
        with serving(create_app(authorizer, None, Settings())) as address:
            drop_every_table(file)
            answer = httpx.get(f"{address}/keys", headers={"Authorization": f"Bearer {key}"})
            ready = httpx.get(f"{address}/readyz")
    assert answer.status_code == 503
    assert problems.problem_of(answer)["code"] == "store_error"
    assert "table" not in answer.text
    assert "no such table" in caplog.text
    assert (ready.status_code, problems.problem_of(ready)["code"]) == (503, "not_ready")


class Broken(Relata):
    """An authorizer with a programming error."""

    def read_schema(self) -> SchemaResult:
        raise RuntimeError("the secret is 42")


def test_what_nobody_foresaw_is_logged_under_an_id_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Broken.open("sqlite://", schema="definition user {}") as authorizer:
        _, key = authorizer.keys.create("admin", ["admin"])
        with serving(create_app(authorizer, None, Settings())) as address:
            answer = httpx.get(f"{address}/schema", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 500
    problem = problems.problem_of(answer)
    assert problem["code"] == "internal_error"
    assert "42" not in answer.text.replace(problem["instance"], "")
    assert problem["instance"] in caplog.text
    assert "the secret is 42" in caplog.text


def test_the_short_way_hides_nothing_of_a_question_without_a_schema(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A check before there is a schema is refused with the reason."""
    file = tmp_path_factory.mktemp("empty") / "relata.db"
    with Relata.open(f"sqlite:///{file}") as authorizer:
        _, key = authorizer.keys.create("admin", ["admin"])
        with serving(create_app(authorizer, None, Settings())) as address:
            headers = {"Authorization": f"Bearer {key}"}
            for answer in (
                httpx.post(f"{address}/check", json=CHECK, headers=headers),
                httpx.get(f"{address}/schema", headers=headers),
            ):
                assert answer.status_code == 400
                assert problems.problem_of(answer)["code"] == "schema_missing"
