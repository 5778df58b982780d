"""Objects interned to integers, so that adjacency is integers."""

from __future__ import annotations

from array import array

from relata.relationships import WILDCARD


class Names:
    """A two-way table between an object's text (`user:anne`) and its node, an integer from 0.

    Nodes are never reused, and a name is never removed: an object whose last relationship is
    deleted keeps its node. `types` has, by node, the number of an object's type in `type_names`;
    that of a wildcard (`user:*`), which no question is about, is `NO_TYPE`.
    """

    __slots__ = ("_type_numbers", "nodes", "texts", "type_names", "types")

    NO_TYPE = 0

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}
        self.texts: list[str] = []
        self.types = array("I")
        self.type_names: list[str] = [""]
        self._type_numbers: dict[str, int] = {}

    def intern(self, text: str) -> int:
        """The node of an object, made if it is new."""
        node = self.nodes.get(text)
        if node is None:
            node = len(self.texts)
            self.types.append(self._type_number(text))
            self.texts.append(text)
            self.nodes[text] = node  # last: whoever finds the node finds the rest
        return node

    def _type_number(self, text: str) -> int:
        type_, _, id_ = text.partition(":")
        if id_ == WILDCARD:
            return self.NO_TYPE
        number = self._type_numbers.get(type_)
        if number is None:
            number = self._type_numbers[type_] = len(self.type_names)
            self.type_names.append(type_)
        return number
