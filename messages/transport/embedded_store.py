"""What the embedded broker keeps and how it is asked: exchanges, queues, messages and leases in one SQLite file.

A message that is delivered stays in the file under a lease. Acknowledged, it is deleted; released, or silent beyond the
end of the lease (the consumer was killed), it is ready again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import accumulate, chain, zip_longest
from pathlib import Path
from typing import Any

import msgspec

from messages.topology import Topology
from messages.transport.embedded_schema import explained, open_file
from messages.transport.limits import ENOUGH_BYTES
from messages.transport.ports import BrokerUnavailableError, Properties, Publication, TopologyMismatchError

_BUSY = timedelta(seconds=10)
_NOW_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
_READY = f"""
    FROM message LEFT JOIN lease ON lease.message = message.id
    WHERE message.queue = :queue AND coalesce(lease.until_ms, 0) <= {_NOW_MS}
"""
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Properties).decode


class Waiting(msgspec.Struct, frozen=True):
    """A message in a queue, with how often it was delivered before."""

    id: int
    queue: str
    exchange: str
    routing_key: str
    properties: Properties
    body: bytes
    deliveries: int


class EmbeddedStore:
    """One connection to the broker's file; one thread owns it. Every method raises ``BrokerUnavailableError``."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._database = open_file(path, durable=durable, busy=_BUSY)
        self._seen: int | None = None
        self._look_again_s = 0.0
        self._uncounted: dict[str, int] = {}

    def new_id(self) -> str:
        """Return a name that nobody else has."""
        [(name,)] = self.execute("SELECT lower(hex(randomblob(16)))")
        return str(name)

    def close(self) -> None:
        """Leave the file; nothing is given back."""
        self._database.close()

    @contextmanager
    def transaction(self, busy: timedelta = _BUSY) -> Iterator[None]:
        """Hold the write lock, waiting for it no longer than ``busy``; commit at the end, roll back on any error."""
        with explained(self.path):
            self._database.execute(f"PRAGMA busy_timeout = {max(1, int(busy.total_seconds() * 1000))}")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def execute(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        with explained(self.path):
            return self._database.execute(statement, values).fetchall()

    def insert(self, messages: Sequence[tuple[str, Publication]]) -> None:
        """Put each publication into its queue, inside a transaction of the caller's."""
        with explained(self.path):
            self._database.executemany(
                "INSERT INTO message (queue, exchange, routing_key, properties, body) VALUES (?, ?, ?, ?, ?)",
                [(queue, one.exchange, one.routing_key, _ENCODE(one.properties), one.body) for queue, one in messages],
            )

    # What there is

    def declare(self, topology: Topology) -> None:
        """Create what is missing, all or nothing.

        Raises:
            TopologyMismatchError: a queue exists with other arguments.
        """
        with self.transaction():
            for exchange in topology.exchanges:
                self.execute("INSERT OR IGNORE INTO exchange VALUES (:name)", name=exchange.name)
            for queue in topology.queues:
                self.declare_queue(queue.name, queue.arguments)
                self.bind(queue.exchange, queue.pattern, queue.name)

    def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Create a queue that everybody may use.

        Raises:
            TopologyMismatchError: it exists with other arguments.
        """
        wanted = json.dumps(dict(arguments), sort_keys=True)
        self.execute("INSERT OR IGNORE INTO queue (name, arguments) VALUES (:name, :wanted)", name=name, wanted=wanted)
        [(there,)] = self.execute("SELECT arguments FROM queue WHERE name = :name", name=name)
        if there != wanted:
            raise TopologyMismatchError(f"the queue {name} exists with the arguments {there}, not {wanted}")

    def bind(self, exchange: str, pattern: str, queue: str) -> None:
        """Have ``exchange`` send what matches ``pattern`` to ``queue``."""
        insert = "INSERT OR IGNORE INTO binding VALUES (:exchange, :pattern, :queue)"
        self.execute(insert, exchange=exchange, pattern=pattern, queue=queue)

    def missing(self, topology: Topology) -> list[str]:
        """Return a sentence for every exchange, queue or binding of ``topology`` that is not there."""
        exchanges = set(self.execute("SELECT name FROM exchange"))
        bindings = set(self.execute("SELECT exchange, pattern, queue FROM binding"))
        found = [f"the exchange {one.name} is missing" for one in topology.exchanges if (one.name,) not in exchanges]
        for queue in topology.queues:
            if not self.has_queue(queue.name):
                found.append(f"the queue {queue.name} is missing")
            elif (queue.exchange, queue.pattern, queue.name) not in bindings:
                found.append(f"the queue {queue.name} is not bound to {queue.exchange} under {queue.pattern}")
        return found

    def has_queue(self, name: str) -> bool:
        """Say whether the queue exists."""
        return bool(self.execute("SELECT 1 FROM queue WHERE name = :name", name=name))

    def add_private_queue(self, name: str, owner: str, lease: timedelta) -> None:
        """Create a queue that goes with its owner, and sweep up those whose owners died."""
        with self.transaction():
            dead = self.execute(f"SELECT name FROM queue WHERE owned_until_ms <= {_NOW_MS}")  # noqa: S608
            for (gone,) in dead:
                self.drop_queue(gone)
            insert = f"INSERT INTO queue VALUES (:name, '{{}}', :owner, {_NOW_MS} + :lease_ms)"  # noqa: S608
            self.execute(insert, name=name, owner=owner, lease_ms=_ms(lease))

    def drop_queue(self, name: str) -> None:
        """Remove a queue, its bindings and its messages."""
        self.execute("DELETE FROM lease WHERE message IN (SELECT id FROM message WHERE queue = :name)", name=name)
        self.execute("DELETE FROM message WHERE queue = :name", name=name)
        self.execute("DELETE FROM binding WHERE queue = :name", name=name)
        self.execute("DELETE FROM queue WHERE name = :name", name=name)

    # What waits

    def depth(self, queue: str) -> int:
        """Return how many messages of ``queue`` are ready."""
        self._must_exist([queue])
        [(count,)] = self.execute(f"SELECT count(*) {_READY}", queue=queue)
        return int(count)

    def peek(self, queue: str, limit: int) -> list[Waiting]:
        """Return the first ready messages of ``queue`` and leave them."""
        self._must_exist([queue])
        return self._bodies(self._ready(queue, limit))

    def take(self, queue: str, limit: int) -> list[Waiting]:
        """Remove and return the first ready messages of ``queue``."""
        self._must_exist([queue])
        with self.transaction():
            chosen = self._ready(queue, limit)
            taken = self._bodies(chosen)
            self._delete(chosen)
            return taken

    def drop_head(self, queue: str, keep: int, added: int) -> None:
        """Remove the first ready messages of ``queue``, to which so many were ``added``, so that ``keep`` are left.

        To count a hundred thousand takes longer than to publish a window of them: it is done for each hundredth part.
        """
        self._uncounted[queue] = self._uncounted.get(queue, keep) + added
        if self._uncounted[queue] < keep // 100:
            return
        self._uncounted[queue] = 0
        surplus = self.depth(queue) - keep
        if surplus > 0:
            self._delete(self._ready(queue, surplus))

    def lease(self, queues: Sequence[str], limit: int, owner: str, lease: timedelta) -> list[Waiting]:
        """Return up to ``limit`` ready messages, from each queue in turn, invisible to others until the lease ends."""
        if not self._may_have_changed():
            return []
        self._must_exist(queues)
        if not any(self._ready(queue, 1) for queue in queues):
            return []
        with self.transaction():
            turns = zip_longest(*(self._ready(queue, limit) for queue in queues))
            chosen = self._within([one for one in chain.from_iterable(turns) if one is not None][:limit])
            taken = self._bodies(chosen)
            self.execute(
                "INSERT INTO lease"  # noqa: S608 - _NOW_MS is a constant
                f" SELECT value, :owner, {_NOW_MS} + :lease_ms, 1 FROM json_each(:messages) WHERE true"
                " ON CONFLICT (message) DO UPDATE"
                " SET owner = excluded.owner, until_ms = excluded.until_ms, deliveries = deliveries + 1",
                owner=owner,
                lease_ms=_ms(lease),
                messages=json.dumps(chosen),
            )
        self._seen = None
        return taken

    def renew(self, owner: str, lease: timedelta) -> None:
        """Extend all that ``owner`` holds, private queues included."""
        with self.transaction():
            for table, column in (("lease", "until_ms"), ("queue", "owned_until_ms")):
                extend = f"UPDATE {table} SET {column} = {_NOW_MS} + :lease_ms WHERE owner = :owner"  # noqa: S608
                self.execute(extend, lease_ms=_ms(lease), owner=owner)

    def settle(self, messages: Sequence[int]) -> None:
        """Remove messages for good, whoever holds them: what is done is done."""
        with self.transaction():
            self._delete(messages)

    def release(self, messages: Sequence[int], owner: str) -> None:
        """Make messages ready again, those that ``owner`` still holds."""
        with self.transaction():
            self.execute(
                "UPDATE lease SET until_ms = 0, owner = NULL WHERE owner = :owner"
                " AND message IN (SELECT value FROM json_each(:messages))",
                owner=owner,
                messages=json.dumps(messages),
            )
        self._seen = None

    def _may_have_changed(self) -> bool:
        """Say whether another connection wrote to the file, or it is time to look for leases that ended."""
        [(version,)] = self.execute("PRAGMA data_version")
        if version == self._seen and time.monotonic() < self._look_again_s:
            return False
        self._seen, self._look_again_s = version, time.monotonic() + 0.25
        return True

    def _must_exist(self, queues: Sequence[str]) -> None:
        for queue in queues:
            if not self.has_queue(queue):
                raise BrokerUnavailableError(f"the queue {queue} does not exist in {self.path}; run `recouple setup`")

    def _ready(self, queue: str, limit: int) -> list[int]:
        rows = self.execute(f"SELECT id {_READY} ORDER BY id LIMIT :limit", queue=queue, limit=limit)
        return [message for (message,) in rows]

    def _within(self, messages: Sequence[int]) -> list[int]:
        """Return the first of ``messages``, at least one, as far as memory allows."""
        sizes = self.execute(
            "SELECT length(body) FROM json_each(:messages) AS chosen JOIN message ON message.id = chosen.value"
            " ORDER BY chosen.key",
            messages=json.dumps(messages),
        )
        before = accumulate((size for (size,) in sizes), initial=0)
        return [message for message, taken in zip(messages, before, strict=False) if taken < ENOUGH_BYTES]

    def _bodies(self, messages: Sequence[int]) -> list[Waiting]:
        rows = self.execute(
            "SELECT message.id, queue, exchange, routing_key, properties, body, coalesce(lease.deliveries, 0)"
            " FROM json_each(:messages) AS chosen JOIN message ON message.id = chosen.value"
            " LEFT JOIN lease ON lease.message = message.id ORDER BY chosen.key",
            messages=json.dumps(messages),
        )
        return [
            Waiting(number, queue, exchange, routing_key, _DECODE(properties), body, deliveries)
            for number, queue, exchange, routing_key, properties, body, deliveries in rows
        ]

    def _delete(self, messages: Sequence[int]) -> None:
        chosen = json.dumps(messages)
        self.execute("DELETE FROM message WHERE id IN (SELECT value FROM json_each(:chosen))", chosen=chosen)
        self.execute("DELETE FROM lease WHERE message IN (SELECT value FROM json_each(:chosen))", chosen=chosen)


def _ms(lease: timedelta) -> int:
    return round(lease.total_seconds() * 1000)
