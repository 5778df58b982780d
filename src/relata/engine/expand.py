"""Who is in a permission of a resource, and by which way: the expansion tree.

A tree goes down through permissions and arrows and stops at relations, whose stored subjects are
its leaves; a userset in a leaf can be expanded by a question of its own. Where data leads back
to a node that is already on the way down, the tree ends in a leaf that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Literal

from msgspec import structs

from relata.caveats import Outcome
from relata.engine.answers import ExpandNode
from relata.engine.check import Run
from relata.engine.pieces import sorted_pieces, spent_pieces
from relata.engine.plan import Name, Numbering
from relata.errors import LimitExceededError, RelataError
from relata.relationships import WILDCARD, SubjectRef
from relata.schema import (
    Arrow,
    Computed,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Relation,
    Self,
    Union,
    shortened_text,
)

Inner = Literal["union", "intersection", "exclusion"]

_NODE_STEPS = 5
"""What a node costs of a question's budget, in relationships followed."""


def expand(
    numbering: Numbering,
    run: Run,
    node: int,
    name: Name,
    *,
    max_nodes: int,
    max_depth: int,
) -> ExpandNode:
    """The tree of a name at a node; of the run, no subject is asked for.

    Raises LimitExceededError where the tree grows past a limit, and the error of a caveat that has
    failed.
    """
    return _Expansion(numbering, run, max_nodes, max_depth).tree(node, name)


class _Expansion:
    def __init__(self, numbering: Numbering, run: Run, max_nodes: int, max_depth: int) -> None:
        self._numbering = numbering
        self._run = run
        self._view = run.view
        self._nodes_left = max_nodes
        self._max_depth = max_depth
        self._depth = 0
        self._way: list[tuple[int, Name]] = []

    def tree(self, node: int, name: Name) -> ExpandNode:
        definition = self._numbering.schema.definitions[name[0]]
        relation = definition.relations.get(name[1])
        if relation is not None:
            stored = dict(self._stored(node, name[0], relation))
            subjects: list[SubjectRef] = []
            conditional: dict[SubjectRef, tuple[str, ...]] = {}
            for some in sorted_pieces(list(stored), self._run.spend):
                for subject in some:
                    outcome = stored[subject]
                    if isinstance(outcome, frozenset):
                        conditional[subject] = tuple(sorted(outcome))
                    elif outcome is True:
                        subjects.append(subject)
            expression: Expression = Computed(name[1])
            return self._leaf(node, name, expression, tuple(subjects), conditional=conditional)
        expression = definition.permissions[name[1]].expression
        if (node, name) in self._way:
            return self._leaf(node, name, expression, cycle=True)
        self._way.append((node, name))
        tree = self._expression(node, name, expression)
        self._way.pop()
        return tree

    def _expression(self, node: int, name: Name, expression: Expression) -> ExpandNode:
        match expression:
            case Computed(other):
                return self.tree(node, (name[0], other))
            case Arrow():
                return self._arrow(node, name, expression)
            case Union(children) | Intersection(children):
                return self._parts(node, name, expression, children)
            case Exclusion(base, subtracted):
                return self._parts(node, name, expression, (base, subtracted))
            case Nil():
                return self._leaf(node, name, expression)
            case Self():
                return self._leaf(node, name, expression, (self._subject(node),))

    def _parts(
        self, node: int, name: Name, expression: Expression, parts: tuple[Expression, ...]
    ) -> ExpandNode:
        self._go_down()
        children = tuple(self._expression(node, name, part) for part in parts)
        self._depth -= 1
        return self._inner(node, name, expression, children)

    def _arrow(self, node: int, name: Name, arrow: Arrow) -> ExpandNode:
        relation = self._numbering.schema.definitions[name[0]].relations[arrow.relation]
        outcomes: dict[tuple[str, str], list[Outcome]] = {}
        for subject, outcome in self._stored(node, name[0], relation):
            if arrow.every or outcome is not False:
                outcomes.setdefault((subject.type, subject.id), []).append(outcome)
        if not outcomes:
            return self._leaf(node, name, arrow)
        self._go_down()
        ordered = sorted_pieces(list(outcomes), self._run.spend)
        trees = tuple(
            self._behind(":".join(found), (found[0], arrow.target), outcomes[found], arrow.every)
            for found in chain.from_iterable(ordered)
        )
        self._depth -= 1
        return self._inner(node, name, arrow, trees)

    def _behind(self, text: str, name: Name, ways: Iterable[Outcome], every: bool) -> ExpandNode:
        """The target of an arrow at an object, to which at least one relationship leads."""
        node, outcome = self._view.node(text), _together(ways, every=every)
        if outcome is False:
            return self._leaf(node, name, Nil())
        tree = self._target(node, name)
        if outcome is True:
            return tree
        return structs.replace(tree, missing_context=tuple(sorted(outcome)))

    def _target(self, node: int, name: Name) -> ExpandNode:
        if name not in self._numbering.name_number:
            return self._leaf(node, name, Nil())
        return self.tree(node, name)

    def _go_down(self) -> None:
        self._depth += 1
        if self._depth > self._max_depth:
            raise LimitExceededError(
                f"the expansion is deeper than {self._max_depth} levels; expand a part of it"
            )

    def _leaf(
        self,
        node: int,
        name: Name,
        expression: Expression,
        subjects: tuple[SubjectRef, ...] = (),
        *,
        cycle: bool = False,
        conditional: Mapping[SubjectRef, tuple[str, ...]] | None = None,
    ) -> ExpandNode:
        self._count(1)
        return ExpandNode(
            self._view.text(node),
            name[1],
            shortened_text(expression),
            "leaf",
            subjects=subjects,
            cycle=cycle,
            conditional=conditional or {},
        )

    def _inner(
        self, node: int, name: Name, expression: Expression, children: tuple[ExpandNode, ...]
    ) -> ExpandNode:
        self._count(1)
        text, operation = shortened_text(expression), _operation(expression)
        return ExpandNode(self._view.text(node), name[1], text, operation, children=children)

    def _count(self, nodes: int) -> None:
        self._run.spend(_NODE_STEPS)
        self._nodes_left -= nodes
        if self._nodes_left < 0:
            raise LimitExceededError(
                "the expansion has more nodes and subjects than the limit; expand a part of it"
            )

    def _stored(
        self, node: int, definition: str, relation: Relation
    ) -> Iterator[tuple[SubjectRef, Outcome]]:
        """The subjects of a relation, each with whether its relationship holds.

        Raises the error of a caveat that has failed.
        """
        for number, kind in self._numbering.kinds_of(definition, relation):
            found = self._view.forward[number].get(node) or ()
            self._count(len(found))
            for other in chain.from_iterable(spent_pieces(found, self._run.spend)):
                outcome: Outcome = True
                if number in self._numbering.conditional:
                    if not self._run.is_there(number, node, other):
                        continue
                    outcome = self._run.outcome(number, node, other)
                    if isinstance(outcome, RelataError):
                        raise outcome
                if kind.wildcard:
                    yield SubjectRef(kind.subject_type, WILDCARD), outcome
                else:
                    yield self._subject(other, kind.subject_relation), outcome

    def _subject(self, node: int, relation: str = "") -> SubjectRef:
        type_, _, id_ = self._view.text(node).partition(":")
        return SubjectRef(type_, id_, relation)


def _together(ways: Iterable[Outcome], *, every: bool) -> bool | frozenset[str]:
    """Whether one of some relationships holds, or with `every`, all of them."""
    outcomes = list(ways)
    if (not every) in outcomes:
        return not every
    missing = [outcome for outcome in outcomes if isinstance(outcome, frozenset)]
    return frozenset[str]().union(*missing) if missing else every


def _operation(expression: Expression) -> Inner:
    match expression:
        case Intersection() | Arrow(every=True):
            return "intersection"
        case Exclusion():
            return "exclusion"
        case _:
            return "union"
