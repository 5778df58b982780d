"""The first tables, and the settings that every database has.

Spelled out, not taken from `relata.store.tables`: a migration stays what it was.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create everything; give the database the id that its zed tokens carry."""
    _create_revisions()
    _create_relationships()
    _create_keys()
    settings = op.create_table(
        "relata_settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.bulk_insert(
        settings,
        [
            {"name": "datastore_id", "value": uuid.uuid4().hex},
            {"name": "keys_version", "value": "0"},
        ],
    )


def _create_revisions() -> None:
    op.create_table(
        "relata_revisions",
        sa.Column("revision", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("created_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "relata_schemas",
        sa.Column(
            "revision",
            _NUMBER,
            sa.ForeignKey("relata_revisions.revision"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("text", sa.Text, nullable=False),
    )


def _create_relationships() -> None:
    table = "relata_relationships"
    revision = "relata_revisions.revision"
    fields = [
        "resource_type",
        "resource_id",
        "relation",
        "subject_type",
        "subject_id",
        "subject_relation",
    ]
    op.create_table(
        table,
        sa.Column("id", _NUMBER, primary_key=True),
        *[sa.Column(field, sa.Text, nullable=False) for field in fields],
        sa.Column("created_revision", _NUMBER, sa.ForeignKey(revision), nullable=False),
        sa.Column("deleted_revision", _NUMBER, sa.ForeignKey(revision)),
    )
    live, dead = sa.text("deleted_revision IS NULL"), sa.text("deleted_revision IS NOT NULL")
    op.create_index(
        f"{table}_live", table, fields, unique=True, sqlite_where=live, postgresql_where=live
    )
    op.create_index(f"{table}_resource", table, fields[:3])
    op.create_index(f"{table}_subject", table, fields[3:])
    op.create_index(f"{table}_created", table, ["created_revision"])
    op.create_index(
        f"{table}_deleted", table, ["deleted_revision"], sqlite_where=dead, postgresql_where=dead
    )


def _create_keys() -> None:
    op.create_table(
        "relata_api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("revoked_at", _MOMENT),
    )
    op.create_table(
        "relata_signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("private_pem", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
    )
