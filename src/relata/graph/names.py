"""Objects interned to integers, so that adjacency is sets of integers."""

from __future__ import annotations


class Names:
    """A two-way table between an object's text (`user:anne`) and its node, an integer from 0.

    Nodes are never reused, and a name is never removed: an object whose last relationship is
    deleted keeps its node.
    """

    __slots__ = ("nodes", "texts")

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}
        self.texts: list[str] = []

    def intern(self, text: str) -> int:
        """The node of an object, made if it is new."""
        node = self.nodes.get(text)
        if node is None:
            node = len(self.texts)
            self.texts.append(text)
            self.nodes[text] = node
        return node
