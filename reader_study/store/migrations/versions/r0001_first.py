"""Event log, studies, plans and accounts, with the triggers that keep them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from reader_study.store.triggers import make_triggers

revision = "1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    nanoseconds = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "events",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("t_mono_ns", nanoseconds, nullable=False),
        sa.Column("t_utc", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "studies",
        sa.Column("study_id", sa.Text, primary_key=True),
        sa.Column("protocol_hash", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "plans",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("study_id", sa.Text, sa.ForeignKey("studies.study_id"), nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("study_id", sa.Text, sa.ForeignKey("studies.study_id"), primary_key=True),
        sa.Column("reader_id", sa.Text, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
    )
    make_triggers(op.get_bind())
