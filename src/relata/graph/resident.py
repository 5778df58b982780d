"""The live relationships in memory, forward and reverse, at the newest revision applied.

A Resident graph is fed by the store: `load` once, then `apply` with the store's changes in
revision order. It does not lock; whoever holds it decides when a change may come between two
questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relata.graph.names import Names
from relata.graph.view import Trait, View, trait_of
from relata.relationships import WILDCARD, Kind, Relationship, relationship_kind

Row = tuple[str, str, str, str, str, str, str, str, int | None]
"""resource type, resource id, relation, subject type, subject id, subject relation, caveat,
its stored context, microseconds from the epoch to its expiration"""


class _Edges:
    """The relationships of one kind. A node without neighbours has no entry."""

    __slots__ = ("forward", "reverse", "traits")

    def __init__(self) -> None:
        self.forward: dict[int, set[int]] = {}
        self.reverse: dict[int, set[int]] = {}
        self.traits: dict[tuple[int, int], Trait] = {}

    def add(self, resource: int, subject: int, trait: Trait | None) -> None:
        self.forward.setdefault(resource, set()).add(subject)
        self.reverse.setdefault(subject, set()).add(resource)
        if trait is not None:
            self.traits[resource, subject] = trait

    def remove(self, resource: int, subject: int) -> None:
        _discard(self.forward, resource, subject)
        _discard(self.reverse, subject, resource)
        self.traits.pop((resource, subject), None)


def _discard(adjacency: dict[int, set[int]], node: int, neighbour: int) -> None:
    neighbours = adjacency.get(node)
    if neighbours is None:
        return
    neighbours.discard(neighbour)
    if not neighbours:
        del adjacency[node]


class Resident:
    """All live relationships, by kind, whether or not the present schema allows them."""

    def __init__(self) -> None:
        self.names = Names()
        self.revision = 0
        self._edges: dict[Kind, _Edges] = {}

    def load(self, rows: Iterable[Row], *, revision: int) -> None:
        """Take in every live relationship of the store at `revision`, into an empty graph."""
        intern = self.names.intern
        by_columns: dict[tuple[str, str, str, str, bool, str, bool], _Edges] = {}
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
            edges.add(
                intern(f"{resource_type}:{resource_id}"),
                intern(f"{subject_type}:{subject_id}"),
                Trait(context, expires_at) if caveat or expires_at is not None else None,
            )
        self.revision = revision

    def add(self, relationship: Relationship) -> None:
        """Take in one relationship; nothing if it is there."""
        edges = self._edges_of(relationship_kind(relationship))
        edges.add(*self._nodes(relationship), trait_of(relationship))

    def remove(self, relationship: Relationship) -> None:
        """Forget one relationship; nothing if it is not there."""
        self._edges_of(relationship_kind(relationship)).remove(*self._nodes(relationship))

    def view(self, kinds: Sequence[Kind]) -> View:
        """The graph as a plan with these kinds reads it. It follows the graph as it changes."""
        edges = [self._edges_of(kind) for kind in kinds]
        return View(
            self.names,
            [edge.forward for edge in edges],
            [edge.reverse for edge in edges],
            [edge.traits for edge in edges],
        )

    def _edges_of(self, kind: Kind) -> _Edges:
        edges = self._edges.get(kind)
        if edges is None:  # in one step: threads that ask of different schemas must share them
            edges = self._edges.setdefault(kind, _Edges())
        return edges

    def _nodes(self, relationship: Relationship) -> tuple[int, int]:
        subject = relationship.subject
        return (
            self.names.intern(str(relationship.resource)),
            self.names.intern(f"{subject.type}:{subject.id}"),
        )
