"""Relationships in bulk: lines of text taken into a store batch by batch, or made of its contents.

There are two layouts. `text` has a relationship a line, as relationships are written everywhere
(`document:readme#viewer@user:anne`), blank lines, and comments, which start with `//`. `jsonl`
has a JSON object a line:

    {"resource": "document:readme", "relation": "viewer", "subject": "user:anne",
     "caveat": {"name": "weekdays", "context": {"days": 5}}, "expires_at": "2030-01-01T00:00:00Z"}

An import touches: what is there already stays, and takes the caveat and expiration of its line.
Each line is checked against the schema as a write would be. An export is of one revision; where
it has a cursor (a comment `// cursor: ...` in text, a member `cursor` in JSON) it can be gone on
with, and an import passes over it, as over a byte order mark at its start.

Nothing here opens files or knows of HTTP; the engine and its graph are not needed either.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

import msgspec

from relata.cursors import Cursor, decode_cursor, encode_cursor, question_digest
from relata.errors import (
    InvalidArgumentError,
    QuestionOnlyError,
    RelataError,
    SchemaMissingError,
)
from relata.relationships import (
    WILDCARD,
    CaveatRef,
    Relationship,
    RelationshipFilter,
    moment_text,
    parse_moment,
    parse_object,
    parse_relationship,
    parse_subject,
)
from relata.schema import Schema, compile_schema, require_allowed
from relata.store import Loader, Store, StoredSchema, Values, to_values

BATCH = 5_000
"""How many relationships are stored at a time, if nothing else is said. Servers on the database
take in each batch in one step, and checks wait for that; larger ones are hardly any faster."""
PAGE = 10_000
"""How many relationships an export reads at a time, if nothing else is said."""
MAX_LINE_BYTES = 256 * 1024
"""The longest line. The longest relationship, with its context escaped in JSON, is shorter."""

_BYTE_ORDER_MARK = "\ufeff"
_COMMENT = "//"
_CURSOR_LINE = "// cursor: "

# What most lines are: an ASCII relationship without caveat and expiration. Types and relations
# are taken as they come, because they are looked up among those of the schema.
_ID = r'[!-"$-Z\\^-~]{1,1024}'
_NAME = r"[^:#@\[\s]+"
_PLAIN = re.compile(rf"({_NAME}):({_ID})#({_NAME})@({_NAME}):({_ID})(?:#({_NAME}))?")


class Layout(enum.StrEnum):
    """How lines are written."""

    TEXT = "text"
    JSONL = "jsonl"


class Mark(msgspec.Struct, frozen=True):
    """How far an import has come: what of its source is stored."""

    line: int
    """The number of the last line."""
    offset: int
    """How many bytes these lines are."""
    digest: str
    """A digest of these bytes."""
    relationships: int


class Imported(msgspec.Struct, frozen=True):
    """What an import did."""

    relationships: int
    """How many the source has."""
    revision: int


class Page(msgspec.Struct, frozen=True):
    """Some lines of an export."""

    lines: bytes
    relationships: int
    cursor: str | None
    """Where the export goes on; None at its end."""


class Place(NamedTuple):
    """Where an export goes on."""

    revision: int
    row: int


class JsonCaveat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A caveat in a line of JSON."""

    name: str
    context: dict[str, Any] = {}


class JsonLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A relationship as a line of JSON has it."""

    resource: str
    relation: str
    subject: str
    caveat: JsonCaveat | None = None
    expires_at: str | None = None
    cursor: str | None = None


class LineReader:
    """Reads lines as relationships that a schema allows to be stored.

    The common line is read by one regular expression and one look at the schema; it accepts
    nothing that the whole way would not accept, and whatever it does not accept goes that way.
    """

    def __init__(self, schema: Schema, question_only: frozenset[str]) -> None:
        self._schema = schema
        self._question_only = question_only
        self._plain_kinds = frozenset(
            (definition.name, relation.name, allowed.type, allowed.relation, allowed.wildcard)
            for definition, relation in schema.relations()
            if f"{definition.name}#{relation.name}" not in question_only
            for allowed in relation.allowed
            if not allowed.caveat and not allowed.expiration
        )
        self._decode = msgspec.json.Decoder(JsonLine).decode

    def read_text(self, text: str) -> Values | None:
        """Read a line of text; None for a comment. Raises InvalidArgumentError."""
        match = _PLAIN.fullmatch(text)
        if match and (row := self._plain(match)):
            return row
        return None if text.startswith(_COMMENT) else self._whole(parse_relationship(text))

    def read_json(self, text: str) -> Values | None:
        """Read a line of JSON. Raises InvalidArgumentError."""
        try:
            line = self._decode(text)
        except RecursionError:
            raise _no_relationship("it is nested too deep") from None
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise _no_relationship(str(error)) from None
        if line.caveat is None and line.expires_at is None:
            match = _PLAIN.fullmatch(f"{line.resource}#{line.relation}@{line.subject}")
            relation_start = len(line.resource) + 1
            if (
                match
                and match.span(3) == (relation_start, relation_start + len(line.relation))
                and (row := self._plain(match))
            ):
                return row
        return self._whole(_of_json(line))

    def _plain(self, match: re.Match[str]) -> Values | None:
        (
            resource_type,
            resource_id,
            relation,
            subject_type,
            subject_id,
            subject_relation,
        ) = match.groups("")
        everybody = subject_id == WILDCARD
        kind = (resource_type, relation, subject_type, subject_relation, everybody)
        if kind not in self._plain_kinds or resource_id == WILDCARD:
            return None
        return (
            resource_type,
            resource_id,
            relation,
            subject_type,
            subject_id,
            subject_relation,
            "",
            "",
            None,
        )

    def _whole(self, relationship: Relationship) -> Values:
        require_allowed(self._schema, relationship, field="relationship")
        name = f"{relationship.resource.type}#{relationship.relation}"
        if name in self._question_only:
            raise QuestionOnlyError(f"`{name}` exists only for a question and can't be stored")
        return to_values(relationship)


def _no_relationship(reason: str) -> InvalidArgumentError:
    if not reason[:2].isupper():  # an acronym stays one
        reason = f"{reason[:1].lower()}{reason[1:]}"
    return InvalidArgumentError(f"the line is no relationship in JSON: {reason}")


class Importer:
    """Takes the bytes of a source, block after block, and stores the relationships of its lines.

    Every `batch` relationships are one write, and stay when the process dies. With a `name` the
    database remembers how far they come in the source, until its end; an importer of the same
    name goes on from there when it is fed the same source from its start.

    An error, of a line or of the database, leaves the batches before it: `stored` relationships.
    """

    def __init__(
        self,
        store: Store,
        loader: Loader,
        question_only: frozenset[str],
        layout: Layout,
        *,
        batch: int,
        name: str,
    ) -> None:
        schema = require_schema(store)
        reader = LineReader(compile_schema(schema.text), question_only)
        self._read = reader.read_text if layout is Layout.TEXT else reader.read_json
        self._schema_revision = schema.revision
        self._loader = loader
        self._batch = batch
        self._name = name
        self._rows: list[Values] = []
        self._rest = b""
        self._digest = hashlib.blake2b(digest_size=16)
        self._revision = store.state().head
        self._passing = self._mark()
        self.resumed = self._passing
        """How far an earlier import of the same name has come; None where there was none."""
        self.faulty_line: int | None = None
        """The number of a line that is wrong, from 1."""
        self.line = 0
        self.offset = 0
        """How many bytes of the source have been taken."""
        self.stored = 0

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the source.

        Raises InvalidArgumentError (and its children) for a line, and what `Store.write` raises.
        """
        if self._passing is not None:
            block = self._pass(block, self._passing)
        head, newline, tail = block.rpartition(b"\n")
        if newline:
            self._take(self._rest + head + newline)
            self._rest = tail
        else:
            self._rest += tail
        if len(self._rest) > MAX_LINE_BYTES:
            self.faulty_line = self.line + 1
            raise InvalidArgumentError(f"the line is longer than {MAX_LINE_BYTES} bytes")

    def finish(self) -> Imported:
        """Take the end of the source. Raises what `feed` raises."""
        if self._passing is not None:
            self._refuse_source()
        if self._rest:
            self._take(self._rest + b"\n")
        if self._rows:
            self._store(mark=False)
        elif self._name:
            self._loader.forget(self._name)
        return Imported(self.stored, self._revision)

    def _mark(self) -> Mark | None:
        mark = self._loader.mark(self._name) if self._name else None
        return None if mark is None else msgspec.json.decode(mark, type=Mark)

    def _pass(self, block: bytes, mark: Mark) -> bytes:
        """Pass over what is stored; return the rest. See to it that it is the same source."""
        known = block[: mark.offset - self.offset]
        self._digest.update(known)
        self.offset += len(known)
        if self.offset == mark.offset:
            if self._digest.hexdigest() != mark.digest:
                self._refuse_source()
            self.line, self.stored = mark.line, mark.relationships
            self._passing = None
        return block[len(known) :]

    def _refuse_source(self) -> NoReturn:
        raise InvalidArgumentError(
            "the source has changed since its import was begun; begin anew with `--restart`"
        )

    def _take(self, lines: bytes) -> None:
        """Read whole lines, and store each batch that they fill."""
        start = end = 0
        for raw in lines.split(b"\n")[:-1]:
            self.line += 1
            end += len(raw) + 1
            row = self._row(raw)
            if row is None:
                continue
            self._rows.append(row)
            if len(self._rows) >= self._batch:
                self._count(lines[start:end])
                start = end
                self._store(mark=True)
        self._count(lines[start:])

    def _row(self, raw: bytes) -> Values | None:
        try:
            text = raw.decode()
            if self.line == 1:
                text = text.removeprefix(_BYTE_ORDER_MARK)
            text = text.strip()
            return self._read(text) if text else None
        except UnicodeDecodeError as error:
            self.faulty_line = self.line
            raise InvalidArgumentError(
                f"the line is not UTF-8 at its byte {error.start + 1}"
            ) from None
        except RelataError:
            self.faulty_line = self.line
            raise

    def _count(self, lines: bytes) -> None:
        self._digest.update(lines)
        self.offset += len(lines)

    def _store(self, *, mark: bool) -> None:
        stored = self.stored + len(self._rows)
        come = Mark(self.line, self.offset, self._digest.hexdigest(), stored)
        self._revision = self._loader.load(
            self._rows,
            schema_revision=self._schema_revision,
            name=self._name,
            mark=msgspec.json.encode(come).decode() if mark else None,
        )
        self._rows.clear()
        self.stored = stored


@contextlib.contextmanager
def importing(
    store: Store,
    question_only: frozenset[str],
    layout: Layout,
    *,
    batch: int = BATCH,
    name: str = "",
    restart: bool = False,
) -> Iterator[Importer]:
    """Give an importer for one source; see there. With `restart` it starts from the beginning.

    Raises SchemaMissingError where there is no schema to check relationships against.
    """
    with store.loading() as loader:
        if restart and name:
            loader.forget(name)
        yield Importer(store, loader, question_only, layout, batch=batch, name=name)


def require_schema(store: Store) -> StoredSchema:
    """The stored schema. Raises SchemaMissingError where there is none."""
    schema = store.schema()
    if schema is None:
        raise SchemaMissingError("no schema has been written; write one first")
    return schema


def export(
    store: Store,
    chosen: RelationshipFilter | None,
    layout: Layout,
    place: Place,
    *,
    page: int = PAGE,
) -> Iterator[Page]:
    """The relationships of a revision that match a filter, in pages, at least one.

    Those that expire meanwhile are among them.
    """
    revision, row = place
    now = datetime.now(UTC)
    more = True
    while more:
        found = store.read(chosen, revision=revision, after=row, limit=page + 1, now=now)
        more = len(found) > page
        found = found[:page]
        row = found[-1].row if found else row
        cursor = _encode_place(chosen, Place(revision, row)) if more else None
        yield Page(
            lines_of([item.relationship for item in found], layout, cursor), len(found), cursor
        )


def place_of(cursor: str, chosen: RelationshipFilter | None) -> Place:
    """Where a cursor of an export, or of `Relata.read`, goes on.

    Raises CursorError where it is malformed or of another filter.
    """
    place = decode_cursor(cursor, question_digest("read", chosen))
    return Place(place.revision, place.row)


def cursor_line(line: bytes, layout: Layout) -> str | None:
    """The cursor that a line of an export has; None where it has none."""
    if layout is Layout.TEXT:
        before, prefix, cursor = line.decode(errors="replace").partition(_CURSOR_LINE)
        return cursor.strip() if prefix and not before else None
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(line, type=JsonLine).cursor
    return None


def _encode_place(chosen: RelationshipFilter | None, place: Place) -> str:
    return encode_cursor(Cursor(question_digest("read", chosen), place.revision, str(place.row)))


def lines_of(relationships: Sequence[Relationship], layout: Layout, cursor: str | None) -> bytes:
    """Some lines of an export, with the cursor that follows them; in JSON the last one has it."""
    if layout is Layout.TEXT:
        lines = [f"{relationship}\n" for relationship in relationships]
        if cursor is not None:
            lines.append(f"{_CURSOR_LINE}{cursor}\n")
        return "".join(lines).encode()
    objects = [_to_json(relationship) for relationship in relationships]
    if cursor is not None and objects:
        objects[-1] = msgspec.structs.replace(objects[-1], cursor=cursor)
    return b"".join(msgspec.json.encode(it) + b"\n" for it in objects)


def _to_json(relationship: Relationship) -> JsonLine:
    caveat, expires_at = relationship.caveat, relationship.expires_at
    return JsonLine(
        str(relationship.resource),
        relationship.relation,
        str(relationship.subject),
        None if caveat is None else JsonCaveat(caveat.name, caveat.values),
        None if expires_at is None else moment_text(expires_at),
    )


def _of_json(line: JsonLine) -> Relationship:
    caveat, expires_at = line.caveat, line.expires_at
    return parse_relationship(
        Relationship(
            parse_object(line.resource, field="resource"),
            line.relation,
            parse_subject(line.subject, field="subject"),
            None if caveat is None else CaveatRef.of(caveat.name, caveat.context),
            None if expires_at is None else parse_moment(expires_at, field="expires_at"),
        )
    )
