"""The tables of what workers keep for themselves; with those of ``store.tables`` the ``metadata`` here is complete."""

from __future__ import annotations

from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text

from store.columns import NUMBER, UtcDateTime
from store.tables import metadata

__all__ = ["brake_levels", "listening", "metadata", "paces", "suspects"]

brake_levels = Table(
    "brake_levels",
    metadata,
    Column("mapping", Text),
    Column("side", Text),
    Column("action", Text),
    Column("level", NUMBER, nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("mapping", "side", "action"),
)
"""How many deletions and creations of a minute's allowance are used up, in thousandths."""

suspects = Table(
    "suspects",
    metadata,
    Column("queue", Text),
    Column("digest", Text),
    Column("owner", Text, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("marked_at", UtcDateTime, nullable=False, index=True),
    PrimaryKeyConstraint("queue", "digest"),
)
"""Messages that are handled alone: by which process, empty where it gave up and lived, and how many died over them."""

paces = Table("paces", metadata, Column("app", Text, primary_key=True), Column("free_at", UtcDateTime, nullable=False))
"""When an app with a limit of instructions per second may be sent the next one."""

listening = Table(
    "listening",
    metadata,
    Column("app", Text, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("looked_at", UtcDateTime, nullable=False),
    Column("empty_at", UtcDateTime),
    Column("heard_at", UtcDateTime),
)
"""Since when each app can be heard, and until when all that it said has been read: a ``Hearing``."""
