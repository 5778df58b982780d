"""Sets of nodes that never take long to grow.

A set of Python's makes room by moving all that is in it, which holds the interpreter for 18 ms at
600,000 nodes, and garbage collections go through it. A set that grows large is kept in shards here,
each of neighbouring nodes: keys of a dictionary, which is no collection's business as long as there
are numbers alone in it. Putting a million nodes in takes no longer so, since a shard stays in the
processor's caches.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Set
from itertools import chain

_SHARD_BITS = 15
"""A shard has room for 2^15 nodes; making it costs about a millisecond."""
_MOST_TOGETHER = 1 << _SHARD_BITS


class Nodes(Set[int]):
    """A set of nodes, to be added to by pieces."""

    __slots__ = ("_shards", "_together")

    def __init__(self, nodes: Iterable[int] = ()) -> None:
        self._together: set[int] | None = set(nodes)
        self._shards: dict[int, dict[int, None]] = {}

    def __len__(self) -> int:
        if self._together is not None:
            return len(self._together)
        return sum(map(len, self._shards.values()))

    def __iter__(self) -> Iterator[int]:
        if self._together is not None:
            return iter(self._together)
        return chain.from_iterable(self._shards.values())

    def __contains__(self, node: object) -> bool:
        if self._together is not None:
            return node in self._together
        return isinstance(node, int) and node in self._shards.get(node >> _SHARD_BITS, ())

    def add(self, pieces: Iterable[Collection[int]]) -> None:
        """Add nodes: together no more than a piece."""
        if self._together is not None:
            self._together.update(*pieces)
            if len(self._together) > _MOST_TOGETHER:
                together, self._together = self._together, None
                self._put(together)
        else:
            self._put(chain.from_iterable(pieces))

    def _put(self, nodes: Iterable[int]) -> None:
        for number, part in _parts(nodes):
            shard = self._shards.get(number)
            if shard is None:
                self._shards[number] = dict.fromkeys(part)
            else:
                shard.update(dict.fromkeys(part))

    def common(self, nodes: Collection[int]) -> set[int]:
        """Those of some nodes that are in the set."""
        if self._together is not None:
            return self._together.intersection(nodes)
        common: set[int] = set()
        for number, part in _parts(nodes):
            shard = self._shards.get(number, _EMPTY)
            common.update([node for node in part if node in shard])
        return common

    def lacking(self, nodes: Collection[int]) -> set[int]:
        """Those of some nodes that are not in the set."""
        if self._together is not None:
            return set(nodes).difference(self._together)
        lacking: set[int] = set()
        for number, part in _parts(nodes):
            shard = self._shards.get(number, _EMPTY)
            lacking.update([node for node in part if node not in shard])
        return lacking


_EMPTY: dict[int, None] = {}


def _parts(nodes: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """The nodes by the number of their shard."""
    ordered = sorted(nodes)
    start, end = 0, len(ordered)
    while start < end:
        number = ordered[start] >> _SHARD_BITS
        stop = bisect_left(ordered, (number + 1) << _SHARD_BITS, start)
        yield number, ordered[start:stop]
        start = stop
