"""Explanations: they answer as checks do, they are sound, and what they grant they grant shortest.

The properties hold over worlds that Hypothesis draws; the examples below them show each feature as
a person reads it. `RELATA_EXAMPLES` sets how many worlds are drawn, as in `test_agreement.py`.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata import Relata
from relata.engine import Engine, ExplainNode, Session, WorkLimits
from relata.engine.drawing import SIGNS, Line, mermaid, outline
from relata.engine.explain import MAX_DEPTH, MAX_LISTED, MAX_NODES
from relata.errors import (
    CaveatFailedError,
    ContextError,
    InvalidArgumentError,
    LimitExceededError,
    UnknownRelationError,
)
from relata.graph import Resident, snapshot_view
from relata.relationships import (
    ObjectRef,
    Relationship,
    SubjectRef,
    parse_object,
    parse_relationship,
    parse_subject,
)
from relata.schema import compile_schema, model
from tests.reference import evaluator
from tests.reference.engine_answers import unless_failed
from tests.reference.evaluator import Reference
from tests.strategies import CONTEXTS, Body, World, allowed_relationships, subjects, worlds

EXAMPLES = int(os.environ.get("RELATA_EXAMPLES", "200"))
QUESTIONS = 40
"""Of each world; there may be thousands."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNREACHABLE = float("inf")

thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Asked = tuple[ObjectRef, str, SubjectRef]


def session(
    schema: str,
    relationships: Iterable[Relationship | str] = (),
    contextual: Iterable[Relationship | str] = (),
    context: Mapping[str, Any] | None = None,
    limits: WorkLimits | None = None,
) -> Session:
    """A session over relationships in memory."""
    engine = Engine(compile_schema(schema))
    graph = Resident()
    graph.apply((True, parse_relationship(relationship)) for relationship in relationships)
    view = engine.extend(graph.view(engine.kinds), map(parse_relationship, contextual))
    return Session(engine, view, limits or WorkLimits(), context=context, now=NOW)


def asked(question: str) -> Asked:
    """`document:1#view@user:anne`, as arguments."""
    resource, _, rest = question.partition("#")
    name, _, subject = rest.partition("@")
    return parse_object(resource), name, parse_subject(subject)


def nodes(node: ExplainNode) -> Iterator[ExplainNode]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def answer(node: ExplainNode) -> bool | frozenset[str]:
    """The answer of a node, as a check gives it."""
    known = {"allowed": True, "denied": False}
    return known.get(node.answer, frozenset(node.missing_context))


TANGLED = {
    "user": Body(),
    "team": Body(
        {
            "member": ("user", "user with small", "team#member"),
            "guest": ("user", "user with both"),
            "next": ("team", "team with small"),
        },
        {
            "open": "member - next->open",
            "closed": "guest - open",
            "shut": "guest - (member - next.all(shut))",
            "less": "member - (open & guest)",
            "more": "member - (open + guest)",
        },
    ),
}
"""Cycles through exclusions, with caveats on them."""
PATHS = {
    "user": Body(),
    "team": Body(
        {
            "member": ("user", "team#member", "team#view"),
            "lead": ("user", "team#member"),
            "next": ("team",),
        },
        {
            "view": "member + next->view",
            "chief": "lead & view",
            "above": "next.all(view) + (lead & next->lead)",
            "plain": "view - chief",
        },
    ),
}
"""Many ways to everything, some of them long."""


@st.composite
def worlds_of(draw: st.DrawFn, bodies: Mapping[str, Body], most: int) -> World:
    """A world over a given schema, of few objects, so that much is related."""
    few = [it for it in allowed_relationships(bodies) if {it.resource.id, it.subject.id} <= {*"aA"}]
    pool = st.sampled_from(few)
    stored = draw(st.lists(pool, min_size=most // 2, max_size=most, unique_by=lambda it: it.key))
    return World(bodies, tuple(stored), context=draw(st.sampled_from(CONTEXTS)))


every_world = st.one_of(worlds(), worlds_of(TANGLED, 12), worlds_of(PATHS, 16))


def questions(world: World, seed: int) -> list[Asked]:
    """Some of the questions that can be asked about a world, half of them about objects."""
    every = [
        (resource, name, subject)
        for resource in world.objects
        for name in world.names(resource.type)
        for subject in subjects(world)
    ]
    plain = [it for it in every if not it[2].relation]
    chance = random.Random(seed)
    return [
        question
        for some in (plain, every)
        for question in chance.sample(some, min(QUESTIONS // 2, len(some)))
    ]


def of_world(world: World) -> Session:
    """A session over all of a world."""
    stored = (*world.stored, *world.stale)
    return session(world.text, stored, world.contextual, world.context)


def check(asking: Session, question: Asked) -> evaluator.Answer:
    """A check; None where a caveat that it rests on has failed."""
    return unless_failed(partial(asking.check, *question))


def explain(asking: Session, question: Asked) -> ExplainNode | None:
    """An explanation; None where a caveat that it rests on has failed."""
    return unless_failed(partial(asking.explain, *question))


def explained(world: World, seed: int) -> Iterator[tuple[Session, Asked, ExplainNode]]:
    """Questions about a world with their explanations, where they have an answer."""
    asking = of_world(world)
    for question in questions(world, seed):
        node = explain(asking, question)
        if node is not None:
            yield asking, question, node


# What every explanation is


@thorough
@given(every_world, st.integers())
def test_an_explanation_answers_as_the_check_does(world: World, seed: int) -> None:
    """The root's answer with its missing names, and whether there is one at all."""
    asking = of_world(world)
    for question in questions(world, seed):
        node = explain(asking, question)
        found = None if node is None else answer(node)
        assert found == check(asking, question), question


@thorough
@given(every_world, st.integers())
def test_every_node_answers_as_a_check_of_it_does(world: World, seed: int) -> None:
    """Each relation and permission in the tree is asked for by itself."""
    for asking, (_, _, subject), root in explained(world, seed):
        for node in nodes(root):
            if node.line:
                right = check(asking, (parse_object(node.resource), node.name, subject))
                assert right is None or answer(node) == right, node


@thorough
@given(every_world, st.integers())
def test_every_node_follows_from_its_children(world: World, seed: int) -> None:
    """A tree is an argument: each answer is right if those below it are."""
    held = {str(it) for it in (*world.stored, *world.contextual)}
    for _, _, root in explained(world, seed):
        for node in nodes(root):
            assert node.operation != "relationship" or node.relationship in held
            if node.children and not node.left_out:
                assert follows(node), node


@thorough
@given(every_world, st.integers())
def test_what_is_granted_is_granted_shortest(world: World, seed: int) -> None:
    """As many relationships as the cheapest of all ways, counted another way; all of them hold."""
    schema = compile_schema(world.text)
    relationships = (*world.stored, *world.stale, *world.contextual)
    reference = Reference(schema, relationships, world.objects, context=world.context, now=NOW)
    granted = [
        (resource, name, subject)
        for (resource, name), everybody in reference.sets.items()
        for subject in everybody
        if not subject.is_wildcard
    ]
    distances = lru_cache(None)(partial(shortest, reference))
    asking = of_world(world)
    for question in random.Random(seed).sample(sorted(granted), min(QUESTIONS, len(granted))):
        resource, name, subject = question
        root = asking.explain(*question)
        assert followed(root) == distances(subject)[resource, name], question
        assert all(it.answer == "allowed" for it in granting(root))


@thorough
@given(every_world, st.integers())
def test_what_is_missing_is_shown_where_it_is_missing(world: World, seed: int) -> None:
    """The caveats in the tree of a conditional answer lack, together, what the answer waits for."""
    for _, _, root in explained(world, seed):
        if root.answer == "conditional":
            caveats = [it for it in nodes(root) if it.condition == "missing_context"]
            assert {name for it in caveats for name in it.missing_context} == {
                *root.missing_context
            }


@settings(thorough, max_examples=max(1, EXAMPLES // 20))
@given(worlds(), st.integers())
def test_a_snapshot_explains_as_memory_does(world: World, seed: int) -> None:
    """Over the store at a revision, every tree is the same."""
    asking = session(world.text, world.stored, context=world.context)
    with Relata.open("sqlite://", schema=world.text, follow_seconds=None) as relata:
        if world.stored:
            relata.write(world.stored)
        engine = Engine(relata.schema)
        view = snapshot_view(relata.store, relata.store.state().head, engine.kinds)
        past = Session(engine, view, WorkLimits(), context=world.context, now=NOW)
        for question in questions(world, seed):
            assert explain(past, question) == explain(asking, question), question


def follows(node: ExplainNode) -> bool:
    """Whether the answers below a node make its own."""
    below = [child.answer for child in node.children]
    if node.undefined and node.answer == "denied":
        return any(child.undefined for child in node.children)
    if node.undefined:
        return node.answer == "conditional"
    match node.operation:
        case "relationship" if node.condition in ("false", "expired"):
            return node.answer == "denied"
        case "relationship" if node.condition in ("missing_context", "failed"):
            return node.answer == ("denied" if below == ["denied"] else "conditional")
        case "relationship" | "computed":
            return below == [node.answer]
        case "relation" | "arrow" | "union":
            order = ("allowed", "conditional", "denied")
            return node.answer == min(below, key=order.index)
        case "all" | "intersection":
            order = ("denied", "conditional", "allowed")
            return node.answer == min(below, key=order.index)
        case "exclusion" if len(below) == 2:
            opposite = {"allowed": "denied", "denied": "allowed"}.get(below[1], below[1])
            order = ("denied", "conditional", "allowed")
            return node.answer == min(below[0], opposite, key=order.index)
        case "exclusion":
            return node.answer == below[0]
        case _:
            return False


def granting(node: ExplainNode) -> Iterator[ExplainNode]:
    """The nodes of an allowed tree, but for what exclusions subtract."""
    yield node
    for child in node.children[: 1 if node.operation == "exclusion" else None]:
        yield from granting(child)


def followed(root: ExplainNode) -> int:
    """How many relationships an allowed tree follows, one that is followed twice counted twice."""
    known: dict[tuple[str, str], int] = {}

    def count(node: ExplainNode) -> int:
        if node.repeated:
            return known[node.resource, node.name]
        children = node.children[: 1 if node.operation == "exclusion" else None]
        total = sum(count(child) for child in children) + (node.operation == "relationship")
        if node.line:
            known[node.resource, node.name] = total
        return total

    return count(root)


def shortest(reference: Reference, subject: SubjectRef) -> dict[evaluator.Node, float]:
    """The fewest relationships by which the subject is in each name, found by trying again."""
    against = reference._whole.against
    costs: dict[evaluator.Node, float] = dict.fromkeys(reference._nodes, UNREACHABLE)

    def related(o: ObjectRef, relation: str) -> list[SubjectRef]:
        return sorted(against.now.related[o, relation])

    def cost(e: model.Expression, o: ObjectRef) -> float:
        match e:
            case model.Self():
                return 0 if subject == SubjectRef(o.type, o.id) else UNREACHABLE
            case model.Computed(name):
                return costs[o, name]
            case model.Arrow(relation, target, every):
                there = related(o, relation)
                each = [1 + costs.get((r.object, target), UNREACHABLE) for r in there]
                whole = len(each) == len(reference._at(o, relation)) > 0
                if every:
                    return sum(each) if whole else UNREACHABLE
                return min(each, default=UNREACHABLE)
            case model.Union(children):
                return min(cost(child, o) for child in children)
            case model.Intersection(children):
                return sum(cost(child, o) for child in children)
            case model.Exclusion(base, removed):
                upper = evaluator.Reading(against.now, against.then)
                is_out = subject in reference._evaluate(removed, o, against.then, upper)
                return UNREACHABLE if is_out else cost(base, o)
        return UNREACHABLE

    def meant(r: SubjectRef) -> float:
        if r.relation:
            return costs[r.object, r.relation]
        return 0 if subject in reference._meant(r, against.now) else UNREACHABLE

    def whole(o: ObjectRef, name: str) -> float:
        if subject == SubjectRef(o.type, o.id, name):
            return 0
        permission = reference.schema.definitions[o.type].permissions.get(name)
        if permission is not None:
            return cost(permission.expression, o)
        return min((1 + meant(r) for r in related(o, name)), default=UNREACHABLE)

    while True:
        nearer = {node: min(costs[node], whole(*node)) for node in costs}
        if nearer == costs:
            return costs
        costs = nearer


# Examples, as a person reads them

SCHEMA = """\
use self
use expiration

caveat tuesday(day string) { day == "tuesday" }
caveat both(left int, right int) { left < 10 && right < 10 }
caveat fragile(number int) { 10 / number > 1 }

definition user {
	relation friend: user
	permission itself = self
	permission close = self + friend
}

definition group {
	relation member: user | user with tuesday | user with expiration | group#member
	relation helper: user:* with tuesday
}

definition folder {
	relation parent: folder | user
	relation viewer: user | user with both | group#member | group#member with fragile
	relation banned: user | group#member
	permission view = viewer + parent->view
	permission open = viewer - parent->open
	permission nobody = nil
	permission read = view & viewer - banned
	permission all_above = parent.all(view)
	permission either = viewer + banned + parent->nobody
	permission calm = viewer & open
}
"""


def drawn(node: ExplainNode) -> list[str]:
    """An explanation as indented lines."""

    def lines(line: Line, depth: int) -> Iterator[str]:
        yield f"{'  ' * depth}{SIGNS[line.answer]} {line.text}{line.why and f'  ({line.why})'}"
        for below in line.below:
            yield from lines(below, depth + 1)

    return list(lines(outline(node), 0))


def tree(question: str, *relationships: str, **context: object) -> list[str]:
    """The explanation of a question over some relationships, as lines."""
    return drawn(session(SCHEMA, relationships, context=context).explain(*asked(question)))


def test_a_shorter_way_comes_before_one_that_the_schema_names_first() -> None:
    """Two relationships over the parent, three over the groups."""
    assert tree(
        "folder:a#view@user:anne",
        "folder:a#viewer@group:x#member",
        "group:x#member@group:y#member",
        "group:y#member@user:anne",
        "folder:a#parent@folder:b",
        "folder:b#viewer@user:anne",
    ) == [
        "✓ folder:a#view = viewer + parent->view  (line 23)",
        "  ✓ parent->view",
        "    ✓ folder:a#parent@folder:b",
        "      ✓ folder:b#view = viewer + parent->view  (line 23)",
        "        ✓ folder:b#viewer@user:anne",
    ]


def test_what_was_tried_and_where_it_ended() -> None:
    """Branches without anything in them are one line; a cycle ends."""
    assert tree(
        "folder:a#view@user:anne",
        "folder:a#viewer@group:x#member",
        "group:x#member@group:y#member",
        "group:y#member@group:x#member",
        "folder:a#parent@folder:empty",
        "folder:a#parent@user:anne",
    ) == [
        "✗ folder:a#view = viewer + parent->view  (line 23)",
        "  ✗ folder:a#viewer  (no relationship with `user:anne`; 1 userset tried)",
        "    ✗ folder:a#viewer@group:x#member",
        "      ✗ group:x#member  (no relationship with `user:anne`; 1 userset tried)",
        "        ✗ group:x#member@group:y#member",
        "          ✗ group:y#member  (no relationship with `user:anne`; 1 userset tried)",
        "            ✗ group:y#member@group:x#member",
        "              ✗ group:x#member  (comes back to itself)",
        "  ✗ parent->view",
        "    ✗ folder:a#parent@folder:empty",
        "      ✗ folder:empty#view = viewer + parent->view  (line 23; "
        "no relationship with `user:anne`, and none to follow)",
        "    ✗ folder:a#parent@user:anne  "
        "(the definition `user` has no such relation or permission)",
    ]


def test_where_nothing_is_related_there_is_one_line() -> None:
    assert tree("folder:a#read@user:anne") == [
        "✗ folder:a#read = view & viewer - banned  (line 26; "
        "no relationship with `user:anne`, and none to follow)"
    ]
    assert tree("folder:a#nobody@user:anne") == [
        "✗ folder:a#nobody = nil  (line 25; no `user` can be in it)"
    ]
    assert tree("folder:a#viewer@folder:a") == [
        "✗ folder:a#viewer  (no `folder` can be in it)",
    ]


def test_an_intersection_names_what_holds_and_explains_what_does_not() -> None:
    assert tree(
        "folder:a#read@user:anne", "folder:a#parent@folder:b", "folder:b#viewer@user:anne"
    ) == [
        "✗ folder:a#read = view & viewer - banned  (line 26)",
        "  ✗ view & viewer",
        "    ✓ folder:a#view = viewer + parent->view  (line 23)",
        "    ✗ folder:a#viewer  (no relationship with `user:anne`)",
    ]


def test_an_exclusion_explains_what_takes_away() -> None:
    banned = ("folder:a#banned@group:x#member", "group:x#member@user:anne")
    viewer = "folder:a#viewer@user:anne"
    assert tree("folder:a#read@user:anne", viewer, *banned) == [
        "✗ folder:a#read = view & viewer - banned  (line 26; taken away by what is subtracted)",
        "  ✓ view & viewer",
        "  ✓ folder:a#banned@group:x#member",
        "    ✓ group:x#member@user:anne",
    ]
    assert tree("folder:a#read@user:anne", viewer) == [
        "✓ folder:a#read = view & viewer - banned  (line 26)",
        "  ✓ view & viewer",
        "    ✓ folder:a#view = viewer + parent->view  (line 23)",
        "      ✓ folder:a#viewer@user:anne",
        "    ✓ folder:a#viewer  (see above)",
        "  ✗ folder:a#banned  (takes nothing away)",
    ]


def test_all_lists_every_object_that_grants_or_those_that_do_not() -> None:
    parents = ("folder:a#parent@folder:b", "folder:a#parent@folder:c")
    question = "folder:a#all_above@user:anne"
    one, other = "folder:b#viewer@user:anne", "folder:c#viewer@user:anne"
    assert tree(question, *parents, one) == [
        "✗ folder:a#all_above = parent.all(view)  (line 27)",
        "  ✗ folder:a#parent@folder:c",
        "    ✗ folder:c#view = viewer + parent->view  (line 23; "
        "no relationship with `user:anne`, and none to follow)",
    ]
    assert tree(question, *parents, one, other) == [
        "✓ folder:a#all_above = parent.all(view)  (line 27)",
        "  ✓ folder:a#parent@folder:b",
        "    ✓ folder:b#view = viewer + parent->view  (line 23)",
        "      ✓ folder:b#viewer@user:anne",
        "  ✓ folder:a#parent@folder:c",
        "    ✓ folder:c#view = viewer + parent->view  (line 23)",
        "      ✓ folder:c#viewer@user:anne",
    ]
    assert tree(question) == [
        "✗ folder:a#all_above = parent.all(view)  (line 27; no relationship to follow)"
    ]


def test_what_rests_on_its_own_absence_is_said_so() -> None:
    """A cycle through an exclusion has no definite answer; the tree goes round once."""
    related = ["folder:a#parent@folder:a", "folder:a#parent@folder:b", "folder:a#viewer@user:anne"]
    node = session(SCHEMA, related).explain(*asked("folder:a#open@user:anne"))
    assert drawn(node) == [
        "✗ folder:a#open = viewer - parent->open  "
        "(line 24; rests on its own absence, so it is not granted)",
        "  ✓ folder:a#viewer",
        "  ✗ parent->open  (undefined)",
        "    ✗ folder:a#parent@folder:a  (undefined)",
        "      ✗ folder:a#open = viewer - parent->open  (line 24; comes back to itself)",
    ]
    assert drawn(session(SCHEMA, related).explain(*asked("folder:a#calm@user:anne"))) == [
        "✗ folder:a#calm = viewer & open  "
        "(line 29; rests on its own absence, so it is not granted)",
        "  ✓ folder:a#viewer",
        *(f"  {line}" for line in drawn(node)),
    ]
    assert [it.cycle for it in nodes(node)] == [False, False, False, False, True]
    assert [it.undefined for it in nodes(node)] == [True, False, True, True, True]


def test_what_rests_on_its_own_absence_on_a_condition_is_subtracted_on_that_condition() -> None:
    """With `x` below ten `both` is undefined and takes away; else it is denied and does not."""
    schema = """
    caveat small(x int) { x < 10 }
    definition user {}
    definition team {
        relation member: user
        relation guest: user with small
        relation next: team
        permission open = member - next->open
        permission both = open & guest
        permission closed = member - both
    }
    """
    related = ("team:a#next@team:a", "team:a#member@user:u", "team:a#guest@user:u[small]")
    asking = session(schema, related)
    assert asking.check(*asked("team:a#both@user:u")) is False
    node = asking.explain(*asked("team:a#closed@user:u"))
    assert asking.check(*asked("team:a#closed@user:u")) == frozenset({"x"})
    assert answer(node) == frozenset({"x"})
    absent = "rests on its own absence, so it is not granted"
    assert drawn(node) == [
        "? team:a#closed = member - both  (line 10)",
        "  ✓ team:a#member",
        f"  ✗ team:a#both = open & guest  (line 9; {absent})",
        f"    ✗ team:a#open = member - next->open  (line 8; {absent})",
        "    ? team:a#guest@user:u[small]  (caveat `small` lacks `x`)",
    ]


def test_what_a_caveat_said_stands_at_its_relationship() -> None:
    """Missing, false, true; the stored context is shown."""
    related = 'folder:a#viewer@user:anne[both:{"left":1}]'
    question = "folder:a#viewer@user:anne"
    assert tree(question, related) == [f"? {related}  (caveat `both` lacks `right`)"]
    assert tree(question, related, right=99) == [f"✗ {related}  (caveat `both` is false)"]
    assert tree(question, related, right=1, left=99) == [f"✓ {related}"]
    node = session(SCHEMA, [related]).explain(*asked(question))
    assert (node.missing_context, node.children[0].condition) == (("right",), "missing_context")


def test_a_condition_shows_all_ways_that_it_can_be_met_and_no_others() -> None:
    """What is allowed or denied whatever is missing is not in the tree."""
    assert tree(
        "folder:a#read@user:anne",
        "folder:a#viewer@user:anne[both]",
        "folder:a#viewer@group:x#member",
        "group:x#member@user:anne[tuesday]",
        "folder:a#viewer@group:y#member",
        "folder:a#banned@user:bob",
    ) == [
        "? folder:a#read = view & viewer - banned  (line 26)",
        "  ? view & viewer",
        "    ? folder:a#view = viewer + parent->view  (line 23)",
        "      ? folder:a#viewer",
        "        ? folder:a#viewer@group:x#member",
        "          ? group:x#member@user:anne[tuesday]  (caveat `tuesday` lacks `day`)",
        "        ? folder:a#viewer@user:anne[both]  (caveat `both` lacks `left`, `right`)",
        "    ? folder:a#viewer  (see above)",
    ]


def test_what_is_subtracted_on_a_condition_is_explained() -> None:
    assert tree(
        "folder:a#read@user:anne",
        "folder:a#viewer@user:anne",
        "folder:a#banned@group:x#member",
        "group:x#member@user:anne[tuesday]",
    ) == [
        "? folder:a#read = view & viewer - banned  (line 26)",
        "  ✓ view & viewer",
        "  ? folder:a#banned@group:x#member",
        "    ? group:x#member@user:anne[tuesday]  (caveat `tuesday` lacks `day`)",
    ]


def test_near_misses_come_first_and_say_what_failed() -> None:
    """A relationship that leads to the subject and has expired, before nine groups more."""
    expired = "group:z#member@user:anne[expiration:2020-01-01T00:00:00Z]"
    groups = [f"group:z#member@group:g{number}#member" for number in range(3)]
    lines = tree("group:z#member@user:anne", expired, *groups)
    assert lines[:2] == ["✗ group:z#member  (3 usersets tried)", f"  ✗ {expired}  (has expired)"]
    lines = tree(
        "folder:a#viewer@user:anne",
        'folder:a#viewer@group:x#member[fragile:{"number":100}]',
        "folder:a#viewer@group:a#member",
        "group:x#member@user:anne",
    )
    assert lines == [
        "✗ folder:a#viewer  (no relationship with `user:anne`; 2 usersets tried)",
        '  ✗ folder:a#viewer@group:x#member[fragile:{"number":100}]  (caveat `fragile` is false)',
        "    ✓ group:x#member",
        "  ✗ folder:a#viewer@group:a#member",
        "    ✗ group:a#member  (no relationship with `user:anne`)",
    ]


def test_an_expiration_that_is_ahead_holds() -> None:
    related = "group:x#member@user:anne[expiration:2999-01-01T00:00:00Z]"
    node = session(SCHEMA, [related]).explain(*asked("group:x#member@user:anne"))
    assert (node.answer, node.children[0].condition) == ("allowed", "holds")


def test_a_wildcard_is_the_relationship_that_decides() -> None:
    related = "group:x#helper@user:*[tuesday]"
    assert tree("group:x#helper@user:anne", related, day="tuesday") == [f"✓ {related}"]
    assert tree("group:x#helper@user:anne", related) == [
        f"? {related}  (caveat `tuesday` lacks `day`)"
    ]
    assert tree("group:x#helper@user:anne", related, day="monday") == [
        f"✗ {related}  (caveat `tuesday` is false)"
    ]


def test_self_and_the_subject_itself_need_no_relationship() -> None:
    assert tree("user:anne#itself@user:anne") == [
        "✓ user:anne#itself = self  (line 10; the resource is the subject)"
    ]
    assert tree("user:anne#close@user:bob") == [
        "✗ user:anne#close = self + friend  (line 11; "
        "no relationship with `user:bob`, and none to follow)"
    ]
    assert tree("folder:a#viewer@group:x#member", "folder:a#viewer@group:x#member") == [
        "✓ folder:a#viewer@group:x#member",
        "  ✓ group:x#member  (it is the subject itself)",
    ]
    assert tree("folder:a#nobody@folder:a#nobody") == [
        "✓ folder:a#nobody = nil  (line 25; it is the subject itself)"
    ]


def test_a_failed_caveat_is_an_error_that_says_where() -> None:
    """As it is in a check, and only where the answer rests on it."""
    related = 'folder:a#viewer@group:x#member[fragile:{"number":0}]'
    member = "group:x#member@user:anne"
    failing = session(SCHEMA, [related, member])
    with pytest.raises(CaveatFailedError) as raised:
        failing.explain(*asked("folder:a#view@user:anne"))
    assert raised.value.message.endswith(f", at `{related}`")
    assert tree("folder:a#viewer@user:anne", related, member, "folder:a#viewer@user:anne") == [
        "✓ folder:a#viewer@user:anne"
    ]
    lines = tree("folder:a#read@user:anne", related, member, "folder:a#banned@user:anne")
    assert lines[0].startswith("✗")
    with pytest.raises(ContextError) as refused:
        session(SCHEMA, ["group:x#member@user:anne[tuesday]"], context={"day": 2}).explain(
            *asked(member)
        )
    assert refused.value.field == "context.day"


def test_contextual_relationships_are_seen_and_replace_stored_ones() -> None:
    question = asked("group:x#member@user:anne")
    asking = session(
        SCHEMA,
        ["group:x#member@user:anne[expiration:2020-01-01T00:00:00Z]"],
        ["group:x#member@user:anne[tuesday]"],
    )
    assert drawn(asking.explain(*question)) == [
        "? group:x#member@user:anne[tuesday]  (caveat `tuesday` lacks `day`)"
    ]


def test_nothing_that_a_session_knows_is_used() -> None:
    """A session remembers for its view; an explanation reads the view again."""
    engine = Engine(compile_schema(SCHEMA))
    graph = Resident()
    known = ("folder:a#viewer@group:x#member", "group:y#member@user:anne")
    graph.apply([(True, parse_relationship(relationship)) for relationship in known])
    asking = Session(engine, graph.view(engine.kinds), WorkLimits())
    question = asked("folder:a#view@user:anne")
    assert asking.check(*question) is False
    graph.apply([(True, parse_relationship("group:x#member@user:anne"))])
    assert asking.explain(*question).answer == "allowed"
    assert asking.check(*question) is False, "what it remembered is what a view that stands is for"


# What there is room for


def test_wide_data_is_cut_and_counted() -> None:
    groups = [f"folder:a#viewer@group:g{number:03}#member" for number in range(200)]
    node = session(SCHEMA, groups).explain(*asked("folder:a#viewer@user:anne"))
    assert (len(node.children), node.left_out) == (MAX_LISTED, 200 - MAX_LISTED)
    assert node.children[0].relationship == groups[0]
    assert drawn(node)[0] == (
        "✗ folder:a#viewer  (no relationship with `user:anne`; 200 usersets tried; and 190 more)"
    )


def test_many_that_grant_are_cut_and_counted_too() -> None:
    parents = [f"folder:a#parent@folder:f{number:03}" for number in range(50)]
    viewers = [f"folder:f{number:03}#viewer@user:anne" for number in range(50)]
    asking = session(SCHEMA, parents + viewers)
    node = asking.explain(*asked("folder:a#all_above@user:anne"))
    assert (len(node.children), node.left_out) == (MAX_LISTED, 40)
    assert asking.explain(*asked("folder:a#view@user:anne")).left_out == 0


def test_bushy_data_is_shared_out() -> None:
    """Ten groups of ten groups of ten: no branch takes the room of the others."""
    names = [f"{a}{b}{c}" for a in "0123456789" for b in "0123456789" for c in "0123456789"]
    groups = [
        f"group:{n[:depth]}#member@group:{n[: depth + 1]}#member" for n in names for depth in (1, 2)
    ]
    groups += [f"folder:a#viewer@group:{n}#member" for n in "0123456789"]
    node = session(SCHEMA, groups).explain(*asked("folder:a#viewer@user:anne"))
    assert sum(1 for _ in nodes(node)) <= 1.1 * MAX_NODES
    assert len(node.children) == MAX_LISTED
    sizes = {sum(1 for _ in nodes(child)) for child in node.children}
    assert max(sizes) < 2 * min(sizes)


@pytest.mark.parametrize("leads_to", ["anne", "bob"])
def test_a_long_way_is_cut_where_readers_of_json_stop(leads_to: str) -> None:
    groups = [f"group:g{n}#member@group:g{n + 1}#member" for n in range(1_000)]
    asking = session(SCHEMA, [*groups, "group:g1000#member@user:anne"])
    node = asking.explain(*asked(f"group:g0#member@user:{leads_to}"))
    assert json.loads(msgspec.json.encode(node))
    *_, last = nodes(node)
    assert last.left_out == 1
    assert last.reason == (
        "goes on over 971 relationships" if leads_to == "anne" else "goes on from here"
    )
    depth = 1
    while node.children:
        (node,), depth = node.children, depth + 1
    assert depth == MAX_DEPTH + 1


def test_a_question_that_is_too_much_work_is_refused() -> None:
    groups = [f"group:g{n}#member@group:g{n + 1}#member" for n in range(500)]
    asking = session(SCHEMA, groups, limits=WorkLimits(check_steps=100))
    for name in ("anne", "bob"):
        with pytest.raises(LimitExceededError):
            asking.explain(*asked(f"group:g0#member@user:{name}"))
    few = session(SCHEMA, groups)
    with pytest.raises(LimitExceededError):
        few.explain(*asked("group:g0#member@user:anne"), steps=100)


def test_a_question_that_has_no_answer_has_no_explanation() -> None:
    asking = session(SCHEMA)
    with pytest.raises(UnknownRelationError, match="no relation or permission `veiw`"):
        asking.explain(*asked("folder:a#veiw@user:anne"))
    with pytest.raises(InvalidArgumentError, match="is a wildcard"):
        asking.explain(*asked("folder:a#view@user:*"))


# Diagrams


def test_a_diagram_has_the_lines_of_the_outline() -> None:
    asking = session(SCHEMA, ["folder:a#viewer@user:anne[both]", "folder:a#banned@user:bob"])
    assert mermaid(asking.explain(*asked("folder:a#read@user:bob"))).splitlines() == [
        "flowchart TD",
        '\tn0["✗ folder:a#35;read = view #38; viewer - banned<br>'
        'line 26; no relationship with #96;user:bob#96;, and none to follow"]:::denied',
        "\tclassDef denied fill:#fdd,stroke:#933,color:#000",
    ]
    lines = mermaid(asking.explain(*asked("folder:a#either@user:anne"))).splitlines()
    assert lines == [
        "flowchart TD",
        '\tn0["? folder:a#35;either = viewer + banned + parent-#62;nobody<br>line 28"]'
        ":::conditional",
        '\tn1["? folder:a#35;viewer@user:anne[both]<br>'
        'caveat #96;both#96; lacks #96;left#96;, #96;right#96;"]:::conditional',
        "\tn0 --> n1",
        "\tclassDef conditional fill:#ffd,stroke:#993,color:#000",
    ]


def test_a_diagram_shows_texts_and_does_not_obey_them() -> None:
    """An id may have any printable character, and a context any text."""
    id_ = '":::x;--><b>&lt;`'
    related = f'group:{id_}#member@user:anne[tuesday:{{"day":"\\n\\"]"}}]'
    asking = session(SCHEMA, [related])
    label = mermaid(
        asking.explain(parse_object(f"group:{id_}"), "member", parse_subject("user:anne"))
    )
    line = label.splitlines()[1]
    assert line.count('"') == 2
    assert "<b>" not in line
    assert "\\" not in line
    assert line.endswith('"]:::denied')
