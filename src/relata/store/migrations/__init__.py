"""The store's migrations, run by Alembic whenever a database is opened."""
