"""The workload is what it says it is: seeded, nested, and right about its own questions."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.handwritten import Handwritten
from benchmarks.in_process import WrongAnswerError, mixed_questions, require_answers
from benchmarks.workload import SCHEMA, Walk, Workload, generate

from relata.relationships import parse_relationship
from relata.schema import compile_schema

ROOT = Path(__file__).parents[2]
SCALE = 0.01

PRINT_DIGEST = """
from tests.benchmarks.test_workload import digest
print(digest())
"""


def digest() -> str:
    """What a small workload comes to, in a line."""
    return hashlib.sha256(repr(generate(SCALE, questions=200)).encode()).hexdigest()


@pytest.fixture(scope="module")
def workload() -> Workload:
    return generate(SCALE, questions=400)


def test_a_seed_gives_the_same_workload_in_every_process() -> None:
    """Nothing follows from the order of a set, which differs from process to process."""
    others = [
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert others == [digest(), digest()]


def test_another_seed_gives_another_workload(workload: Workload) -> None:
    """The seed is used for relationships and questions."""
    other = generate(SCALE, seed=2, questions=400)
    assert other.relationships != workload.relationships
    assert (other.allowed, other.denied) != (workload.allowed, workload.denied)


def test_full_scale_has_the_promised_relationships() -> None:
    """About 340,000, none of them twice."""
    relationships = generate(1.0, questions=0).relationships
    assert 335_000 < len(relationships) < 345_000
    assert len(set(relationships)) == len(relationships)


def test_the_schema_allows_every_relationship(workload: Workload) -> None:
    """Each is of a kind that its relation allows."""
    schema = compile_schema(SCHEMA)
    for text in workload.relationships:
        relationship = parse_relationship(text)
        relation = schema.definitions[relationship.resource.type].relations[relationship.relation]
        subject = relationship.subject
        assert (subject.type, subject.relation) in {
            (allowed.type, allowed.relation) for allowed in relation.allowed
        }


def test_folders_are_five_deep_and_groups_three(workload: Workload) -> None:
    """The longest way up passes as many as the workload promises."""
    up = {"folder": {}, "group": {}}  # type: dict[str, dict[str, str]]
    for relationship in map(parse_relationship, workload.relationships):
        if relationship.resource.type == relationship.subject.type:
            below, above = relationship.subject.object, relationship.resource
            if relationship.relation == "parent":
                below, above = above, below
            up[below.type][str(below)] = str(above)
    assert _longest(up["folder"]) == 5
    assert _longest(up["group"]) == 3


def test_half_of_the_questions_are_allowed_and_half_denied(workload: Workload) -> None:
    """By a walk of the relationships, and by the checker that Relata is compared with."""
    walk, by_hand = Walk(workload.relationships), Handwritten(workload.relationships)
    asked = mixed_questions(workload)
    assert len(workload.allowed) == len(workload.denied) == 200
    assert {question.allowed for question in workload.allowed} == {True}
    assert {question.allowed for question in workload.denied} == {False}
    require_answers(asked, (walk.may_view(q.document, q.user) for q in asked), "the walk")
    require_answers(asked, (by_hand.may_view(q.document, q.user) for q in asked), "by hand")


def test_a_wrong_answer_is_not_passed_over(workload: Workload) -> None:
    """One wrong answer of many ends a run."""
    answers = [question.allowed for question in workload.allowed]
    answers[-1] = False
    with pytest.raises(WrongAnswerError, match=r"answers False for `user:u\d+`"):
        require_answers(workload.allowed, answers, "Relata")


def test_the_handwritten_checker_ends_in_a_cycle() -> None:
    """Folders that contain each other are walked once."""
    checker = Handwritten(
        [
            "document:readme#parent@folder:one",
            "folder:one#parent@folder:two",
            "folder:two#parent@folder:one",
            "folder:two#viewer@group:eng#member",
            "group:eng#member@user:anne",
            "folder:three#viewer@user:ben",
        ]
    )
    assert checker.may_view("document:readme", "user:anne")
    assert not checker.may_view("document:readme", "user:ben")
    assert not checker.may_view("document:readme", "user:nobody")


def _longest(up: dict[str, str]) -> int:
    return max(_depth(start, up) for start in up)


def _depth(node: str, up: dict[str, str]) -> int:
    return 1 + (_depth(up[node], up) if node in up else 0)
