"""The demo's facts under its schema: every answer, and none that leaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relata.authorizer import Relata
from relata.demo.scenario import ANSWERS, open_scenario, schema_text

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "b2b" / "README.md"

Row = dict[str, str]


@pytest.fixture(scope="module")
def relata() -> Iterator[Relata]:
    with open_scenario("sqlite://") as relata:
        yield relata


def holdings(relata: Relata, user: str, organization: str, product: str) -> Row:
    """What the user has with this choice, in the words of the shared table."""
    subject = f"user:{user}"
    chosen = f"organization:{organization}#chosen_by@{subject}"
    requested = f"product:{product}#requested_by@{subject}"

    def lookup(type_: str, permission: str) -> str:
        found = relata.lookup_resources(type_, permission, subject, contextual=(chosen, requested))
        return ", ".join(found.resource_ids) or "none"

    return {
        "capabilities": lookup("capability", "held"),
        "roles": lookup("role", "active"),
        "products": lookup("product", "available"),
        "datasets": lookup("dataset", "visible"),
    }


def shared_table() -> list[tuple[str, str, str, Row]]:
    """The answers that a real SpiceDB gave, a row for each user, organization and product."""
    lines = SHARED.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    names = ("capabilities", "roles", "products", "datasets")
    return [
        (user, organization, product, dict(zip(names, answers, strict=True)))
        for user, organization, products, *answers in rows[2:]
        for product in products.split(" or ")
    ]


@pytest.mark.skipif(not SHARED.exists(), reason="the table of SpiceDB's answers is not here")
def test_the_answers_are_those_of_spicedb(relata: Relata) -> None:
    rows = shared_table()
    assert {row[:3] for row in rows} == set(ANSWERS)
    for user, organization, product, answers in rows:
        assert holdings(relata, user, organization, product) == answers


@pytest.mark.parametrize("choice", ANSWERS, ids="-".join)
def test_the_story_expects_what_the_schema_says(
    relata: Relata, choice: tuple[str, str, str]
) -> None:
    found = holdings(relata, *choice)
    expected = ANSWERS[choice]
    assert found["capabilities"] == (", ".join(expected.permissions) or "none")
    assert found["roles"] == (", ".join(expected.roles) or "none")


def test_without_a_choice_nobody_holds_anything(relata: Relata) -> None:
    for subject in ("user:gerardo", "user:sam", "client:importer"):
        for type_, permission in (
            ("capability", "held"),
            ("role", "active"),
            ("dataset", "visible"),
        ):
            assert relata.lookup_resources(type_, permission, subject).resource_ids == ()


def test_the_schema_is_the_project_s_own() -> None:
    assert schema_text() == (ROOT / "schema.zed").read_text(encoding="utf-8")
    assert not (ROOT / "src/relata/demo/schema.zed").exists(), "a wheel gets its copy when built"
