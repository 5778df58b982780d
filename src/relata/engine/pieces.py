"""Large collections a piece at a time.

Nothing that a question does with them may take long in one go: between two pieces it says what it
has spent, and there it may have to let others go first.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from itertools import chain, islice
from typing import TypeVar

from relata.engine.nodes import Nodes
from relata.graph import Adjacency, View
from relata.relationships import SubjectRef

T = TypeVar("T")
C = TypeVar("C", str, tuple[str, str], SubjectRef)

PIECE = 4_096
"""How many items a piece has at most. To sort as many ids takes half a millisecond."""
ITEMS_PER_STEP = 8
"""How many items are put into a set in the time of one relationship followed."""

_SMALL_PIECE = 512
"""How many nodes are asked for their neighbours at once, put where their text belongs, or asked
whether a caveat holds."""
_SAMPLED = 8
"""How many ids of each piece are looked at to find out where to cut."""

Spend = Callable[[int], None]


def pieces(items: Collection[T], size: int | None = None) -> Iterable[Collection[T]]:
    """The items in collections of at most a size, a piece's unless given."""
    size = size or PIECE
    return (items,) if len(items) <= size else _pieces(items, size)


def _pieces(items: Collection[T], size: int) -> Iterator[Collection[T]]:
    left = iter(items)
    while piece := list(islice(left, size)):
        yield piece


def spent_pieces(items: Collection[T], spend: Spend) -> Iterator[Collection[T]]:
    """The items in pieces for work that takes longer with each: every item costs a step."""
    for piece in pieces(items, _SMALL_PIECE):
        spend(len(piece))
        yield piece


def neighbours(
    adjacencies: Sequence[Adjacency], kind: int, nodes: Collection[int], spend: Spend
) -> Iterable[Sequence[Collection[int]]]:
    """The neighbours of nodes, in lists of collections that have a piece's worth together.

    Each relationship costs a step; nodes without any cost a little too. After one is spent, the
    kind's adjacency is looked up again: it may have been replaced to stay as it was.
    """
    if len(nodes) == 1:  # most often so, and then most often without any
        (node,) = nodes
        others = adjacencies[kind].get(node)
        if others is None:
            return ()
        if len(others) <= PIECE:
            spend(len(others))
            return ((others,),)
    if len(nodes) <= _SMALL_PIECE:
        found = list(filter(None, map(adjacencies[kind].get, nodes)))
        count = sum(map(len, found))
        if count <= PIECE:
            spend(count + len(nodes) // ITEMS_PER_STEP)
            return (found,)
    return _neighbours(adjacencies, kind, nodes, spend)


def _neighbours(
    adjacencies: Sequence[Adjacency], kind: int, nodes: Collection[int], spend: Spend
) -> Iterator[Sequence[Collection[int]]]:
    for some in pieces(nodes, _SMALL_PIECE):
        found = list(filter(None, map(adjacencies[kind].get, some)))
        count = sum(map(len, found))
        spend(len(some) // ITEMS_PER_STEP)
        if count <= PIECE:
            spend(count)
            yield found
            continue
        for others in found:
            for piece in pieces(others):
                spend(len(piece))
                yield (piece,)


def put(items: Collection[int], into: Nodes, spend: Spend) -> None:
    """Add items to a set."""
    for piece in pieces(items):
        spend(len(piece) // ITEMS_PER_STEP)
        into.add((piece,))


def in_both(some: Set[int], others: Set[int], spend: Spend) -> Nodes:
    """The items that are in both of two sets."""
    small, large = (some, others) if len(some) <= len(others) else (others, some)
    kept = Nodes()
    for piece in pieces(small):
        spend(len(piece) // ITEMS_PER_STEP)
        kept.add((large.common(piece) if isinstance(large, Nodes) else large & set(piece),))
    return kept


def in_one(some: Set[int], others: Set[int], spend: Spend) -> Nodes:
    """The items of a set that are not in the others."""
    kept = Nodes()
    for piece in pieces(some):
        spend(len(piece) // ITEMS_PER_STEP)
        left = others.lacking(piece) if isinstance(others, Nodes) else set(piece).difference(others)
        kept.add((left,))
    return kept


def sorted_ids(view: View, nodes: Collection[int], spend: Spend) -> tuple[str, ...]:
    """The ids of nodes, which are all of one type, sorted. Each costs a step."""
    if len(nodes) > PIECE:
        return tuple(chain.from_iterable(_sorted_ids(view, nodes, spend)))
    spend(len(nodes))
    ids = view.ids(nodes)
    ids.sort()
    return tuple(ids)


def _sorted_ids(view: View, nodes: Collection[int], spend: Spend) -> Iterator[list[str]]:
    """The ids in lists to be put one behind the other, each short enough to be sorted at once.

    It is nodes that are put where their ids belong: garbage collections would go through long
    lists of texts, and do not through an array.
    """
    sample: list[str] = []
    for piece in pieces(nodes):
        spend(len(piece) // ITEMS_PER_STEP)
        sample += view.ids(list(islice(piece, 0, None, max(1, PIECE // _SAMPLED))))
    cuts = _cuts(sample)
    places = [array("q") for _ in range(len(cuts) + 1)]
    for piece in pieces(nodes, _SMALL_PIECE):
        spend(len(piece) // 2)
        for node, id_ in zip(piece, view.ids(piece), strict=True):
            places[bisect(cuts, id_)].append(node)
    for place in places:
        spend(len(place) // 2)
        ids = view.ids(place)
        ids.sort()
        yield ids


def sorted_pieces(items: list[C], spend: Spend) -> Iterator[list[C]]:
    """The items in lists to be put one behind the other, each short enough to be sorted at once."""
    if len(items) <= PIECE:
        spend(len(items) // 2)
        yield sorted(items)
        return
    cuts = _cuts(items[:: max(1, PIECE // _SAMPLED)])
    lists: list[list[C]] = [[] for _ in range(len(cuts) + 1)]
    for piece in pieces(items):
        spend(len(piece) // 4)
        for item in piece:
            lists[bisect(cuts, item)].append(item)
    for some in lists:
        spend(len(some) // 4)
        some.sort()
        yield some


def _cuts(sample: list[C]) -> list[C]:
    """Where to cut, so that the lists will be of about the same length."""
    return sorted(sample)[_SAMPLED::_SAMPLED]
