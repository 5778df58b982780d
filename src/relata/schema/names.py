"""Which names a schema declares, and whether each name that it uses is one of them.

A definition's name is a path of words, a relation's or permission's one word, each of 3 to 64
characters; a caveat may have any name that a relationship can give. Whether the name after an
arrow exists is not asked: a type that lacks it contributes nobody. Nor is a partial looked into
beyond the names of its members, unless it is included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from relata.relationships import is_relation_name, is_type_name
from relata.schema import syntax
from relata.schema.partials import Block
from relata.schema.source import Findings, quote

MAX_LEVELS = 100

_CAVEAT = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9/_]{0,127}")
_WORD = "3 to 64 of a-z, 0-9 and _, starting with a letter and not ending with _"


class Names:
    """The names that are declared. Where two things have one name, it means the first."""

    def __init__(self, blocks: Sequence[Block], caveats: Sequence[syntax.Caveat]) -> None:
        self.blocks = tuple(blocks)
        self.caveats = {caveat.name.text: caveat for caveat in reversed(caveats)}
        self._blocks: dict[str, Block] = {}
        self._members: dict[str, dict[str, syntax.Member]] = {}
        for block in blocks:
            if self._blocks.setdefault(block.name.text, block) is block:
                members = self._members.setdefault(block.name.text, {})
                for member in block.members:
                    members.setdefault(member.name.text, member)

    def block(self, definition: str) -> Block | None:
        """The definition of this name."""
        return self._blocks.get(definition)

    def member(self, definition: str, name: str) -> syntax.Member | None:
        """The relation or permission of this name."""
        return self._members.get(definition, {}).get(name)

    def members(self) -> Iterator[tuple[str, syntax.Member]]:
        """Every relation and permission that a name means, with its definition's name."""
        for definition, members in self._members.items():
            for member in members.values():
                yield definition, member


def find_bad_names(file: syntax.File, findings: Findings) -> None:
    """Note names of other characters or lengths than names have."""
    for item in file.items:
        if isinstance(item, syntax.Definition) and not is_type_name(item.name.text):
            message = (
                f"{quote(item.name.text)} cannot name a definition: words of {_WORD}, "
                "joined by /, together at most 128"
            )
            findings.add(item.name.at, message)
        if isinstance(item, syntax.Caveat) and not _CAVEAT.fullmatch(item.name.text):
            message = (
                f"{quote(item.name.text)} cannot name a caveat: "
                "at most 128 of a-z, A-Z, 0-9, _ and /"
            )
            findings.add(item.name.at, message)
        if isinstance(item, syntax.Definition | syntax.Partial):
            for member in item.members:
                _check_member_name(member, findings)


def _check_member_name(member: syntax.Member | syntax.Splat, findings: Findings) -> None:
    if isinstance(member, syntax.Splat) or is_relation_name(member.name.text):
        return
    kind = "relation" if isinstance(member, syntax.Relation) else "permission"
    findings.add(member.name.at, f"{quote(member.name.text)} cannot name a {kind}: {_WORD}")


def find_duplicates(file: syntax.File, names: Names, findings: Findings) -> None:
    """Note the second of two definitions or caveats, or of two members, with one name."""
    defined: dict[str, syntax.Name] = {}
    for item in file.items:
        if isinstance(item, syntax.Definition | syntax.Caveat):
            first = defined.setdefault(item.name.text, item.name)
            if first is not item.name:
                where = findings.line(first.at, beside=item.name.at)
                findings.add(item.name.at, f"{quote(first.text)} is defined already, on {where}")
    for block in names.blocks:
        _find_duplicate_members(block, findings)


def _find_duplicate_members(block: Block, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for member in block.members:
        name = member.name
        if name.text in seen:
            owner, where = quote(block.name.text), findings.line(seen[name.text], beside=name.at)
            findings.add(name.at, f"{owner} has {quote(name.text)} already, on {where}")
        seen.setdefault(name.text, name.at)


def find_unknown_names(names: Names, findings: Findings) -> None:
    """Note every name that is used but not declared, and what cannot stand where it stands."""
    for block in names.blocks:
        for member in block.members:
            if isinstance(member, syntax.Relation):
                _check_subjects(member, names, findings)
            else:
                _check_expression(member.expression, block, names, findings)


def _check_subjects(relation: syntax.Relation, names: Names, findings: Findings) -> None:
    seen = set()
    for subject in relation.subjects:
        type_, inner = subject.type, subject.relation
        block = names.block(type_.text)
        if block is None:
            findings.add(type_.at, f"there is no definition {quote(type_.text)}")
        elif inner:
            _find(inner, block, names, findings)
        if subject.trait and subject.trait.caveat:
            _check_caveat(subject.trait.caveat, names, findings)
        kind = subject.kind
        if kind in seen:
            message = f"{quote(str(kind))} is allowed on {quote(relation.name.text)} already"
            findings.add(type_.at, message)
        seen.add(kind)


def _check_caveat(name: syntax.Name, names: Names, findings: Findings) -> None:
    if name.text not in names.caveats:
        message = f"there is no caveat {quote(name.text)}"
        if name.text == "expiration":
            message += "; for an expiration, write `use expiration` at the top"
        findings.add(name.at, message)


def _check_expression(
    expression: syntax.Expression, block: Block, names: Names, findings: Findings
) -> None:
    for node, level in syntax.walk(expression):
        if level > MAX_LEVELS:
            message = (
                f"this is nested more than {MAX_LEVELS} levels deep; "
                "move a part of it into a permission of its own"
            )
            findings.add(node.at, message)
            return
        if isinstance(node, syntax.Reference):
            _find(node.name, block, names, findings)
        elif isinstance(node, syntax.Arrow):
            _check_arrow(node, block, names, findings)


def _check_arrow(arrow: syntax.Arrow, block: Block, names: Names, findings: Findings) -> None:
    relation = arrow.relation
    if isinstance(_find(relation, block, names, findings), syntax.Permission):
        message = f"{quote(relation.text)} is a permission; only a relation stands before an arrow"
        findings.add(relation.at, message)
    for step in arrow.steps:
        if not is_relation_name(step.target.text):
            message = f"{quote(step.target.text)} cannot name a relation or permission: {_WORD}"
            findings.add(step.target.at, message)
    if len(arrow.steps) > 1:
        message = (
            "arrows cannot be chained; "
            "make the rest a permission where the first arrow leads, and point the arrow at that"
        )
        findings.add(arrow.steps[1].target.at, message)


def _find(
    name: syntax.Name, block: Block, names: Names, findings: Findings
) -> syntax.Member | None:
    member = names.member(block.name.text, name.text)
    if member is None and block.complete:
        message = f"{quote(block.name.text)} has no relation or permission {quote(name.text)}"
        if name.text == "self":
            message += "; for the resource itself, write `use self` at the top"
        findings.add(name.at, message)
    return member
