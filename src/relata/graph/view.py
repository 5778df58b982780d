"""The one thing an evaluator reads: adjacency by kind of relationship, at one revision.

Adjacency is kept apart by `Kind`. A plan reads exactly the kinds that its schema allows, so a
relationship that the schema does not allow is never seen, however it came to be stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import NamedTuple, Protocol

from relata.graph.names import Names
from relata.relationships import Relationship, to_microseconds


class Trait(NamedTuple):
    """What a relationship holds under, beside the caveat that its kind names."""

    context: str = ""
    """The context that is stored with it: a JSON object, or empty."""
    expires_at: int | None = None
    """Microseconds since the epoch."""


class Edge(NamedTuple):
    """A relationship: the number of its kind, its resource's text, its subject's, its trait."""

    kind: int
    resource: str
    subject: str
    trait: Trait | None = None


def trait_of(relationship: Relationship) -> Trait | None:
    """The trait of a relationship; None where it holds always."""
    caveat, expires_at = relationship.caveat, relationship.expires_at
    if caveat is None and expires_at is None:
        return None
    return Trait(
        "" if caveat is None else caveat.context,
        None if expires_at is None else to_microseconds(expires_at),
    )


_Layers = dict[int, dict[int, set[int]]]
"""Neighbours by kind and node."""


class Adjacency(Protocol):
    """The neighbours of nodes, one way, over relationships of one kind."""

    def get(self, node: int, /) -> Collection[int] | None:
        """The neighbours of a node, never empty, or None where there are none."""
        ...

    def __len__(self) -> int:
        """Roughly how many nodes have neighbours, for estimates only."""
        ...


class Traits(Protocol):
    """The traits of the relationships of one kind, by resource and subject."""

    def get(self, edge: tuple[int, int], /) -> Trait | None:
        """The trait of a relationship of the kind. Kinds that hold always have none."""
        ...


class View:
    """Forward (resource to subjects) and reverse (subject to resources) adjacency, and traits.

    The index of all three is the number of a kind in the plan that the view was made for. Objects
    that the graph has no name for get negative nodes, valid in this view only.
    """

    __slots__ = ("_local_nodes", "_local_texts", "forward", "names", "reverse", "traits")

    def __init__(
        self,
        names: Names,
        forward: list[Adjacency],
        reverse: list[Adjacency],
        traits: list[Traits],
    ) -> None:
        self.names = names
        self.forward = forward
        self.reverse = reverse
        self.traits = traits
        self._local_nodes: dict[str, int] = {}
        self._local_texts: list[str] = []

    def node(self, text: str) -> int:
        """The node of an object by its text."""
        node = self.names.nodes.get(text)
        return self._local_node(text) if node is None else node

    def text(self, node: int) -> str:
        """The text of an object by its node."""
        return self.names.texts[node] if node >= 0 else self._local_texts[-1 - node]

    def own(self) -> View:
        """The same view without the names that were local to this one.

        Each session takes one, so that names which only a question knows go when it is answered.
        """
        return type(self)(self.names, self.forward, self.reverse, self.traits)

    def blind_to(self, kinds: Iterable[int]) -> View:
        """A view in which no relationship of these kinds is stored."""
        view = self._copy()
        for kind in kinds:
            view.forward[kind] = view.reverse[kind] = _NOTHING
        return view

    def changed(self, added: Iterable[Edge] = (), removed: Iterable[Edge] = ()) -> View:
        """A view with some relationships more and some less; this one does not change.

        What is both added and removed is there, with the trait that it is added with.
        """
        view = self._copy()
        more_forward, more_reverse = _Layers(), _Layers()
        less_forward, less_reverse = _Layers(), _Layers()
        traits: dict[int, dict[tuple[int, int], Trait]] = {}
        for edge in added:
            resource, subject = view.node(edge.resource), view.node(edge.subject)
            _note(more_forward, edge.kind, resource, subject)
            _note(more_reverse, edge.kind, subject, resource)
            if edge.trait is not None:
                traits.setdefault(edge.kind, {})[resource, subject] = edge.trait
        for edge in removed:
            resource, subject = view.node(edge.resource), view.node(edge.subject)
            if subject not in more_forward.get(edge.kind, {}).get(resource, ()):
                _note(less_forward, edge.kind, resource, subject)
                _note(less_reverse, edge.kind, subject, resource)
        _lay(view.forward, more_forward, less_forward)
        _lay(view.reverse, more_reverse, less_reverse)
        for kind, known in traits.items():
            view.traits[kind] = _LayeredTraits(view.traits[kind], known)
        return view

    def _copy(self) -> View:
        return type(self)(self.names, list(self.forward), list(self.reverse), list(self.traits))

    def _local_node(self, text: str) -> int:
        node = self._local_nodes.get(text)
        if node is None:
            self._local_texts.append(text)
            node = -len(self._local_texts)
            self._local_nodes[text] = node
        return node


def _note(layers: _Layers, kind: int, node: int, neighbour: int) -> None:
    layers.setdefault(kind, {}).setdefault(node, set()).add(neighbour)


def _lay(base: list[Adjacency], more: _Layers, less: _Layers) -> None:
    for kind in more.keys() | less.keys():
        base[kind] = _Layered(base[kind], more.get(kind, {}), less.get(kind, {}))


class _Layered:
    """An adjacency with a small difference laid over it; nothing is copied."""

    __slots__ = ("_base", "_less", "_more")

    def __init__(
        self, base: Adjacency, more: dict[int, set[int]], less: dict[int, set[int]]
    ) -> None:
        self._base = base
        self._more = more
        self._less = less

    def get(self, node: int, /) -> Collection[int] | None:
        stored, more, less = self._base.get(node), self._more.get(node), self._less.get(node)
        if more is None and less is None:
            return stored
        return _Difference(stored or (), more or _EMPTY, less or _EMPTY) or None

    def __len__(self) -> int:
        return len(self._base) + len(self._more)


class _LayeredTraits:
    """Traits with some others laid over them."""

    __slots__ = ("_base", "_more")

    def __init__(self, base: Traits, more: Mapping[tuple[int, int], Trait]) -> None:
        self._base = base
        self._more = more

    def get(self, edge: tuple[int, int], /) -> Trait | None:
        return self._more.get(edge) or self._base.get(edge)


class _Difference(Collection[int]):
    """Stored nodes, with some more and some less. There may be a hundred thousand stored ones."""

    __slots__ = ("_less", "_more", "_stored")

    def __init__(self, stored: Collection[int], more: Set[int], less: Set[int]) -> None:
        self._stored = stored
        self._more = {node for node in more if node not in stored}
        self._less = {node for node in less if node in stored}

    def __contains__(self, node: object) -> bool:
        return node in self._more or (node in self._stored and node not in self._less)

    def __iter__(self) -> Iterator[int]:
        if self._less:
            yield from (node for node in self._stored if node not in self._less)
        else:
            yield from self._stored
        yield from self._more

    def __len__(self) -> int:
        return len(self._stored) - len(self._less) + len(self._more)


_EMPTY: frozenset[int] = frozenset()
_NOTHING: dict[int, set[int]] = {}
