"""What a schema allows to be stored, and to be asked of what is stored."""

from __future__ import annotations

from collections.abc import Iterable

from relata.errors import (
    InvalidArgumentError,
    PermissionNotWritableError,
    SubjectNotAllowedError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.relationships import Relationship, RelationshipFilter
from relata.schema.model import AllowedSubject, Definition, Relation, Schema


def require_allowed(schema: Schema, relationship: Relationship, *, field: str) -> None:
    """Raise unless the relationship's relation exists and allows its kind of subject.

    Raises UnknownDefinitionError, UnknownRelationError, PermissionNotWritableError or
    SubjectNotAllowedError, naming `field`.
    """
    relation = _relation(schema, relationship, field)
    subject = relationship.subject
    kind = AllowedSubject(subject.type, subject.relation, subject.is_wildcard)
    if kind in relation.allowed:
        return
    if subject.type not in schema.definitions:
        raise UnknownDefinitionError(
            f"the schema has no definition `{subject.type}`, the subject's type", field=field
        )
    raise SubjectNotAllowedError(
        f"`{relationship.resource.type}#{relation.name}` does not allow the subject "
        f"`{kind}`; it allows {', '.join(f'`{allowed}`' for allowed in relation.allowed)}",
        field=field,
    )


def _relation(schema: Schema, relationship: Relationship, field: str) -> Relation:
    type_, name = relationship.resource.type, relationship.relation
    definition = schema.definitions.get(type_)
    if definition is None:
        raise UnknownDefinitionError(f"the schema has no definition `{type_}`", field=field)
    relation = definition.relations.get(name)
    if relation is not None:
        return relation
    if name in definition.permissions:
        raise PermissionNotWritableError(
            f"`{type_}#{name}` is a permission, which is computed; "
            "write a relationship of one of its relations",
            field=field,
        )
    raise UnknownRelationError(f"the definition `{type_}` has no relation `{name}`", field=field)


def require_filter(schema: Schema, filter_: RelationshipFilter, *, field: str) -> None:
    """Raise unless every name in a filter is one that the schema has.

    A mistyped name would match nothing, which reads as "there is none". Raises
    UnknownDefinitionError, UnknownRelationError or InvalidArgumentError, naming the field.
    """
    for name in ("resource_type", "subject_type"):
        type_ = getattr(filter_, name)
        if type_ is not None and type_ not in schema.definitions:
            raise UnknownDefinitionError(
                f"the schema has no definition `{type_}`", field=f"{field}.{name}"
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
