"""Two properties over generated worlds: a bound key learns nothing of another organization, and
changes nothing there.

The first compares what the key of `acme` is told in two worlds that differ only in what belongs to
`globex`: every answer and every refusal is the same. (An attempt to make an object one's own is
left out: that an id is taken shows where ids are shared.) The second lets the key of `acme` try to
write anything at all, and compares every answer about `globex` before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relata.authorizer import Relata
from relata.bounds import Bounded
from relata.errors import RelataError
from relata.relationships import (
    Precondition,
    RelationshipFilter,
    Update,
    create,
    delete,
    parse_relationship,
    relationship_kind,
    touch,
)
from relata.requests import Question
from tests.bounds.world import ACME, OTHERS, SCHEMA

EXAMPLES = 30

_PEOPLE = ["user:ada", "user:anne", "user:gil", "user:gus"]
_GLOBEX = {
    "organization": ["organization:globex", "organization:globex-eu"],
    "group": ["group:globex-staff", "group:g2"],
    "folder": ["folder:globex-top", "folder:f2"],
    "document": ["document:globex-plan"],
}
_ACME = {
    "organization": ["organization:acme", "organization:acme-eu"],
    "group": ["group:acme-staff"],
    "folder": ["folder:acme-top", "folder:acme-sub", "folder:eu-top"],
    "document": ["document:acme-plan"],
}
_SHARED = tuple(it for it in OTHERS if not any(name in it for name in ("globex",)))
_TYPES = ["organization", "group", "folder", "document", "product", "team", "user"]
_NAMES = {
    "organization": ["manage", "session", "belongs_to", "admin"],
    "group": ["member", "belongs_to"],
    "folder": ["view", "viewer", "belongs_to"],
    "document": ["view", "sold", "belongs_to", "owner"],
    "product": ["session", "subscriber"],
    "team": ["member"],
    "user": ["view"],
}

Objects = dict[str, list[str]]


def relationships(objects: Objects) -> st.SearchStrategy[str]:
    """Relationships among some objects, and people, that the schema allows for the most part."""

    def one(type_: str) -> st.SearchStrategy[str]:
        return st.sampled_from(objects[type_])

    usersets = one("group").map(lambda it: f"{it}#member")
    people = st.sampled_from(_PEOPLE)
    parts = [
        (one("organization"), "parent", one("organization")),
        (one("organization"), "admin", people | usersets),
        (one("organization"), "member", people | usersets),
        (one("group"), "organization", one("organization")),
        (one("group"), "member", people | usersets),
        (one("folder"), "organization", one("organization")),
        (one("folder"), "above", one("folder")),
        (one("folder"), "viewer", people | usersets | st.just("user:*") | one("group")),
        (one("document"), "folder", one("folder")),
        (one("document"), "owner", people),
        (one("document"), "product", st.just("product:wiki")),
        (st.just("product:wiki"), "subscriber", one("organization")),
    ]
    return st.one_of(
        [
            st.builds(_relationship, resource, st.just(name), subject)
            for resource, name, subject in parts
        ]
    )


def _relationship(resource: str, relation: str, subject: str) -> str:
    return f"{resource}#{relation}@{subject}"


_BOTH = {type_: _ACME[type_] + _GLOBEX[type_] for type_ in _ACME}
_objects = st.sampled_from([it for ids in _ACME.values() for it in ids]) | st.sampled_from(
    [*(it for ids in _GLOBEX.values() for it in ids), "product:wiki", "team:shared"]
)
_subjects = (
    st.sampled_from(_PEOPLE)
    | _objects
    | st.sampled_from(
        ["group:globex-staff#member", "group:acme-staff#member", "team:shared#member"]
    )
)
_crossings = st.sampled_from(
    [
        "folder:acme-top#viewer@group:globex-staff#member",
        "folder:acme-sub#above@folder:globex-top",
        "folder:globex-top#organization@organization:acme",
        "group:acme-staff#member@group:globex-staff#member",
        "organization:acme#parent@organization:globex",
        "organization:globex#parent@organization:acme",
    ]
)
"""Relationships that would lead from the one organization to the other."""
_filters = st.builds(
    RelationshipFilter,
    resource_type=st.none() | st.sampled_from(_TYPES),
    resource_id=st.none() | st.sampled_from(["globex-top", "acme-top", "globex", "acme", "wiki"]),
    relation=st.none() | st.sampled_from(["viewer", "member", "subscriber"]),
    subject_type=st.none() | st.sampled_from(_TYPES),
    subject_id=st.none() | st.sampled_from(["globex-staff", "gil", "anne", "globex"]),
).filter(lambda it: it != RelationshipFilter())

Ask = Callable[[Bounded], object]


@st.composite
def questions(draw: st.DrawFn) -> list[Ask]:
    """Every kind of question, of anybody's objects."""
    resource, subject = draw(_objects), draw(_subjects)
    name = draw(st.sampled_from(_NAMES[resource.partition(":")[0]]))
    type_ = draw(st.sampled_from(_TYPES))
    held = draw(st.sampled_from(_NAMES[type_]))
    relation = draw(st.sampled_from(["", "member"]))
    limit = draw(st.sampled_from([None, 1, 2]))
    known = draw(st.just([]) | st.lists(_crossings | relationships(_BOTH), max_size=2))
    if draw(st.booleans()):
        known.append(f"{draw(st.sampled_from(_BOTH['organization']))}#chosen_by@{subject}")
        known.append(f"product:wiki#requested_by@{subject}")
    chosen = draw(_filters)
    operation = draw(st.sampled_from(["must_match", "must_not_match"]))
    condition = Precondition(operation, chosen)  # type: ignore[arg-type]  # one of the literals
    return [
        lambda key: key.check(resource, name, subject, contextual=known),
        lambda key: key.check(resource, name, subject, contextual=known, explain=True),
        lambda key: key.check_many([Question(resource, name, subject)] * 2, contextual=known),
        lambda key: key.expand(resource, name, contextual=known),
        lambda key: key.lookup_resources(type_, held, subject, contextual=known, limit=limit),
        lambda key: key.lookup_subjects(
            resource, name, type_, relation, contextual=known, limit=limit
        ),
        lambda key: key.lookup_permissions(resource, subject, contextual=known),
        lambda key: key.lookup_subjects("folder:acme-sub", "view", "user", contextual=known),
        lambda key: key.lookup_resources("folder", "view", "user:gil", contextual=known),
        lambda key: key.expand("document:acme-plan", "view", contextual=known),
        lambda key: key.read(chosen, limit=limit),
        lambda key: key.read(limit=limit),
        lambda key: key.write(
            [touch("folder:acme-top#viewer@user:ada")], preconditions=[condition]
        ),
    ]


_attempts = st.lists(
    st.tuples(st.sampled_from([create, touch, delete]), relationships(_BOTH)),
    min_size=1,
    max_size=4,
)


def told(ask: Ask, key: Bounded) -> object:
    """What somebody learns: the answer or the error, without the numbers of revisions."""
    try:
        answer = ask(key)
    except RelataError as error:
        return type(error), error.message, error.field
    return _without_revisions(answer)


def _without_revisions(answer: Any) -> object:
    if isinstance(answer, msgspec.Struct):
        return {
            name: _without_revisions(getattr(answer, name))
            for name in answer.__struct_fields__
            if not name.endswith("_at")
        } | ({"cursor": answer.cursor is not None} if hasattr(answer, "cursor") else {})
    if isinstance(answer, tuple):
        return tuple(map(_without_revisions, answer))
    if isinstance(answer, RelataError):
        return type(answer), answer.message, answer.field
    return answer


@contextmanager
def world(more: Sequence[str]) -> Iterator[Relata]:
    with Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None) as relata:
        relata.write(dict.fromkeys([*ACME, *_SHARED, *more]))
        yield relata


slowly = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@slowly
@given(
    globex=st.lists(relationships(_GLOBEX), max_size=12),
    asked=st.lists(questions(), min_size=3, max_size=8),
)
def test_a_bound_key_learns_nothing_of_another_organization(
    globex: list[str], asked: list[list[Ask]]
) -> None:
    """Whatever `globex` has, and whatever is asked."""
    with world(()) as without, world([*OTHERS, *globex]) as with_globex:
        for ask in chain.from_iterable(asked):
            expected = told(ask, Bounded(without, "acme"))
            assert told(ask, Bounded(with_globex, "acme")) == expected


@slowly
@given(
    globex=st.lists(relationships(_GLOBEX), max_size=12),
    attempts=st.lists(_attempts, min_size=1, max_size=10),
)
def test_a_bound_key_changes_nothing_about_another_organization(
    globex: list[str], attempts: list[list[tuple[Callable[[str], Update], str]]]
) -> None:
    """Every check of every object of `globex` says what it said before."""
    with world([*OTHERS, *globex]) as relata:
        before = answers(relata)
        key = Bounded(relata, "acme")
        for attempt in attempts:
            updates = {operation(text).relationship: operation(text) for operation, text in attempt}
            try:
                key.write(list(updates.values()))
            except RelataError:
                continue
            for update in updates.values():
                assert "globex" not in str(update.relationship), update
        assert answers(relata) == before


def answers(relata: Relata) -> dict[str, object]:
    """Every answer about what is of `globex`, and what is stored of it."""
    owned = sorted({str(it) for type_ in _GLOBEX for it in owned_by_globex(relata, type_)})
    found: dict[str, object] = {}
    for object_ in owned:
        type_ = object_.partition(":")[0]
        definition = relata.schema.definitions[type_]
        for name in (*definition.permissions, *definition.relations):
            for subject in _PEOPLE:
                result = relata.check(object_, name, subject)
                found[f"{object_}#{name}@{subject}"] = result.permissionship
    return found


def owned_by_globex(relata: Relata, type_: str) -> list[str]:
    own = ["organization:globex"] if type_ == "organization" else []
    ids = relata.lookup_resources(type_, "belongs_to", "organization:globex").resource_ids
    return own + [f"{type_}:{id_}" for id_ in ids]


def test_the_generated_relationships_are_ones_that_the_schema_allows() -> None:
    """Else the properties would be about refusals alone."""
    with world(OTHERS) as relata:
        kinds = set()
        for text in (*ACME, *OTHERS):
            kinds.add(relationship_kind(parse_relationship(text)))
        assert len(kinds) > 10
        key = Bounded(relata, "acme")
        assert key.write([touch("folder:acme-sub#viewer@user:gil")]).written_at
