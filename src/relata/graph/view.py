"""The one thing an evaluator reads: adjacency by kind of relationship, at one revision.

Adjacency is kept apart by `Kind`. A plan reads exactly the kinds that its schema allows, so a
relationship that the schema does not allow is never seen, however it came to be stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from relata.graph.names import Names


class Adjacency(Protocol):
    """The neighbours of nodes, one way, over relationships of one kind."""

    def get(self, node: int, /) -> Collection[int] | None:
        """The neighbours of a node, never empty, or None where there are none."""
        ...

    def __len__(self) -> int:
        """Roughly how many nodes have neighbours, for estimates only."""
        ...


class View:
    """Forward (resource to subjects) and reverse (subject to resources) adjacency.

    The index of both is the number of a kind in the plan that the view was made for. Objects
    that the graph has no name for get negative nodes, valid in this view only.
    """

    __slots__ = ("_local_nodes", "_local_texts", "forward", "names", "reverse")

    def __init__(
        self, names: Names, forward: Sequence[Adjacency], reverse: Sequence[Adjacency]
    ) -> None:
        self.names = names
        self.forward = forward
        self.reverse = reverse
        self._local_nodes: dict[str, int] = {}
        self._local_texts: list[str] = []

    def node(self, text: str) -> int:
        """The node of an object by its text."""
        node = self.names.nodes.get(text)
        return self._local_node(text) if node is None else node

    def text(self, node: int) -> str:
        """The text of an object by its node."""
        return self.names.texts[node] if node >= 0 else self._local_texts[-1 - node]

    def id(self, node: int) -> str:
        """The id of an object by its node."""
        return self.text(node).partition(":")[2]

    def extended(self, edges: Iterable[tuple[int, str, str]]) -> View:
        """A view with more relationships: kind number, resource text, subject text.

        They are laid over this view, which does not change.
        """
        view = type(self)(self.names, list(self.forward), list(self.reverse))
        added_forward: dict[int, dict[int, set[int]]] = {}
        added_reverse: dict[int, dict[int, set[int]]] = {}
        for kind, resource_text, subject_text in edges:
            resource, subject = view.node(resource_text), view.node(subject_text)
            added_forward.setdefault(kind, {}).setdefault(resource, set()).add(subject)
            added_reverse.setdefault(kind, {}).setdefault(subject, set()).add(resource)
        view.forward = _layered(self.forward, added_forward)
        view.reverse = _layered(self.reverse, added_reverse)
        return view

    def _local_node(self, text: str) -> int:
        node = self._local_nodes.get(text)
        if node is None:
            self._local_texts.append(text)
            node = -len(self._local_texts)
            self._local_nodes[text] = node
        return node


def _layered(base: Sequence[Adjacency], added: dict[int, dict[int, set[int]]]) -> list[Adjacency]:
    layers = list(base)
    for kind, edges in added.items():
        layers[kind] = _Layered(base[kind], edges)
    return layers


class _Layered:
    """An adjacency with a small one laid over it; neither is copied."""

    __slots__ = ("_added", "_base")

    def __init__(self, base: Adjacency, added: dict[int, set[int]]) -> None:
        self._base = base
        self._added = added

    def get(self, node: int, /) -> Collection[int] | None:
        stored, added = self._base.get(node), self._added.get(node)
        if added is None:
            return stored
        return added if stored is None else _Both(stored, added)

    def __len__(self) -> int:
        return len(self._base) + len(self._added)


class _Both(Collection[int]):
    """Two collections read as one set. The first may hold a hundred thousand: no copy is made."""

    __slots__ = ("_added", "_stored")

    def __init__(self, stored: Collection[int], added: set[int]) -> None:
        self._stored = stored
        self._added = {node for node in added if node not in stored}

    def __contains__(self, node: object) -> bool:
        return node in self._stored or node in self._added

    def __iter__(self) -> Iterator[int]:
        yield from self._stored
        yield from self._added

    def __len__(self) -> int:
        return len(self._stored) + len(self._added)
