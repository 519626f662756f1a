"""What waits is found without passing over what is not its turn: indexes of the outbox and of due work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0004"
down_revision = "0003"

_OUTBOX = {
    "answers": (["id"], "exchange = ''"),
    "at_once": (["id"], "turn_at IS NULL AND exchange <> ''"),
    "turns": (["turn_at", "id"], "turn_at IS NOT NULL AND exchange <> ''"),
}


def upgrade() -> None:
    """Tell what waits for its turn from what is only leased, and index both tables by what is asked of them."""
    op.add_column("outbox", sa.Column("turn_at", UtcDateTime))
    for name, (columns, condition) in _OUTBOX.items():
        where = sa.text(condition)
        op.create_index(f"ix_outbox_{name}", "outbox", columns, postgresql_where=where, sqlite_where=where)
    op.create_index("ix_due_kind_due_at_id", "due", ["kind", "due_at", "id"])
    op.drop_index("ix_due_due_at_id", "due")
    held = sa.text("kind = 'held'")
    op.create_index("ix_due_held", "due", ["mapping", "id"], postgresql_where=held, sqlite_where=held)
