"""What tells a message, or a piece of due work, that kills the process which handles it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table of suspects, and to due work how often it was begun."""
    op.create_table(
        "suspects",
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("marked_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("queue", "digest", name="pk_suspects"),
    )
    op.create_index("ix_suspects_marked_at", "suspects", ["marked_at"])
    op.add_column("due", sa.Column("starts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("due", sa.Column("taken_until", UtcDateTime))
