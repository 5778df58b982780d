"""What large questions cost: steps are counted, not time.

Work grows as the relationships do, along chains and round cycles, with caveats and without, for
every way of asking; and what a question may cost bounds what it does, however large its sets.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise

import pytest

from relata.engine import (
    Engine,
    FoundResources,
    FoundSubjects,
    Permissionship,
    Session,
    WorkLimits,
    conditions,
)
from relata.engine.check import Run
from relata.engine.pieces import ITEMS_PER_STEP, PIECE
from relata.errors import LimitExceededError
from relata.graph import Resident
from relata.relationships import parse_object, parse_relationship, parse_subject
from relata.schema import compile_schema

GROUPS = """
caveat trusted(level int) { level > 1 }

definition user {}

definition group {
    relation member: user | user with trusted | group#member
}

definition document {
    relation viewer: group#member
    relation banned: user
    permission view = viewer
    permission unbanned_view = viewer - banned
}
"""
PUBLIC = """
definition user {}

definition organization {
    relation member: user
    relation banned: user
}

definition document {
    relation organization: organization
    relation public: user:*
    relation owner: user
    relation child: document
    permission view = (public - organization->banned) + child->view
    permission own_view = (public - organization->banned) + owner + child->own_view
    permission strict = ((public - organization->banned) & (public - owner)) + child->strict
    permission active = organization->member - organization->banned
    permission all_active = child.all(active)
}
"""
LARGE = """
definition user {}

definition document {
    relation viewer: user
    relation banned: user
    relation same: document
    permission view = viewer
    permission unbanned_view = viewer - banned
    permission both = viewer & same->view
    permission everywhere = same.all(view)
}
"""
DOCUMENT = parse_object("document:d0")
ANNE = parse_subject("user:anne")
LIMITS = WorkLimits()


def session(schema: str, relationships: Iterable[str], limits: WorkLimits = LIMITS) -> Session:
    """A session over relationships in memory."""
    engine = Engine(compile_schema(schema))
    graph = Resident()
    graph.apply((True, parse_relationship(relationship)) for relationship in relationships)
    return Session(engine, graph.view(engine.kinds), limits)


Cost = Callable[[Callable[[], object]], tuple[object, int]]


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> Cost:
    """Asks a question, and says how many steps of its budget it has spent."""
    spend = Run.spend
    spent = 0

    def counting(self: Run, steps: int) -> None:
        nonlocal spent
        spent += steps
        spend(self, steps)

    monkeypatch.setattr(Run, "spend", counting)
    # What a caveat costs depends on the time that it takes: here none takes that long.
    monkeypatch.setattr(conditions, "_STEP_NANOSECONDS", 10**12)

    def ask(question: Callable[[], object]) -> tuple[object, int]:
        nonlocal spent
        spent = 0
        return question(), spent

    return ask


def chain(groups: int) -> list[str]:
    """Each group within the one before, and a document for each."""
    return [
        *(f"document:d{n}#viewer@group:g{n}#member" for n in range(groups)),
        *(f"group:g{n}#member@group:g{n + 1}#member" for n in range(groups)),
    ]


def cyclic(groups: int) -> list[str]:
    """Each group has five others, drawn at random: all lead to each other."""
    draw = random.Random(1)
    return [
        "document:d0#viewer@group:g0#member",
        *dict.fromkeys(
            f"group:g{n}#member@group:g{other}#member"
            for n in range(groups)
            for other in draw.sample(range(groups), 5)
            if other != n
        ),
    ]


QUESTIONS: dict[str, Callable[[Session], object]] = {
    "check": lambda asked: asked.check(DOCUMENT, "view", ANNE),
    "explain": lambda asked: asked.explain(DOCUMENT, "view", ANNE).missing_context,
    "resources": lambda asked: asked.lookup_resources("document", "view", ANNE),
    "subjects": lambda asked: asked.lookup_subjects(DOCUMENT, "view", "user", ""),
}


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [(cyclic, (200, 400, 800)), (chain, (900, 1800, 3600))],
    ids=["cyclic", "chain"],
)
def test_one_caveated_member_far_away_costs_what_there_is_on_the_way(
    shape: Callable[[int], list[str]], sizes: tuple[int, ...], cost: Cost
) -> None:
    """All ways of asking agree that it is conditional, in steps that grow as the data does."""
    spent: dict[str, list[int]] = {name: [] for name in QUESTIONS}
    for size in sizes:
        stored = [*shape(size), f"group:g{size - 1}#member@user:anne[trusted]"]
        documents = [line.partition("#")[0][9:] for line in stored if line.startswith("document")]
        answers = {
            "check": {"level"},
            "explain": ("level",),
            "resources": FoundResources((), dict.fromkeys(documents, ("level",))),
            "subjects": FoundSubjects((), conditional={"anne": ("level",)}),
        }
        for name, ask in QUESTIONS.items():
            asked = session(GROUPS, stored)
            answer, steps = cost(partial(ask, asked))
            assert answer == answers[name]
            spent[name].append(steps)
    for name in QUESTIONS:
        assert grows_evenly(spent[name]), name


def test_lookups_under_an_exclusion_search_each_group_once(cost: Cost) -> None:
    """A document for each group of a chain, and only a check says that nobody is banned there."""
    spent = []
    for size in (1500, 3000, 6000):
        asked = session(GROUPS, [*chain(size), f"group:g{size}#member@user:anne"])
        found, steps = cost(
            partial(asked.lookup_resources, "document", "unbanned_view", ANNE),
        )
        assert found == FoundResources(tuple(sorted(f"d{n}" for n in range(size))))
        spent.append(steps)
        assert asked.check(DOCUMENT, "unbanned_view", ANNE) is True
        assert asked.explain(DOCUMENT, "unbanned_view", ANNE).answer is Permissionship.ALLOWED
        assert asked.lookup_subjects(DOCUMENT, "unbanned_view", "user", "").ids == ("anne",)
    assert grows_evenly(spent)


def test_members_of_groups_in_a_circle_cost_what_there_are(cost: Cost) -> None:
    """Groups that all lead to each other have the same members."""
    spent = []
    for size in (500, 1000, 2000):
        members = [f"group:g{n}#member@user:u{n}" for n in range(size)]
        ring = [
            *cyclic(size),
            *(f"group:g{n}#member@group:g{n - 1}#member" for n in range(1, size)),
        ]
        asked = session(GROUPS, [*ring, f"group:g0#member@group:g{size - 1}#member", *members])
        found, steps = cost(partial(asked.lookup_subjects, DOCUMENT, "view", "user", ""))
        assert found == FoundSubjects(tuple(sorted(f"u{n}" for n in range(size))))
        spent.append(steps)
    assert grows_evenly(spent)


def organization(users: int, documents: int) -> list[str]:
    """One organization, all of whose documents are public, and its banned users."""
    return [
        *(f"organization:o#member@user:u{n}" for n in range(users)),
        *(f"organization:o#banned@user:u{n}" for n in range(0, users, 2)),
        *(f"document:d0#child@document:d{n}" for n in range(1, documents)),
        *(f"document:d{n}#organization@organization:o" for n in range(documents)),
        *(f"document:d{n}#public@user:*" for n in range(documents)),
        *(f"document:d{n}#owner@user:u{n}" for n in range(documents)),
    ]


@pytest.mark.parametrize(
    ("permission", "has_wildcard", "listed"), [("view", True, 0), ("all_active", False, 1)]
)
def test_resources_that_share_large_sets_subtract_them_once(
    permission: str, has_wildcard: bool, listed: int, cost: Cost
) -> None:
    """Twenty thousand subjects and two thousand resources are an ordinary question."""
    spent = []
    for size in (5_000, 10_000, 20_000):
        asked = session(PUBLIC, organization(size, size // 10))
        found, steps = cost(partial(asked.lookup_subjects, DOCUMENT, permission, "user", ""))
        assert isinstance(found, FoundSubjects)
        assert found.wildcard is has_wildcard
        assert len(found.excluded_ids) == (1 - listed) * size // 2
        assert len(found.ids) == listed * size // 2
        spent.append(steps)
    assert grows_evenly(spent)


@pytest.mark.parametrize("permission", ["own_view", "strict"])
def test_sets_that_differ_cost_what_is_in_them(permission: str, cost: Cost) -> None:
    """Who is excluded counts as who is listed does, so a limit on steps is one on time."""
    users, documents = 4_000, 200
    stored = organization(users, documents)
    look_up = session(PUBLIC, stored).lookup_subjects
    _, steps = cost(partial(look_up, DOCUMENT, permission, "user", ""))
    assert steps > documents * (users // 2) // ITEMS_PER_STEP
    asked = session(PUBLIC, stored, WorkLimits(lookup_steps=steps // 2))
    with pytest.raises(LimitExceededError):
        asked.lookup_subjects(DOCUMENT, permission, "user", "")


@pytest.fixture
def spends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What questions spend, each time that they do."""
    spend = Run.spend
    spent: list[int] = []

    def noting(self: Run, steps: int) -> None:
        spent.append(steps)
        spend(self, steps)

    monkeypatch.setattr(Run, "spend", noting)
    return spent


MANY = 100_000


@pytest.mark.parametrize("permission", ["view", "unbanned_view", "both", "everywhere"])
def test_large_answers_are_found_and_sorted_in_small_pieces(
    permission: str, spends: list[int]
) -> None:
    """Between two spends, where a question may let others go first, there is little work."""
    banned = range(0, MANY, 10)
    asked = session(
        LARGE,
        [
            *(f"document:d{n}#viewer@user:anne" for n in range(MANY)),
            *(f"document:d{n}#banned@user:anne" for n in banned),
            *(f"document:d0#viewer@user:u{n}" for n in range(MANY)),
            *(f"document:d0#banned@user:u{n}" for n in banned),
            *(f"document:d{n}#same@document:d{n}" for n in range(MANY)),
        ],
    )
    taken_away = len(banned) if permission == "unbanned_view" else 0
    found = asked.lookup_resources("document", permission, ANNE).ids
    assert len(found) == MANY - taken_away
    assert list(found) == sorted(found)
    # A piece is sorted for a quarter of its items; that is the cheapest thing done with one.
    assert max(spends) <= PIECE
    assert len(spends) > 2 * MANY / PIECE
    spends.clear()
    listed = asked.lookup_subjects(DOCUMENT, permission, "user", "").ids
    assert len(listed) == MANY + 1 - taken_away - (permission == "unbanned_view")
    assert list(listed) == sorted(listed)
    assert max(spends) <= PIECE
    assert len(spends) > 2 * MANY / PIECE


def grows_evenly(steps: list[int]) -> bool:
    """Whether steps do not grow faster than the sizes do, each of which is twice the one before."""
    return all(after < 2.2 * before for before, after in pairwise(steps))
