"""What a change can touch, against what it does: every answer before and after, on drawn worlds.

`RELATA_EXAMPLES` sets how many worlds the property test draws (200 unless set).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from relata.engine import Asker, Engine, Session, Watch, Whom, WorkLimits
from relata.errors import CaveatFailedError
from relata.graph import Resident, View
from relata.relationships import (
    ObjectRef,
    Relationship,
    SubjectRef,
    parse_relationship,
)
from relata.schema import compile_schema
from tests.strategies import IDS, UNKNOWN_ID, World, worlds

B2B = (Path(__file__).parents[2] / "schema.zed").read_text(encoding="utf-8")

thorough = settings(
    max_examples=int(os.environ.get("RELATA_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Change:
    """Relationships before and after a write, as an engine reads them."""

    def __init__(
        self,
        schema: str,
        before: Iterable[Relationship],
        after: Iterable[Relationship],
        *asked: str,
    ) -> None:
        self.engine = Engine(compile_schema(schema))
        self.asked = set(asked)
        self._old, self._new = {*before}, {*after}
        self.before, self.after = self._view(self._old), self._view(self._new)
        self.edges = list(self.engine.edges(self._old ^ self._new))
        self.both = self.after.changed(added=self.edges)
        self.moment = time.time_ns() // 1_000

    def _view(self, relationships: Iterable[Relationship]) -> View:
        graph = Resident()
        graph.apply((True, relationship) for relationship in relationships)
        view = graph.view(self.engine.kinds)
        return self.engine.without_stored(view, self.asked)

    def watch(self, type_: str, names: Iterable[tuple[str, str]]) -> Watch:
        return self.engine.watch(type_, names, self.asked)

    def asker(self, watch: Watch, subject: SubjectRef, with_: Relationship | None) -> Asker:
        view = self.engine.extend(self.after, [with_] if with_ else [])
        return Asker(watch, view, str(subject), moment=self.moment, steps=1_000_000)


@dataclass(frozen=True)
class Question:
    """What a test asks: some names, for subjects of a type, with one question-only relation."""

    type: str
    names: tuple[tuple[str, str], ...]
    asked: str
    weight: int

    def askers(self) -> list[tuple[SubjectRef, Relationship | None]]:
        subjects = [SubjectRef(self.type, id_) for id_ in (*IDS, UNKNOWN_ID)]
        if not self.asked:
            return [(subject, None) for subject in subjects]
        type_, _, relation = self.asked.partition("#")
        return [
            (subject, Relationship(ObjectRef(type_, id_), relation, subject))
            for subject in subjects
            for id_ in IDS
        ]


@st.composite
def changes(draw: st.DrawFn) -> tuple[World, tuple[Relationship, ...], Question]:
    """A world, what is stored after a write, and a question."""
    world = draw(worlds())
    gone = draw(st.sets(st.sampled_from(world.stored), max_size=4)) if world.stored else set()
    written = {item.key for item in world.contextual}
    kept = [item for item in world.stored if item not in gone and item.key not in written]
    type_ = draw(st.sampled_from(list(world.bodies)))
    every = [(other, name) for other in world.bodies for name in world.names(other)]
    few = st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True)
    names = draw(st.one_of(st.just(every), few))
    open_ = [
        f"{other}#{relation}"
        for other, body in world.bodies.items()
        for relation, kinds in body.relations.items()
        if type_ in kinds
    ]
    asked = draw(st.sampled_from(["", *open_, *open_]))
    question = Question(type_, tuple(names), asked, draw(st.sampled_from([1, 4_000, 6_000])))
    return world, (*kept, *world.contextual), question


@thorough
@given(changes())
def test_what_differs_was_touched_and_noticed(
    drawn: tuple[World, tuple[Relationship, ...], Question],
) -> None:
    """Whoever's answers differ is reached from a changed relationship that they notice, and every
    answer that differs is among those that can be touched."""
    world, after, question = drawn
    change = Change(world.text, world.stored, after, *filter(None, [question.asked]))
    watch = change.watch(question.type, question.names)
    edges = watch.relevant(change.edges)
    reached = {edge: watch.whom(change.both, edge, lambda *_: question.weight) for edge in edges}
    listed = watch.answers(change.after, edges)
    for subject, with_ in question.askers():
        differing = _differences(change, question, subject, with_)
        if not differing:
            continue
        asker = change.asker(watch, subject, with_)
        asking = {
            (edge.kind, edge.resource) for edge in change.engine.edges([with_] if with_ else [])
        }
        assert any(
            (whom is None or str(subject) in whom.subjects or asking & whom.asking)
            and watch.is_noticed(asker, edge)
            for edge, whom in reached.items()
        )
        assert listed is None or differing <= listed
        event("something differs")


def _differences(
    change: Change, question: Question, subject: SubjectRef, with_: Relationship | None
) -> set[tuple[tuple[str, str], str]]:
    before, after = (
        _answers(change.engine, view, question, subject, with_)
        for view in (change.before, change.after)
    )
    return {
        ((type_, name), f"{type_}:{id_}")
        for (type_, id_, name), answer in after.items()
        if answer != before[type_, id_, name]
    }


def _answers(
    engine: Engine,
    view: View,
    question: Question,
    subject: SubjectRef,
    with_: Relationship | None,
) -> Mapping[tuple[str, str, str], object]:
    extended = engine.extend(view, [with_] if with_ else [])
    session = Session(engine, extended, WorkLimits())
    answers: dict[tuple[str, str, str], object] = {}
    for type_, name in question.names:
        for id_ in (*IDS, UNKNOWN_ID):
            try:
                answer: object = session.check(ObjectRef(type_, id_), name, subject)
            except CaveatFailedError:
                answer = "failed"
            answers[type_, id_, name] = answer
    return answers


# An arrow to all

ALL = """
definition user {}
definition badge {
	relation holder: user
}
definition door {
	relation needs: badge
	permission open = needs.all(holder)
}
"""
HELD = ("badge:red#holder@user:anne", "badge:blue#holder@user:anne", "badge:red#holder@user:bob")


@pytest.mark.parametrize("needed", [(), ("red",)])
def test_one_more_of_all_is_noticed_by_who_could_be_in_it(needed: Sequence[str]) -> None:
    """Also by those who are not in the target of what was added, or were in it alone."""
    before = [parse_relationship(text) for text in HELD]
    before += [parse_relationship(f"door:front#needs@badge:{badge}") for badge in needed]
    added = parse_relationship("door:front#needs@badge:blue")
    for old, new in ((before, [*before, added]), ([*before, added], before)):
        change = Change(ALL, old, new)
        watch = change.watch("user", [("door", "open")])
        for edge in watch.relevant(change.edges):
            found = watch.whom(change.both, edge, lambda *_: 1)
            assert found is not None
            assert found.subjects >= ({"user:anne", "user:bob"} if needed else {"user:anne"})
            for subject in ("anne", "bob"):
                asker = change.asker(watch, SubjectRef("user", subject), None)
                assert watch.is_noticed(asker, edge)


CIRCLE = """
definition user {}
definition page {
	relation reader: user
	relation next: page
	relation back: page
	permission first = next->second
	permission second = reader - third
	permission third = reader - back->first
}
"""


def test_an_exclusion_that_goes_round_in_a_circle_is_noticed_by_everybody() -> None:
    """What closes the circle leads to what is false, before and after, and yet undoes an answer."""
    before = [
        parse_relationship("page:b#reader@user:anne"),
        parse_relationship("page:b#back@page:a"),
    ]
    change = Change(CIRCLE, before, [*before, parse_relationship("page:a#next@page:b")])
    anne = SubjectRef("user", "anne")
    third, second = (
        [
            Session(change.engine, view.own(), WorkLimits()).check(
                ObjectRef("page", "b"), name, anne
            )
            for view in (change.before, change.after)
        ]
        for name in ("third", "second")
    )
    assert (third, second) == ([True, False], [False, False])
    watch = change.watch("user", [("page", "third")])
    (edge,) = watch.relevant(change.edges)
    assert watch.is_noticed(change.asker(watch, anne, None), edge)


# Single changes

CHOSEN = {"organization#chosen_by", "product#requested_by"}
TOKEN = (
    ("organization", "session"),
    ("product", "session"),
    ("capability", "held"),
    ("role", "active"),
)
COMPANY = (
    "organization:acme#member@group:staff#member",
    "group:staff#member@user:anne",
    "group:staff#member@user:bob",
    "product:wiki#subscriber@organization:acme",
    "role:editor#organization@organization:acme",
    "role:editor#product@product:wiki",
    "role:editor#assignee@user:anne",
    "role_template:editors#instance@role:editor",
    "capability:write#granted_to@role_template:editors",
)


def whom(
    changed: str, weights: Mapping[str, int] | None = None, more: Iterable[str] = ()
) -> Whom | None:
    """Whom a relationship touches that is removed from the company; a subject weighs 1."""
    stored = [*map(parse_relationship, [*COMPANY, *more])]
    removed = parse_relationship(changed)
    change = Change(B2B, {*stored, removed}, {*stored} - {removed}, *CHOSEN)
    watch = change.watch("user", TOKEN)
    (edge,) = watch.relevant(change.edges)
    known = weights or {}
    return watch.whom(change.both, edge, lambda _kind, text: known.get(text, 1))


def asking(found: Whom | None) -> set[str]:
    """Where those ask that are reached by what they ask with."""
    assert found is not None
    return {resource for _, resource in found.asking}


def test_an_assignment_touches_who_is_assigned() -> None:
    """And nobody else."""
    assert whom("role:editor#assignee@user:anne") == (frozenset({"user:anne"}), frozenset())


def test_an_assignment_to_a_group_touches_its_members() -> None:
    """Through as many groups as there are."""
    found = whom(
        "role:editor#assignee@group:all#member",
        {"organization:acme": 9, "product:wiki": 9},
        ["group:all#member@group:staff#member", "group:staff#member@group:all#member"],
    )
    assert found == (frozenset({"user:anne", "user:bob"}), frozenset())


def test_an_intersection_is_bounded_by_its_smallest_part() -> None:
    """A role's organization touches its assignees, or who chose the organization."""
    changed = "role:editor#organization@organization:acme"
    assert whom(changed, {"organization:acme": 9, "product:wiki": 9}) == (
        frozenset({"user:anne"}),
        frozenset(),
    )
    assert asking(whom(changed, {"user:anne": 9, "product:wiki": 9})) == {"organization:acme"}
    assert asking(whom(changed, {"user:anne": 9, "organization:acme": 9})) == {"product:wiki"}


def test_a_trial_costs_nothing_where_it_is_not_gone() -> None:
    """What an organization's members weigh does not count against who chose it."""
    weights = {"user:anne": 20, "user:bob": 20, "product:wiki": 30, "organization:acme": 15}
    assert asking(whom("role:editor#product@product:wiki", weights)) == {"organization:acme"}


def test_a_template_touches_whoever_has_its_roles() -> None:
    """A capability that is granted to it is theirs."""
    found = whom("capability:read#granted_to@role_template:editors", {"organization:acme": 9})
    assert found is not None
    assert found.subjects == {"user:anne"} or asking(found) == {"product:wiki"}


def test_what_reaches_too_many_touches_everybody() -> None:
    """Rather than some of them."""
    members = [f"group:staff#member@user:u{number}" for number in range(30_000)]
    heavy = {"organization:acme": 30_000, "product:wiki": 30_000}
    assert whom("role:editor#assignee@group:staff#member", heavy, members) is None


def test_groups_may_be_nested_deeply() -> None:
    """Depth costs no Python frames."""
    nested = [f"group:g{n}#member@group:g{n + 1}#member" for n in range(1_500)]
    heavy = {"organization:acme": 30_000, "product:wiki": 30_000}
    found = whom(
        "role:editor#assignee@group:g0#member", heavy, [*nested, "group:g1500#member@user:carol"]
    )
    assert found == (frozenset({"user:carol"}), frozenset())


DEEP = """
definition user {}
definition folder {
	relation parent: folder
	relation owner: user
	permission open = owner + (parent->open & parent->seen)
	permission seen = owner + (parent->seen & parent->open)
}
"""


def test_intersections_that_are_nested_too_deeply_touch_everybody() -> None:
    """A walk that runs out of Python's frames is given up."""
    nested = [f"folder:f{n}#parent@folder:f{n + 1}" for n in range(1_500)]
    stored = [*map(parse_relationship, [*nested, "folder:f1500#owner@user:anne"])]
    change = Change(DEEP, stored, stored[1:])
    watch = change.watch("user", [("folder", "open")])
    (edge,) = watch.relevant(change.edges)
    assert watch.whom(change.both, edge, lambda *_: 1) is None


def test_the_answers_that_an_assignment_touches() -> None:
    """The role, and what is granted to it, by a template or not."""
    stored = [*map(parse_relationship, COMPANY)]
    change = Change(B2B, stored, [it for it in stored if it.relation != "assignee"], *CHOSEN)
    watch = change.watch("user", TOKEN)
    answers = watch.answers(change.after, watch.relevant(change.edges))
    assert answers == frozenset(
        {(("role", "active"), "role:editor"), (("capability", "held"), "capability:write")}
    )


def test_too_many_answers_are_not_listed() -> None:
    """A product's session is needed by every role for it."""
    roles = [parse_relationship(f"role:r{n}#product@product:wiki") for n in range(2_000)]
    stored = [*map(parse_relationship, COMPANY), *roles]
    change = Change(B2B, stored, [it for it in stored if it.relation != "subscriber"], *CHOSEN)
    watch = change.watch("user", TOKEN)
    assert watch.answers(change.after, watch.relevant(change.edges)) is None


def test_what_no_answer_reads_is_not_relevant() -> None:
    """Nor is what comes only with a question."""
    dataset = parse_relationship("dataset:d#organization@organization:acme")
    choice = parse_relationship("organization:acme#chosen_by@user:anne")
    change = Change(B2B, [], [dataset, choice], *CHOSEN)
    assert change.watch("user", TOKEN).relevant(change.edges) == []
