"""What happens to PostgreSQL: restarted, killed, frozen, full, and transactions that it undoes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tests.acceptance.wire import change
from tests.faults.scene import WITHOUT_END, Away, Fault, NotReachedError, Scene, Trouble
from tests.faults.server_faults import AWAY_S, Victim, ground
from tests.faults.servers.own_postgres import OwnPostgres
from tests.services import postgresql_at

HELD_S = 3.5
"""Longer than a worker waits for a lock."""

MEETING_WITHIN_S = 10.0

FILL_ATTEMPTS = 20

DATABASE = Victim(lambda ground: ground.postgres, postgresql_at)


@contextmanager
def session(scene: Scene) -> Iterator[psycopg.Connection]:
    """Give a session of the superuser in the store's database."""
    url = scene.world.stage.backend.store_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def _sessions_ended(scene: Scene) -> Iterator[Trouble]:
    for _ in range(5):
        scene.world.traffic(10, scene.chance.uniform(0.1, 0.5))
        ground(scene).postgres.terminate_backends()
    yield Trouble(0.0)


@contextmanager
def _exhausted(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, 0.5)
    try:
        ground(scene).postgres.exhaust()
        yield Trouble(AWAY_S)
    finally:
        ground(scene).postgres.relieve()


def _fill_disk(postgres: OwnPostgres) -> None:
    """Fill it while PostgreSQL takes pages from under our hands."""
    for attempts_left in reversed(range(FILL_ATTEMPTS)):
        try:
            postgres.fill_disk()
        except OSError:
            if not attempts_left:
                raise
        else:
            return


@contextmanager
def _disk_full(scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, 0.5)
    try:
        _fill_disk(ground(scene).postgres)
        yield Trouble(AWAY_S, WITHOUT_END)
    finally:
        ground(scene).postgres.free_disk()


REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF random() < {share} THEN RAISE EXCEPTION 'as the test wants it' USING ERRCODE = {code}; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


@contextmanager
def _refused(code: str, share: float, scene: Scene) -> Iterator[Trouble]:
    """Let statements fail as the server itself would fail them."""
    table = Identifier(scene.chance.choice(["handled", "log", "instructions", "outbox"]))
    with session(scene) as connection:
        connection.execute(SQL(REFUSING).format(share=Literal(share), code=Literal(code), table=table))
        try:
            yield Trouble(AWAY_S)
        finally:
            connection.execute("DROP FUNCTION refuse() CASCADE")


@contextmanager
def _locked(scene: Scene) -> Iterator[Trouble]:
    with session(scene) as connection, connection.transaction():
        connection.execute("LOCK TABLE couplings IN ACCESS EXCLUSIVE MODE")
        yield Trouble(HELD_S, 30)


@contextmanager
def _deadlocked(scene: Scene) -> Iterator[Trouble]:
    """Hold a record, wait until a worker waits for it, and then wait for the worker."""
    world = scene.world
    branch = scene.chance.choice(world.branches)
    event = change(f"bc/{branch.left.wire}/deadlocked", "delete", time.monotonic_ns())
    row = ("bc", branch.left.wire, "deadlocked")
    with session(scene) as connection:
        connection.execute("SET deadlock_timeout = '1min'")  # so that it is the worker who finds out, and gives way
        connection.execute(
            "INSERT INTO records (app, table_name, key, alive) VALUES (%s, %s, %s, false) ON CONFLICT DO NOTHING", row
        )
        with connection.transaction():
            connection.execute("SELECT FROM records WHERE (app, table_name, key) = (%s, %s, %s) FOR UPDATE", row)
            world.stage.publish(event)
            world.traffic(0, MEETING_WITHIN_S, lambda: _waits(connection))
            if not _waits(connection):
                raise NotReachedError
            connection.execute(
                "INSERT INTO handled (app, id, digest, handled_at) VALUES ('bc', %s, '', now())", [event.id]
            )  # returns when the worker has given way
            raise psycopg.Rollback
    yield Trouble(AWAY_S)


def _waits(connection: psycopg.Connection) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    return connection.execute(query).fetchone() is not None


DATABASE_FAULTS = [
    Fault("database restarted", DATABASE.restarted, Away.DATABASE, store_answers=False),
    Fault("database killed", DATABASE.killed, Away.DATABASE, store_answers=False),
    Fault("database frozen", DATABASE.frozen, Away.DATABASE, store_answers=False),
    Fault("sessions ended", _sessions_ended),
    Fault("out of connections", _exhausted, Away.DATABASE, store_answers=False),
    Fault("database's disk full", _disk_full, Away.DATABASE),
    Fault("serialization failures", partial(_refused, "40001", 0.5)),
    Fault("every statement refused", partial(_refused, "57014", 1.0), Away.DATABASE),
    Fault("lock held too long", _locked, store_answers=False),
    Fault("deadlock", _deadlocked),
]
