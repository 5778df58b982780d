"""The subjects that an expansion lists: those of the relationships below a permission.

A userset is listed and not looked into. With `even_false` as SpiceDB has it, to whom a caveat is no
matter; without as Relata has it, which leaves out what a false caveat denies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relata.errors import RelataError
from relata.relationships import ObjectRef, SubjectRef
from relata.schema import model
from tests.reference.evaluator import Node, Reference
from tests.spicedb.questions import Leaves


class Expansions:
    """What expansions list over one reference."""

    def __init__(self, reference: Reference, *, even_false: bool) -> None:
        self._reference = reference
        self._even_false = even_false

    def leaves(self, node: Node) -> Leaves:
        """The subjects listed for a relation or permission of an object.

        Raises the error of a caveat that has failed, unless caveats are no matter.
        """
        self._seen: set[Node] = set()
        return tuple(sorted(set(self._leaves(node))))

    def _leaves(self, node: Node) -> Iterator[SubjectRef]:
        if node in self._seen:
            return
        self._seen.add(node)
        o, name = node
        permission = self._reference.schema.definitions[o.type].permissions.get(name)
        if permission is not None:
            yield from self._leaves_of(permission.expression, o)
            return
        yield from (subject for subject, is_open in self._related(node) if is_open)

    def _leaves_of(self, e: model.Expression, o: ObjectRef) -> Iterator[SubjectRef]:
        match e:
            case model.Self():
                yield SubjectRef(o.type, o.id)
            case model.Computed(name):
                yield from self._leaves((o, name))
            case model.Arrow(relation, target, every):
                ways: dict[ObjectRef, list[bool]] = {}
                for subject, is_open in self._related((o, relation)):
                    ways.setdefault(subject.object, []).append(is_open)
                for to, open_ in ways.items():
                    if (to, target) in self._reference.sets and (all if every else any)(open_):
                        yield from self._leaves((to, target))
            case model.Union(children) | model.Intersection(children):
                for child in children:
                    yield from self._leaves_of(child, o)
            case model.Exclusion(base, removed):
                yield from self._leaves_of(base, o)
                yield from self._leaves_of(removed, o)

    def _related(self, node: Node) -> Iterator[tuple[SubjectRef, bool]]:
        """The subjects of a relation, each with whether its relationship counts."""
        for (*at, subject), outcome in self._reference._outcomes.items():
            if (*at,) == node:
                yield subject, self._even_false or self._is_open(outcome)

    def _is_open(self, outcome: Any) -> bool:
        if isinstance(outcome, RelataError):
            raise outcome
        return outcome is not False
