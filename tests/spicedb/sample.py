"""Which questions are asked: too many can be, and nearly all of them have the answer no."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from relata.relationships import SubjectRef
from tests.reference.compare import Universe
from tests.reference.evaluator import Node, Reference
from tests.spicedb.questions import Check, Expansion, Resources, Subjects

Q = TypeVar("Q")


class Size(NamedTuple):
    """How many questions."""

    checks: int
    """Of each answer there is: allowed, conditional, denied."""
    lookups: int
    """Of resources, and of subjects; half of them with something to find."""
    expansions: int


LARGE = Size(100, 24, 8)
SMALL = Size(6, 4, 2)


class Sample:
    """Questions about a world, drawn at random but from each sort alike."""

    def __init__(self, reference: Reference, size: Size, seed: int) -> None:
        self._size = size
        self._possible, self._sure = reference.possible, reference.sets
        self._random = random.Random(seed)
        self._all = Universe(reference)

    def checks(self) -> tuple[Check, ...]:
        """Checks of each answer."""
        sorts: dict[tuple[bool, bool], list[Check]] = {}
        for node in self._all.resources:
            for subject in self._all.subjects:
                sort = (subject in self._possible[node], subject in self._sure[node])
                sorts.setdefault(sort, []).append(Check(*node, subject))
        return tuple(q for sort in sorts.values() for q in self._some(sort, self._size.checks))

    def resources(self) -> tuple[Resources, ...]:
        """Lookups of resources."""
        every = [Resources(*of, subject) for of in self._all.sets for subject in self._all.subjects]
        return self._mixed(every, self._finds_resources)

    def subjects(self) -> tuple[Subjects, ...]:
        """Lookups of subjects."""
        every = [Subjects(*node, *kind) for node in self._all.resources for kind in self._all.kinds]
        return self._mixed(every, self._finds_subjects)

    def expansions(self) -> tuple[Expansion, ...]:
        """Expansions."""
        return self._some([Expansion(*node) for node in self._all.resources], self._size.expansions)

    def _finds_resources(self, q: Resources) -> bool:
        nodes = ((o, q.name) for o in self._all.objects if o.type == q.type)
        return any(q.subject in self._others(node) for node in nodes)

    def _finds_subjects(self, q: Subjects) -> bool:
        others = self._others((q.resource, q.name))
        return any((s.type, s.relation) == (q.type, q.relation) for s in others)

    def _others(self, node: Node) -> frozenset[SubjectRef]:
        """Who may have a permission, less the permission itself: it has itself always."""
        resource, name = node
        return self._possible[node] - {SubjectRef(resource.type, resource.id, name)}

    def _mixed(self, every: Sequence[Q], finds: Callable[[Q], bool]) -> tuple[Q, ...]:
        finding = self._some([q for q in every if finds(q)], self._size.lookups // 2)
        return finding + self._some(every, self._size.lookups - len(finding))

    def _some(self, sort: Sequence[Q], number: int) -> tuple[Q, ...]:
        return tuple(self._random.sample(sort, min(number, len(sort))))
