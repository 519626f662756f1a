"""What really happened in an app's database, as triggers of the test noted it: values replaced, events published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from tests.acceptance.table_apps import AppTable, TableApp


class Replaced(NamedTuple):
    """A row before and after an update; ``now`` is ``None`` where it was deleted."""

    table: str
    was: dict[str, Any]
    now: dict[str, Any] | None


POSTGRESQL_ONCE = """
CREATE TABLE audit (record_table text, was text, now text);
CREATE TABLE published (id bigint);
CREATE FUNCTION note_replaced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit VALUES (
        TG_TABLE_NAME, to_jsonb(OLD)::text, CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(NEW)::text END
    );
    RETURN NULL;
END $$;
CREATE FUNCTION note_published() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO published VALUES (OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER noted AFTER DELETE ON recouple_changes FOR EACH ROW EXECUTE FUNCTION note_published();
"""
POSTGRESQL_EACH = """
CREATE TRIGGER noted AFTER UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION note_replaced();
"""

SQLITE_ONCE = """
CREATE TABLE audit (record_table text, was text, now text);
CREATE TABLE published (id integer);
CREATE TRIGGER noted AFTER DELETE ON recouple_changes BEGIN INSERT INTO published VALUES (OLD.id); END;
"""
SQLITE_EACH = """
CREATE TRIGGER noted_update_{table} AFTER UPDATE ON {table} BEGIN
    INSERT INTO audit VALUES ('{table}', json_object({was}), json_object({now}));
END;
CREATE TRIGGER noted_delete_{table} AFTER DELETE ON {table} BEGIN
    INSERT INTO audit VALUES ('{table}', json_object({was}), NULL);
END;
"""


def watch(app: TableApp) -> None:
    """Install the triggers; the adapter's are there already."""
    is_sqlite = app.engine.dialect.name == "sqlite"
    once, each = (SQLITE_ONCE, SQLITE_EACH) if is_sqlite else (POSTGRESQL_ONCE, POSTGRESQL_EACH)
    script = once + "".join(
        each.format(table=one.name, was=_pairs("OLD", one), now=_pairs("NEW", one)) for one in app.tables
    )
    with app.engine.begin() as conn:
        driver: Any = conn.connection.driver_connection
        (driver.executescript if is_sqlite else driver.execute)(script)


def _pairs(row: str, table: AppTable) -> str:
    return ", ".join(f"'{name}', {row}.{name}" for name in (table.key, *table.columns))


def replaced(app: TableApp) -> list[Replaced]:
    """Every update and deletion of a row of the app, whoever made it."""
    with app.engine.connect() as conn:
        rows = conn.execute(sa.text("SELECT record_table, was, now FROM audit")).all()
    return [Replaced(row.record_table, json.loads(row.was), row.now and json.loads(row.now)) for row in rows]


def published(app: TableApp) -> set[str]:
    """The ids of all events that the app has published."""
    with app.engine.connect() as conn:
        ids: Sequence[int] = conn.execute(sa.text("SELECT id FROM published")).scalars().all()
    return {f"{app.name}-{id_}" for id_ in ids}
