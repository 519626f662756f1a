"""A client that outlives its broker: it publishes until all is confirmed, and gathers what arrives."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from messages.topology import QueueSpec, Topology, commands_exchange, topology
from messages.transport.connect import connect
from messages.transport.ports import (
    BrokerUnavailableError,
    Consumer,
    Delivery,
    Properties,
    Publication,
    PublishOutcome,
)
from tests.acceptance.clients import LOOK_S, REPLIES, wait_for
from tests.acceptance.wire import Message, Received
from tests.faults.doors import IMPATIENT
from tests.faults.ledger import Ledger

WINDOW = 200
CONFIRM_WITHIN = timedelta(seconds=5)
RECEIVE_WAIT = timedelta(milliseconds=50)
PAUSE_S = 0.1
LEAVE_WITHIN_S = 20


class PatientClient:
    """Publishes and receives in two threads of its own; whoever uses it never waits for the broker.

    Attributes:
        arrived: By queue without its namespace; answers, the dead and the told errors only once each.
        reply_to: A durable queue: an answer that comes while nobody is connected waits there.
    """

    def __init__(self, url: str, namespace: str, queues: Sequence[str], ledger: Ledger) -> None:
        self.arrived: dict[str, list[Received]] = defaultdict(list)
        self.reply_to = f"{namespace}.replies.faults"
        self._namespace, self._ledger, self._broker = namespace, ledger, connect(url, IMPATIENT)
        self._broker.declare(reply_topology(namespace))
        self._names = {f"{namespace}.{queue}": queue for queue in queues} | {self.reply_to: REPLIES}
        self._outgoing: deque[Publication] = deque()
        self._incoming: deque[Delivery] = deque()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._publishing, self._receiving)]
        for thread in self._threads:
            thread.start()

    @property
    def unpublished(self) -> int:
        """How many messages the broker has not confirmed yet."""
        return len(self._outgoing)

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish these as soon as the broker takes them."""
        for one in messages:
            self._ledger.publish(one)
        self._outgoing.extend(self._publication(one) for one in messages)

    def look(self) -> None:
        """Gather what has arrived; wait a few milliseconds if there is nothing."""
        if not self._incoming:
            time.sleep(LOOK_S)
        while self._incoming:
            delivery = self._incoming.popleft()
            queue = self._names[delivery.queue]
            properties = msgspec.structs.asdict(delivery.properties)
            received = Received(delivery.routing_key, delivery.body, properties)
            first = self._ledger.receive(queue, received)
            if first or queue.startswith("instructions."):
                self.arrived[queue].append(received)

    def flush(self) -> None:
        """Wait until all is published and all that waits has arrived."""

        def is_empty() -> bool:
            waiting = sum(self._broker.depth(name) for name in self._names)
            return not (self.unpublished or waiting or self._incoming)

        wait_for(is_empty, self.look, "empty queues")

    def close(self) -> None:
        """Leave."""
        self._stop.set()
        for thread in self._threads:
            thread.join(LEAVE_WITHIN_S)

    def _publication(self, message: Message) -> Publication:
        properties = {name: value for name, value in message.properties.items() if name != "delivery_mode"}
        return Publication(
            exchange=f"{self._namespace}.{message.exchange}",
            routing_key=message.routing_key,
            body=message.body,
            properties=Properties(**properties),
        )

    def _publishing(self) -> None:
        publisher = self._broker.publisher()
        self._until_stopped(lambda: self._publish(publisher.publish))
        publisher.close()

    def _publish(self, publish: Callable[[Sequence[Publication], timedelta], list[PublishOutcome]]) -> None:
        window = [self._outgoing[place] for place in range(min(WINDOW, len(self._outgoing)))]
        if not window:
            self._stop.wait(LOOK_S)
            return
        outcomes = publish(window, CONFIRM_WITHIN)
        again = [one for one, outcome in zip(window, outcomes, strict=True) if outcome is not PublishOutcome.CONFIRMED]
        self._outgoing.extend(again)
        for _ in window:
            self._outgoing.popleft()

    def _receiving(self) -> None:
        consumer: Consumer = self._broker.consumer(list(self._names), prefetch=WINDOW)
        self._until_stopped(lambda: self._receive(consumer))
        consumer.close()

    def _receive(self, consumer: Consumer) -> None:
        deliveries = consumer.receive(WINDOW, RECEIVE_WAIT)
        self._incoming.extend(deliveries)  # before they are acknowledged: rather twice than never
        consumer.acknowledge(deliveries)

    def _until_stopped(self, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except BrokerUnavailableError:
                self._stop.wait(PAUSE_S)


def reply_topology(namespace: str) -> Topology:
    """Return the queue of the answers, with the arguments of the dead queue: it loses nothing."""
    arguments = topology(namespace, ()).queues[0].arguments
    queue = QueueSpec(
        name=f"{namespace}.replies.faults",
        exchange=commands_exchange(namespace),
        pattern="no-command",
        arguments=arguments,
    )
    return Topology(exchanges=(), queues=(queue,))
