"""Objects interned to integers, so that adjacency is integers."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from typing import cast

from relata.relationships import WILDCARD


class Names:
    """A two-way table between an object's text (`user:anne`) and its node, an integer from 0.

    Nodes are never reused, and a name is never removed: an object whose last relationship is
    deleted keeps its node. `types` has, by node, the number of an object's type in `type_names`;
    that of a wildcard (`user:*`), which no question is about, is `NO_TYPE`.
    """

    __slots__ = ("_ids", "_type_numbers", "nodes", "texts", "type_names", "types")

    NO_TYPE = 0

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}
        self.texts: list[str] = []
        self.types = array("I")
        self.type_names: list[str] = [""]
        self._type_numbers: dict[str, int] = {}
        self._ids: list[str | None] = []

    def intern(self, text: str) -> int:
        """The node of an object, made if it is new."""
        node = self.nodes.get(text)
        if node is None:
            node = len(self.texts)
            self.types.append(self._type_number(text))
            self.texts.append(text)
            self._ids.append(None)
            self.nodes[text] = node  # last: whoever finds the node finds the rest
        return node

    def ids(self, nodes: Collection[int]) -> list[str]:
        """The ids of objects (`anne`) by their nodes.

        An id is made when it is first asked for, and is one object from then on: long lists of them
        cost no more than a list does, to keep and to free.
        """
        found = list(map(self._ids.__getitem__, nodes))
        if all(found):
            return cast("list[str]", found)
        return [self._ids[node] or self._make_id(node) for node in nodes]

    def _make_id(self, node: int) -> str:
        id_ = self._ids[node] = self.texts[node].partition(":")[2]
        return id_

    def _type_number(self, text: str) -> int:
        type_, _, id_ = text.partition(":")
        if id_ == WILDCARD:
            return self.NO_TYPE
        number = self._type_numbers.get(type_)
        if number is None:
            number = self._type_numbers[type_] = len(self.type_names)
            self.type_names.append(type_)
        return number
