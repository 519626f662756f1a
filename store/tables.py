"""The tables. Whole values are kept as JSON text, in which numbers keep every digit, with columns for the lookups.

No foreign keys: what belongs together is written in one transaction under the locks of
``docs/decisions/0004-lock-order.md``, and a key check of PostgreSQL would take row locks outside of that order.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from store.columns import NUMBER, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_ROOM = {"fillfactor": 70}
"""Room in every page for the next version of a row: it stays where it is, and its indexes are left alone."""


def _record(*, nullable: bool = False) -> list[Column[str]]:
    return [Column(name, Text, nullable=nullable) for name in ("app", "table_name", "key")]


installation = Table("installation", metadata, Column("store_id", Text, primary_key=True))
"""One row: the random name of this store, given when it was made."""

handled = Table(
    "handled",
    metadata,
    Column("app", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("handled_at", UtcDateTime, nullable=False, index=True),
)
"""The ids of events and outcomes that were handled, for the duplicates."""

commands = Table(
    "commands",
    metadata,
    Column("number", NUMBER, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("reason", Text),
    Column("user_id", Text),
    Column("ordered_at", UtcDateTime, nullable=False),
    Column("answer", Text),
    Column("answered_at", UtcDateTime),
    sqlite_autoincrement=True,
)
"""Who ordered what, and the answer."""

records = Table(
    "records",
    metadata,
    *_record(),
    Column("alive", Boolean, nullable=False),
    Column("image", Text),
    PrimaryKeyConstraint("key", "table_name", "app"),
    postgresql_with=_ROOM,
)
"""The latest image of each record; without one, the record was locked and nothing is known of it."""

apart = Table(
    "apart", metadata, Column("mapping", Text), *_record(), PrimaryKeyConstraint("key", "table_name", "app", "mapping")
)
"""Records that are not to be matched or created again under a mapping."""

couplings = Table(
    "couplings",
    metadata,
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("mapping", Text, nullable=False),
    Column("left_app", Text),
    Column("left_table", Text),
    Column("left_key", Text),
    Column("right_app", Text),
    Column("right_table", Text),
    Column("right_key", Text),
    Column("closed", Boolean, nullable=False),
    Column("standing", Text, nullable=False),
    Column("error_number", NUMBER),
    Column("state", Text, nullable=False),
    sqlite_autoincrement=True,
    postgresql_with=_ROOM,
)
"""The couplings; ``standing`` is a ``Standing``. The indexes begin with the key: a reference knows no more.

Their condition is on a column that hardly ever changes, or every change of a coupling would be one of its indexes.
"""

for _side in ("left", "right"):
    Index(
        f"uq_couplings_{_side}",
        *(couplings.c[f"{_side}_{name}"] for name in ("key", "table", "app")),
        couplings.c.mapping,
        unique=True,
        postgresql_where=text("NOT closed"),
        sqlite_where=text("NOT closed"),
    )

waits = Table(
    "waits",
    metadata,
    Column("mapping", Text),
    Column("side", Text),
    Column("key", Text),
    Column("coupling_id", NUMBER, index=True),
    PrimaryKeyConstraint("key", "mapping", "side", "coupling_id"),
)
"""Which coupling waits for which record to be coupled."""

instructions = Table(
    "instructions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("coupling_id", NUMBER, nullable=False, index=True),
    *_record(),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", Text),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("code", Text),
    Column("made_at", UtcDateTime, nullable=False, index=True),
    Column("sent", Text, nullable=False),
)
"""Every instruction ever given, for late answers and for the audit."""

Index(
    "ix_instructions_in_flight",
    instructions.c.made_at,
    postgresql_where=text("state NOT IN ('applied', 'failed')"),
    sqlite_where=text("state NOT IN ('applied', 'failed')"),
)

errors = Table(
    "errors",
    metadata,
    Column("number", NUMBER, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("mapping", Text, nullable=False),
    Column("coupling_id", NUMBER, index=True),
    Column("code", Text),
    Column("fingerprint", Text, nullable=False, index=True),
    Column("left_record", Text, index=True),
    Column("right_record", Text, index=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("report", Text, nullable=False),
    Index(None, "status", "number"),
    sqlite_autoincrement=True,
)
"""Every error, open or resolved, as it was last told."""

log = Table(
    "log",
    metadata,
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("record", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("line", Text, nullable=False),
    Index(None, "record", "id"),
    sqlite_autoincrement=True,
)
"""The synchronization log."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("properties", Text, nullable=False),
    Column("instruction", Text),
    Column("put_at", UtcDateTime, nullable=False),
    Column("leased_until", UtcDateTime),
    Column("turn_at", UtcDateTime),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 50},  # every row is changed once, when it is leased
)
"""What is committed and still to be published; what has a ``turn_at`` is not published before.

Each row is in one of three indexes, as it is in one of three lines. No condition is on what a lease changes.
"""

for _name, _columns, _condition in (
    ("answers", ("id",), "exchange = ''"),
    ("at_once", ("id",), "turn_at IS NULL AND exchange <> ''"),
    ("turns", ("turn_at", "id"), "turn_at IS NOT NULL AND exchange <> ''"),
):
    Index(
        f"ix_outbox_{_name}",
        *(outbox.c[column] for column in _columns),
        postgresql_where=text(_condition),
        sqlite_where=text(_condition),
    )

due = Table(
    "due",
    metadata,
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("coupling_id", NUMBER),
    *_record(nullable=True),
    Column("mapping", Text),
    Column("instruction", Text, index=True),
    Column("job", NUMBER),
    Column("due_at", UtcDateTime, nullable=False),
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("taken_until", UtcDateTime),
    Index(None, "kind", "due_at", "id"),
    Index("ix_due_held", "mapping", "id", postgresql_where=text("kind = 'held'"), sqlite_where=text("kind = 'held'")),
    sqlite_autoincrement=True,
)
"""Work for the timers; ``starts`` counts how often it was begun with care, and not finished yet."""

arrivals = Table(
    "arrivals",
    metadata,
    Column("mapping", Text),
    *_record(),
    Column("side", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("waits_for", Text, index=True),
    Column("gated", Boolean, nullable=False),
    Column("error", Text),
    Column("traceparent", Text),
    PrimaryKeyConstraint("key", "table_name", "app", "mapping"),
)
"""Uncoupled records that wait to be matched or created."""

Index(
    "ix_arrivals_gated",
    arrivals.c.mapping,
    arrivals.c.since,
    postgresql_where=text("gated"),
    sqlite_where=text("gated"),
)

match_values = Table(
    "match_values",
    metadata,
    Column("mapping", Text),
    *_record(),
    Column("match_group", Integer),
    Column("side", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("key", "table_name", "app", "mapping", "match_group"),
    Index(None, "value", "mapping", "side", "match_group"),
)
"""What a record is matched by, group by group."""

match_locks = Table(
    "match_locks", metadata, Column("mapping", Text), Column("value", Text), PrimaryKeyConstraint("value", "mapping")
)
"""Rows to be locked, so that records with one match value are matched one after the other."""

creating = Table(
    "creating",
    metadata,
    Column("mapping", Text),
    Column("value", Text),
    Column("instruction", Text, index=True),
    Column("side", Text, nullable=False),
    PrimaryKeyConstraint("value", "mapping", "instruction"),
)
"""Creates in flight, by the match values of what they create."""

loaded = Table(
    "loaded",
    metadata,
    Column("app", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("loaded_at", UtcDateTime, nullable=False),
)
"""Tables whose records have all been announced."""

jobs = Table(
    "jobs",
    metadata,
    Column("number", NUMBER, Identity(), primary_key=True),
    Column("command", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("state", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Bulk work and manual synchronizations, with their counters; ``command`` is the id of the command that ordered it."""

job_lines = Table(
    "job_lines",
    metadata,
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("job", NUMBER, nullable=False),
    Column("record", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "job", "id"),
    sqlite_autoincrement=True,
)
"""What a job has to say of single records: those that matched none, or several."""

pauses = Table(
    "pauses",
    metadata,
    Column("scope", Text),
    Column("name", Text),
    Column("paused_at", UtcDateTime, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("reason", Text),
    Column("error_number", NUMBER),
    PrimaryKeyConstraint("scope", "name"),
)
"""Apps and mappings that are paused; ``error_number`` where the limit of a mapping did it."""
