"""The live relationships in memory, forward and reverse, at the newest revision applied.

A Resident graph is fed by the store: `load` once, then `prepare` and `commit` with the store's
changes in revision order. It does not lock; whoever holds it decides when a change may come between
two questions. Preparing changes nothing that a question reads, and may take long; committing is
what must not meet a question, and is short.

The neighbours of a node are a tuple, which is small and never changes, or a set where there are
many. A tuple of neighbours takes 8 bytes for each, a set four times as much and more.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from relata.graph.names import Names
from relata.graph.view import Edges, Neighbours, Touched, Trait, View, trait_of
from relata.relationships import WILDCARD, Kind, Relationship, relationship_kind
from relata.slices import let_others_run

Row = tuple[str, str, str, str, str, str, str, str, int | None]
"""resource type, resource id, relation, subject type, subject id, subject relation, caveat,
its stored context, microseconds from the epoch to its expiration"""

_LARGE = 50_000
"""Objects in a graph that garbage collections are to leave alone."""
_MOST_IN_A_TUPLE = 32
"""Up to this many, a tuple is searched about as fast as a set, in a fraction of the memory."""


class _Edit(NamedTuple):
    """What becomes of the neighbours of one node."""

    more: list[int]
    less: list[int]


class _Edits:
    """Changes of the relationships of one kind: the last word on each."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self.last: dict[tuple[int, int], tuple[bool, Trait | None]] = {}
        self._ways: list[_Way] = []
        self._traits: dict[tuple[int, int], Trait] = {}

    def prepare(self) -> None:
        """Make what committing will put in place."""
        forward: dict[int, _Edit] = {}
        reverse: dict[int, _Edit] = {}
        for number, ((resource, subject), (added, trait)) in enumerate(self.last.items()):
            forward.setdefault(resource, _Edit([], []))[not added].append(subject)
            reverse.setdefault(subject, _Edit([], []))[not added].append(resource)
            if trait is not None:
                self._traits[resource, subject] = trait
            let_others_run(number)
        self._ways = [
            _Way(self.edges.forward, forward, is_forward=True),
            _Way(self.edges.reverse, reverse, is_forward=False),
        ]

    def commit(self, kept: Sequence[View]) -> None:
        """Put it in place. Sets that a kept view may be going through are replaced, not changed."""
        shared = [way.shared(self.edges, kept) for way in self._ways]
        for view in kept:
            view.keep(self.edges, self.last)
        for way, nodes in zip(self._ways, shared, strict=True):
            way.commit(nodes)
        if self.edges.kind.is_conditional:
            for edge in self.last:
                self.edges.traits.pop(edge, None)
            self.edges.traits.update(self._traits)


class _Way:
    """The changes of one way of a kind."""

    def __init__(
        self, adjacency: dict[int, Neighbours], edits: Mapping[int, _Edit], *, is_forward: bool
    ) -> None:
        self._adjacency = adjacency
        self._is_forward = is_forward
        self._narrow: dict[int, Neighbours] = {}
        self._wide: dict[int, _Edit] = {}
        for number, (node, edit) in enumerate(edits.items()):
            neighbours = adjacency.get(node, ())
            if isinstance(neighbours, set):
                self._wide[node] = edit
            else:
                self._narrow[node] = _edited(neighbours, edit)
            let_others_run(number)
        self._emptied = [node for node, neighbours in self._narrow.items() if not neighbours]

    def shared(self, edges: Edges, kept: Sequence[View]) -> set[int]:
        """The nodes whose sets of neighbours kept views may be going through."""
        return {
            node
            for node in self._wide
            if not all(view.has_kept(edges, node, forward=self._is_forward) for view in kept)
        }

    def commit(self, shared: Collection[int]) -> None:
        """Put the changes in place; replace the sets of the shared nodes."""
        adjacency = self._adjacency
        adjacency.update(self._narrow)
        for node in self._emptied:
            del adjacency[node]
        for node, edit in self._wide.items():
            stored = adjacency[node]
            can_change = node not in shared
            neighbours = stored if can_change and isinstance(stored, set) else set(stored)
            neighbours.difference_update(edit.less)
            neighbours.update(edit.more)
            if len(neighbours) * 2 > _MOST_IN_A_TUPLE:
                adjacency[node] = neighbours
            else:
                adjacency[node] = tuple(neighbours)


def _edited(neighbours: Collection[int], edit: _Edit) -> Neighbours:
    kept = [node for node in neighbours if node not in edit.less] if edit.less else neighbours
    edited = tuple(dict.fromkeys((*kept, *edit.more)))
    return edited if len(edited) <= _MOST_IN_A_TUPLE else set(edited)


class Resident:
    """All live relationships, by kind, whether or not the present schema allows them."""

    def __init__(self) -> None:
        self.names = Names()
        self.revision = 0
        self._edges: dict[Kind, Edges] = {}

    def load(self, rows: Iterable[Row], *, revision: int) -> None:
        """Take in every live relationship of the store at `revision`, into an empty graph."""
        with _uncollected():
            self._load(rows)
        self.revision = revision
        if len(self.names.texts) > _LARGE:
            # A full collection goes through all of it, for a tenth of a second and more, and finds
            # nothing: what is loaded lives as long as the process. So does what else is frozen.
            gc.freeze()

    def _load(self, rows: Iterable[Row]) -> None:
        nodes, intern = self.names.nodes, self.names.intern
        alone: dict[int, tuple[int]] = {}
        by_columns: dict[tuple[str, str, str, str, bool, str, bool], Edges] = {}
        for (
            resource_type,
            resource_id,
            relation,
            subject_type,
            subject_id,
            subject_relation,
            caveat,
            context,
            expires_at,
        ) in rows:
            columns = (
                resource_type,
                relation,
                subject_type,
                subject_relation,
                subject_id == WILDCARD,
                caveat,
                expires_at is not None,
            )
            edges = by_columns.get(columns)
            if edges is None:
                edges = by_columns[columns] = self._edges_of(Kind(*columns))
            text = f"{resource_type}:{resource_id}"
            resource = nodes.get(text)
            if resource is None:
                resource = intern(text)
            text = f"{subject_type}:{subject_id}"
            subject = nodes.get(text)
            if subject is None:
                subject = intern(text)
            _put(edges.forward, resource, subject, alone)
            _put(edges.reverse, subject, resource, alone)
            if caveat or expires_at is not None:
                edges.traits[resource, subject] = Trait(context, expires_at)

    def prepare(self, changes: Iterable[tuple[bool, Relationship]]) -> Prepared:
        """Work out changes, each an addition or not, in their order; nothing changes yet.

        Nothing else may be prepared until it is committed.
        """
        by_edges: dict[Edges, _Edits] = {}
        for number, (added, relationship) in enumerate(changes):
            let_others_run(number)
            edges = self._edges_of(relationship_kind(relationship))
            edits = by_edges.get(edges)
            if edits is None:
                edits = by_edges[edges] = _Edits(edges)
            trait = trait_of(relationship) if added else None
            edits.last[self._nodes(relationship)] = (added, trait)
        for edits in by_edges.values():
            edits.prepare()
        return Prepared(list(by_edges.values()))

    def commit(self, prepared: Prepared, revision: int, *, kept: Sequence[View] = ()) -> None:
        """Be at a revision, with what was prepared for it. The `kept` views stay where they are."""
        for edits in prepared.edits:
            edits.commit(kept)
        self.revision = revision

    def apply(self, changes: Iterable[tuple[bool, Relationship]]) -> None:
        """Prepare changes and commit them, at the same revision."""
        self.commit(self.prepare(changes), self.revision)

    def view(self, kinds: Sequence[Kind]) -> View:
        """The graph as a plan with these kinds reads it. It follows the graph as it changes."""
        return View.of(self.names, [self._edges_of(kind) for kind in kinds])

    def _edges_of(self, kind: Kind) -> Edges:
        edges = self._edges.get(kind)
        if edges is None:  # in one step: threads that ask of different schemas must share them
            edges = self._edges.setdefault(kind, Edges(kind))
        return edges

    def _nodes(self, relationship: Relationship) -> tuple[int, int]:
        subject = relationship.subject
        return (
            self.names.intern(str(relationship.resource)),
            self.names.intern(f"{subject.type}:{subject.id}"),
        )


class Prepared:
    """Changes that have been worked out, by kind of relationship."""

    def __init__(self, edits: list[_Edits]) -> None:
        self.edits = edits

    def touched(self) -> dict[Kind, Touched]:
        """The relationships that are added or removed, by kind."""
        return {edits.edges.kind: edits.last.keys() for edits in self.edits}


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collections, which would go through all that is loaded again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _put(
    adjacency: dict[int, Neighbours], node: int, neighbour: int, alone: dict[int, tuple[int]]
) -> None:
    """Add a neighbour. Nodes that have one and the same neighbour share the tuple of it."""
    neighbours = adjacency.get(node)
    if neighbours is None:
        single = alone.get(neighbour)
        if single is None:
            single = alone[neighbour] = (neighbour,)
        adjacency[node] = single
    elif type(neighbours) is tuple:
        if neighbour not in neighbours:
            more = (*neighbours, neighbour)
            adjacency[node] = more if len(more) <= _MOST_IN_A_TUPLE else set(more)
    else:
        neighbours.add(neighbour)  # type: ignore[union-attr]  # what is no tuple is a set
