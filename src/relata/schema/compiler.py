"""Text -> `Schema`: parse, refuse what is not evaluated, write out partials, check, translate.

A parse stops at the first fault. What parses is checked whole: the faults of one compile come
together, in the order of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from relata.errors import SchemaParseError, SchemaTypeError, SchemaUnsupportedError
from relata.schema import model, syntax
from relata.schema.aliases import find_circular_aliases
from relata.schema.annotations import find_incomplete_annotations
from relata.schema.names import Names, find_bad_names, find_duplicates, find_unknown_names
from relata.schema.parser import parse
from relata.schema.partials import Block, include_partials
from relata.schema.refusals import find_refusals
from relata.schema.source import Findings, Source
from relata.schema.wildcards import find_travelling_wildcards

MAX_BYTES = 4 * 1024 * 1024


def compile_schema(text: str, *, source: str = "schema.zed") -> model.Schema:
    """Compile a schema; `source` is what errors call the text.

    Raises SchemaParseError where the text does not follow the grammar, is longer than 4 MiB of
    UTF-8 or not Unicode; SchemaUnsupportedError where it uses caveats, expirations or imports;
    SchemaTypeError, with every fault, where its names or types do not fit together.
    """
    origin = Source(text, source)
    _check_text(origin)
    file = parse(origin)
    findings = Findings(origin)
    find_refusals(file, findings)
    if findings:
        raise SchemaUnsupportedError(findings.diagnostics())
    names = _check(file, findings, allowance=MAX_BYTES - len(text))
    if findings:
        raise SchemaTypeError(findings.diagnostics())
    return _Translation(origin, file.docs).schema(names)


def _check_text(source: Source) -> None:
    message, at = "", 0
    try:
        length = len(source.text.encode())
    except UnicodeEncodeError as error:
        message, at = "half of a surrogate pair is no character", error.start
    else:
        if length > MAX_BYTES:
            message = f"the schema is {length} bytes long; at most {MAX_BYTES} are read"
        elif "\0" in source.text:
            message, at = "a null character cannot be part of a schema", source.text.index("\0")
    if message:
        raise SchemaParseError([source.diagnostic(at, message)])


def _check(file: syntax.File, findings: Findings, *, allowance: int) -> Names:
    find_bad_names(file, findings)
    names = Names(include_partials(file, findings, allowance=allowance))
    find_duplicates(names, findings)
    find_unknown_names(names, findings)
    find_travelling_wildcards(names, findings)
    find_circular_aliases(names, findings)
    if file.uses("typechecking"):
        find_incomplete_annotations(names, findings)
    return names


class _Translation:
    """Checked syntax to model; every name is known to be good."""

    def __init__(self, source: Source, docs: Mapping[int, str]) -> None:
        self._source = source
        self._docs = docs

    def schema(self, names: Names) -> model.Schema:
        definitions = {block.name.text: self._definition(block) for block in names.blocks}
        return model.Schema(definitions, self._source.text)

    def _definition(self, block: Block) -> model.Definition:
        relations: dict[str, model.Relation] = {}
        permissions: dict[str, model.Permission] = {}
        for member in block.members:
            name, doc = member.name.text, self._docs.get(member.at, "")
            line, column = self._source.place(member.name.at)
            if isinstance(member, syntax.Relation):
                allowed = tuple(map(_allowed_subject, member.subjects))
                relations[name] = model.Relation(name, allowed, doc, line, column)
            else:
                expression = _expression(member.expression)
                permissions[name] = model.Permission(name, expression, doc, line, column)
        doc = self._docs.get(block.at, "")
        place = self._source.place(block.name.at)
        return model.Definition(block.name.text, relations, permissions, doc, *place)


def _allowed_subject(subject: syntax.Subject) -> model.AllowedSubject:
    relation = subject.relation.text if subject.relation else ""
    return model.AllowedSubject(subject.type.text, relation, subject.wildcard)


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
