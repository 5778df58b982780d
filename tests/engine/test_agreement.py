"""The engine against the reference, on worlds that Hypothesis draws.

Each example asks every question that can be asked about a small world, with and without contextual
relationships. `RELATA_EXAMPLES` sets how many worlds each test draws (200 unless set), the first
one in parts that may run side by side; the long run, before a release, is

    RELATA_EXAMPLES=50000 .venv/bin/python -m pytest tests/engine/test_agreement.py \
        -k engine_answers -n 2
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from relata import Relata
from relata.engine import Engine, Session, WorkLimits, check, nodes, pieces
from relata.engine.lookup_resources import BackwardSearch
from relata.engine.nodes import Nodes
from relata.engine.ways import Part
from relata.graph import snapshot_view
from relata.relationships import ObjectRef, Relationship, SubjectRef, delete, touch
from tests.reference.compare import Found, disagreements
from tests.reference.engine_answers import EngineAnswers, engine_of, world_disagreements
from tests.reference.evaluator import Answer, Reference
from tests.strategies import (
    CONTEXTS,
    IDS,
    PAST,
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


PARTS = 4


@pytest.mark.parametrize("_part", range(PARTS))
def test_engine_answers_as_the_reference_does(_part: int) -> None:
    """Every check and every lookup, with contextual relationships and without."""

    @settings(thorough, max_examples=max(1, EXAMPLES // PARTS), database=None)
    @given(worlds())
    def agrees(world: World) -> None:
        assert next(world_disagreements(world), None) is None

    agrees()


@quick
@given(worlds())
def test_checks_that_search_backwards_answer_the_same(world: World) -> None:
    """What a check otherwise does over wide data alone, it does here over every relationship."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "WIDE", 1)
        patch.setattr(check, "_WORTHWHILE", 0)
        assert next(world_disagreements(world), None) is None


@quick
@given(worlds())
def test_checks_that_search_thoroughly_answer_the_same(world: World) -> None:
    """What a run otherwise does after its first find, it does here from the start."""
    search_of = check._search

    def thorough(*arguments: Any) -> check.Search:
        search, memory = search_of(*arguments), arguments[4]

        def searching(run: check.Run, starts: Iterable[int]) -> bool:
            run.fruitful.add(memory)
            return search(run, starts)

        return searching

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "_search", thorough)
        assert next(world_disagreements(world), None) is None


@quick
@given(worlds())
def test_lookups_in_small_pieces_answer_the_same(world: World) -> None:
    """What lookups otherwise do with large sets alone, they do here with every set.

    The parts of an intersection or an exclusion are searched, not checked, wherever they can be.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", 2)
        patch.setattr(pieces, "_SMALL_PIECE", 1)
        patch.setattr(nodes, "_MOST_TOGETHER", 1)
        patch.setattr(nodes, "_SHARD_BITS", 1)
        patch.setattr(BackwardSearch, "_worth_searching", searched)
        assert next(world_disagreements(world), None) is None


def searched(self: BackwardSearch, part: Part, width: int) -> Nodes | None:
    """All nodes that a part is true of, however few are to be compared with them."""
    return self._find(part.term) if part.exact and width else None


@few
@given(worlds())
def test_a_snapshot_answers_as_the_store_was(world: World) -> None:
    """The engine over the store at a past revision gives the answers of that revision."""
    later = [item for item in world.contextual if item not in world.stored]
    with Relata.open("sqlite://", schema=world.text, follow_seconds=None) as relata:
        if world.stored:
            relata.write(world.stored)
        assert relata.read().relationships == tuple(r for r in world.stored if r.expires_at != PAST)
        revision = relata.store.state().head
        written = {item.key for item in later}
        gone = [item for item in world.stored[:3] if item.key not in written]
        changes = [*map(touch, later), *map(delete, gone)]
        if changes:
            relata.write(changes)
        engine = Engine(relata.schema)
        view = snapshot_view(relata.store, revision, engine.kinds)
        answers = EngineAnswers(Session(engine, view, WorkLimits(), context=world.context))
        reference = Reference(relata.schema, world.stored, world.objects, context=world.context)
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
        assert together.check(*question) == alone.check(*question), question


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
            structs.replace(r, resource=renamed(r.resource), subject=renamed_subject(r.subject))
            for r in items
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
        assert after.check(*asked) == before.check(resource, name, subject), (resource, name)


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
            assert found["less_nil"] == found["renamed"] == first
            # Of what is unknown, whether it is true with everything against it, and for it.
            for side in (surely, possibly):
                assert side(found["joined"]) is (side(first) or side(second))
                assert side(found["met"]) is (side(first) and side(second))
            assert not surely(found["less"]) or (surely(first) and not surely(second))
            assert not possibly(found["less"]) or (possibly(first) and not surely(second))


@quick
@given(worlds(), st.data())
def test_without_exclusions_more_relationships_never_take_away(
    world: World, data: st.DataObject
) -> None:
    """Unions, intersections and arrows are monotone; `.all()` is not, and is left out."""
    positive = replace(world, bodies=_positive(world.bodies))
    stored = {item.key for item in positive.stored}
    pool = [item for item in allowed_relationships(positive.bodies) if item.key not in stored]
    if not pool:
        return
    drawn = data.draw(st.lists(st.sampled_from(pool), max_size=3))
    more = tuple({item.key: item for item in drawn}.values())
    engine = engine_of(positive)
    fewer_answers, more_answers = engine.answers(), engine.answers(more)
    for question in every_check(world):
        fewer, now = fewer_answers.check(*question), more_answers.check(*question)
        assert surely(now) or not surely(fewer), question
        assert possibly(now) or not possibly(fewer), question


@quick
@given(worlds(), st.data())
def test_an_irrelevant_relationship_changes_nothing(world: World, data: st.DataObject) -> None:
    """What is said of an object that nothing refers to is no concern of the other objects; but
    where its own answer fails, so do the lists that it would be in."""
    pool = allowed_relationships(world.bodies)
    if not pool:
        return
    drawn = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    elsewhere = [
        structs.replace(r, resource=ObjectRef(r.resource.type, "elsewhere"))
        for r in {r.key: r for r in drawn}.values()
    ]
    engine = engine_of(world)
    before = engine.answers(world.contextual)
    after = engine.answers((*world.contextual, *elsewhere))
    for question in every_check(world):
        assert after.check(*question) == before.check(*question), question
    found = everything_found(world, after, without="elsewhere")
    for listed, expected in everything_found(world, before).items():
        type_, name, subject = listed
        failed = after.check(ObjectRef(type_, "elsewhere"), name, subject) is None
        assert found[listed] == (None if failed else expected), listed


@quick
@given(worlds())
def test_check_and_both_lookups_say_the_same(world: World) -> None:
    """A subject is allowed just when each lookup, asked from either end, has it."""
    answers = engine_of(world).answers(world.contextual)
    resources = everything_found(world, answers)
    ids = (*IDS, UNKNOWN_ID)
    found = {
        (resource, name, type_, relation): answers.lookup_subjects(
            resource, name, type_, relation, ids
        )
        for resource in world.objects
        for name in world.names(resource.type)
        for type_ in world.bodies
        for relation in ("", *world.names(type_))
    }
    for resource, name, subject in every_check(world):
        answer = answers.check(resource, name, subject)
        listed = resources[resource.type, name, subject]
        covered = found[resource, name, subject.type, subject.relation]
        if listed is not None and answer is not None:
            assert listed.get(resource.id, False) == answer, (resource, name, subject)
        if covered is not None and answer is not None:
            assert covered[subject.id] == answer, (resource, name, subject)


@quick
@given(worlds(), st.data())
def test_more_context_never_changes_what_is_certain(world: World, data: st.DataObject) -> None:
    """Allowed stays allowed, denied stays denied, and what is given is no longer missing."""
    given_more = {**data.draw(st.sampled_from(CONTEXTS)), **world.context}
    before = engine_of(world).answers(world.contextual)
    after = engine_of(replace(world, context=given_more)).answers(world.contextual)
    for question in every_check(world):
        fewer, now = before.check(*question), after.check(*question)
        if isinstance(fewer, bool):
            assert now is fewer, question
        if isinstance(now, frozenset):
            assert now.isdisjoint(given_more), question


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
) -> dict[tuple[str, str, SubjectRef], Found | None]:
    """Every lookup of resources, less one id."""
    return {
        (type_, name, subject): _less(answers.lookup_resources(type_, name, subject), without)
        for type_ in world.bodies
        for name in world.names(type_)
        for subject in subjects(world)
    }


def _less(found: Found | None, id_: str) -> Found | None:
    return found and {key: answer for key, answer in found.items() if key != id_}


def surely(answer: Answer) -> bool:
    """Whether it is a yes whatever is missing."""
    return answer is True


def possibly(answer: Answer) -> bool:
    """Whether it is not a no whatever is missing."""
    return answer is not False


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
