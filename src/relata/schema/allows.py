"""What a schema allows to be stored, and to be asked of what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice

import msgspec

from relata.errors import (
    InvalidArgumentError,
    PermissionNotWritableError,
    SubjectNotAllowedError,
    UnknownCaveatError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.relationships import CaveatRef, Relationship, RelationshipFilter
from relata.schema.model import AllowedSubject, Definition, Relation, Schema

_COMPARED = 1_000
"""How many names a mistyped one is compared with, for a hint."""


def require_allowed(
    schema: Schema, relationship: Relationship, *, field: str, deleting: bool = False
) -> None:
    """Raise unless the relationship's relation exists and allows its kind of subject.

    The kind is exact: with its caveat, whose context must fit, or without any, and with an
    expiration or without. Only where it is `deleting` does a relationship with neither stand for
    those with them too.

    Raises UnknownDefinitionError, UnknownRelationError, PermissionNotWritableError,
    SubjectNotAllowedError, UnknownCaveatError or ContextError, naming `field`.
    """
    relation = _relation(schema, relationship, field)
    kind = _kind(relationship)
    if kind not in relation.allowed:
        bare = _bare(kind)
        alike = [allowed for allowed in relation.allowed if _bare(allowed) == bare]
        if deleting and alike and kind == bare:
            return
        _refuse(schema, relationship, relation, alike, field)
    if relationship.caveat is not None:
        caveat = schema.caveats[relationship.caveat.name].caveat
        caveat.require_context(relationship.caveat.values, field=field)


def _kind(relationship: Relationship) -> AllowedSubject:
    subject, caveat = relationship.subject, relationship.caveat
    return AllowedSubject(
        subject.type,
        subject.relation,
        subject.is_wildcard,
        "" if caveat is None else caveat.name,
        relationship.expires_at is not None,
    )


def _bare(kind: AllowedSubject) -> AllowedSubject:
    return msgspec.structs.replace(kind, caveat="", expiration=False)


def _relation(schema: Schema, relationship: Relationship, field: str) -> Relation:
    type_, name = relationship.resource.type, relationship.relation
    definition = schema.definitions.get(type_)
    if definition is None:
        raise UnknownDefinitionError(
            f"the schema has no definition `{type_}`{_similar(type_, schema.definitions)}",
            field=field,
        )
    relation = definition.relations.get(name)
    if relation is not None:
        return relation
    if name in definition.permissions:
        raise PermissionNotWritableError(
            f"`{type_}#{name}` is a permission, which is computed; "
            "write a relationship of one of its relations",
            field=field,
        )
    raise UnknownRelationError(
        f"the definition `{type_}` has no relation `{name}`{_similar(name, definition.relations)}",
        field=field,
    )


def _refuse(
    schema: Schema,
    relationship: Relationship,
    relation: Relation,
    alike: Sequence[AllowedSubject],
    field: str,
) -> None:
    """Say why the relation does not allow the subject; `alike` are allowed with other traits."""
    type_, caveat = relationship.subject.type, relationship.caveat
    if type_ not in schema.definitions:
        similar = _similar(type_, schema.definitions)
        raise UnknownDefinitionError(
            f"the schema has no definition `{type_}`, the subject's type{similar}", field=field
        )
    if caveat is not None and caveat.name not in schema.caveats:
        raise UnknownCaveatError(
            f"the schema has no caveat `{caveat.name}`{_similar(caveat.name, schema.caveats)}",
            field=field,
        )
    kind = _kind(relationship)
    if alike:
        why = f"{_trait_fault(caveat, kind, alike)} for the subject `{_bare(kind)}`"
    else:
        why = f"does not allow the subject `{kind}`"
    raise SubjectNotAllowedError(
        f"`{relationship.resource.type}#{relation.name}` {why}; "
        f"it allows {_listed(map(str, relation.allowed))}",
        field=field,
    )


def _trait_fault(
    caveat: CaveatRef | None, kind: AllowedSubject, alike: Sequence[AllowedSubject]
) -> str:
    """What is wrong with the caveat or expiration of a subject that is allowed with others."""
    if any(allowed.caveat == kind.caveat for allowed in alike):
        return "does not allow an expiration" if kind.expiration else "needs an expiration"
    needed = sorted({allowed.caveat for allowed in alike} - {""})
    if caveat is not None:
        return f"does not allow the caveat `{caveat.name}`" if needed else "does not allow a caveat"
    one = "the caveat" if len(needed) == 1 else "one of the caveats"
    return f"needs {one} {_listed(needed)}"


def _similar(name: str, names: Iterable[str]) -> str:
    """A hint at a name that may have been meant."""
    close = get_close_matches(name, islice(names, _COMPARED), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def require_filter(schema: Schema, filter_: RelationshipFilter, *, field: str) -> None:
    """Raise unless every name in a filter is one that the schema has.

    A mistyped name would match nothing, which reads as "there is none". Raises
    UnknownDefinitionError, UnknownRelationError or InvalidArgumentError, naming the field.
    """
    for name in ("resource_type", "subject_type"):
        type_ = getattr(filter_, name)
        if type_ is not None and type_ not in schema.definitions:
            similar = _similar(type_, schema.definitions)
            raise UnknownDefinitionError(
                f"the schema has no definition `{type_}`{similar}", field=f"{field}.{name}"
            )
    if filter_.relation is not None:
        _require_relation(schema, filter_.resource_type, filter_.relation, f"{field}.relation")
    if filter_.subject_relation:
        _require_name(
            schema, filter_.subject_type, filter_.subject_relation, f"{field}.subject_relation"
        )
    for name in ("resource_id", "resource_id_prefix", "subject_id"):
        if getattr(filter_, name) == "":
            raise InvalidArgumentError("an id is never empty", field=f"{field}.{name}")


def _require_relation(schema: Schema, type_: str | None, name: str, field: str) -> None:
    if not any(name in definition.relations for definition in _among(schema, type_)):
        where = "no definition has" if type_ is None else f"the definition `{type_}` has no"
        relation = f"a relation `{name}`" if type_ is None else f"relation `{name}`"
        raise UnknownRelationError(f"{where} {relation}", field=field)


def _require_name(schema: Schema, type_: str | None, name: str, field: str) -> None:
    if not any(name in definition for definition in _among(schema, type_)):
        where = "no definition has" if type_ is None else f"the definition `{type_}` has no"
        what = f"a relation or permission `{name}`" if type_ is None else f"`{name}`"
        raise UnknownRelationError(f"{where} {what}", field=field)


def _among(schema: Schema, type_: str | None) -> Iterable[Definition]:
    return schema.definitions.values() if type_ is None else (schema.definitions[type_],)
