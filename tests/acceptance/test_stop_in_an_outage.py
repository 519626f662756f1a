"""A worker that is told to stop while the store or the broker hangs: it leaves in time, and nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from messages.transport.connect import connect
from messages.transport.ports import Properties, Publication
from store import outbox as outbox_store
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.processes import STOP_WITHIN_S, WorkerProcess
from tests.acceptance.wire import change
from tests.faults.servers.proxy import Proxy
from tests.mapping_files import ONE_FIELD
from tests.servers.postgresql import PostgresqlServer, start_postgresql
from tests.servers.server import ServerStartError
from tests.services import fresh_database, go_without

IN_GOOD_ORDER, LATE = 0, 1
WITHIN_S = 60


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresqlServer]:
    """A PostgreSQL of this module's own, to be frozen."""
    try:
        server = start_postgresql()
    except ServerStartError as error:
        go_without(str(error))
    yield server
    server.stop()


@pytest.fixture
def network(amqp_url: str) -> Iterator[Proxy]:
    """The network between the workers and RabbitMQ; the client of the test has another."""
    with Proxy(make_url(amqp_url).port or 5672) as between:
        yield between


@pytest.fixture
def stage(database: PostgresqlServer, amqp_url: str, network: Proxy, tmp_path: Path) -> Iterator[Stage]:
    """A stage with that database and that network."""
    environ = {"RECOUPLE_BROKER_URL": network.url(amqp_url), "RECOUPLE_OUTBOX_LEASE": "1s"}
    with (
        fresh_database(database.url) as store_url,
        open_stage(Backend(store_url, amqp_url), tmp_path, ONE_FIELD, environ) as stage,
    ):
        yield stage
        database.thaw()
        network.thaw()


def started(stage: Stage) -> WorkerProcess:
    """Start a worker, and wait until it works."""
    worker = stage.start_worker()
    worker.wait_for("worker.started", 1, WITHIN_S)
    stage.settle()
    return worker


def stopped(worker: WorkerProcess) -> tuple[int, list[str]]:
    """Tell a worker to stop; return its exit code, and which of its loops did not end in time."""
    worker.signal(signal.SIGTERM)
    code = worker.wait(STOP_WITHIN_S)
    (line,) = worker.events("worker.stopped")
    return code, line["late"]


def test_the_store_hangs_in_the_middle_of_a_batch(stage: Stage, database: PostgresqlServer, amqp_url: str) -> None:
    """Else a deployment during a trouble of the database waits until the supervisor kills, or has no end."""
    worker, broker = started(stage), connect(amqp_url)
    event = change("bc/customer/1", "create", 1, {"name": "a"})
    database.freeze()
    stage.publish(event)
    stage.wait(lambda: not broker.depth(f"{stage.namespace}.changes.bc"), "the worker to have it at hand")
    code, late = stopped(worker)
    assert code == LATE
    assert "changes" in late

    database.thaw()
    worker = stage.start_worker()
    stage.wait(lambda: bool(stage.history("bc/customer/1")), "the next worker to take it")
    assert stage.outcome(event) == ["uncoupled"]
    assert worker.stop() == IN_GOOD_ORDER


def test_the_store_hangs_before_the_worker_has_begun(stage: Stage, database: PostgresqlServer) -> None:
    """Else a worker that was started in the middle of an outage could only be killed."""
    database.freeze()
    worker = stage.start_worker()
    worker.wait_for("store.lost", 1, WITHIN_S)
    assert stopped(worker) == (IN_GOOD_ORDER, [])


def test_the_broker_hangs_while_nothing_is_at_hand(stage: Stage, network: Proxy) -> None:
    """Else a worker waits for the farewell of a broker that says nothing any more."""
    worker = started(stage)
    network.freeze()
    assert stopped(worker) == (IN_GOOD_ORDER, [])


def put_letter(stage: Stage) -> None:
    """Leave a message in the outbox."""
    letter = Publication(exchange=f"{stage.namespace}.dead", routing_key="bc", body=b"{}", properties=Properties())
    with stage.store.transaction() as conn:
        outbox_store.put(conn, [(letter, None)])


def test_the_broker_hangs_in_the_middle_of_publishing(stage: Stage, network: Proxy) -> None:
    """Else a worker waits for confirms that do not come; what it has not confirmed, the next one publishes."""
    worker = started(stage)
    put_letter(stage)
    stage.wait(lambda: len(stage.dead()) == 1, "the relay to be connected")
    stage.quiet()
    network.freeze()
    put_letter(stage)

    def is_claimed() -> bool:
        with stage.store.reading() as conn:
            return not outbox_store.has_ready(conn, datetime.now(UTC))

    stage.wait(is_claimed, "the relay to have it at hand")
    assert stopped(worker) == (LATE, ["relay"])

    network.thaw()
    worker = started(stage)
    assert len(stage.dead()) >= 2, "the next worker publishes it; the broker may have had it before"
    assert worker.stop() == IN_GOOD_ORDER
