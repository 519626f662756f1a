"""Since when each app can be heard: silence is not declared over an outage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table of what is known of each app; the workers fill it."""
    op.create_table(
        "listening",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("looked_at", UtcDateTime, nullable=False),
        sa.Column("empty_at", UtcDateTime),
        sa.Column("heard_at", UtcDateTime),
        sa.PrimaryKeyConstraint("app", name="pk_listening"),
    )
