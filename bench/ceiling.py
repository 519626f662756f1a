"""The ceiling: the fastest single loop that we can write by hand for the clean update, as durable as Recouple.

Receive a batch, decode it, read images and couplings, write the rows in one transaction, commit, publish the
instructions, and acknowledge the batch with one frame when all of them are confirmed.

Its tricks: frames are read and written in large pieces; confirms are awaited while the next batch is worked on; all
statements of a phase travel in one round trip (pipeline mode), prepared once, with binary arrays and ``unnest``; the
plans are fixed and the planner's other ways are closed; nothing is logged.

What it leaves out, compared to Recouple: all that ``bench.clean_case`` lists, the structured log, metrics, timers and
commands, fairness among queues, reconnecting, halving a batch that fails, and the outbox. It needs none because it
publishes before it acknowledges: where it dies between commit and acknowledgement the batch comes again, and for what
is ``handled`` already the instruction that is in flight is published once more.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

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
    read,
    retell,
)
from bench.quick_amqp import QuickLink

BATCH = 500
"""``python -m bench --only throughput/ceiling`` compares batches of several sizes."""

IDLE_S = 0.02

_SETTINGS = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}

_CLAIM = f"""
    {HANDLED} SELECT 'bc', id, digest, n.now FROM unnest(%b::text[], %b::text[]) AS given(id, digest),
        (SELECT %b::timestamptz AS now) AS n
    ON CONFLICT DO NOTHING
"""
_KNOWN = "SELECT id FROM handled WHERE app = 'bc' AND id = ANY(%b::text[]) AND handled_at < %b"
_READ = """
    SELECT l.key, l.image, r.image, c.state FROM unnest(%b::text[]) AS given(key)
    JOIN records l ON l.key = given.key AND l.table_name = 'customer' AND l.app = 'bc'
    JOIN couplings c ON c.left_key = given.key AND c.left_table = 'customer' AND c.left_app = 'bc'
        AND c.mapping = 'customer' AND NOT c.closed
    JOIN records r ON r.key = c.right_key AND r.table_name = c.right_table AND r.app = c.right_app
    ORDER BY l.key FOR UPDATE OF l, c
"""
_IMAGES = """
    UPDATE records SET image = given.image FROM unnest(%b::text[], %b::text[]) AS given(key, image)
    WHERE records.key = given.key AND records.table_name = 'customer' AND records.app = 'bc'
"""
_STATES = """
    UPDATE couplings SET state = given.state, standing = 'in_flight'
    FROM unnest(%b::bigint[], %b::text[]) AS given(id, state) WHERE couplings.id = given.id
"""
_INSTRUCTIONS = f"""
    {INSTRUCTIONS} SELECT id, coupling, 'sales', 'account', key, 'update', 'sync', NULL, 1, 'sent', NULL, n.now, sent
    FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::text[]) AS given(id, coupling, key, sent),
        (SELECT %b::timestamptz AS now) AS n
"""
_DUE = f"""
    {DUE} SELECT 'answer', coupling, id, n.due, 0
    FROM unnest(%b::bigint[], %b::text[]) AS given(coupling, id), (SELECT %b::timestamptz AS due) AS n
"""
_LOG = f"""
    {LOG} SELECT n.now, 'bc/customer/' || key, 'sent', line
    FROM unnest(%b::text[], %b::text[]) AS given(key, line), (SELECT %b::timestamptz AS now) AS n
"""


class Loop:
    """Receives, writes, publishes, acknowledges."""

    def __init__(self, store_url: str, broker_url: str, namespace: str, batch: int) -> None:
        self._batch, self._exchange = batch, f"{namespace}.instructions"
        self._database = psycopg.connect(store_url, prepare_threshold=0, autocommit=False)
        for name, value in _SETTINGS.items():
            self._database.execute(f"SET {name} = {value}".encode())
        self._database.commit()
        self._incoming, self._outgoing = QuickLink(broker_url), QuickLink(broker_url)
        self._messages: list[Any] = []
        self._unconfirmed: set[int] = set()
        self._published, self._to_acknowledge = 0, 0
        self._outgoing.channel.confirm_select()
        self._outgoing.channel.events["basic_ack"].add(self._on_confirm)
        for event in ("basic_return", "basic_nack"):
            self._outgoing.channel.events[event].add(_refuse)
        self._incoming.channel.basic_qos(0, 3 * batch, False)  # noqa: FBT003 - py-amqp's signature
        self._incoming.channel.basic_consume(f"{namespace}.changes.bc", callback=self._messages.append)

    def step(self) -> None:
        """Work on one batch while the confirms of the one before come in."""
        batch = self._receive()
        if batch:
            bodies = self._write([read(one.body) for one in batch])
            self._await_confirms()
            self._publish(bodies, batch[-1].delivery_tag)
        else:
            self._await_confirms()

    def _receive(self) -> list[Any]:
        """Return what is there, up to a batch; the moment that nothing more is there, what there is."""
        wait_s = 0.0 if self._messages or self._to_acknowledge else IDLE_S
        while len(self._messages) < self._batch and self._incoming.has_some(wait_s):
            self._incoming.drain()
            wait_s = 0.0
        taken = self._messages[: self._batch]
        del self._messages[: self._batch]
        return taken

    def _write(self, events: Sequence[Event]) -> list[tuple[bytes, dict[str, Any]]]:
        database, now = self._database, datetime.now(UTC)
        by_key = {event.key: event for event in events}
        if len(by_key) < len(events):
            raise NotCleanError("two events of one record in a batch")
        order = sorted(events, key=lambda event: event.id)
        ids, again = [event.id for event in order], list[Told]()
        with database.pipeline():
            claimed = database.execute(_CLAIM, (ids, [event.digest() for event in order], now))
            found = database.execute(_READ, (sorted(by_key),)).fetchall()
            if len(found) != len(events):
                raise NotCleanError("a record is not coupled")
            if claimed.rowcount < len(events):
                known = {id_ for (id_,) in database.execute(_KNOWN, (ids, now)).fetchall()}
                again = [told for key, _, _, state in found if by_key[key].id in known for told in retell(state, now)]
                found = [row for row in found if by_key[row[0]].id not in known]
            rows = [decide(by_key[key], own, other, state, now) for key, own, other, state in found]
            for statement, values in _statements(rows, now):
                database.execute(statement, values)
            database.commit()
        stamp = int(now.timestamp())
        return [(told.body, _properties(told.instruction, stamp)) for told in (*rows, *again)]

    def _publish(self, bodies: Sequence[tuple[bytes, dict[str, Any]]], tag: int) -> None:
        self._outgoing.publish(bodies, self._exchange, "sales.account.update")
        self._unconfirmed.update(range(self._published + 1, self._published + len(bodies) + 1))
        self._published += len(bodies)
        self._to_acknowledge = tag

    def _await_confirms(self) -> None:
        while self._unconfirmed:
            self._outgoing.drain()
        if self._to_acknowledge:
            self._incoming.channel.basic_ack(self._to_acknowledge, multiple=True)
            self._to_acknowledge = 0

    def _on_confirm(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        if multiple:
            self._unconfirmed = {one for one in self._unconfirmed if one > tag}
        else:
            self._unconfirmed.discard(tag)

    def close(self) -> None:
        """See the last batch off, and leave."""
        self._await_confirms()
        self._incoming.close()
        self._outgoing.close()
        self._database.close()


def _statements(rows: Sequence[Rows], now: datetime) -> Iterator[tuple[str, tuple[Any, ...]]]:
    keys, couplings = [row.key for row in rows], [row.coupling for row in rows]
    instructions = [row.instruction for row in rows]
    yield _IMAGES, (keys, [row.image for row in rows])
    yield _STATES, (couplings, [row.state for row in rows])
    yield _INSTRUCTIONS, (instructions, couplings, keys, [row.sent for row in rows], now)
    yield _DUE, (couplings, instructions, now + ANSWER_WITHIN)
    yield _LOG, (keys, [row.line for row in rows], now)


def _properties(instruction: str, stamp: int) -> dict[str, Any]:
    return {
        "message_id": instruction,
        "type": "recouple.instruction",
        "app_id": "recouple",
        "content_type": "application/cloudevents+json",
        "timestamp": stamp,
        "delivery_mode": 2,
    }


def _refuse(*_: Any) -> None:
    raise NotCleanError("an instruction that no queue took")


def main() -> None:
    """Work until SIGTERM."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    batch = int(os.environ.get("BENCH_BATCH") or BATCH)
    loop = Loop(os.environ["BENCH_STORE_URL"], os.environ["BENCH_BROKER_URL"], os.environ["BENCH_NAMESPACE"], batch)
    while not stop:
        loop.step()
    loop.close()


if __name__ == "__main__":
    main()
