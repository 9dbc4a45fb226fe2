"""Alembic's entry: runs the revisions on the connection that ``reader_study.store.migrate`` hands over."""

from __future__ import annotations

from alembic import context

config = context.config
context.configure(connection=config.attributes["connection"], transactional_ddl=False)
with context.begin_transaction():
    context.run_migrations()
