"""The relationships at one revision, read from the store as an evaluator asks for them.

A Snapshot view serves one question: it remembers what it has read and is then thrown away. It
costs a query a node, so it is for exact past revisions and for tests, not for the hot path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from relata.graph.names import Names
from relata.graph.view import Adjacency, View
from relata.relationships import Kind
from relata.store import Store


class _SnapshotView(View):
    """A view whose names grow as rows are read, so that it has no local nodes."""

    __slots__ = ()

    def node(self, text: str) -> int:
        return self.names.intern(text)


class _Fetched:
    """One way of one kind: neighbours fetched on first use."""

    __slots__ = ("_fetch", "_known", "_names", "_neighbour_type")

    def __init__(
        self, names: Names, neighbour_type: str, fetch: Callable[[str], Sequence[str]]
    ) -> None:
        self._names = names
        self._neighbour_type = neighbour_type
        self._fetch = fetch
        self._known: dict[int, set[int]] = {}

    def get(self, node: int, /) -> Collection[int] | None:
        neighbours = self._known.get(node)
        if neighbours is None:
            neighbours = self._known[node] = self._read(node)
        return neighbours or None

    def __len__(self) -> int:
        return 1

    def _read(self, node: int) -> set[int]:
        object_id = self._names.texts[node].partition(":")[2]
        intern = self._names.intern
        return {intern(f"{self._neighbour_type}:{id_}") for id_ in self._fetch(object_id)}


def snapshot_view(store: Store, revision: int, kinds: Sequence[Kind]) -> View:
    """A view of the store at a revision, for a plan with these kinds."""
    names = Names()
    forward: list[Adjacency] = []
    reverse: list[Adjacency] = []
    for kind in kinds:
        subjects = partial(_subjects, store, kind, revision)
        resources = partial(_resources, store, kind, revision)
        forward.append(_Fetched(names, kind.subject_type, subjects))
        reverse.append(_Fetched(names, kind.resource_type, resources))
    return _SnapshotView(names, forward, reverse)


def _subjects(store: Store, kind: Kind, revision: int, resource_id: str) -> Sequence[str]:
    return store.subjects_at(kind, resource_id, revision)


def _resources(store: Store, kind: Kind, revision: int, subject_id: str) -> Sequence[str]:
    return store.resources_at(kind, subject_id, revision)
