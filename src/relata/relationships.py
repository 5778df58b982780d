"""Values: objects, subjects, relationships, filters, updates, preconditions, and their text form.

A relationship reads `organization:acme#member@user:anne`: the resource's type ends at the first
`:`, the resource at the first `#`, the relation at the next `@`; what follows is the subject,
whose type ends at its first `:` and whose relation, if any, follows a `#`
(`document:readme#viewer@group:eng#member`). `user:*` is the wildcard: every user.

Object ids are a superset of SpiceDB's: any printable character but whitespace, `#`, `[` and `]`,
so `user:auth0|123`, `user:anne@example.com` and `capability:read:posts` are ids. Ids are compared
code point by code point: nothing is folded, trimmed or normalised.

Nothing here knows a schema.
"""

from __future__ import annotations

import enum
import re
from typing import Literal

import msgspec

from relata.errors import InvalidArgumentError

WILDCARD = "*"
MAX_ID_BYTES = 1024
MAX_NAME_BYTES = 128

_SEGMENT = r"[a-z][a-z0-9_]{1,62}[a-z0-9]"
_TYPE = re.compile(rf"(?:{_SEGMENT}/)*{_SEGMENT}")
_RELATION = re.compile(_SEGMENT)
_ID_REFUSED = re.compile(r"[\s#\[\]]")


class ObjectRef(msgspec.Struct, frozen=True, order=True):
    """An object: a type that the schema defines and an id that the caller chose."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"


class SubjectRef(msgspec.Struct, frozen=True, order=True):
    """Who is related: an object, every object of a type (`user:*`), or a userset.

    `relation` is empty for the object itself, and names a relation or permission of the object
    for a userset (`group:eng#member`).
    """

    type: str
    id: str
    relation: str = ""

    @property
    def is_wildcard(self) -> bool:
        """Whether this is every object of its type."""
        return self.id == WILDCARD

    @property
    def object(self) -> ObjectRef:
        """The subject without its relation."""
        return ObjectRef(self.type, self.id)

    def __str__(self) -> str:
        text = f"{self.type}:{self.id}"
        return f"{text}#{self.relation}" if self.relation else text


class Relationship(msgspec.Struct, frozen=True, order=True):
    """One fact: the subject stands in the relation to the resource."""

    resource: ObjectRef
    relation: str
    subject: SubjectRef

    def __str__(self) -> str:
        return f"{self.resource}#{self.relation}@{self.subject}"


class Kind(msgspec.Struct, frozen=True, order=True):
    """The kind of a relationship: its resource's type, its relation, what kind of subject.

    `user`, `user:*` and `group#member` on one relation are three kinds; the id `*` occurs in
    relationships of a wildcard kind and in no other.
    """

    resource_type: str
    relation: str
    subject_type: str
    subject_relation: str = ""
    wildcard: bool = False

    def __str__(self) -> str:
        subject = f"{self.subject_type}:*" if self.wildcard else self.subject_type
        if self.subject_relation:
            subject = f"{subject}#{self.subject_relation}"
        return f"{self.resource_type}#{self.relation}@{subject}"


def relationship_kind(relationship: Relationship) -> Kind:
    """The kind that a relationship is of."""
    subject = relationship.subject
    return Kind(
        relationship.resource.type,
        relationship.relation,
        subject.type,
        subject.relation,
        subject.is_wildcard,
    )


class RelationshipFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which relationships are meant; a field that is None matches everything.

    `subject_relation=""` matches only subjects without a relation. At least one field is set,
    and `resource_id` and `resource_id_prefix` exclude each other.
    """

    resource_type: str | None = None
    resource_id: str | None = None
    resource_id_prefix: str | None = None
    relation: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    subject_relation: str | None = None

    def __str__(self) -> str:
        pairs = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return " ".join(f"{name}={value}" for name, value in pairs if value is not None)


class Operation(enum.StrEnum):
    """What an update does to its relationship."""

    CREATE = "create"
    """Store it; an error if it is there already."""
    TOUCH = "touch"
    """Store it; nothing if it is there already."""
    DELETE = "delete"
    """Remove it; nothing if it is not there."""


class Update(msgspec.Struct, frozen=True):
    """One change of a write."""

    operation: Operation
    relationship: Relationship


class Precondition(msgspec.Struct, frozen=True):
    """What must be true of the stored relationships for a write to happen."""

    operation: Literal["must_match", "must_not_match"]
    filter: RelationshipFilter


def create(relationship: Relationship | str) -> Update:
    """Make an update that stores a relationship and fails if it exists."""
    return Update(Operation.CREATE, parse_relationship(relationship))


def touch(relationship: Relationship | str) -> Update:
    """Make an update that stores a relationship whether or not it exists."""
    return Update(Operation.TOUCH, parse_relationship(relationship))


def delete(relationship: Relationship | str) -> Update:
    """Make an update that removes a relationship if it exists."""
    return Update(Operation.DELETE, parse_relationship(relationship))


def parse_object(value: ObjectRef | str, *, field: str = "resource") -> ObjectRef:
    """Read `document:readme`.

    Raises InvalidArgumentError, naming `field`, where the text is not an object or is a wildcard.
    """
    reference = value if isinstance(value, ObjectRef) else ObjectRef(*_split_type(value, field))
    _check_type(reference.type, field)
    _check_id(reference.id, field)
    if reference.id == WILDCARD:
        raise InvalidArgumentError(
            f"`{reference}` is a wildcard, which stands only for subjects", field=field
        )
    return reference


def parse_subject(value: SubjectRef | ObjectRef | str, *, field: str = "subject") -> SubjectRef:
    """Read `user:anne`, `user:*` or `group:eng#member` (`user:anne#...` is `user:anne`).

    Raises InvalidArgumentError, naming `field`, where the text is none of them.
    """
    if isinstance(value, ObjectRef):
        reference = SubjectRef(value.type, value.id)
    elif isinstance(value, SubjectRef):
        reference = value
    else:
        text, separator, relation = value.partition("#")
        reference = SubjectRef(*_split_type(text, field), relation)
        if separator and not relation:
            raise InvalidArgumentError(f"`{value}` has no relation after its `#`", field=field)
    if reference.relation == "...":
        reference = SubjectRef(reference.type, reference.id)
    _check_type(reference.type, field)
    _check_id(reference.id, field)
    if reference.relation:
        check_relation_name(reference.relation, field=field)
        if reference.is_wildcard:
            raise InvalidArgumentError(
                f"`{reference}` is a wildcard with a relation; a wildcard has none", field=field
            )
    return reference


def parse_relationship(value: Relationship | str, *, field: str = "relationship") -> Relationship:
    """Read `organization:acme#member@user:anne`.

    Raises InvalidArgumentError, naming `field` and the part that is wrong; a caveat or an
    expiration in brackets is refused, not ignored.
    """
    if isinstance(value, Relationship):
        parse_object(value.resource, field=field)
        check_relation_name(value.relation, field=field)
        subject = parse_subject(value.subject, field=field)
        return Relationship(value.resource, value.relation, subject)
    resource, hash_sign, rest = value.partition("#")
    relation, at_sign, subject_text = rest.partition("@")
    if not hash_sign or not at_sign:
        raise InvalidArgumentError(
            f"`{_shorten(value)}` is not a relationship; "
            "write `type:id#relation@type:id` or `type:id#relation@type:id#relation`",
            field=field,
        )
    if subject_text.endswith("]") and "[" in subject_text:
        bracket = subject_text[subject_text.index("[") :]
        raise InvalidArgumentError(
            f"`{_shorten(bracket)}`: caveats and expirations of relationships are not evaluated "
            "by this version, so they cannot be stored",
            field=field,
        )
    check_relation_name(relation, field=field)
    return Relationship(
        parse_object(resource, field=field), relation, parse_subject(subject_text, field=field)
    )


def check_relation_name(name: str, *, field: str) -> None:
    """Raise InvalidArgumentError unless `name` can be the name of a relation or permission."""
    if not _RELATION.fullmatch(name):
        raise InvalidArgumentError(
            f"`{_shorten(name)}` cannot name a relation or permission: 3 to 64 of a-z, 0-9 and _, "
            "starting with a letter and not ending with _",
            field=field,
        )


def is_type_name(name: str) -> bool:
    """Whether `name` can be the name of a definition."""
    return len(name) <= MAX_NAME_BYTES and _TYPE.fullmatch(name) is not None


def is_relation_name(name: str) -> bool:
    """Whether `name` can be the name of a relation or permission."""
    return _RELATION.fullmatch(name) is not None


def _split_type(text: str, field: str) -> tuple[str, str]:
    type_, colon, id_ = text.partition(":")
    if not colon:
        raise InvalidArgumentError(
            f"`{_shorten(text)}` is not an object; write `type:id`", field=field
        )
    return type_, id_


def _check_type(name: str, field: str) -> None:
    if not is_type_name(name):
        raise InvalidArgumentError(f"`{_shorten(name)}` cannot name a definition", field=field)


def _check_id(id_: str, field: str) -> None:
    if not id_:
        raise InvalidArgumentError("the id after `:` is empty", field=field)
    if not id_.isprintable() or _ID_REFUSED.search(id_):
        raise InvalidArgumentError(
            f"the id {_shorten(ascii(id_))} has a character that ids cannot have: "
            "whitespace, control characters, `#`, `[` and `]`",
            field=field,
        )
    if len(id_) > MAX_ID_BYTES or len(id_.encode()) > MAX_ID_BYTES:
        raise InvalidArgumentError(f"an id is longer than {MAX_ID_BYTES} bytes", field=field)


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
