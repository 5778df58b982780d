"""What tokens need: configuration, issued tokens and what became of them, values used once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_EMPTY = sa.text("''")


def upgrade() -> None:
    """Create the tables; give keys an organization, and signing keys an end."""
    op.add_column(
        "relata_api_keys",
        sa.Column("organization", sa.Text, nullable=False, server_default=_EMPTY),
    )
    op.add_column(
        "relata_signing_keys", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_table(
        "relata_records",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "relata_replays",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("relata_replays_expires", "relata_replays", ["expires_at"])
    _create_tokens()
    _create_events()


def _create_tokens() -> None:
    table = "relata_tokens"
    texts = ("jti", "subject", "client", "organization", "audience", "parent", "session")
    op.create_table(
        table,
        sa.Column("id", _NUMBER, primary_key=True),
        *[sa.Column(name, sa.Text, nullable=False) for name in texts],
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("contents", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(f"{table}_jti", table, ["jti"], unique=True)
    for column in ("subject", "client", "organization", "session", "expires_at"):
        op.create_index(f"{table}_{column}", table, [column])
    parent = sa.text("parent != ''")
    op.create_index(
        f"{table}_parent", table, ["parent"], sqlite_where=parent, postgresql_where=parent
    )
    marked = sa.text("state != 0")
    op.create_index(f"{table}_marked", table, ["id"], sqlite_where=marked, postgresql_where=marked)


def _create_events() -> None:
    table = "relata_token_events"
    texts = ("kind", "jti", "subject", "client", "organization", "audience", "session", "reason")
    op.create_table(
        table,
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        *[sa.Column(name, sa.Text, nullable=False) for name in texts],
        sqlite_autoincrement=True,
    )
    op.create_index(f"{table}_at", table, ["at"])
