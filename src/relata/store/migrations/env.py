"""Runs the migrations in the transaction of the connection that the store hands over.

Alembic executes this file; nothing imports it.
"""

from __future__ import annotations

from alembic import context

from relata.store.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
