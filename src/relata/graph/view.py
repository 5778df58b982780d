"""The one thing an evaluator reads: adjacency by kind of relationship, at one revision.

Adjacency is kept apart by `Kind`. A plan reads exactly the kinds that its schema allows, so a
relationship that the schema does not allow is never seen, however it came to be stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, Protocol

from relata.graph.names import Names
from relata.relationships import Kind, Relationship, to_microseconds


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


Neighbours = tuple[int, ...] | set[int]
Touched = Collection[tuple[int, int]]
"""Relationships of one kind, each by its resource and its subject."""


class Edges:
    """The relationships of one kind, as they are now. A node without neighbours has no entry."""

    __slots__ = ("forward", "kind", "reverse", "traits")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.forward: dict[int, Neighbours] = {}
        self.reverse: dict[int, Neighbours] = {}
        self.traits: dict[tuple[int, int], Trait] = {}


class View:
    """Forward (resource to subjects) and reverse (subject to resources) adjacency, and traits.

    The index of all three is the number of a kind in the plan that the view was made for. Objects
    that the graph has no name for get negative nodes, valid in this view only.

    A view with changes (`changed`) is of the `family` of the one that it was made from; so is that
    one. `changes` are the kinds in which a view differs from the graph.
    """

    __slots__ = (
        "_local_nodes",
        "_local_texts",
        "_sources",
        "changes",
        "family",
        "forward",
        "names",
        "reverse",
        "traits",
    )

    def __init__(
        self,
        names: Names,
        forward: list[Adjacency],
        reverse: list[Adjacency],
        traits: list[Traits],
        *,
        sources: list[Edges | None] | None = None,
    ) -> None:
        self.names = names
        self.forward = forward
        self.reverse = reverse
        self.traits = traits
        self.changes: frozenset[int] = frozenset()
        self.family: list[View] = [self]
        self._sources = sources or []
        self._local_nodes: dict[str, int] = {}
        self._local_texts: list[str] = []

    @classmethod
    def of(cls, names: Names, edges: Sequence[Edges]) -> View:
        """A view of a graph. It follows the graph as it changes."""
        return cls(
            names,
            [edge.forward for edge in edges],
            [edge.reverse for edge in edges],
            [edge.traits for edge in edges],
            sources=list(edges),
        )

    def node(self, text: str) -> int:
        """The node of an object by its text."""
        node = self.known_node(text)
        return self._local_node(text) if node is None else node

    def known_node(self, text: str) -> int | None:
        """The node of an object, if the graph or this view has a name for it."""
        if self._local_nodes:  # the graph may have learnt a name that is local here already
            node = self._local_nodes.get(text)
            if node is not None:
                return node
        return self.names.nodes.get(text)

    def text(self, node: int) -> str:
        """The text of an object by its node."""
        return self.names.texts[node] if node >= 0 else self._local_texts[-1 - node]

    def ids(self, nodes: Collection[int]) -> list[str]:
        """The ids of objects by their nodes."""
        if self._local_texts:
            return [self.text(node).partition(":")[2] for node in nodes]
        return self.names.ids(nodes)

    def own(self) -> View:
        """The same view without the names that were local to this one, and a family of its own.

        Each question takes one, so that names which only it knows go when it is answered, and so
        that it can be kept as it is when the graph changes.
        """
        return self._copy()

    def keep(self, edges: Edges, touched: Touched) -> None:
        """Go on as it is now, where relationships of one kind are about to change.

        For views that `own` has made, and their families, as long as a question reads them.
        """
        for view in self.family:
            view._keep(edges, touched)

    def has_kept(self, edges: Edges, node: int, *, forward: bool) -> bool:
        """Whether the view and its family know the neighbours of a node, whatever becomes of them.

        Of relationships of one kind, and one way.
        """
        for view in self.family:
            ways = view.forward if forward else view.reverse
            for source, adjacency in zip(view._sources, ways, strict=True):
                if source is edges and not (isinstance(adjacency, _Kept) and adjacency.has(node)):
                    return False
        return True

    def _keep(self, edges: Edges, touched: Touched) -> None:
        for number, source in enumerate(self._sources):
            if source is edges:
                resources = {resource for resource, _ in touched}
                subjects = {subject for _, subject in touched}
                self.forward[number] = _kept(self.forward[number], resources)
                self.reverse[number] = _kept(self.reverse[number], subjects)
                if edges.kind.is_conditional:
                    self.traits[number] = _kept_traits(self.traits[number], touched)

    def blind_to(self, kinds: Iterable[int]) -> View:
        """A view in which no relationship of these kinds is stored."""
        view = self._relative()
        for kind in kinds:
            view.forward[kind] = view.reverse[kind] = _NOTHING
            if view._sources:
                view._sources[kind] = None
        return view

    def changed(self, added: Iterable[Edge] = (), removed: Iterable[Edge] = ()) -> View:
        """A view with some relationships more and some less; this one does not change.

        What is both added and removed is there, with the trait that it is added with.
        """
        view = self._relative()
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
        view.changes |= more_forward.keys() | less_forward.keys()
        return view

    def _relative(self) -> View:
        view = self._copy()
        view.family = self.family
        view.family.append(view)
        return view

    def _copy(self) -> View:
        view = type(self)(
            self.names,
            list(self.forward),
            list(self.reverse),
            list(self.traits),
            sources=list(self._sources),
        )
        view.changes = self.changes
        return view

    def _local_node(self, text: str) -> int:
        node = self._local_nodes.get(text)
        if node is None:
            self._local_texts.append(text)
            node = -len(self._local_texts)
            self._local_nodes[text] = node
        return node


def _note(layers: _Layers, kind: int, node: int, neighbour: int) -> None:
    layers.setdefault(kind, {}).setdefault(node, set()).add(neighbour)


def _kept(adjacency: Adjacency, nodes: Iterable[int]) -> Adjacency:
    """An adjacency that gives the neighbours that some nodes have now whatever becomes of them."""
    known = {node: adjacency.get(node) for node in nodes}
    if isinstance(adjacency, _Kept):
        adjacency.add(known)
        return adjacency
    return _Kept(adjacency, known)


def _kept_traits(traits: Traits, edges: Touched) -> Traits:
    known = {edge: trait for edge in edges if (trait := traits.get(edge)) is not None}
    if isinstance(traits, _KeptTraits):
        traits.add(known)
        return traits
    return _KeptTraits(traits, known)


class _Kept:
    """An adjacency, and the neighbours of some nodes before the graph changed."""

    __slots__ = ("_base", "_known")

    def __init__(self, base: Adjacency, known: dict[int, Collection[int] | None]) -> None:
        self._base = base
        self._known = known

    def add(self, known: dict[int, Collection[int] | None]) -> None:
        """Note those of further nodes; what is known of a node stays."""
        for node, neighbours in known.items():
            self._known.setdefault(node, neighbours)

    def has(self, node: int) -> bool:
        """Whether the neighbours of a node are known, whatever becomes of them."""
        return node in self._known

    def get(self, node: int, /) -> Collection[int] | None:
        return self._known[node] if node in self._known else self._base.get(node)

    def __len__(self) -> int:
        return len(self._base)


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


class _KeptTraits(_LayeredTraits):
    """Traits, and those of some relationships before the graph changed."""

    __slots__ = ()

    def add(self, known: Mapping[tuple[int, int], Trait]) -> None:
        """Note those of further relationships; what is known of one stays."""
        self._more = {**known, **self._more}


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
