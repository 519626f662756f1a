"""The servers that can be hurt: each hurt is what it says, seen from a client, and is over when it is said to be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from amqp.exceptions import ConnectionForced
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer

from tests.faults.scene import Ground
from tests.faults.servers.own import FaultUnavailableError, Own
from tests.faults.servers.own_postgres import OwnPostgres
from tests.faults.servers.own_rabbit import OwnRabbit
from tests.services import fresh_database, postgresql_at, rabbitmq_at

WITHIN_S = 20.0

AWAY = "does not answer"


def await_that(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def worker_session(url: str) -> psycopg.Connection:
    """A session as a worker has it."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, application_name="recouple")


@pytest.fixture
def postgres(ground: Ground) -> OwnPostgres:
    """PostgreSQL."""
    return ground.postgres


@pytest.fixture
def rabbit(ground: Ground) -> OwnRabbit:
    """RabbitMQ."""
    return ground.rabbit


@contextmanager
def table(postgres: OwnPostgres) -> Iterator[str]:
    """A database with a table ``t``; where it is."""
    with fresh_database(postgres.url) as url:
        with closing(worker_session(url)) as session:
            session.execute("CREATE TABLE t (x text)")
        yield url


# --- PostgreSQL


def test_what_was_committed_survives_a_crash(postgres: OwnPostgres) -> None:
    """Else a loss would be the server's, which flushed nothing, and would be blamed on Recouple."""
    with table(postgres) as url:
        with closing(worker_session(url)) as session:
            assert session.execute("SHOW fsync").fetchone() == ("on",)
            session.execute("INSERT INTO t VALUES ('kept')")
            postgres.kill()
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert AWAY in str(postgresql_at(postgres.url))

        postgres.start()

        with closing(worker_session(url)) as session:
            assert session.execute("SELECT x FROM t").fetchall() == [("kept",)]


def test_a_restart_ends_sessions(postgres: OwnPostgres) -> None:
    """Else it would be no fault at all."""
    with closing(worker_session(postgres.url)) as session:
        postgres.restart()

        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert not isinstance(postgresql_at(postgres.url), str)


def test_a_frozen_one_takes_nobody_and_ends_nobody(postgres: OwnPostgres) -> None:
    """Else a server that hangs, with all its connections open, would be tested as one that is gone."""
    with closing(worker_session(postgres.url)) as session:
        postgres.freeze()
        asked = session.pgconn
        asked.send_query(b"SELECT 1")
        asked.flush()

        assert AWAY in str(postgresql_at(postgres.url))
        asked.consume_input()
        assert asked.is_busy()

        postgres.thaw()
        await_that(lambda: _is_answered(asked))
    assert postgres.is_running


def _is_answered(asked: psycopg.pq.abc.PGconn) -> bool:
    asked.consume_input()
    return not asked.is_busy()


def test_an_exhausted_one_lets_nobody_in(postgres: OwnPostgres) -> None:
    """Else "too many connections" would be tested on a server that has some left for a superuser."""
    with closing(worker_session(postgres.url)) as session:
        postgres.exhaust()

        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        worker_session(postgres.url)
    assert postgres.connections() == 0
    postgres.relieve()
    await_that(lambda: not isinstance(postgresql_at(postgres.url), str))


def test_ends_the_sessions_of_recouple_only(postgres: OwnPostgres) -> None:
    """Else the test's own sessions would end, or a worker's would not."""
    with postgres.session() as own, closing(worker_session(postgres.url)) as session:
        assert postgres.connections() == 1
        assert postgres.terminate_backends() == 1

        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")
        assert own.execute("SELECT 1").fetchone() == (1,)
    await_that(lambda: postgres.connections() == 0)


def test_a_full_disk_is_a_full_disk(postgres: OwnPostgres) -> None:
    """Else the error would be ours: nobody would know what the server does to a transaction that finds no room."""
    big = "INSERT INTO t SELECT repeat(md5(i::text), 20) FROM generate_series(1, 1000) AS i"
    with table(postgres) as url, closing(worker_session(url)) as session:
        try:
            postgres.fill_disk()
        except FaultUnavailableError:
            return  # a run says so, and does without

        with pytest.raises(psycopg.errors.DiskFull):
            session.execute(big)

        postgres.free_disk()
        session.execute(big)
        assert session.execute("SELECT count(*) FROM t").fetchone() == (1000,)


# --- RabbitMQ

QUEUE = Queue("hurt-me", Exchange(""), durable=True, queue_arguments={"x-queue-type": "quorum"})


@contextmanager
def client(rabbit: OwnRabbit) -> Iterator[Connection]:
    """A connection that waits for confirmations, and an empty queue."""
    with Connection(rabbit.url, transport_options={"confirm_publish": True}) as connection:
        QUEUE(connection.default_channel).declare()
        QUEUE(connection.default_channel).purge()
        yield connection


def publish(connection: Connection) -> None:
    """Publish into the queue."""
    Producer(connection.default_channel).publish("x", routing_key=QUEUE.name, delivery_mode=2)


def test_a_killed_broker_keeps_what_it_confirmed(rabbit: OwnRabbit) -> None:
    """Else a loss would be the broker's; and queues would be used before they have a leader."""
    with client(rabbit) as connection:
        rabbit.write_down_queues()
        publish(connection)
        rabbit.kill()
        assert not rabbit.is_running
        with pytest.raises(connection.recoverable_connection_errors):
            connection.drain_events(timeout=WITHIN_S)
    assert AWAY in str(rabbitmq_at(rabbit.url))

    rabbit.start()

    # RabbitMQ counts what a queue holds some time after the queue is there.
    await_that(lambda: rabbit.queue_depths("hurt-") == {QUEUE.name: 1})
    with client(rabbit) as connection:
        publish(connection)


def test_a_restarted_broker_says_goodbye(rabbit: OwnRabbit) -> None:
    """Else an orderly restart would be tested as another crash."""
    with client(rabbit) as connection:
        publish(connection)
        rabbit.restart()

        goodbye = connection.connection.sock.recv(4096)  # to answer it is too late, and py-amqp would try to
        assert b"CONNECTION_FORCED" in goodbye
    assert rabbit.queue_depths("other-") == {}


def test_a_frozen_broker_says_nothing(rabbit: OwnRabbit) -> None:
    """Else a broker that hangs, with all its connections open, would be tested as one that is gone."""
    with client(rabbit) as connection:
        rabbit.freeze()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.5)
        assert AWAY in str(rabbitmq_at(rabbit.url))

        rabbit.thaw()

        publish(connection)


@pytest.mark.parametrize("resource", ["memory", "disk"])
def test_a_broker_in_need_blocks_who_publishes(rabbit: OwnRabbit, resource: str) -> None:
    """Else nobody would know what a worker does whose broker takes nothing more, and does not refuse either."""
    said = []
    with Connection(rabbit.url) as connection:
        QUEUE(connection.default_channel).declare()
        connection.connection.on_blocked = lambda _: said.append("blocked")
        connection.connection.on_unblocked = lambda: said.append("no more")

        (rabbit.alarm if resource == "memory" else rabbit.fill_disk)()
        publish(connection)
        connection.drain_events(timeout=WITHIN_S)
        assert rabbit.alarms() == {resource}
        rabbit.clear_alarm()
        connection.drain_events(timeout=WITHIN_S)

    assert said == ["blocked", "no more"]


def test_closes_and_counts_connections(rabbit: OwnRabbit) -> None:
    """Else a suite that finds a connection left over, or none left, would be wrong about it."""
    with client(rabbit) as connection:
        assert rabbit.connections() == 1

        rabbit.close_connections()

        with pytest.raises(ConnectionForced, match="as the test wants it"):
            connection.drain_events(timeout=WITHIN_S)
    assert rabbit.connections() == 0


# --- both


def _freeze_and_kill(own: Own) -> None:
    own.freeze()
    own.kill()


@pytest.mark.parametrize("hurt", [Own.kill, Own.freeze, _freeze_and_kill, OwnPostgres.exhaust])
def test_what_was_hurt_can_be_healed(postgres: OwnPostgres, hurt: Callable[[OwnPostgres], None]) -> None:
    """Else one test that fails would take all later ones with it."""
    hurt(postgres)

    postgres.heal()

    assert not isinstance(postgresql_at(postgres.url), str)
