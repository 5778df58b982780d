"""Which schemas and which relationships are accepted: by SpiceDB and by Relata the same ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.errors import SchemaError
from relata.relationships import Relationship
from relata.schema import compile_schema
from tests.spicedb.comparison import COMPARED
from tests.spicedb.driver import SpiceDB
from tests.spicedb.examples import few, thorough
from tests.spicedb.questions import Refusal
from tests.spicedb.relata_answers import RelataAnswers
from tests.spicedb.scene import Scene
from tests.spicedb.schemas import TEXTS, mutated_schemas
from tests.spicedb.writes import any_relationships
from tests.strategies import World, worlds

UNFINISHED_TRAIT = "what follows the `and` of a trait is let go missing"
"""Pinned in `test_differences.py`."""


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_are_accepted(spicedb: SpiceDB, text: str) -> None:
    """What is mutated is right to begin with."""
    assert spicedb.write_schema(text) is None
    compile_schema(text)


@given(mutated_schemas())
@thorough
def test_the_same_schemas_are_accepted(spicedb: SpiceDB, tally: Counter[str], text: str) -> None:
    """Any text that is nearly a schema."""
    refused = spicedb.write_schema(text)
    fault = _fault(text)
    tally["refused" if fault else "accepted"] += 1
    if refused is None and fault is not None and "expected `expiration`, found" in fault:
        tally[UNFINISHED_TRAIT] += 1
        return
    assert (refused is None) is (fault is None), (refused, fault)


def _fault(text: str) -> str | None:
    try:
        compile_schema(text)
    except SchemaError as error:
        return error.message
    return None


@given(worlds(), st.data())
@few
def test_the_same_relationships_are_accepted(
    spicedb: SpiceDB,
    relata: RelataAnswers,
    tally: Counter[str],
    world: World,
    data: st.DataObject,
) -> None:
    """Relationships of every kind, with contexts right and wrong."""
    items: list[Relationship] = data.draw(
        st.lists(any_relationships(world), min_size=40, max_size=40)
    )
    relata.enter(Scene(world.text, ()))
    theirs = spicedb.write_each(world.text, items)
    assert not isinstance(theirs, Refusal), theirs
    ours = [relata.accepts(item) for item in items]
    tally[COMPARED] += len(items)
    tally["accepted"] += sum(ours)
    wrong = [str(item) for item, one, two in zip(items, theirs, ours, strict=True) if one != two]
    assert wrong == []
