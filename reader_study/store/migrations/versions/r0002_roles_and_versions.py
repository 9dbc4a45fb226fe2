"""Roles of accounts, frozen versions of protocols, and an index that finds the rare kinds of event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from reader_study.store.triggers import SECOND, make_triggers

revision = "2"
down_revision = "1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what schema 2 has over schema 1."""
    op.add_column("accounts", sa.Column("role", sa.Text, nullable=False, server_default="reader"))
    op.add_column("accounts", sa.Column("name", sa.Text))
    op.create_table(
        "protocols",
        sa.Column("study_id", sa.Text, sa.ForeignKey("studies.study_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("protocol_hash", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("t_utc", sa.Text, nullable=False),
    )
    op.create_index("events_by_kind", "events", ["kind", "session_id", "t_utc"])
    make_triggers(op.get_bind(), SECOND)
