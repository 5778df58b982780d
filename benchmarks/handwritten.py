"""A checker written by hand for the workload's schema alone: what the engine is compared with.

Subjects and groups are integers in one id space. A question makes the set of its user and of the
groups that the user is in, and then goes up from the document, over folders, until a place has a
viewer in that set. It knows no other schema, limit, revision, contextual relationship or error,
and what it answers is right only for relationships that the workload's schema allows.
"""

from __future__ import annotations

from collections.abc import Iterable

_Sets = dict[int, set[int]]


class Handwritten:
    """The relationships as dictionaries of integer sets."""

    def __init__(self, relationships: Iterable[str]) -> None:
        self._nodes: dict[str, int] = {}
        self._groups_of: _Sets = {}
        self._viewers_of: _Sets = {}
        self._folders_of: _Sets = {}
        for relationship in relationships:
            self._add(relationship)

    def may_view(self, document: str, user: str) -> bool:
        """Whether the user may view the document."""
        nodes = self._nodes
        start, subject = nodes.get(document), nodes.get(user)
        if start is None or subject is None:
            return False
        asking = _reachable(subject, self._groups_of)
        viewers_of, folders_of = self._viewers_of, self._folders_of
        seen = {start}
        pending = [start]
        while pending:
            place = pending.pop()
            viewers = viewers_of.get(place)
            if viewers is not None and not asking.isdisjoint(viewers):
                return True
            folders = folders_of.get(place)
            if folders is not None:
                for folder in folders:
                    if folder not in seen:
                        seen.add(folder)
                        pending.append(folder)
        return False

    def _add(self, relationship: str) -> None:
        place, _, subject_text = relationship.partition("@")
        resource_text, _, relation = place.partition("#")
        resource = self._node(resource_text)
        subject = self._node(subject_text.partition("#")[0])
        match relation:
            case "member":
                self._groups_of.setdefault(subject, set()).add(resource)
            case "viewer":
                self._viewers_of.setdefault(resource, set()).add(subject)
            case _:
                self._folders_of.setdefault(resource, set()).add(subject)

    def _node(self, text: str) -> int:
        return self._nodes.setdefault(text, len(self._nodes))


def _reachable(start: int, edges: _Sets) -> set[int]:
    seen = {start}
    pending = [start]
    while pending:
        found = edges.get(pending.pop())
        if found is not None:
            for node in found:
                if node not in seen:
                    seen.add(node)
                    pending.append(node)
    return seen
