"""What the adapter's triggers write: the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from examples.table_adapter.config import Config, TableConfig
from examples.table_adapter.database import announce, install, open_database, publish_some

CUSTOMER = TableConfig("Customer list", "no", ["name", "order", "it's"])
CONFIG = Config(app="erp", broker="", database="", tables={"customer": CUSTOMER})


class Db:
    """A database with one table, and names in it that have to be quoted."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.run(
            """CREATE TABLE "Customer list" ("no" varchar(5) PRIMARY KEY, name text, "order" integer, "it's" text,
               unseen text)"""
        )
        self.run("""INSERT INTO "Customer list" ("no", name) VALUES ('OLD', 'was there before')""")
        install(engine, CONFIG)

    def run(self, *statements: str) -> None:
        """Run these in one transaction."""
        with self.engine.begin() as conn:
            for statement in statements:
                conn.exec_driver_sql(statement)

    def said(self) -> list[tuple[str, str, int, Any]]:
        """What is in the outbox, which is emptied: operation, key, version and fields."""
        rows: list[sa.Row[Any]] = []
        publish_some(self.engine, 1000, rows.extend)
        assert {row.record_table for row in rows} <= {"customer"}
        return [
            (row.operation, row.record_key, row.version, row.fields and msgspec.json.decode(row.fields)) for row in rows
        ]

    def version(self, key: str) -> int:
        """The version that stands in a record."""
        with self.engine.connect() as conn:
            found = conn.execute(
                sa.text('SELECT recouple_version FROM "Customer list" WHERE "no" = :key'), {"key": key}
            )
            return int(found.scalar_one())


@pytest.fixture
def db(store_url: str) -> Iterator[Db]:
    """One of each kind."""
    engine = open_database(store_url)
    yield Db(engine)
    engine.dispose()


def test_every_change_is_said_once_with_a_version_that_grows(db: Db) -> None:
    """Else Recouple would miss what users do, or take the older for the newer."""
    db.run("""INSERT INTO "Customer list" ("no", name) VALUES ('A', 'Ann')""")
    db.run("""UPDATE "Customer list" SET "order" = 7, "it's" = 'x' WHERE "no" = 'A'""")
    assert db.version("A") == 2
    db.run("""DELETE FROM "Customer list" WHERE "no" = 'A'""")
    db.run("""INSERT INTO "Customer list" ("no", name) VALUES ('A', 'Anna')""")

    assert db.said() == [
        ("create", "A", 1, {"name": "Ann", "order": None, "it's": None}),
        ("update", "A", 2, {"name": "Ann", "order": 7, "it's": "x"}),
        ("delete", "A", 3, None),
        ("create", "A", 4, {"name": "Anna", "order": None, "it's": None}),
    ]


def test_a_change_of_many_is_said_of_each(db: Db) -> None:
    """Else a bulk update would reach Recouple for one record only."""
    db.run("""INSERT INTO "Customer list" ("no") VALUES ('A'), ('B')""", """UPDATE "Customer list" SET name = 'same'""")

    said = db.said()

    assert [(operation, key) for operation, key, _, _ in said[:2]] == [("create", "A"), ("create", "B")]
    assert {(operation, key) for operation, key, _, _ in said[2:]} == {("update", key) for key in ("A", "B", "OLD")}
    assert [version for _, _, version, _ in said] == [1, 2, 3, 4, 5]


def test_another_key_is_another_record(db: Db) -> None:
    """Else the coupling of the old key would point to nothing, and nobody would know the new one."""
    db.run("""UPDATE "Customer list" SET "no" = 'NEW', name = 'n' WHERE "no" = 'OLD'""")

    assert db.said() == [("delete", "OLD", 1, None), ("create", "NEW", 2, {"name": "n", "order": None, "it's": None})]
    assert db.version("NEW") == 2


@pytest.mark.parametrize("change", ["unseen = 'x'", "name = name", "name = 'was there before'", "recouple_version = 9"])
def test_what_recouple_does_not_see_is_not_said(db: Db, change: str) -> None:
    """Else every save without a change would travel, and refuse the instructions that are under way."""
    db.run(f'UPDATE "Customer list" SET {change}')

    assert db.said() == []


def test_an_app_that_writes_an_old_version_back_is_heard_all_the_same(db: Db) -> None:
    """Else an app that saves whole rows would change records behind our back."""
    db.run(
        """UPDATE "Customer list" SET name = 'a'""", """UPDATE "Customer list" SET name = 'b', recouple_version = 0"""
    )

    assert [(version, fields["name"]) for _, _, version, fields in db.said()] == [(1, "a"), (2, "b")]
    assert db.version("OLD") == 2


def test_what_is_rolled_back_is_not_said(db: Db) -> None:
    """Else the other app would get what never was."""
    with db.engine.connect() as conn:
        conn.exec_driver_sql("""UPDATE "Customer list" SET name = 'never'""")
        conn.rollback()

    assert db.said() == []


def test_what_cannot_be_published_stays(db: Db) -> None:
    """Else a broker that is away would cost changes."""
    announce(db.engine, CONFIG)

    def fail(_: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        publish_some(db.engine, 10, fail)

    assert db.said() == [("read", "OLD", 0, {"name": "was there before", "order": None, "it's": None})]


def test_other_columns_are_seen_after_another_install(db: Db) -> None:
    """Else a field that is mapped later would never be heard of."""
    fewer = Config(
        app="erp", broker="", database="", tables={"customer": TableConfig("Customer list", "no", ["unseen"])}
    )
    install(db.engine, fewer)
    db.run("""UPDATE "Customer list" SET name = 'x'""", """UPDATE "Customer list" SET unseen = 'y'""")

    assert db.said() == [("update", "OLD", 1, {"unseen": "y"})]
