"""Relationships that a schema may or may not allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from relata.relationships import CaveatRef, ObjectRef, Relationship, SubjectRef
from tests.strategies import (
    FUTURE,
    IDS,
    PAST,
    STORED_CONTEXTS,
    World,
    allowed_relationships,
)

_CONTEXTS: tuple[Mapping[str, Any], ...] = (
    {},
    {"x": 1},
    {"x": "1"},
    {"x": 1.5},
    {"x": None},
    {"y": "one"},
    {"x": 1, "y": True},
    {"z": [1]},
    {"z": -0.0},
    {"unheard": 1},
)


def any_relationships(world: World) -> st.SearchStrategy[Relationship]:
    """Allowed relationships, and ones of any shape between the names that a world has."""
    types = st.sampled_from([*world.bodies, "nowhere"])
    names = sorted({name for type_ in world.bodies for name in world.names(type_)} | {"none"})
    caveats = st.builds(
        CaveatRef.of, st.sampled_from([*STORED_CONTEXTS, "unwritten"]), st.sampled_from(_CONTEXTS)
    )
    subjects = st.one_of(
        st.builds(SubjectRef, types, st.sampled_from(IDS)),
        st.builds(SubjectRef, types, st.sampled_from(IDS), st.sampled_from(names)),
        st.builds(SubjectRef, types, st.just("*")),
    )
    any_ = st.builds(
        Relationship,
        st.builds(ObjectRef, types, st.sampled_from(IDS)),
        st.sampled_from(names),
        subjects,
        st.none() | caveats,
        st.sampled_from([None, None, FUTURE, PAST]),
    )
    allowed = allowed_relationships(world.bodies)
    if not allowed:
        return any_
    right = st.sampled_from(allowed)
    changed = st.builds(_dressed, right, st.none() | caveats, st.sampled_from([None, FUTURE]))
    return st.one_of(any_, right, changed, changed)


def _dressed(item: Relationship, caveat: CaveatRef | None, expires_at: Any) -> Relationship:
    return Relationship(item.resource, item.relation, item.subject, caveat, expires_at)
