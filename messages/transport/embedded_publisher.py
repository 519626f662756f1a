"""Publishing on the embedded broker: one batch is one transaction, confirmed when it is on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from pathlib import Path

import msgspec

from messages.transport.embedded_store import EmbeddedStore
from messages.transport.limits import travels
from messages.transport.ports import BrokerUnavailableError, Publication, PublishOutcome
from messages.transport.topics import topic_matches


class EmbeddedPublisher:
    """The ``Publisher`` of the embedded broker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: EmbeddedStore | None = None

    def publish(self, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
        """Publish all or, when another process holds the file for longer than ``timeout``, nothing.

        The property ``user_id`` is left out: it says who the broker found the publisher to be, and here nobody looks.

        Raises:
            BrokerUnavailableError: nothing was published.
        """
        if self._store is None:
            self._store = EmbeddedStore(self._path)
        try:
            return publish_on(self._store, publications, timeout)
        except BrokerUnavailableError:
            self.close()
            raise

    def close(self) -> None:
        """Leave the file."""
        if self._store is not None:
            self._store.close()
            self._store = None


def publish_on(store: EmbeddedStore, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
    """Publish all in one transaction and say what became of each."""
    with store.transaction(timeout):
        routes = _Routes(store)
        inserts: list[tuple[str, Publication]] = []
        outcomes = []
        for publication in publications:
            queues = routes.queues(publication.exchange, publication.routing_key)
            if not travels(publication):
                outcomes.append(PublishOutcome.REFUSED)
            elif not queues:
                outcomes.append(PublishOutcome.RETURNED)
            elif not routes.have_room(queues):
                outcomes.append(PublishOutcome.REFUSED)
            else:
                outcomes.append(PublishOutcome.CONFIRMED)
                kept = _unsigned(publication)
                inserts += [(queue, kept) for queue in queues]
        store.insert(inserts)
        added = Counter(queue for queue, _ in inserts)
        for queue, keep in routes.bounded(touched=added.keys()):
            store.drop_head(queue, keep, added[queue])
    return outcomes


def _unsigned(publication: Publication) -> Publication:
    if publication.properties.user_id is None:
        return publication
    properties = msgspec.structs.replace(publication.properties, user_id=None)
    return msgspec.structs.replace(publication, properties=properties)


class _Routes:
    """Where messages go and how many may: read once per transaction, true until its end."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self._bindings = store.execute("SELECT exchange, pattern, queue FROM binding")
        arguments = {name: json.loads(text) for name, text in store.execute("SELECT name, arguments FROM queue")}
        self._queues = arguments.keys()
        limited = {name: found for name, found in arguments.items() if "x-max-length" in found}
        rejects = {name for name, found in limited.items() if found.get("x-overflow") == "reject-publish"}
        self._keep = {name: int(found["x-max-length"]) for name, found in limited.items() if name not in rejects}
        self._room = {name: int(limited[name]["x-max-length"]) - store.depth(name) for name in rejects}
        self._known: dict[tuple[str, str], list[str]] = {}

    def queues(self, exchange: str, routing_key: str) -> list[str]:
        """Return the queues that take this routing key; the exchange without a name takes a queue's."""
        if not exchange:
            return [routing_key] if routing_key in self._queues else []
        found = self._known.get((exchange, routing_key))
        if found is None:
            bound = {q for e, pattern, q in self._bindings if e == exchange and topic_matches(pattern, routing_key)}
            found = self._known[exchange, routing_key] = sorted(bound)
        return found

    def have_room(self, queues: Sequence[str]) -> bool:
        """Say whether one more fits into each queue (``x-overflow=reject-publish``), and count it as put there."""
        bounded = [queue for queue in queues if queue in self._room]
        if any(self._room[queue] <= 0 for queue in bounded):
            return False
        for queue in bounded:
            self._room[queue] -= 1
        return True

    def bounded(self, touched: AbstractSet[str]) -> list[tuple[str, int]]:
        """Return the queues among ``touched`` that lose their oldest messages when full, and how many they keep."""
        return [(queue, self._keep[queue]) for queue in sorted(touched & self._keep.keys())]
