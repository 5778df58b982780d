"""Warnings: what compiles, but probably does not mean what its writer meant.

Each has a name. A comment `// spicedb-ignore-warning: NAME` (or `relata-ignore-warning`) directly
before a relation or permission silences the warning of that name about it. A relation or
permission of a partial is looked at in every definition that includes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from relata.errors import Diagnostic
from relata.schema import syntax
from relata.schema.compiler import Checked, check
from relata.schema.imports import read_schema_file
from relata.schema.names import Names
from relata.schema.source import Source, quote

_IGNORE = ("spicedb-ignore-warning:", "relata-ignore-warning:")

_Found = tuple[int, str, str]
"""Where, the warning's name, what to say."""


class SchemaWarning(Diagnostic, frozen=True, kw_only=True):
    """Something in a schema's text that is probably a mistake."""

    name: str
    """Which kind of warning this is; a comment can silence it by this name."""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}:{self.column}: {self.message} ({self.name})"
        return f"{where}\n{self.excerpt}" if self.excerpt else where


def lint(text: str, *, source: str = "schema.zed") -> list[SchemaWarning]:
    """What a schema warns of, in the order of the text. Raises what `compile_schema` raises."""
    return _warnings(check(Source(text, source)))


def lint_file(path: str | PathLike[str]) -> list[SchemaWarning]:
    """What a schema's file and those it imports warn of. Raises what `compile_file` raises."""
    return _warnings(check(read_schema_file(Path(path))))


def _warnings(checked: Checked) -> list[SchemaWarning]:
    docs = checked.file.docs
    found = {
        warning: None
        for definition, member in checked.names.members()
        for warning in _about(definition, member, checked.names)
        if not _is_silenced(warning[1], docs.get(member.at, ""))
    }
    return [_told(checked.source, *warning) for warning in sorted(found)]


def _told(source: Source, at: int, name: str, message: str) -> SchemaWarning:
    said = source.diagnostic(at, message)
    return SchemaWarning(said.message, said.source, said.line, said.column, said.excerpt, name=name)


def _is_silenced(name: str, doc: str) -> bool:
    return any(
        line.removeprefix(word).strip() == name
        for line in doc.split("\n")
        for word in _IGNORE
        if line.startswith(word)
    )


def _about(definition: str, member: syntax.Member, names: Names) -> Iterator[_Found]:
    own = member.name.text
    if own.endswith(definition):
        message = (
            f"{quote(own)} repeats the name of its definition {quote(definition)}, "
            "which says it already; leave it out"
        )
        yield member.name.at, "relation-name-references-parent", message
    for node, _ in syntax.walk(member.expression) if isinstance(member, syntax.Permission) else ():
        if isinstance(node, syntax.Reference) and node.name.text == own:
            message = f"{quote(own)} refers to itself; nobody comes to have it by that"
            yield node.at, "permission-references-itself", message
        elif isinstance(node, syntax.Arrow):
            yield from _about_arrow(definition, node, names)


def _about_arrow(definition: str, arrow: syntax.Arrow, names: Names) -> Iterator[_Found]:
    relation = names.member(definition, arrow.relation.text)
    subjects = relation.subjects if isinstance(relation, syntax.Relation) else ()
    target = arrow.steps[0].target.text
    shown = quote(arrow.relation.text)
    reached = {kind.type.text: names.member(kind.type.text, target) for kind in subjects}
    if not any(reached.values()):
        message = f"no subject of {shown} has a relation or permission {quote(target)}"
        yield arrow.at, "arrow-references-unreachable-relation", message
    for kind in subjects:
        if kind.relation:
            message = (
                f"the arrow goes on from {quote(kind.type.text)} and not from those who are "
                f"{quote(str(kind.kind))}: an arrow ignores the relation of a subject"
            )
            yield arrow.at, "arrow-walks-subject-relation", message
            break
    for type_, member in reached.items():
        if type_ != definition and isinstance(member, syntax.Relation):
            message = (
                f"{quote(target)} is a relation of {quote(type_)}; "
                "point the arrow at a permission, which can change without it"
            )
            yield arrow.at, "arrow-references-relation", message
            break
