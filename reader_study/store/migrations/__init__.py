"""Revisions of the database, run by Alembic; each states its tables itself and is never changed again."""
