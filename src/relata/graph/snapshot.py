"""The relationships at one revision, read from the store as an evaluator asks for them.

A Snapshot view serves one question: it remembers what it has read and is then thrown away. It
costs a query a node, so it is for exact past revisions and for tests, not for the hot path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from relata.graph.names import Names
from relata.graph.view import Adjacency, Trait, Traits, View
from relata.relationships import Kind
from relata.store import Store

Neighbour = tuple[str, str, int | None]
"""An id, and the stored context and expiration of the relationship that leads to it."""
_Traits = dict[tuple[int, int], Trait]


class _SnapshotView(View):
    """A view whose names grow as rows are read, so that it has no local nodes."""

    __slots__ = ()

    def node(self, text: str) -> int:
        return self.names.intern(text)

    def known_node(self, text: str) -> int:
        return self.names.intern(text)  # the store may know what has not been read yet


Fetch = Callable[[str], Sequence[Neighbour]]


class _Fetched:
    """One way of one kind: neighbours fetched on first use, and their traits put into `traits`."""

    __slots__ = ("_fetch", "_is_forward", "_known", "_names", "_neighbour_type", "_traits")

    def __init__(
        self, names: Names, neighbour_type: str, fetch: Fetch, traits: _Traits, *, is_forward: bool
    ) -> None:
        self._names = names
        self._neighbour_type = neighbour_type
        self._fetch = fetch
        self._traits = traits
        self._is_forward = is_forward
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
        found: set[int] = set()
        for id_, context, expires_at in self._fetch(object_id):
            neighbour = self._names.intern(f"{self._neighbour_type}:{id_}")
            found.add(neighbour)
            edge = (node, neighbour) if self._is_forward else (neighbour, node)
            self._traits[edge] = Trait(context, expires_at)
        return found


def snapshot_view(store: Store, revision: int, kinds: Sequence[Kind]) -> View:
    """A view of the store at a revision, for a plan with these kinds.

    A relationship's trait is there when either of its ends has been asked for the other.
    """
    names = Names()
    forward: list[Adjacency] = []
    reverse: list[Adjacency] = []
    traits: list[Traits] = []
    for kind in kinds:
        known: _Traits = {}
        subjects = partial(_subjects, store, kind, revision)
        resources = partial(_resources, store, kind, revision)
        forward.append(_Fetched(names, kind.subject_type, subjects, known, is_forward=True))
        reverse.append(_Fetched(names, kind.resource_type, resources, known, is_forward=False))
        traits.append(known)
    return _SnapshotView(names, forward, reverse, traits)


def _subjects(store: Store, kind: Kind, revision: int, resource_id: str) -> Sequence[Neighbour]:
    return store.subjects_at(kind, resource_id, revision)


def _resources(store: Store, kind: Kind, revision: int, subject_id: str) -> Sequence[Neighbour]:
    return store.resources_at(kind, subject_id, revision)
