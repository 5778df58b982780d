"""The engine against the reference, on worlds that Hypothesis draws.

Each example asks every question that can be asked about a small world, with and without contextual
relationships. `RELATA_EXAMPLES` sets how many worlds each test draws (200 unless set); the long
run, before a release, is

    RELATA_EXAMPLES=10000 .venv/bin/python -m pytest tests/engine/test_agreement.py -n 2
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata import Relata
from relata.engine import Engine, Session, WorkLimits, check
from relata.graph import snapshot_view
from relata.relationships import ObjectRef, Relationship, SubjectRef, delete, touch
from tests.reference.compare import disagreements
from tests.reference.engine_answers import EngineAnswers, engine_of, world_disagreements
from tests.reference.evaluator import FoundSubjects, Reference
from tests.strategies import (
    IDS,
    UNKNOWN_ID,
    Body,
    World,
    allowed_relationships,
    subjects,
    worlds,
)

EXAMPLES = int(os.environ.get("RELATA_EXAMPLES", "200"))

thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""A world is large to draw and slow to ask everything about, and that is the point."""

quick = settings(thorough, max_examples=max(1, EXAMPLES // 4))
"""For properties that follow from agreement and are checked on their own account."""

few = settings(thorough, max_examples=max(1, EXAMPLES // 20))
"""For what needs a database each time."""


@thorough
@given(worlds())
def test_engine_answers_as_the_reference_does(world: World) -> None:
    """Every check and every lookup, with contextual relationships and without."""
    assert next(world_disagreements(world), None) is None


@quick
@given(worlds())
def test_checks_that_search_backwards_answer_the_same(world: World) -> None:
    """What a check otherwise does over wide data alone, it does here over every relationship."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "_WIDE", 1)
        patch.setattr(check, "_WORTHWHILE", 0)
        assert next(world_disagreements(world), None) is None


@few
@given(worlds())
def test_a_snapshot_answers_as_the_store_was(world: World) -> None:
    """The engine over the store at a past revision gives the answers of that revision."""
    later = [item for item in world.contextual if item not in world.stored]
    with Relata.open("sqlite://", schema=world.text, follow_seconds=None) as relata:
        if world.stored:
            relata.write(world.stored)
        revision = relata.store.state().head
        changes = [*map(touch, later), *map(delete, world.stored[:3])]
        if changes:
            relata.write(changes)
        engine = Engine(relata.schema)
        view = snapshot_view(relata.store, revision, engine.kinds)
        answers = EngineAnswers(Session(engine, view, WorkLimits()))
        reference = Reference(relata.schema, world.stored, world.objects)
        assert next(disagreements(reference, answers), None) is None


@quick
@given(worlds(), st.integers())
def test_any_order_of_questions_gives_the_same_answers(world: World, seed: int) -> None:
    """What a session remembers from one question never changes the answer to another."""
    engine = engine_of(world)
    questions = every_check(world)
    random.Random(seed).shuffle(questions)
    questions = questions[:300]
    together = engine.answers(world.contextual)
    for question in questions:
        alone = engine.answers(world.contextual)
        assert together.check(*question) is alone.check(*question), question


@quick
@given(worlds(), st.permutations([*"zyxw"]))
def test_renaming_ids_changes_nothing(world: World, letters: list[str]) -> None:
    """No answer depends on what an id says or on how ids sort."""
    renaming = dict(zip((*IDS, UNKNOWN_ID), letters, strict=True)) | {"*": "*"}

    def renamed(ref: ObjectRef) -> ObjectRef:
        return ObjectRef(ref.type, renaming[ref.id])

    def renamed_subject(ref: SubjectRef) -> SubjectRef:
        return SubjectRef(ref.type, renaming[ref.id], ref.relation)

    def renamed_all(items: tuple[Relationship, ...]) -> tuple[Relationship, ...]:
        return tuple(
            Relationship(renamed(r.resource), r.relation, renamed_subject(r.subject)) for r in items
        )

    other = replace(
        world,
        stored=renamed_all(world.stored),
        contextual=renamed_all(world.contextual),
        stale=renamed_all(world.stale),
    )
    before = engine_of(world).answers(world.contextual)
    after = engine_of(other).answers(other.contextual)
    for resource, name, subject in every_check(world):
        asked = (renamed(resource), name, renamed_subject(subject))
        assert after.check(*asked) is before.check(resource, name, subject), (resource, name)


@quick
@given(worlds(), st.data())
def test_operators_obey_their_laws(world: World, data: st.DataObject) -> None:
    """`+` is or, `&` is and, `-` takes away and never adds, `- nil` and renaming do nothing."""
    type_ = data.draw(st.sampled_from([type_ for type_ in world.bodies if world.names(type_)]))
    one, two = (data.draw(st.sampled_from(world.names(type_))) for _ in range(2))
    laws = {
        "joined": f"{one} + {two}",
        "met": f"{one} & {two}",
        "less": f"{one} - {two}",
        "less_nil": f"{one} - nil",
        "renamed": one,
    }
    answers = engine_of(world.with_permissions(type_, laws)).answers(world.contextual)
    for id_ in (*IDS, UNKNOWN_ID):
        resource = ObjectRef(type_, id_)
        for subject in subjects(world):
            first, second = (answers.check(resource, name, subject) for name in (one, two))
            found = {name: answers.check(resource, name, subject) for name in laws}
            assert found["joined"] is (first or second)
            assert found["met"] is (first and second)
            assert found["less_nil"] is first
            assert found["renamed"] is first
            assert not found["less"] or (first and not second)


@quick
@given(worlds(), st.data())
def test_without_exclusions_more_relationships_never_take_away(
    world: World, data: st.DataObject
) -> None:
    """Unions, intersections and arrows are monotone; `.all()` is not, and is left out."""
    positive = replace(world, bodies=_positive(world.bodies))
    pool = allowed_relationships(positive.bodies)
    more = tuple(data.draw(st.lists(st.sampled_from(pool), max_size=3)))
    engine = engine_of(positive)
    fewer_answers, more_answers = engine.answers(), engine.answers(more)
    for question in every_check(world):
        assert more_answers.check(*question) or not fewer_answers.check(*question), question


@quick
@given(worlds(), st.data())
def test_an_irrelevant_relationship_changes_nothing(world: World, data: st.DataObject) -> None:
    """What is said of an object that nothing refers to is no concern of the other objects."""
    pool = allowed_relationships(world.bodies)
    drawn = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    elsewhere = [
        Relationship(ObjectRef(r.resource.type, "elsewhere"), r.relation, r.subject) for r in drawn
    ]
    engine = engine_of(world)
    before = engine.answers(world.contextual)
    after = engine.answers((*world.contextual, *elsewhere))
    for question in every_check(world):
        assert after.check(*question) is before.check(*question), question
    assert everything_found(world, after, without="elsewhere") == everything_found(world, before)


@quick
@given(worlds())
def test_check_and_both_lookups_say_the_same(world: World) -> None:
    """A subject is allowed just when each lookup, asked from either end, has it."""
    answers = engine_of(world).answers(world.contextual)
    resources = everything_found(world, answers)
    found = {
        (resource, name, type_, relation): answers.lookup_subjects(resource, name, type_, relation)
        for resource in world.objects
        for name in world.names(resource.type)
        for type_ in world.bodies
        for relation in ("", *world.names(type_))
    }
    for resource, name, subject in every_check(world):
        allowed = answers.check(resource, name, subject)
        listed = resource.id in resources[resource.type, name, subject]
        covered = _covers(found[resource, name, subject.type, subject.relation], subject.id)
        assert (listed, covered) == (allowed, allowed), (resource, name, subject)


def every_check(world: World) -> list[tuple[ObjectRef, str, SubjectRef]]:
    """Every check that can be asked about a world's objects."""
    return [
        (resource, name, subject)
        for resource in world.objects
        for name in world.names(resource.type)
        for subject in subjects(world)
    ]


def everything_found(
    world: World, answers: EngineAnswers, *, without: str = ""
) -> dict[tuple[str, str, SubjectRef], tuple[str, ...]]:
    """Every lookup of resources, less one id."""
    return {
        (type_, name, subject): tuple(
            id_ for id_ in answers.lookup_resources(type_, name, subject) if id_ != without
        )
        for type_ in world.bodies
        for name in world.names(type_)
        for subject in subjects(world)
    }


def _covers(found: FoundSubjects, id_: str) -> bool:
    return id_ in found.ids or (found.wildcard and id_ not in found.excluded)


def _positive(bodies: Mapping[str, Body]) -> dict[str, Body]:
    """The same schema with a union for every exclusion, and `.any` for `.all`."""
    return {
        type_: Body(
            body.relations,
            {
                name: text.replace(" - ", " + ").replace(".all(", ".any(")
                for name, text in body.permissions.items()
            },
        )
        for type_, body in bodies.items()
    }
