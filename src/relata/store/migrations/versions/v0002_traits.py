"""Caveats and expirations of relationships. What was stored before has neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLE = "relata_relationships"


def upgrade() -> None:
    """Add their columns, and the index by which expired relationships are found."""
    for name in ("caveat_name", "caveat_context"):
        op.add_column(_TABLE, sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column(_TABLE, sa.Column("expires_at", sa.BigInteger))
    ending = sa.text("deleted_revision IS NULL AND expires_at IS NOT NULL")
    op.create_index(
        f"{_TABLE}_expires", _TABLE, ["expires_at"], sqlite_where=ending, postgresql_where=ending
    )
