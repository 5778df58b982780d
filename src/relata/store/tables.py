"""The tables, as the newest migration leaves them.

A relationship's row says which revision created it and which deleted it; a row without the latter
is live, and a partial unique index keeps one live row to a relationship: to its resource, relation
and subject, whatever its caveat and expiration. Every name starts with `relata_`, because the
database may be the application's own.

The migrations create these tables; a test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    and_,
    text,
)

VERSION_TABLE = "relata_version"

# SQLite numbers rows by itself only where the type is spelled INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, also where the database keeps no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002  SQLAlchemy passes it
    ) -> datetime | None:
        """Bring a moment to UTC before the zone is lost."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002  SQLAlchemy passes it
    ) -> datetime | None:
        """Give a moment its zone back."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


_EMPTY = text("''")

revisions = Table(
    "relata_revisions",
    metadata,
    Column("revision", Number, primary_key=True, autoincrement=False),
    Column("created_at", Moment, nullable=False),
)

relationships = Table(
    "relata_relationships",
    metadata,
    Column("id", Number, primary_key=True),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("relation", Text, nullable=False),
    Column("subject_type", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("subject_relation", Text, nullable=False),
    Column("created_revision", Number, ForeignKey(revisions.c.revision), nullable=False),
    Column("deleted_revision", Number, ForeignKey(revisions.c.revision)),
    Column("caveat_name", Text, nullable=False, server_default=_EMPTY),
    Column("caveat_context", Text, nullable=False, server_default=_EMPTY),
    Column("expires_at", BigInteger),
)

_row = relationships.c

FIELDS = (
    _row.resource_type,
    _row.resource_id,
    _row.relation,
    _row.subject_type,
    _row.subject_id,
    _row.subject_relation,
)
"""What makes a relationship the one that it is, in the order of its text."""

TRAITS = (_row.caveat_name, _row.caveat_context, _row.expires_at)
"""What is said of a relationship: its caveat's name (or empty), the context that is stored with
it (JSON, or empty), and when it ends (microseconds since the epoch, or null)."""

LIVE = _row.deleted_revision.is_(None)
"""That a row is live."""

Index("relata_relationships_live", *FIELDS, unique=True, sqlite_where=LIVE, postgresql_where=LIVE)
Index("relata_relationships_resource", _row.resource_type, _row.resource_id, _row.relation)
Index("relata_relationships_subject", _row.subject_type, _row.subject_id, _row.subject_relation)
Index("relata_relationships_created", _row.created_revision)
Index(
    "relata_relationships_deleted",
    _row.deleted_revision,
    sqlite_where=_row.deleted_revision.is_not(None),
    postgresql_where=_row.deleted_revision.is_not(None),
)
_ENDING = and_(LIVE, _row.expires_at.is_not(None))
Index(
    "relata_relationships_expires",
    _row.expires_at,
    sqlite_where=_ENDING,
    postgresql_where=_ENDING,
)

schemas = Table(
    "relata_schemas",
    metadata,
    Column(
        "revision", Number, ForeignKey(revisions.c.revision), primary_key=True, autoincrement=False
    ),
    Column("text", Text, nullable=False),
)

api_keys = Table(
    "relata_api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("organization", Text, nullable=False, server_default=_EMPTY),
)

signing_keys = Table(
    "relata_signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("algorithm", Text, nullable=False),
    Column("private_pem", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("retired_at", Moment),
)

settings = Table(
    "relata_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

imports = Table(
    "relata_imports",
    metadata,
    Column("name", Text, primary_key=True),
    Column("mark", Text, nullable=False),
)

records = Table(
    "relata_records",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

replays = Table(
    "relata_replays",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)
Index("relata_replays_expires", replays.c.expires_at)

tokens = Table(
    "relata_tokens",
    metadata,
    Column("id", Number, primary_key=True),
    Column("jti", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("parent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("state", Integer, nullable=False, server_default=text("0")),
    Column("contents", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("relata_tokens_jti", tokens.c.jti, unique=True)
for _name in ("subject", "client", "organization", "session", "expires_at"):
    Index(f"relata_tokens_{_name}", tokens.c[_name])
_DESCENDED = tokens.c.parent != text("''")
Index(
    "relata_tokens_parent",
    tokens.c.parent,
    sqlite_where=_DESCENDED,
    postgresql_where=_DESCENDED,
)
MARKED = tokens.c.state != text("0")
"""That an issued token is not what it was when issued."""
Index("relata_tokens_marked", tokens.c.id, sqlite_where=MARKED, postgresql_where=MARKED)

token_events = Table(
    "relata_token_events",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("relata_token_events_at", token_events.c.at)
