"""What differs between two schemas, and what each difference means for those who use the first.

The rule for the three severities:

- *breaking*: what could be stored or asked before is now an error. A definition, relation,
  permission or kind of subject is gone, or a caveat takes other values than those that may be
  stored with it.
- *changes answers*: everything can still be stored and asked, but the same question about the
  same relationships may be answered otherwise. An expression differs, or a name is new where an
  arrow led already.
- *harmless*: neither. Something is added or documented otherwise, an expression has its operands
  in another order, or a caveat differs that no relation allowed.

Compared is what the texts mean, not how they are written: layout, partials, annotations and the
order of definitions and members do not matter. Whether relationships are stored that a breaking
change would strand, only the store can say; it is asked for the `removed_kinds`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeVar

import msgspec

from relata.relationships import Kind
from relata.schema.lexing import pieces
from relata.schema.model import (
    Arrow,
    CaveatDefinition,
    Definition,
    Exclusion,
    Expression,
    Intersection,
    Permission,
    Relation,
    Schema,
    Union,
    expression_text,
)
from relata.schema.source import Source

T = TypeVar("T")


class Severity(enum.StrEnum):
    """What a change means, the worst first."""

    BREAKING = "breaking"
    CHANGES_ANSWERS = "changes_answers"
    HARMLESS = "harmless"


class ChangeKind(enum.StrEnum):
    """What has changed. The values are stable: programs may depend on them."""

    DEFINITION_ADDED = "definition_added"
    DEFINITION_REMOVED = "definition_removed"
    RELATION_ADDED = "relation_added"
    RELATION_REMOVED = "relation_removed"
    RELATION_BECAME_PERMISSION = "relation_became_permission"
    PERMISSION_ADDED = "permission_added"
    PERMISSION_REMOVED = "permission_removed"
    PERMISSION_BECAME_RELATION = "permission_became_relation"
    ALLOWED_SUBJECT_ADDED = "allowed_subject_added"
    ALLOWED_SUBJECT_REMOVED = "allowed_subject_removed"
    EXPRESSION_CHANGED = "expression_changed"
    EXPRESSION_REORDERED = "expression_reordered"
    CAVEAT_ADDED = "caveat_added"
    CAVEAT_REMOVED = "caveat_removed"
    CAVEAT_PARAMETER_ADDED = "caveat_parameter_added"
    CAVEAT_PARAMETER_REMOVED = "caveat_parameter_removed"
    CAVEAT_PARAMETER_TYPE_CHANGED = "caveat_parameter_type_changed"
    CAVEAT_EXPRESSION_CHANGED = "caveat_expression_changed"
    DOC_CHANGED = "doc_changed"


_SEVERITIES: Mapping[ChangeKind, Severity] = {
    ChangeKind.DEFINITION_ADDED: Severity.HARMLESS,
    ChangeKind.DEFINITION_REMOVED: Severity.BREAKING,
    ChangeKind.RELATION_ADDED: Severity.HARMLESS,
    ChangeKind.RELATION_REMOVED: Severity.BREAKING,
    ChangeKind.RELATION_BECAME_PERMISSION: Severity.BREAKING,
    ChangeKind.PERMISSION_ADDED: Severity.HARMLESS,
    ChangeKind.PERMISSION_REMOVED: Severity.BREAKING,
    ChangeKind.PERMISSION_BECAME_RELATION: Severity.CHANGES_ANSWERS,
    ChangeKind.ALLOWED_SUBJECT_ADDED: Severity.HARMLESS,
    ChangeKind.ALLOWED_SUBJECT_REMOVED: Severity.BREAKING,
    ChangeKind.EXPRESSION_CHANGED: Severity.CHANGES_ANSWERS,
    ChangeKind.EXPRESSION_REORDERED: Severity.HARMLESS,
    ChangeKind.CAVEAT_ADDED: Severity.HARMLESS,
    ChangeKind.CAVEAT_REMOVED: Severity.BREAKING,
    ChangeKind.CAVEAT_PARAMETER_ADDED: Severity.CHANGES_ANSWERS,
    ChangeKind.CAVEAT_PARAMETER_REMOVED: Severity.BREAKING,
    ChangeKind.CAVEAT_PARAMETER_TYPE_CHANGED: Severity.BREAKING,
    ChangeKind.CAVEAT_EXPRESSION_CHANGED: Severity.CHANGES_ANSWERS,
    ChangeKind.DOC_CHANGED: Severity.HARMLESS,
}


class Change(msgspec.Struct, frozen=True):
    """One difference."""

    kind: ChangeKind
    severity: Severity
    name: str
    """What has changed: `document`, `document#viewer`, or the name of a caveat."""
    old: str
    """What was there, as the language writes it; empty where nothing was."""
    new: str
    """What is there now; empty where nothing is."""
    place: Literal["old", "new"]
    """Which schema line and column are of: the old one for what is gone."""
    line: int
    column: int
    kinds: tuple[Kind, ...] = ()
    """The kinds of relationships that are not allowed any more by this change."""


class SchemaDiff(msgspec.Struct, frozen=True):
    """All differences, the worst first, else in the order of the schemas."""

    changes: tuple[Change, ...]

    @property
    def is_breaking(self) -> bool:
        """Whether any of them is breaking."""
        return any(change.severity is Severity.BREAKING for change in self.changes)

    @property
    def removed_kinds(self) -> tuple[Kind, ...]:
        """The kinds of relationships that only the old schema allows, sorted.

        The new schema cannot be written while relationships of these kinds are stored.
        """
        return tuple(sorted({kind for change in self.changes for kind in change.kinds}))


def diff_schemas(old: Schema, new: Schema) -> SchemaDiff:
    """Compare two schemas."""
    worst_first = [*Severity]
    changes = [*_definitions(old, new), *_caveats(old, new)]
    return SchemaDiff(tuple(sorted(changes, key=lambda item: worst_first.index(item.severity))))


_Member = Relation | Permission
_Placed = Definition | _Member | CaveatDefinition


def _change(
    kind: ChangeKind,
    name: str,
    places: tuple[_Placed | None, _Placed | None],
    old: str = "",
    new: str = "",
    kinds: Iterable[Kind] = (),
) -> Change:
    """A change of what is at the old and at the new place, or is not there."""
    before, after = places
    place: Literal["old", "new"] = "old" if after is None else "new"
    where = before if after is None else after
    line, column = (where.line, where.column) if where else (0, 0)
    return Change(kind, _SEVERITIES[kind], name, old, new, place, line, column, tuple(kinds))


def _doc(name: str, old: _Placed, new: _Placed) -> Iterator[Change]:
    if old.doc != new.doc:
        yield _change(ChangeKind.DOC_CHANGED, name, (old, new), old.doc, new.doc)


def _definitions(old: Schema, new: Schema) -> Iterator[Change]:
    reached = set(_newly_reached(old, new))
    for pair in _paired(old.definitions, new.definitions):
        match pair:
            case None, Definition(name=name):
                yield _change(ChangeKind.DEFINITION_ADDED, name, pair, new=name)
            case Definition(name=name, relations=relations), None:
                kinds = [kind for item in relations.values() for kind in _kinds(name, item)]
                yield _change(ChangeKind.DEFINITION_REMOVED, name, pair, old=name, kinds=kinds)
            case Definition() as before, Definition() as after:
                yield from _doc(before.name, before, after)
                for change in _members(before, after):
                    is_new = change.kind in {ChangeKind.RELATION_ADDED, ChangeKind.PERMISSION_ADDED}
                    answers = is_new and change.name in reached
                    yield _with(change, Severity.CHANGES_ANSWERS) if answers else change


def _members(old: Definition, new: Definition) -> Iterator[Change]:
    """The changes within a definition."""
    before = {**old.relations, **old.permissions}
    for pair in _paired(before, {**new.relations, **new.permissions}):
        match pair:
            case None, Relation() | Permission() as come:
                added = _by_type(come, ChangeKind.RELATION_ADDED, ChangeKind.PERMISSION_ADDED)
                yield _change(added, f"{old.name}#{come.name}", pair, new=_text(come))
            case Relation() | Permission() as gone, None:
                removed = _by_type(gone, ChangeKind.RELATION_REMOVED, ChangeKind.PERMISSION_REMOVED)
                kinds = _kinds(old.name, gone)
                yield _change(removed, f"{old.name}#{gone.name}", pair, _text(gone), kinds=kinds)
            case Relation() | Permission() as one, Relation() | Permission() as other:
                yield from _doc(f"{old.name}#{one.name}", one, other)
                yield from _member(old.name, one, other)


def _member(definition: str, old: _Member, new: _Member) -> Iterator[Change]:
    """The changes of a relation or permission beside its documentation."""
    name = f"{definition}#{old.name}"
    match old, new:
        case Relation(), Relation():
            yield from _allowed(definition, old, new)
        case Permission(), Permission():
            if old.expression != new.expression:
                same = _ordered(old.expression) == _ordered(new.expression)
                kind = ChangeKind.EXPRESSION_REORDERED if same else ChangeKind.EXPRESSION_CHANGED
                yield _change(kind, name, (old, new), _text(old), _text(new))
        case _:
            kind = _by_type(
                old, ChangeKind.RELATION_BECAME_PERMISSION, ChangeKind.PERMISSION_BECAME_RELATION
            )
            kinds = _kinds(definition, old)
            yield _change(kind, name, (old, new), _text(old), _text(new), kinds)


def _allowed(definition: str, old: Relation, new: Relation) -> Iterator[Change]:
    name = f"{definition}#{old.name}"
    before, after = frozenset(old.allowed), frozenset(new.allowed)
    for kind, allowed in zip(_kinds(definition, old), old.allowed, strict=True):
        if allowed not in after:
            removed = ChangeKind.ALLOWED_SUBJECT_REMOVED
            yield _change(removed, name, (old, new), old=str(allowed), kinds=[kind])
    for allowed in new.allowed:
        if allowed not in before:
            added = ChangeKind.ALLOWED_SUBJECT_ADDED
            yield _change(added, name, (old, new), new=str(allowed))


def _caveats(old: Schema, new: Schema) -> Iterator[Change]:
    in_use = {allowed.caveat for _, relation in old.relations() for allowed in relation.allowed}
    for pair in _paired(old.caveats, new.caveats):
        for change in _caveat(pair):
            yield change if change.name in in_use else _with(change, Severity.HARMLESS)


def _caveat(pair: tuple[CaveatDefinition | None, CaveatDefinition | None]) -> Iterator[Change]:
    match pair:
        case None, CaveatDefinition(caveat):
            yield _change(ChangeKind.CAVEAT_ADDED, caveat.name, pair, new=caveat.expression)
        case CaveatDefinition(caveat), None:
            yield _change(ChangeKind.CAVEAT_REMOVED, caveat.name, pair, caveat.expression)
        case CaveatDefinition(before) as old, CaveatDefinition(after) as new:
            yield from _doc(before.name, old, new)
            yield from _parameters(old, new)
            if _code(before.expression) != _code(after.expression):
                kind = ChangeKind.CAVEAT_EXPRESSION_CHANGED
                yield _change(kind, before.name, pair, before.expression, after.expression)


def _parameters(old: CaveatDefinition, new: CaveatDefinition) -> Iterator[Change]:
    before, after = old.caveat.parameters, new.caveat.parameters
    for name in (*before, *(name for name in after if name not in before)):
        old_text = f"{name} {before[name]}" if name in before else ""
        new_text = f"{name} {after[name]}" if name in after else ""
        if old_text != new_text:
            kind = ChangeKind.CAVEAT_PARAMETER_TYPE_CHANGED
            if not new_text:
                kind = ChangeKind.CAVEAT_PARAMETER_REMOVED
            elif not old_text:
                kind = ChangeKind.CAVEAT_PARAMETER_ADDED
            yield _change(kind, old.caveat.name, (old, new), old_text, new_text)


def _paired(old: Mapping[str, T], new: Mapping[str, T]) -> Iterator[tuple[T | None, T | None]]:
    """What has one name, the old things in their order, then those that are new."""
    for name, before in old.items():
        yield before, new.get(name)
    for name, after in new.items():
        if name not in old:
            yield None, after


def _by_type(member: _Member, relation: ChangeKind, permission: ChangeKind) -> ChangeKind:
    return relation if isinstance(member, Relation) else permission


def _with(change: Change, severity: Severity) -> Change:
    return msgspec.structs.replace(change, severity=severity)


def _text(member: _Member) -> str:
    if isinstance(member, Relation):
        return " | ".join(map(str, member.allowed))
    return expression_text(member.expression)


def _code(expression: str) -> list[str]:
    """What a caveat's expression is made of, comments left out."""
    return [
        text
        for kind, text, _ in pieces(Source(expression, ""))
        if kind not in {"comment", "newline"}
    ]


def _kinds(definition: str, member: _Member) -> Iterator[Kind]:
    """The kinds of relationships that a relation allows; a permission holds none."""
    for allowed in member.allowed if isinstance(member, Relation) else ():
        yield Kind(definition, member.name, *msgspec.structs.astuple(allowed))


def _newly_reached(old: Schema, new: Schema) -> Iterator[str]:
    """Where arrows of the old schema lead, as `document#view`, by names that are new somewhere."""
    names = {
        name
        for before, after in _paired(old.definitions, new.definitions)
        if before and after
        for name in (*after.relations, *after.permissions)
        if name not in before
    }
    for definition in old.definitions.values():
        for permission in definition.permissions.values():
            for arrow in _arrows(permission.expression):
                if arrow.target in names:
                    for allowed in definition.relations[arrow.relation].allowed:
                        yield f"{allowed.type}#{arrow.target}"


def _arrows(expression: Expression) -> Iterator[Arrow]:
    match expression:
        case Arrow():
            yield expression
        case Union(children) | Intersection(children):
            for child in children:
                yield from _arrows(child)
        case Exclusion(base, subtracted):
            yield from _arrows(base)
            yield from _arrows(subtracted)


def _ordered(expression: Expression) -> Expression:
    """An expression with the operands of `+` and `&` in one order, each once."""
    match expression:
        case Union(children):
            return Union(_each_once(children))
        case Intersection(children):
            return Intersection(_each_once(children))
        case Exclusion(base, subtracted):
            return Exclusion(_ordered(base), _ordered(subtracted))
    return expression


def _each_once(children: Iterable[Expression]) -> tuple[Expression, ...]:
    return tuple(sorted({*map(_ordered, children)}, key=expression_text))
