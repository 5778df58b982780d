"""Checked syntax -> model. Every name is known to be good; nothing here is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from relata.caveats import Caveat
from relata.schema import model, syntax
from relata.schema.names import Names
from relata.schema.partials import Block
from relata.schema.source import Source


class Translation:
    """One schema's syntax, with the comments and places that go into its model."""

    def __init__(self, source: Source, docs: Mapping[int, str]) -> None:
        self._source = source
        self._docs = docs

    def schema(self, names: Names, caveats: Mapping[str, Caveat]) -> model.Schema:
        """The model of all that is named, with its caveats compiled."""
        definitions = {block.name.text: self._definition(block) for block in names.blocks}
        return model.Schema(
            definitions,
            self._source.text,
            {name: self._caveat(names.caveats[name], caveat) for name, caveat in caveats.items()},
        )

    def _definition(self, block: Block) -> model.Definition:
        relations: dict[str, model.Relation] = {}
        permissions: dict[str, model.Permission] = {}
        for member in block.members:
            name, doc = member.name.text, self._docs.get(member.at, "")
            line, column = self._source.place(member.name.at)
            if isinstance(member, syntax.Relation):
                allowed = tuple(subject.kind for subject in member.subjects)
                relations[name] = model.Relation(name, allowed, doc, line, column)
            else:
                expression = _expression(member.expression)
                permissions[name] = model.Permission(name, expression, doc, line, column)
        doc = self._docs.get(block.at, "")
        place = self._source.place(block.name.at)
        return model.Definition(block.name.text, relations, permissions, doc, *place)

    def _caveat(self, written: syntax.Caveat, caveat: Caveat) -> model.CaveatDefinition:
        doc = self._docs.get(written.at, "")
        return model.CaveatDefinition(caveat, doc, *self._source.place(written.name.at))


def _expression(node: syntax.Expression) -> model.Expression:
    match node:
        case syntax.Reference():
            return model.Computed(node.name.text)
        case syntax.Arrow():
            step = node.steps[0]
            return model.Arrow(node.relation.text, step.target.text, step.every)
        case syntax.Nil():
            return model.Nil()
        case syntax.Self():
            return model.Self()
        case syntax.Operation(operator="-"):
            return reduce(model.Exclusion, map(_expression, node.operands))
        case syntax.Operation(operator="+"):
            return model.Union(tuple(map(_expression, _flat(node))))
        case syntax.Operation():
            return model.Intersection(tuple(map(_expression, _flat(node))))


def _flat(operation: syntax.Operation) -> Iterator[syntax.Expression]:
    """The operands, those of an operand with the same operator in its place."""
    stack = [*reversed(operation.operands)]
    while stack:
        node = stack.pop()
        if isinstance(node, syntax.Operation) and node.operator == operation.operator:
            stack.extend(reversed(node.operands))
        else:
            yield node
