"""Tokens that no longer say what holds are marked: they, no other, and without asking about all.

`RELATA_EXAMPLES` sets how many worlds the property test draws (a quarter of it, of 200).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from relata.authorizer import Relata
from relata.errors import OAuthError, RelataError, StoreError
from relata.relationships import (
    CaveatRef,
    ObjectRef,
    Relationship,
    SubjectRef,
    Update,
    delete,
    parse_relationship,
    touch,
)
from relata.schema import Schema, compile_schema
from relata.store import IssuedToken, TokenState
from relata.tokens import TokenProfile
from relata.tokens.comparing import NOT_OPEN, OTHER_HOLDINGS, UNDETERMINED
from relata.tokens.holdings import Holdings
from relata.tokens.ledger import Ledger
from relata.tokens.marking import Marking, Passes
from tests.strategies import FUTURE, PAST
from tests.tokens.issued import Desk

ROOT = Path(__file__).parents[2]
QUESTION_ONLY = TokenProfile().question_only
DEADLINE = 20.0

# Generated worlds

RICH = """
use expiration

caveat small(x int) {{ x < 10 }}

definition user {{}}
definition client {{}}

definition group {{
	relation member: user | client | group#member | user with expiration
	relation lead: user | user with small
	relation everybody: user:*
	relation banned: user | group#member
	permission inside = {inside}
}}

definition organization {{
	relation parent: organization
	relation admin: user | group#member
	relation member: user | client | user:* | group#inside
	relation lapsed: user | group#member
	relation chosen_by: user | client
	permission manage = admin + parent->manage
	permission access = member + manage
	permission session = (access & chosen_by) - lapsed
}}

definition product {{
	relation subscriber: organization | organization with expiration
	relation requested_by: user | client
	permission available = subscriber->session
	permission session = available & requested_by
}}

definition role {{
	relation organization: organization
	relation product: product
	relation senior: role
	relation assignee: user | client | group#member | group#inside | user with small
	relation needs: group
	permission active = {active}
}}

definition template {{
	relation instance: role
	permission active = instance->active
}}

definition capability {{
	relation granted_to: role | template | template with expiration
	relation kept_from: role | group
	permission held = {held}
}}
"""
INSIDE = (
    "(member + lead + everybody) - banned",
    "member & (lead + everybody)",
    "(member - banned) + lead",
)
ACTIVE = (
    "assignee & organization->session & product->session",
    "(assignee & organization->session) - needs->banned",
    "(assignee + senior->active) & organization->session & product->session",
    "organization->session & needs.all(inside)",
    "assignee & needs.all(member) & product->session",
    "(organization->session & product->session) - senior->active",
)
HELD = (
    "granted_to->active",
    "granted_to->active - kept_from->active",
    "granted_to.all(active)",
    "granted_to->active - kept_from->inside",
)
IDS = {
    "user": ("anne", "bob"),
    "client": ("robot",),
    "group": ("g", "h"),
    "organization": ("o", "p"),
    "product": ("x", "y"),
    "role": ("r", "s"),
    "template": ("t",),
    "capability": ("k", "l"),
}
BASE = (
    "organization:o#member@user:anne",
    "organization:o#member@client:robot",
    "organization:p#admin@group:g#member",
    "group:g#member@user:bob",
    "product:x#subscriber@organization:o",
    "product:y#subscriber@organization:o",
    "product:x#subscriber@organization:p",
    "role:r#organization@organization:o",
    "role:r#product@product:x",
    "role:r#assignee@user:anne",
    "role:r#needs@group:g",
    "role:s#organization@organization:p",
    "role:s#product@product:x",
    "role:s#assignee@group:g#member",
    "template:t#instance@role:r",
    "capability:k#granted_to@template:t",
    "capability:l#granted_to@role:s",
    "capability:k#granted_to@role:s",
)


def possible(schema: Schema) -> list[Relationship]:
    """Every relationship that may be stored among the pool of ids."""
    return [
        Relationship(
            ObjectRef(definition.name, id_),
            relation.name,
            SubjectRef(kind.type, "*" if kind.wildcard else other, kind.relation),
            CaveatRef.of(kind.caveat, context) if kind.caveat else None,
            moment,
        )
        for definition, relation in schema.relations()
        if f"{definition.name}#{relation.name}" not in QUESTION_ONLY
        for kind in relation.allowed
        for id_ in IDS[definition.name]
        for other in (("*",) if kind.wildcard else IDS[kind.type])
        for context in (({"x": 1}, {"x": 99}, {}) if kind.caveat else ({},))
        for moment in ((FUTURE, PAST) if kind.expiration else (None,))
    ]


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[Relationship], list[list[Update]]]:
    """A schema, what is stored at first, and the writes that follow."""
    choices = [draw(st.sampled_from(options)) for options in (INSIDE, ACTIVE, HELD)]
    schema = RICH.format(**dict(zip(("inside", "active", "held"), choices, strict=True)))
    pool = possible(compile_schema(schema))
    base = [parse_relationship(line) for line in BASE]
    missing = draw(st.sets(st.sampled_from(base), max_size=3))
    more = draw(st.lists(st.sampled_from(pool), max_size=8))
    first = [item for item in base if item not in missing] + more
    known = st.sampled_from([*base, *first])
    update = st.one_of(known.map(delete), st.sampled_from(pool).map(touch), known.map(touch))
    writes = draw(
        st.lists(
            st.lists(update, min_size=1, max_size=4, unique_by=lambda it: it.relationship.key),
            min_size=1,
            max_size=4,
        )
    )
    return schema, list({item.key: item for item in first}.values()), writes


class World:
    """An authorizer whose every possible token is issued, and asked about again after a write."""

    def __init__(self, authorizer: Relata) -> None:
        self.authorizer = authorizer
        self.desk = Desk(authorizer)
        self.ledger = Ledger(authorizer.store.issued)
        self.passes = Passes(authorizer, self.ledger, TokenProfile())
        self.said: dict[int, tuple[IssuedToken, Holdings]] = {}

    def issue(
        self, wishes: Sequence[tuple[str, str, tuple[str, ...], tuple[str, ...] | None]]
    ) -> None:
        """Issue what may be issued, unless a good token is there."""
        there = {
            (token.subject, token.organization, token.products, token.scope)
            for token, _ in self.said.values()
        }
        for subject, organization, products, scope in wishes:
            if (subject, organization, products, scope) in there:
                continue
            try:
                held = self.desk.holdings(subject, organization, products, scope)
            except RelataError:
                continue
            token = self.ledger.add(
                self.desk.token(subject, organization, *products, scope=scope, held=held)
            )
            self.said[token.id] = (token, held)

    def wrong(self) -> set[int]:
        """The tokens that say something else than what holds, by asking about every one."""
        return {id_ for id_, said in self.said.items() if not self._holds(*said)}

    def _holds(self, token: IssuedToken, said: Holdings) -> bool:
        try:
            held = self.desk.holdings(
                token.subject, token.organization, token.products, token.scope
            )
        except RelataError:
            return False
        return (held.products, held.roles) == (said.products, said.roles)

    def forget(self, ids: set[int]) -> None:
        for id_ in ids:
            del self.said[id_]


WISHES = [
    (f"{type_}:{id_}", organization, products, scope)
    for type_ in ("user", "client")
    for id_ in IDS[type_]
    for organization in IDS["organization"]
    for products, scope in (
        (("x",), None),
        (("x",), ("k",)),
        (("y",), None),
        (("x", "y"), None),
    )
]


@pytest.mark.parametrize("few", [0, 32])
def test_a_write_marks_what_it_has_made_wrong(few: int) -> None:
    """Exactly the tokens that say something else than what asking about all of them gives."""

    @settings(
        max_examples=max(1, int(os.environ.get("RELATA_EXAMPLES", "200")) // 8),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(histories())
    def marks(history: tuple[str, list[Relationship], list[list[Update]]]) -> None:
        schema, first, writes = history
        with Relata.open("sqlite://", schema=schema, follow_seconds=None) as authorizer:
            authorizer.write(first)
            world = World(authorizer)
            for write in writes:
                world.issue(WISHES)
                assert world.passes.catch_up().marked == ()
                authorizer.write(write)
                authorizer.collect_expired()
                wrong = world.wrong()
                marked = set(world.passes.catch_up().marked)
                assert marked == wrong
                event("something is marked" if marked else "nothing is marked")
                world.forget(marked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relata.tokens.comparing._FEW_ANSWERS", few)
        marks()


# One world


ORGANIZATIONS, USERS = 4, 10
PRODUCTS = ("api_1", "api_2")


def company() -> Iterator[str]:
    """Organizations that each have every product, with a role for each that is an instance of the
    product's template; everybody is a member of all, and has every role by a group in a group."""
    for product in PRODUCTS:
        yield f"capability:read:{product}#granted_to@role_template:{product}"
    for organization in (f"o{number}" for number in range(ORGANIZATIONS)):
        yield f"group:{organization}#member@group:{organization}/staff#member"
        for product in PRODUCTS:
            role = f"role:{organization}/{product}"
            yield f"product:{product}#subscriber@organization:{organization}"
            yield f"{role}#organization@organization:{organization}"
            yield f"{role}#product@product:{product}"
            yield f"{role}#assignee@group:{organization}#member"
            yield f"role_template:{product}#instance@{role}"
        for user in range(USERS):
            yield f"organization:{organization}#member@user:u{user}"
            yield f"group:{organization}/staff#member@user:u{user}"


EVERYBODY = [
    (f"user:u{user}", f"o{organization}", (product,), None)
    for user in range(USERS)
    for organization in range(ORGANIZATIONS)
    for product in PRODUCTS
]


@pytest.fixture
def world() -> Iterator[World]:
    with opened(company()) as world:
        yield world


@contextmanager
def opened(
    relationships: Iterator[str] | Sequence[str],
    schema: str | Path = ROOT / "schema.zed",
    url: str = "sqlite://",
) -> Iterator[World]:
    with Relata.open(url, schema=schema, follow_seconds=None) as authorizer:
        authorizer.write(relationships)
        yield World(authorizer)


def issue_all(world: World) -> None:
    world.issue(EVERYBODY)
    assert len(world.said) == len(EVERYBODY)
    world.passes.catch_up()


def of(world: World, subject: str = "", organization: str = "", product: str = "") -> set[int]:
    """The issued tokens that match."""
    return {
        token.id
        for token, _ in world.said.values()
        if subject in ("", token.subject)
        and organization in ("", token.organization)
        and (not product or product in token.products)
    }


def reason_of(world: World, id_: int) -> str:
    events = world.authorizer.store.issued.events(0, limit=1_000)
    (reason,) = [it.reason for it in events if it.jti == world.said[id_][0].jti]
    return reason


# How many are asked about


@pytest.mark.parametrize(
    ("removed", "subject", "organization", "product", "at_most"),
    [
        # The token of one organization and product is marked, of the user's tokens or the
        # organization's, whichever are fewer.
        ("group:o1/staff#member@user:u1", "user:u1", "o1", "", ORGANIZATIONS * 2),
        ("role:o1/api_1#assignee@group:o1#member", "", "o1", "api_1", USERS * 2),
        ("group:o1#member@group:o1/staff#member", "", "o1", "", USERS * ORGANIZATIONS * 2),
        ("role_template:api_1#instance@role:o1/api_1", "", "o1", "api_1", USERS * 2),
        ("role:o1/api_1#product@product:api_1", "", "o1", "api_1", USERS * 2),
        ("product:api_1#subscriber@organization:o1", "", "o1", "api_1", USERS * 2),
        ("organization:o1#member@user:u1", "user:u1", "o1", "", ORGANIZATIONS * 2),
    ],
)
def test_few_tokens_are_asked_about(
    world: World, removed: str, subject: str, organization: str, product: str, at_most: int
) -> None:
    """Those that the changed relationship reaches, and not all that there are."""
    issue_all(world)
    world.authorizer.write([delete(removed)])
    done = world.passes.catch_up()
    assert set(done.marked) == of(world, subject, organization, product)
    assert done.checked + done.recomputed <= at_most


def test_nobody_is_asked_about_what_no_token_says(world: World) -> None:
    """A relationship that no answer reads reaches no token."""
    issue_all(world)
    world.authorizer.write(["dataset:d#organization@organization:o1"])
    assert world.passes.catch_up() == type(world.passes.catch_up())()
    assert world.passes.revision == world.authorizer.revision


def test_what_makes_no_difference_marks_nothing(world: World) -> None:
    """Somebody with a role gets it by a second way."""
    issue_all(world)
    world.authorizer.write(["role:o1/api_1#assignee@user:u1"])
    done = world.passes.catch_up()
    assert done.marked == ()
    assert 0 < done.checked <= ORGANIZATIONS * 2


def test_a_permission_more_marks_too(world: World) -> None:
    """A token that says too little does not say what holds either."""
    issue_all(world)
    world.authorizer.write(["capability:more#granted_to@role:o1/api_1"])
    assert set(world.passes.catch_up().marked) == of(world, "", "o1", "api_1")


# Whose tokens


def test_a_marked_token_is_marked_once(world: World) -> None:
    """What is wrong already is not looked at again."""
    issue_all(world)
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    assert len(world.passes.catch_up().marked) == 2
    followed = len(world.passes)
    world.authorizer.write([delete("organization:o1#member@user:u1")])
    assert world.passes.catch_up().marked == ()
    assert followed == len(EVERYBODY) - 2


def test_a_token_that_comes_late(world: World) -> None:
    """Made before a write, and stored after the write was looked at."""
    token = world.desk.token("user:u1", "o1", "api_1")
    other = world.desk.token("user:u2", "o1", "api_1")
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    assert world.passes.catch_up().marked == ()
    stored = world.ledger.add(token)
    world.ledger.add(other)
    done = world.passes.catch_up()
    assert done.marked == (stored.id,)
    assert done.checked == 1


def test_what_was_written_while_nobody_looked(world: World) -> None:
    """Who starts to look marks what was issued before, where it has become wrong since."""
    world.issue(EVERYBODY)
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    started = Passes(world.authorizer, Ledger(world.authorizer.store.issued), TokenProfile())
    done = started.catch_up()
    assert set(done.marked) == of(world, "user:u1", "o1")
    assert done.checked + done.recomputed <= ORGANIZATIONS * 2


def test_two_processes_mark_once(tmp_path: Path) -> None:
    """Both look, and one event is written."""
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    with opened(company(), url=url) as one, Relata.open(url, follow_seconds=None) as other:
        passes = Passes(other, Ledger(other.store.issued), TokenProfile())
        issue_all(one)
        passes.catch_up()
        one.authorizer.write([delete("role:o1/api_1#assignee@group:o1#member")])
        other.refresh()
        first, second = one.passes.catch_up(), passes.catch_up()
        assert set(first.marked) == of(one, "", "o1", "api_1")
        assert second.marked == ()
        assert len(other.store.issued.events(0, limit=1_000)) == USERS


def test_a_token_of_a_process_that_is_ahead(tmp_path: Path) -> None:
    """It is compared with what it was made from, and not with what was before."""
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    with opened(company(), url=url) as ahead, Relata.open(url, follow_seconds=None) as behind:
        passes = Passes(behind, Ledger(behind.store.issued), TokenProfile())
        ahead.authorizer.write([delete("group:o1/staff#member@user:u1")])
        ahead.issue(EVERYBODY)
        assert passes.catch_up().marked == ()
        assert passes.revision == ahead.authorizer.revision


# What a token says


def test_what_is_out_of_scope_does_not_matter(world: World) -> None:
    """A token that was limited to some permissions says nothing of the others."""
    world.issue(
        [("user:u1", "o1", ("api_1",), ("read:api_1",)), ("user:u1", "o1", ("api_1",), None)]
    )
    world.passes.catch_up()
    world.authorizer.write(["capability:more#granted_to@role:o1/api_1"])
    (marked,) = world.passes.catch_up().marked
    assert world.said[marked][0].scope is None


def test_a_permission_that_moves_to_another_product(world: World) -> None:
    """A token for several products says of each permission which product it is for."""
    world.authorizer.write(["capability:both#granted_to@role:o1/api_1"])
    world.issue([("user:u1", "o1", PRODUCTS, None)])
    world.passes.catch_up()
    world.authorizer.write(
        [
            delete("capability:both#granted_to@role:o1/api_1"),
            touch("capability:both#granted_to@role:o1/api_2"),
        ]
    )
    done = world.passes.catch_up()
    assert set(done.marked) == set(world.said)


@pytest.mark.parametrize(
    "removed",
    ["organization:o1#member@user:u1", "product:api_1#subscriber@organization:o1"],
)
def test_a_session_that_has_ended(world: World, removed: str) -> None:
    """The reason says that there would be no token at all."""
    world.issue([("user:u1", "o1", ("api_1",), None)])
    world.passes.catch_up()
    world.authorizer.write([delete(removed)])
    (marked,) = world.passes.catch_up().marked
    assert reason_of(world, marked) == NOT_OPEN


def test_a_role_that_was_taken(world: World) -> None:
    """The reason says that the token would say something else."""
    world.issue([("user:u1", "o1", ("api_1",), None)])
    world.passes.catch_up()
    world.authorizer.write([delete("role:o1/api_1#assignee@group:o1#member")])
    (marked,) = world.passes.catch_up().marked
    assert reason_of(world, marked) == OTHER_HOLDINGS


CONDITIONAL = """
use expiration
caveat fragile(z int) {{ 10 / z > 1 }}
{rest}
""".format(
    rest=(ROOT / "schema.zed")
    .read_text(encoding="utf-8")
    .replace("relation granted_to: role |", "relation granted_to: role | role with fragile |")
    .replace("relation assignee: user |", "relation assignee: user | user with expiration |")
)


@pytest.mark.parametrize("few", [0, 32])
def test_nothing_doubtful_stays_unmarked(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caveat that fails leaves it open what a token should say."""
    monkeypatch.setattr("relata.tokens.comparing._FEW_ANSWERS", few)
    with opened(company(), CONDITIONAL) as world:
        world.issue([("user:u1", "o1", ("api_1",), None), ("user:u1", "o2", ("api_1",), None)])
        world.passes.catch_up()
        world.authorizer.write(['capability:c#granted_to@role:o1/api_1[fragile:{"z":0}]'])
        (marked,) = world.passes.catch_up().marked
        assert world.said[marked][0].organization == "o1"
        assert reason_of(world, marked) == UNDETERMINED


@pytest.mark.parametrize("few", [0, 32])
def test_an_assignment_that_ends(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end counts when it is collected, with all else that ended at the same moment."""
    monkeypatch.setattr("relata.tokens.comparing._FEW_ANSWERS", few)
    with opened(company(), CONDITIONAL) as world:
        world.authorizer.write([delete("role:o1/api_1#assignee@group:o1#member")])
        end = datetime.now(UTC) + timedelta(seconds=1)
        ending = parse_relationship(f"role:o1/api_1#assignee@user:u1[expiration:{end.isoformat()}]")
        world.authorizer.write([ending])
        world.issue([("user:u1", "o1", ("api_1",), None), ("user:u2", "o1", ("api_1",), None)])
        token = next(iter(of(world, "user:u1")))
        assert world.said[token][0].roles == ("o1/api_1",)
        assert world.passes.catch_up().marked == ()
        wait_until(lambda: world.authorizer.collect_expired() == 1)
        assert world.passes.catch_up().marked == (token,)


def test_a_write_beside_an_assignment_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a token says was noticed by its subject when it was made, if no longer now."""
    monkeypatch.setattr("relata.tokens.comparing._FEW_ANSWERS", 0)
    with opened(company(), CONDITIONAL) as world:
        world.authorizer.write([delete("role:o1/api_1#assignee@group:o1#member")])
        end = datetime.now(UTC) + timedelta(seconds=1)
        ending = parse_relationship(f"role:o1/api_1#assignee@user:u1[expiration:{end.isoformat()}]")
        world.authorizer.write([ending, "capability:more#granted_to@role:o1/api_1"])
        world.issue([("user:u1", "o1", ("api_1",), None)])
        assert world.passes.catch_up().marked == ()
        wait_until(lambda: bool(world.wrong()))
        world.authorizer.write([delete("capability:more#granted_to@role:o1/api_1")])
        assert set(world.passes.catch_up().marked) == set(world.said)


# What cannot be narrowed down


def test_another_schema(world: World) -> None:
    """All live tokens are looked at, and those marked that would say something else."""
    issue_all(world)
    schema = world.authorizer.read_schema().text
    other = schema.replace(
        "relation granted_to: role |", "relation barred: user\n\trelation granted_to: role |"
    )
    other = other.replace(
        "permission held = granted_to->active", "permission held = granted_to->active - barred"
    )
    world.authorizer.write_schema(other)
    world.authorizer.write(["capability:read:api_1#barred@user:u1"])
    done = world.passes.catch_up()
    assert set(done.marked) == of(world, "user:u1", "", "api_1")
    assert done.recomputed == len(EVERYBODY)


def test_a_schema_without_roles(world: World) -> None:
    """What can no longer be asked is in doubt."""
    world.issue([("user:u1", "o1", ("api_1",), None)])
    world.passes.catch_up()
    schema = world.authorizer.read_schema().text
    world.authorizer.write_schema(schema.replace("permission held", "permission kept"))
    (marked,) = world.passes.catch_up().marked
    assert reason_of(world, marked) == UNDETERMINED


def test_more_changes_than_are_followed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All live tokens are looked at, and the same are marked."""
    monkeypatch.setattr("relata.tokens.marking.MOST_CHANGES", 0)
    issue_all(world)
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    done = world.passes.catch_up()
    assert set(done.marked) == of(world, "user:u1", "o1")
    assert done.recomputed == len(EVERYBODY)


def test_a_relationship_that_reaches_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a walk is given up, it is asked of everybody who notices the change."""
    monkeypatch.setattr("relata.engine.touched.WALK_STEPS", 1)
    monkeypatch.setattr("relata.tokens.comparing._FEW_ANSWERS", 0)
    issue_all(world)
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    done = world.passes.catch_up()
    assert set(done.marked) == of(world, "user:u1", "o1")
    assert done.recomputed == ORGANIZATIONS * 2


# A database that is away


def test_a_mark_that_cannot_be_written_is_written_later(world: World) -> None:
    """Nothing is forgotten that was not marked."""
    issue_all(world)
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    rename(world, "relata_token_events", "away")
    with pytest.raises(StoreError):
        world.passes.catch_up()
    rename(world, "away", "relata_token_events")
    assert set(world.passes.catch_up().marked) == of(world, "user:u1", "o1")


def test_a_newcomer_is_not_forgotten_either(world: World) -> None:
    """One that could not be looked at when it came is looked at later."""
    world.issue(EVERYBODY)
    world.authorizer.write([delete("group:o1/staff#member@user:u1")])
    rename(world, "relata_token_events", "away")
    with pytest.raises(StoreError):
        world.passes.catch_up()
    rename(world, "away", "relata_token_events")
    assert set(world.passes.catch_up().marked) == of(world, "user:u1", "o1")


def rename(world: World, table: str, name: str) -> None:
    with world.authorizer.store.engine.begin() as connection:
        connection.execute(text(f"alter table {table} rename to {name}"))


# On a thread


def test_marks_come_by_themselves(world: World) -> None:
    """Soon after a write, without being asked for."""
    world.issue(EVERYBODY)
    marking = Marking(world.authorizer, world.ledger, TokenProfile())
    marking.start()
    try:
        wait_until(lambda: len(marking.passes) == len(EVERYBODY))
        world.authorizer.write([delete("group:o1/staff#member@user:u1")])
        wait_until(lambda: marking.passes.revision == world.authorizer.revision)
        assert states(world) == of(world, "user:u1", "o1")
    finally:
        marking.close()


def test_the_thread_goes_on_when_the_database_is_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """And says once that it was away."""
    world.issue(EVERYBODY)
    marking = Marking(world.authorizer, world.ledger, TokenProfile(), poll_seconds=0.01)
    marking.start()
    try:
        wait_until(lambda: len(marking.passes) == len(EVERYBODY))
        rename(world, "relata_token_events", "away")
        world.authorizer.write([delete("group:o1/staff#member@user:u1")])
        wait_until(lambda: "cannot mark tokens" in caplog.text)
        rename(world, "away", "relata_token_events")
        wait_until(lambda: states(world) == of(world, "user:u1", "o1"))
    finally:
        marking.close()
    assert caplog.text.count("cannot mark tokens") == 1


TOGGLED = [
    touch("capability:more#granted_to@role:o1/api_1"),
    touch("group:o1/staff#member@user:u1"),
    touch("group:o1#member@group:o1/staff#member"),
    touch("role:o1/api_1#assignee@group:o1#member"),
    touch("role:o1/api_1#organization@organization:o1"),
    touch("role_template:api_1#instance@role:o1/api_1"),
    touch("product:api_1#subscriber@organization:o1"),
]


@pytest.mark.parametrize("few", [0, 32])
def test_no_order_of_writes_and_tokens_hides_a_change(
    world: World, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens are issued while relationships come and go: in the end every wrong one is marked."""
    monkeypatch.setattr("relata.tokens.comparing._FEW_ANSWERS", few)
    choose = random.Random(few)
    marking = Marking(world.authorizer, world.ledger, TokenProfile(), poll_seconds=0.01)
    marking.start()

    def write() -> None:
        for _ in range(60):
            chosen = choose.sample(TOGGLED, choose.randint(1, 3))
            world.authorizer.write([choose.choice([it, delete(it.relationship)]) for it in chosen])

    writer = threading.Thread(target=write)
    try:
        writer.start()
        while writer.is_alive():
            for user in ("user:u1", "user:u2"):
                with suppress(OAuthError):
                    held = world.desk.holdings(user, "o1", ("api_1",))
                    token = world.desk.token(user, "o1", "api_1", held=held)
                    stored = world.ledger.add(token)
                    world.said[stored.id] = (stored, held)
        writer.join()
        assert len(world.said) > 0
        wait_until(lambda: world.wrong() <= states(world))
        assert states(world)
    finally:
        writer.join()
        marking.close()


def test_closing_ends_the_thread(world: World) -> None:
    """Once or twice, started or not; a write is not told to it any more."""
    names = {thread.name for thread in threading.enumerate()}
    for is_started in (True, False):
        marking = Marking(world.authorizer, world.ledger, TokenProfile())
        if is_started:
            marking.start()
        marking.close()
        marking.close()
    assert {thread.name for thread in threading.enumerate()} == names
    world.authorizer.write(["organization:o1#member@user:new"])


def states(world: World) -> set[int]:
    """The ids of the tokens that are marked."""
    last = max(world.said)
    found = world.authorizer.store.issued.states(0, last + 1)
    return {id_ for id_ in world.said if found[id_] == TokenState.CHANGED}


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition. Raises AssertionError where it does not come."""
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
