"""One run: a copy of a seeded store, a namespace of its own, and a backlog that is confirmed before anybody starts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from sqlalchemy import text

from bench.grounds import Grounds, Seeded
from bench.scenarios import REPLIES
from messages.topology import ExchangeSpec, QueueSpec, Topology, topology
from messages.transport.connect import connect
from messages.transport.ports import Publication, PublishOutcome
from store import outbox as outbox_store
from store.connect import open_store
from tests.services import remove

APPS = ("bc", "sales")
WINDOW = 2000
"""So many messages are published in one go."""
PUBLISH_WITHIN = timedelta(seconds=120)


class Arena:
    """What one contender finds when it starts.

    Attributes:
        folder: For its log; emptied afterwards.
        worker_store_url: The store as the contender reaches it.
    """

    def __init__(self, grounds: Grounds, store_url: str, mapping_file: str) -> None:
        self.namespace = f"bench-{secrets.token_hex(5)}"
        self.folder = grounds.folder / self.namespace
        self.folder.mkdir()
        self.store_url = self.worker_store_url = store_url
        self.broker_url = grounds.broker_url or f"embedded:///{self.folder / 'broker.db'}"
        self.config = self.folder / "recouple.toml"
        self.config.write_text(mapping_file, encoding="utf-8")
        self.topology = _with_replies(topology(self.namespace, APPS), self.namespace)
        self.broker = connect(self.broker_url)
        self.store = open_store(store_url)
        self._publisher = self.broker.publisher()
        self._log_before = self._number("SELECT coalesce(max(id), 0) FROM log")

    @property
    def environ(self) -> dict[str, str]:
        """What a worker of Recouple needs; all else has its default."""
        return {
            "RECOUPLE_STORE_URL": self.worker_store_url,
            "RECOUPLE_BROKER_URL": self.broker_url,
            "RECOUPLE_CONFIG": str(self.config),
            "RECOUPLE_NAMESPACE": self.namespace,
            "RECOUPLE_LOG_FORMAT": "json",
        }

    def declare(self) -> None:
        """Make the queues."""
        self.broker.declare(self.topology)

    def declare_own(self, name: str) -> None:
        """Make a durable quorum queue beside Recouple's, with a direct exchange of its name; for a task queue."""
        with Connection(self.broker_url) as connection, connection.channel() as channel:
            own_queue(name)(channel).declare()
        spec = QueueSpec(name=name, exchange=name, pattern=name, arguments={})
        exchanges = (*self.topology.exchanges, ExchangeSpec(name=name))
        self.topology = Topology(exchanges=exchanges, queues=(*self.topology.queues, spec))

    def publish(self, publications: Iterable[Publication]) -> int:
        """Publish these, persistent and confirmed; return how many there were."""
        going, published = iter(publications), 0
        while window := list(islice(going, WINDOW)):
            outcomes = self._publisher.publish(window, PUBLISH_WITHIN)
            if set(outcomes) != {PublishOutcome.CONFIRMED}:
                raise RuntimeError(f"the broker did not confirm the backlog: {set(outcomes)}")
            published += len(window)
        return published

    def depth(self, *queues: str) -> int:
        """How many messages wait in these queues, named without the namespace."""
        return sum(self.broker.depth(f"{self.namespace}.{queue}") for queue in queues)

    def outcomes(self) -> dict[str, int]:
        """What became of the events, in the words of the synchronization log."""
        query = "SELECT outcome, count(*) AS lines FROM log WHERE id > :before GROUP BY outcome ORDER BY outcome"
        with self.store.reading() as conn:
            return {row.outcome: row.lines for row in conn.execute(text(query), {"before": self._log_before})}

    def has_published(self) -> bool:
        """Say whether nothing waits in the outbox."""
        with self.store.reading() as conn:
            return outbox_store.is_empty(conn)

    def _number(self, query: str) -> int:
        with self.store.reading() as conn:
            return int(conn.execute(text(query)).scalar_one())

    def close(self) -> None:
        """Remove all that was made; a log may be long."""
        self._publisher.close()
        self.store.close()
        if self.broker_url.startswith("amqp"):
            remove(self.broker_url, self.topology)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.folder.rmdir()


def own_queue(name: str) -> Queue:
    """A durable quorum queue of this name, with an exchange of this name."""
    exchange = Exchange(name, type="direct", durable=True)
    return Queue(name, exchange, routing_key=name, durable=True, queue_arguments={"x-queue-type": "quorum"})


@contextmanager
def open_arena(grounds: Grounds, seeded: Seeded, mapping_file: str) -> Iterator[Arena]:
    """Set up what one run needs, and take it down again."""
    with grounds.copy(seeded) as store_url:
        arena = Arena(grounds, store_url, mapping_file)
        try:
            arena.declare()
            yield arena
        finally:
            arena.close()


def _with_replies(declared: Topology, ns: str) -> Topology:
    name = f"{ns}.{REPLIES}"
    arguments = next(one.arguments for one in declared.queues if one.name == f"{ns}.instructions.bc")
    replies = QueueSpec(name=name, exchange=f"{ns}.commands", pattern="no.command", arguments=arguments)
    return Topology(exchanges=declared.exchanges, queues=(*declared.queues, replies))
