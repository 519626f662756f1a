"""What resolving needs: jobs, pauses, brakes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import NUMBER, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables of jobs and brakes, and what retention looks for."""
    op.add_column("due", sa.Column("job", NUMBER))
    op.create_index("ix_instructions_made_at", "instructions", ["made_at"])
    _jobs()
    _brakes()
    if op.get_context().dialect.name == "sqlite":
        counters = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        op.execute(counters.insert().values(name="jobs", seq=0))


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_jobs"),
        sa.UniqueConstraint("command", name="uq_jobs_command"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "job_lines",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("job", NUMBER, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_lines"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_lines_job_id", "job_lines", ["job", "id"])


def _brakes() -> None:
    op.create_table(
        "pauses",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("paused_at", UtcDateTime, nullable=False),
        sa.Column("paused_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("error_number", NUMBER),
        sa.PrimaryKeyConstraint("scope", "name", name="pk_pauses"),
    )
    op.create_table(
        "brake_levels",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("level", NUMBER, nullable=False),
        sa.Column("measured_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("mapping", "side", "action", name="pk_brake_levels"),
    )
    op.create_table(
        "paces",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("free_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("app", name="pk_paces"),
    )
