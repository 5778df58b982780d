"""Values: objects, subjects, relationships, filters, updates, preconditions, and their text form.

A relationship reads `organization:acme#member@user:anne`: the resource's type ends at the first
`:`, the resource at the first `#`, the relation at the next `@`; what follows is the subject,
whose type ends at its first `:` and whose relation, if any, follows a `#`
(`document:readme#viewer@group:eng#member`). `user:*` is the wildcard: every user.

A relationship may hold under a condition and for a time, in brackets after the subject:
`document:readme#viewer@user:anne[on_weekdays:{"days":5}][expiration:2030-01-01T00:00:00Z]`. Caveat
and expiration are what is said of a relationship, not which one it is: two relationships with one
resource, relation and subject are the same.

Object ids are a superset of SpiceDB's: any printable character but whitespace, `#`, `[` and `]`,
so `user:auth0|123`, `user:anne@example.com` and `capability:read:posts` are ids. Ids are compared
code point by code point: nothing is folded, trimmed or normalised.

Nothing here knows a schema.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from relata.errors import ContextError, InvalidArgumentError

WILDCARD = "*"
MAX_ID_BYTES = 1024
MAX_NAME_BYTES = 128
MAX_CONTEXT_BYTES = 25_000
"""The longest context of a caveat that is stored with a relationship, as JSON."""
MAX_CONTEXT_DEPTH = 64
"""How deep the values of a context may be nested."""

_SEGMENT = r"[a-z][a-z0-9_]{1,62}[a-z0-9]"
_TYPE = re.compile(rf"(?:{_SEGMENT}/)*{_SEGMENT}")
_RELATION = re.compile(_SEGMENT)
_ID_REFUSED = re.compile(r"[\s#\[\]]")
_CAVEAT = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9/_|-]{0,127}")
_EXPIRATION = re.compile(r"\[expiration:([^\[\]\"]*)\]\Z")
_MORE_AFTER_EXPIRATION = re.compile(r"\[expiration:[^\[\]\"{]*\]\[")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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


class CaveatRef(msgspec.Struct, frozen=True, order=True):
    """The caveat of a relationship and the context that is stored with it."""

    name: str
    context: str = ""
    """A JSON object with sorted keys, or empty; so equal contexts are equal texts."""

    @classmethod
    def of(cls, name: str, context: Mapping[str, Any] | None = None) -> CaveatRef:
        """Make one of a context's values, which are what JSON has.

        Raises InvalidArgumentError where they are not.
        """
        return cls(name, _context_text(context or {}, field="caveat"))

    @property
    def values(self) -> dict[str, Any]:
        """The stored context's values by parameter."""
        return msgspec.json.decode(self.context, type=dict[str, Any]) if self.context else {}

    def __str__(self) -> str:
        return f"{self.name}:{self.context}" if self.context else self.name


class Relationship(msgspec.Struct, frozen=True):
    """One fact: the subject stands in the relation to the resource.

    With a caveat it holds where the caveat does, and with `expires_at` (UTC) until then.
    """

    resource: ObjectRef
    relation: str
    subject: SubjectRef
    caveat: CaveatRef | None = None
    expires_at: datetime | None = None

    @property
    def key(self) -> Relationship:
        """Which relationship this is: itself without caveat and expiration."""
        if self.caveat is None and self.expires_at is None:
            return self
        return Relationship(self.resource, self.relation, self.subject)

    def __lt__(self, other: Relationship) -> bool:
        return str(self) < str(other)

    def __str__(self) -> str:
        text = f"{self.resource}#{self.relation}@{self.subject}"
        if self.caveat is not None:
            text += f"[{self.caveat}]"
        if self.expires_at is not None:
            text += f"[expiration:{moment_text(self.expires_at)}]"
        return text


class Kind(msgspec.Struct, frozen=True, order=True):
    """The kind of a relationship: its resource's type, its relation, what kind of subject.

    `user`, `user:*` and `group#member` on one relation are three kinds; the id `*` occurs in
    relationships of a wildcard kind and in no other. `user with tuesday` and
    `user with expiration` are kinds of their own beside `user`.
    """

    resource_type: str
    relation: str
    subject_type: str
    subject_relation: str = ""
    wildcard: bool = False
    caveat: str = ""
    expiration: bool = False

    @property
    def is_conditional(self) -> bool:
        """Whether its relationships carry a caveat or an expiration."""
        return self.expiration or bool(self.caveat)

    def __str__(self) -> str:
        subject = f"{self.subject_type}:*" if self.wildcard else self.subject_type
        if self.subject_relation:
            subject = f"{subject}#{self.subject_relation}"
        traits = traits_text(self.caveat, expiration=self.expiration)
        return f"{self.resource_type}#{self.relation}@{subject}{traits}"


def relationship_kind(relationship: Relationship) -> Kind:
    """The kind that a relationship is of."""
    subject = relationship.subject
    return Kind(
        relationship.resource.type,
        relationship.relation,
        subject.type,
        subject.relation,
        subject.is_wildcard,
        "" if relationship.caveat is None else relationship.caveat.name,
        relationship.expires_at is not None,
    )


def traits_text(caveat: str, *, expiration: bool) -> str:
    """What a schema writes after a kind of subject: ` with tuesday and expiration`, or nothing."""
    traits = [*filter(None, [caveat]), *(["expiration"] if expiration else [])]
    return f" with {' and '.join(traits)}" if traits else ""


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
    """Store it; if it is there already, with this caveat and expiration in place of its own."""
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
    """Read `organization:acme#member@user:anne`, with caveat and expiration if they follow.

    Raises InvalidArgumentError, naming `field` and the part that is wrong.
    """
    if isinstance(value, Relationship):
        parse_object(value.resource, field=field)
        check_relation_name(value.relation, field=field)
        return Relationship(
            value.resource,
            value.relation,
            parse_subject(value.subject, field=field),
            _checked_caveat(value.caveat, field),
            _utc(value.expires_at, field),
        )
    fact, bracket, rest = value.partition("[")
    resource, hash_sign, named = fact.partition("#")
    relation, at_sign, subject_text = named.partition("@")
    if not hash_sign or not at_sign:
        raise InvalidArgumentError(
            f"`{_shorten(value)}` is not a relationship; "
            "write `type:id#relation@type:id` or `type:id#relation@type:id#relation`",
            field=field,
        )
    check_relation_name(relation, field=field)
    return Relationship(
        parse_object(resource, field=field),
        relation,
        parse_subject(subject_text, field=field),
        *(_parse_traits(bracket + rest, field) if bracket else ()),
    )


def parse_moment(text: str, *, field: str) -> datetime:
    """Read a moment as RFC 3339 writes it; of its seconds, parts finer than millionths are cut.

    Raises InvalidArgumentError, naming `field`.
    """
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a month of 13, a year before the first
    raise InvalidArgumentError(
        f"`{_shorten(text)}` is not a moment; write it as RFC 3339 does, `2030-12-31T23:59:59Z`",
        field=field,
    )


def to_microseconds(moment: datetime) -> int:
    """Microseconds from the epoch to a moment, as databases and graphs have it."""
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(microseconds: int) -> datetime:
    """The moment so many microseconds from the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


def moment_text(moment: datetime) -> str:
    """Write a moment in UTC as RFC 3339 does."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_traits(text: str, field: str) -> tuple[CaveatRef | None, datetime | None]:
    """Read `[caveat:{…}][expiration:…]`, either of which may be missing."""
    if _MORE_AFTER_EXPIRATION.match(text):
        raise InvalidArgumentError(
            f"`{_shorten(text)}` has the expiration before its end; "
            "write the caveat before the expiration, `[caveat][expiration:moment]`",
            field=field,
        )
    expires_at = None
    expiration = _EXPIRATION.search(text)
    if expiration:
        expires_at = parse_moment(expiration[1], field=field)
        text = text[: expiration.start()]
    if not text:
        return None, expires_at
    if not text.endswith("]"):
        raise InvalidArgumentError(
            f"`{_shorten(text)}` is not closed; "
            'write `[caveat]`, `[caveat:{"parameter": value}]` or `[expiration:moment]`',
            field=field,
        )
    name, colon, context = text[1:-1].partition(":")
    _check_caveat_name(name, field)
    if not colon:
        return CaveatRef(name), expires_at
    return CaveatRef(name, _context_text(_context_values(context, field), field)), expires_at


def _context_values(text: str, field: str) -> dict[str, Any]:
    _check_context_size(len(text), field)
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except RecursionError:
        raise _too_deep().within(field) from None
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise InvalidArgumentError(
            f"the caveat's context `{_shorten(text)}` is not a JSON object", field=field
        ) from None


def context_text(values: Mapping[str, Any]) -> str:
    """Write a context as a JSON object with sorted keys: equal contexts are equal texts.

    Raises ContextError where a value is not one that JSON has (an infinite number, a key that is
    not a string, an object of a program's own), or is nested deeper than `MAX_CONTEXT_DEPTH`.
    """
    try:
        _require_json(values, MAX_CONTEXT_DEPTH)
        return msgspec.json.encode(values, order="deterministic").decode()
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError, OverflowError):
        raise ContextError("the context has a value that JSON has no form for") from None


def _require_json(value: object, depth: int) -> None:
    """Raise ValueError unless JSON can carry a value there and back unchanged, and ContextError
    where it is nested deeper than `depth`."""
    match value:
        case None | bool() | int() | str():
            return
        case float() if math.isfinite(value):
            return
        case dict() | Mapping() | list() | tuple() if not depth:
            raise _too_deep()
        case dict() | Mapping() if all(isinstance(key, str) for key in value):
            items: Iterable[object] = value.values()
        case list() | tuple():
            items = value
        case _:
            raise ValueError
    for item in items:
        _require_json(item, depth - 1)


def _too_deep() -> ContextError:
    return ContextError(f"the context is nested more than {MAX_CONTEXT_DEPTH} levels deep")


def _context_text(values: Mapping[str, Any], field: str) -> str:
    if not values:
        return ""
    try:
        text = context_text(values)
    except ContextError as error:
        raise error.within(field) from None
    _check_context_size(len(text.encode()), field)
    return text


def _check_context_size(size: int, field: str) -> None:
    if size > MAX_CONTEXT_BYTES:
        raise InvalidArgumentError(
            f"the caveat's context is longer than {MAX_CONTEXT_BYTES} bytes", field=field
        )


def _checked_caveat(caveat: CaveatRef | None, field: str) -> CaveatRef | None:
    if caveat is None:
        return None
    _check_caveat_name(caveat.name, field)
    values = _context_values(caveat.context, field) if caveat.context else {}
    return CaveatRef(caveat.name, _context_text(values, field))


def _check_caveat_name(name: str, field: str) -> None:
    if not _CAVEAT.fullmatch(name):
        raise InvalidArgumentError(f"`{_shorten(name)}` cannot name a caveat", field=field)


def _utc(moment: datetime | None, field: str) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidArgumentError("the expiration has no time zone; give it one", field=field)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidArgumentError("the expiration is beyond the year 9999", field=field) from None


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
        refused = next(filter(None, map(_refused, id_)))
        raise InvalidArgumentError(
            f"the id {_shorten(ascii(id_))} has {refused}; "
            "ids have printable characters, but no whitespace, `#`, `[` and `]`",
            field=field,
        )
    if len(id_) > MAX_ID_BYTES or len(id_.encode()) > MAX_ID_BYTES:
        raise InvalidArgumentError(f"an id is longer than {MAX_ID_BYTES} bytes", field=field)


def _refused(character: str) -> str:
    """What a character is that ids cannot have; nothing for any other."""
    if _ID_REFUSED.match(character):
        whitespace = f"whitespace (U+{ord(character):04X})"
        return whitespace if character.isspace() else f"`{character}`"
    return "" if character.isprintable() else f"U+{ord(character):04X}, which is not printable"


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
