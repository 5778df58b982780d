"""Large sets of nodes are what sets of Python's are."""

from __future__ import annotations

import gc
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.engine import nodes as module
from relata.engine.nodes import Nodes

numbers = st.integers(-20, 200)
collections = st.one_of(
    st.lists(numbers), st.sets(numbers), st.frozensets(numbers), st.tuples(numbers, numbers)
)


@pytest.fixture(autouse=True, scope="module")
def small_shards() -> object:
    """Four nodes a shard, so that a few dozen are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SHARD_BITS", 2)
        patch.setattr(module, "_MOST_TOGETHER", 4)
        yield


@given(st.sets(numbers), st.lists(st.lists(collections)), collections)
def test_they_have_what_was_added(
    first: set[int], added: list[list[Collection[int]]], others: Collection[int]
) -> None:
    nodes, expected = Nodes(first), set(first)
    for pieces in added:
        nodes.add(pieces)
        expected.update(*pieces)
    assert len(nodes) == len(expected)
    assert sorted(nodes) == sorted(expected)
    assert bool(nodes) is bool(expected)
    assert [node for node in others if node in nodes] == [it for it in others if it in expected]
    assert nodes.common(others) == expected.intersection(others)
    assert nodes.lacking(others) == set(others) - expected


def test_garbage_collections_do_not_go_through_many() -> None:
    nodes = Nodes()
    nodes.add([range(1_000)])
    assert len(nodes) == 1_000
    assert not any(map(gc.is_tracked, nodes._shards.values()))
