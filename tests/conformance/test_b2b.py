"""The business-to-business model: one organization and one product a question, and no leak.

The model, its relationships and the table of right answers are read in place. Each row of the
table is one user's token: who asks, for which organization and product, and what they then hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from relata import Relata
from tests.conformance.scenarios import SHARED

FOLDER = SHARED / "b2b"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there")

Answers = dict[tuple[str, str], set[str]]
"""What is held: ids by type and permission."""


def table() -> Iterator[tuple[str, str, str, Answers]]:
    """The rows of the README's table; a cell with `or` stands for a row each."""
    lines = [line for line in _readme().splitlines() if line.startswith("|")]
    if not lines:
        return
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    questions = [re.findall(r"`(\w+)#(\w+)`", title) for title in header]
    for user, organizations, products, *cells in rows:
        answers = {
            (type_, permission): set() if cell == "none" else set(cell.split(", "))
            for [(type_, permission)], cell in zip(questions[3:], cells, strict=True)
        }
        for organization in organizations.split(" or "):
            for product in products.split(" or "):
                yield user, organization, product, answers


def _readme() -> str:
    path = FOLDER / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture(scope="module")
def relata() -> Iterator[Relata]:
    """The model with its stored relationships."""
    with Relata.open("sqlite://", schema=FOLDER / "model.zed") as opened:
        opened.write((FOLDER / "relationships.txt").read_text(encoding="utf-8").split())
        yield opened


@pytest.mark.parametrize(("user", "organization", "product", "answers"), list(table()))
def test_a_question_for_one_organization_and_product_holds_what_the_table_says(
    relata: Relata, user: str, organization: str, product: str, answers: Answers
) -> None:
    """Every lookup of the row, with the two relationships that come with the question."""
    contextual = [
        f"organization:{organization}#chosen_by@user:{user}",
        f"product:{product}#requested_by@user:{user}",
    ]
    for (type_, permission), expected in answers.items():
        found = relata.lookup_resources(
            type_, permission, f"user:{user}", contextual=contextual
        ).resource_ids
        assert set(found) == expected, (type_, permission)
        for id_ in found:
            question = (f"{type_}:{id_}", permission, f"user:{user}")
            assert relata.check(*question, contextual=contextual).allowed
            assert not relata.check(*question).allowed


def test_the_table_was_read_whole() -> None:
    """Four rows for one user, and two that stand for two each."""
    assert len(list(table())) == 8
