"""What is remembered between questions, and what a question in the middle of a write sees.

Both are held to sessions that remember nothing, over worlds that Hypothesis draws; those are held
to the reference (`test_agreement.py`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata.engine import Memory, check, flat, pieces
from relata.graph import View
from relata.relationships import ObjectRef, Relationship, SubjectRef, parse_relationship
from relata.schema import compile_schema
from tests.reference.engine_answers import EngineAnswers, EngineUnderTest, engine_of
from tests.strategies import IDS, World, allowed_relationships, subjects, worlds

EXAMPLES = int(os.environ.get("RELATA_EXAMPLES", "200"))

quick = settings(
    max_examples=max(1, EXAMPLES // 4),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

CHANGES = 6
SCHEMA = """
definition user {}
definition group {
	relation member: user | group#member
}
"""

FOLDERS = """
definition user {}
definition folder {
	relation viewer: user
	permission view = viewer
}
definition document {
	relation parent: folder
	permission view = parent->view
}
"""

Asked = tuple[ObjectRef, str, SubjectRef]
Ask = Callable[[EngineAnswers], object]
Changes = list[tuple[bool, Relationship]]


@quick
@given(worlds(), st.integers())
def test_a_write_makes_forgotten_what_it_makes_untrue(world: World, seed: int) -> None:
    """After each of several writes every check is answered as if nothing were remembered."""
    assert next(wrongly_remembered(world, random.Random(seed)), None) is None


def wrongly_remembered(world: World, drawn: random.Random) -> Iterator[Asked]:
    """Questions that are answered by what writes have made untrue."""
    engine = engine_of(world)
    asked = checks(world)
    for changes in writes(world, drawn):
        for question in drawn.sample(asked, len(asked) // 2):
            engine.plain_answer(*question)
        engine.change(changes)
        afresh, remembering = engine.answers(remembering=False), engine.answers()
        for question in asked:
            answer = afresh.check(*question)
            if remembering.check(*question) != answer:
                yield question
            if engine.plain_answer(*question) not in (None, answer):
                yield question
        for question in drawn.sample(asked, len(asked) // 8):
            for type_ in world.bodies:
                if ask_subjects(question, type_, remembering) != ask_subjects(
                    question, type_, afresh
                ):
                    yield question


@quick
@given(worlds(), st.integers())
def test_a_question_stays_at_its_revision_while_writes_are_made(world: World, seed: int) -> None:
    """A session that lets a write in at every step answers as one that lets none in."""
    drawn = random.Random(seed)
    engine = engine_of(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "SLICE", 1)
        patch.setattr(pieces, "PIECE", 1)
        patch.setattr(pieces, "_SMALL_PIECE", 1)
        for _ in range(3):
            for ask in drawn.sample(every_question(world), 12):
                undisturbed = ask(engine.answers(world.contextual, remembering=False))
                pending = list(writes(world, drawn))
                asking = engine.answers(world.contextual, pause=letting_in(engine, pending))
                assert ask(asking) == undisturbed


def test_such_questions_do_pause() -> None:
    """The questions of the test before this one do let writes in."""
    paused: list[View] = []
    relationships = ["group:a#member@group:b#member", "group:b#member@user:x"]
    schema = compile_schema(SCHEMA)
    engine = EngineUnderTest(schema, map(parse_relationship, relationships))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "SLICE", 1)
        asking = engine.answers(pause=paused.append)
        asking.lookup_resources("group", "member", SubjectRef("user", "x"))
    assert paused


def letting_in(engine: EngineUnderTest, pending: list[Changes]) -> Callable[[View], None]:
    def pause(view: View) -> None:
        if pending:
            engine.change(pending.pop(), kept=[view])

    return pause


def writes(world: World, drawn: random.Random) -> Iterator[Changes]:
    """Additions and removals of what the schema allows, a few at a time; traits change as well."""
    pool = allowed_relationships(world.bodies)
    for _ in range(CHANGES if pool else 0):
        chosen = drawn.choices(pool, k=drawn.choice((1, 1, 2, 4)))
        by_key = {item.key: item for item in chosen}
        yield [
            change
            for item in by_key.values()
            for change in replaced(item, is_addition=drawn.random() < 0.5)
        ]


def replaced(item: Relationship, *, is_addition: bool) -> Iterator[tuple[bool, Relationship]]:
    yield False, item
    if is_addition:
        yield True, item


def checks(world: World) -> list[Asked]:
    return [
        (ObjectRef(type_, id_), name, subject)
        for type_ in world.bodies
        for id_ in IDS
        for name in world.names(type_)
        for subject in subjects(world)
    ]


def every_question(world: World) -> list[Ask]:
    asked = checks(world)
    found: list[Ask] = [partial(ask_check, question) for question in asked]
    found += [partial(ask_resources, question) for question in asked[::3]]
    found += [
        partial(ask_subjects, question, type_) for question in asked[::5] for type_ in world.bodies
    ]
    return found


def ask_check(asked: Asked, answers: EngineAnswers) -> object:
    return answers.check(*asked)


def ask_resources(asked: Asked, answers: EngineAnswers) -> object:
    resource, name, subject = asked
    return answers.lookup_resources(resource.type, name, subject)


def ask_subjects(asked: Asked, type_: str, answers: EngineAnswers) -> object:
    resource, name, _ = asked
    return answers.lookup_subjects(resource, name, type_, "", IDS)


def test_nothing_is_kept_that_was_found_during_a_write() -> None:
    """Nor what was found before one: the sequence that it was found at says so."""
    memory = Memory(0)
    before = memory.sequence
    with memory.writing(1):
        memory.keep(0, 1, "found during", 1, memory.sequence)
        memory.keep(0, 1, "found before", 1, before)
    memory.keep(0, 1, "found before, kept after", 1, before)
    assert memory.tables[0] == {}
    memory.keep(0, 1, "found after", 1, memory.sequence)
    assert memory.tables[0] == {1: "found after"}


def test_answers_go_with_their_revision() -> None:
    """One that comes late is put among those of its own revision, where nobody looks any more."""
    memory = Memory(1, most_answers=10)
    question = ("document:d", "view", "user:x")
    answers = memory.answers
    memory.keep_answer(answers, question, True)
    assert (memory.answers, memory.answers.revision) == ({question: True}, 1)
    with memory.writing(2):
        memory.keep_answer(answers, question, True)
    assert (memory.answers, memory.answers.revision) == ({}, 2)
    memory.keep_answer(answers, question, True)
    assert memory.answers == {}


def test_answers_are_bounded() -> None:
    """Those that are dropped are freed while others come."""
    memory = Memory(1, most_answers=10)
    for number in range(1_000):
        memory.keep_answer(memory.answers, (f"document:d{number}", "view", "user:x"), True)
        assert len(memory.answers) <= 10
        assert sum(map(len, memory._dropped)) <= 10
    assert memory.answers.revision == 1


def test_a_write_to_a_folder_of_very_many_forgets_without_looking_at_each() -> None:
    """A viewer of a folder with many documents is forgotten with all flats, at once."""
    schema = compile_schema(FOLDERS)
    many = [f"document:d{n}#parent@folder:f" for n in range(2 * flat._MOST_FORGOTTEN)]
    engine = EngineUnderTest(schema, map(parse_relationship, many))
    viewer = parse_relationship("folder:f#viewer@user:x")
    asked = (ObjectRef("document", "d0"), "view", SubjectRef("user", "x"))
    engine.change([(True, parse_relationship("folder:other#viewer@user:x"))])
    for expected in (True, False, True):
        assert [engine.plain_answer(*asked) for _ in range(3)] == [not expected] * 3
        engine.change([(expected, viewer)])
        assert [engine.plain_answer(*asked) for _ in range(3)] == [expected] * 3


def test_a_pause_makes_a_whole_session_forget() -> None:
    """Other subjects' questions of a session do not use what is remembered of a later revision."""
    schema = compile_schema(FOLDERS)
    texts = ["document:d#parent@folder:f", "folder:f#viewer@user:x", "folder:g#viewer@user:y"]
    engine = EngineUnderTest(schema, map(parse_relationship, texts))
    document = ObjectRef("document", "d")
    one, other = SubjectRef("user", "x"), SubjectRef("user", "y")
    pending = [[(True, parse_relationship("folder:f#viewer@user:y"))]]

    def pause(view: View) -> None:
        if pending:
            engine.change(pending.pop(), kept=[view])
            for _ in range(3):
                assert engine.plain_answer(document, "view", other) is True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "SLICE", 1)
        asking = engine.answers(pause=pause)
        assert asking.lookup_resources("folder", "view", one) == {"f": True}
        assert not pending
        assert asking.check(document, "view", other) is False


def test_names_that_name_each_other_twice_are_checked_in_no_time() -> None:
    """What doubles at each level is left to what remembers the answers on the way."""
    levels = [f"permission lev{n + 1}l = (lev{n}l & one) + (lev{n}l & two)" for n in range(24)]
    relations = ["relation one: user", "relation two: user"]
    body = "\n".join([*relations, "permission lev0l = one", *levels])
    schema = compile_schema(f"definition user {{}}\ndefinition document {{\n{body}\n}}\n")
    stored = ["document:d#one@user:x", "document:d#two@user:x"]
    engine = EngineUnderTest(schema, map(parse_relationship, stored))
    assert (
        engine.plain_answer(ObjectRef("document", "d"), "lev24l", SubjectRef("user", "x")) is True
    )
