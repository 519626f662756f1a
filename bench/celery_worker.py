"""What a user would pick instead: a Celery task per message, for the clean one-sided update.

Set as Celery's documentation tells those who must not lose a task and have many short ones: ``acks_late``, a quorum
queue (``task_default_queue_type``, detected by the worker, so that no global prefetch is asked for), publisher
confirms, results ignored, a prefetch multiplier of 128, no gossip, mingle, heartbeat or events. The task decides the
same rules as the ceiling and writes the same rows in one transaction, publishes the instruction confirmed before it
returns, and is acknowledged after that. The producer of the change sends the task itself, with the event as argument:
nothing is carried from queue to queue. What it leaves out is what the ceiling leaves out.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from celery import Celery
from kombu.messaging import Producer

from bench.arena import own_queue
from bench.clean_case import (
    ANSWER_WITHIN,
    DUE,
    HANDLED,
    INSTRUCTIONS,
    LOG,
    Event,
    NotCleanError,
    Rows,
    Told,
    decide,
    retell,
)

NAMESPACE = os.environ.get("BENCH_NAMESPACE", "bench")
QUEUE = f"{NAMESPACE}.celery"
TASK = "bench.handle_change"

app = Celery("bench", broker=os.environ.get("BENCH_BROKER_URL", "amqp://"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    task_queues=[own_queue(QUEUE)],
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=128,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)

_READ = """
    SELECT l.image, r.image, c.state FROM records l
    JOIN couplings c ON c.left_key = l.key AND c.left_table = l.table_name AND c.left_app = l.app
        AND c.mapping = 'customer' AND NOT c.closed
    JOIN records r ON r.key = c.right_key AND r.table_name = c.right_table AND r.app = c.right_app
    WHERE l.key = %s AND l.table_name = 'customer' AND l.app = 'bc' FOR UPDATE OF l, c
"""
_IMAGE = "UPDATE records SET image = %s WHERE key = %s AND table_name = 'customer' AND app = 'bc'"
_STATE = "UPDATE couplings SET state = %s, standing = 'in_flight' WHERE id = %s"
_INSTRUCTION = (
    f"{INSTRUCTIONS} VALUES (%s, %s, 'sales', 'account', %s, 'update', 'sync', NULL, 1, 'sent', NULL, %s, %s)"
)


class _Connections:
    """Of this process, made when its first task comes: one to the database, one to the broker."""

    database: psycopg.Connection[Any] | None = None
    producer: Any = None

    def open(self) -> tuple[psycopg.Connection[Any], Any]:
        """Return both."""
        if self.database is None:
            self.database = psycopg.connect(os.environ["BENCH_STORE_URL"], prepare_threshold=0)
            # The pool's connections have confirm_publish, by broker_transport_options.
            self.producer = Producer(app.connection_for_write().default_channel)
        return self.database, self.producer


_connections = _Connections()


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def handle_change(given: dict[str, Any]) -> None:
    """Handle one change event."""
    database, producer = _connections.open()
    event, now = msgspec.convert(given, Event), datetime.now(UTC)
    with database.transaction(), database.pipeline():
        claim = f"{HANDLED} VALUES ('bc', %s, %s, %s) ON CONFLICT DO NOTHING"
        claimed = database.execute(claim, (event.id, event.digest(), now))
        found = database.execute(_READ, (event.key,)).fetchone()
        if found is None:
            raise NotCleanError(event.id)
        image, other, state = found
        if claimed.rowcount:
            rows = decide(event, image, other, state, now)
            _write(database, event, rows, now)
            told: list[Told] = [rows]
        else:  # a worker died between its commit and its acknowledgement
            told = retell(state, now)
    for one in told:
        _publish(producer, one, now)


def _write(database: psycopg.Connection[Any], event: Event, rows: Rows, now: datetime) -> None:
    database.execute(_IMAGE, (rows.image, rows.key))
    database.execute(_STATE, (rows.state, rows.coupling))
    database.execute(_INSTRUCTION, (rows.instruction, rows.coupling, rows.key, now, rows.sent))
    due = (rows.coupling, rows.instruction, now + ANSWER_WITHIN)
    database.execute(f"{DUE} VALUES ('answer', %s, %s, %s, 0)", due)
    line = (now, f"bc/{event.subject}", rows.line)
    database.execute(f"{LOG} VALUES (%s, %s, 'sent', %s)", line)


def _publish(producer: Any, told: Told, now: datetime) -> None:
    producer.publish(
        told.body,
        exchange=f"{NAMESPACE}.instructions",
        routing_key="sales.account.update",
        content_type="application/cloudevents+json",
        content_encoding="utf-8",
        delivery_mode=2,
        mandatory=True,
        message_id=told.instruction,
        type="recouple.instruction",
        app_id="recouple",
        timestamp=int(now.timestamp()),
    )
