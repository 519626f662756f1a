"""The first tables."""

from __future__ import annotations

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

from store.columns import NUMBER, UtcDateTime

revision = "0001"
down_revision = None

_COUNTED = ("couplings", "errors")
"""The tables whose numbers ``store.numbers`` gives out."""

_ROOM = {"fillfactor": 70}
_NOT_CLOSED = sa.text("NOT closed")
_IN_FLIGHT = sa.text("state NOT IN ('applied', 'failed')")
_GATED = sa.text("gated")


def upgrade() -> None:
    """Make all tables, and give the store its random name."""
    _what_was_handled()
    _records()
    _couplings()
    _work()
    installation = sa.table("installation", sa.column("store_id"))
    op.execute(installation.insert().values(store_id=token_hex(16)))
    if op.get_context().dialect.name == "sqlite":
        counters = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        op.execute(counters.insert().values([{"name": name, "seq": 0} for name in _COUNTED]))


def _what_was_handled() -> None:
    op.create_table(
        "installation",
        sa.Column("store_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("store_id", name="pk_installation"),
    )
    op.create_table(
        "handled",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("handled_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("app", "id", name="pk_handled"),
    )
    op.create_index("ix_handled_handled_at", "handled", ["handled_at"])
    op.create_table(
        "commands",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("ordered_at", UtcDateTime, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", UtcDateTime),
        sa.PrimaryKeyConstraint("number", name="pk_commands"),
        sa.UniqueConstraint("id", name="uq_commands_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "log",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_log_record_id", "log", ["record", "id"])
    op.create_table(
        "loaded",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("loaded_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("app", "table_name", name="pk_loaded"),
    )


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("alive", sa.Boolean, nullable=False),
        sa.Column("image", sa.Text),
        sa.PrimaryKeyConstraint("key", "table_name", "app", name="pk_records"),
        postgresql_with=_ROOM,
    )
    op.create_table(
        "apart",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", "table_name", "app", "mapping", name="pk_apart"),
    )
    op.create_table(
        "arrivals",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("waits_for", sa.Text),
        sa.Column("gated", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("traceparent", sa.Text),
        sa.PrimaryKeyConstraint("key", "table_name", "app", "mapping", name="pk_arrivals"),
    )
    op.create_index("ix_arrivals_gated", "arrivals", ["mapping", "since"], postgresql_where=_GATED, sqlite_where=_GATED)
    op.create_index("ix_arrivals_waits_for", "arrivals", ["waits_for"])
    op.create_table(
        "match_values",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("match_group", sa.Integer, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", "table_name", "app", "mapping", "match_group", name="pk_match_values"),
    )
    op.create_index(
        "ix_match_values_value_mapping_side_match_group", "match_values", ["value", "mapping", "side", "match_group"]
    )
    op.create_table(
        "match_locks",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("value", "mapping", name="pk_match_locks"),
    )
    op.create_table(
        "creating",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("instruction", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("value", "mapping", "instruction", name="pk_creating"),
    )
    op.create_index("ix_creating_instruction", "creating", ["instruction"])


def _couplings() -> None:
    op.create_table(
        "couplings",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("left_app", sa.Text),
        sa.Column("left_table", sa.Text),
        sa.Column("left_key", sa.Text),
        sa.Column("right_app", sa.Text),
        sa.Column("right_table", sa.Text),
        sa.Column("right_key", sa.Text),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("error_number", NUMBER),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_couplings"),
        sqlite_autoincrement=True,
        postgresql_with=_ROOM,
    )
    op.create_index(
        "uq_couplings_left",
        "couplings",
        ["left_key", "left_table", "left_app", "mapping"],
        unique=True,
        postgresql_where=_NOT_CLOSED,
        sqlite_where=_NOT_CLOSED,
    )
    op.create_index(
        "uq_couplings_right",
        "couplings",
        ["right_key", "right_table", "right_app", "mapping"],
        unique=True,
        postgresql_where=_NOT_CLOSED,
        sqlite_where=_NOT_CLOSED,
    )
    op.create_table(
        "waits",
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("coupling_id", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("key", "mapping", "side", "coupling_id", name="pk_waits"),
    )
    op.create_index("ix_waits_coupling_id", "waits", ["coupling_id"])
    op.create_table(
        "instructions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("coupling_id", NUMBER, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rule", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("made_at", UtcDateTime, nullable=False),
        sa.Column("sent", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instructions"),
    )
    op.create_index("ix_instructions_coupling_id", "instructions", ["coupling_id"])
    op.create_index(
        "ix_instructions_in_flight", "instructions", ["made_at"], postgresql_where=_IN_FLIGHT, sqlite_where=_IN_FLIGHT
    )
    op.create_table(
        "errors",
        sa.Column("number", NUMBER, sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("coupling_id", NUMBER),
        sa.Column("code", sa.Text),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("left_record", sa.Text),
        sa.Column("right_record", sa.Text),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("resolved_at", UtcDateTime),
        sa.Column("report", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_errors"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_errors_coupling_id", "errors", ["coupling_id"])
    op.create_index("ix_errors_fingerprint", "errors", ["fingerprint"])
    op.create_index("ix_errors_left_record", "errors", ["left_record"])
    op.create_index("ix_errors_right_record", "errors", ["right_record"])
    op.create_index("ix_errors_status_number", "errors", ["status", "number"])


def _work() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("exchange", sa.Text, nullable=False),
        sa.Column("routing_key", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("properties", sa.Text, nullable=False),
        sa.Column("instruction", sa.Text),
        sa.Column("put_at", UtcDateTime, nullable=False),
        sa.Column("leased_until", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "due",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("coupling_id", NUMBER),
        sa.Column("app", sa.Text),
        sa.Column("table_name", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("mapping", sa.Text),
        sa.Column("instruction", sa.Text),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_due"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_due_due_at_id", "due", ["due_at", "id"])
    op.create_index("ix_due_instruction", "due", ["instruction"])
