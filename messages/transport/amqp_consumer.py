"""Consuming from RabbitMQ through kombu: a connection per consumer, a channel per queue."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from kombu.entity import Queue

from messages.transport.amqp_connection import AmqpLink, AmqpTimeouts, unavailable
from messages.transport.amqp_delivery import received
from messages.transport.limits import ENOUGH_BYTES, MAX_BODY_BYTES
from messages.transport.ports import BrokerUnavailableError, Delivery
from messages.transport.urls import AmqpUrl

_SHORTEST_WAIT_S = 0.001
_LONGEST_WAIT_S = 1.0  # then it is time to think of heartbeats
_REPLIES = 10
_CONSUMER = "recouple"  # of its channel's one queue


class _Tag(NamedTuple):
    """Names a delivery: which connection of ours, which queue, which number on its channel."""

    epoch: int
    queue: str
    number: int


class _Lane:
    """One queue on its channel: what came in and waits to be handed out, and what was handed out."""

    def __init__(self, queue: str, channel: Any) -> None:
        self.queue = queue
        self.channel = channel
        self.waiting: deque[Delivery] = deque()
        self.waiting_bytes = 0
        self.unacknowledged: dict[int, None] = {}

    def take_in(self, delivery: Delivery) -> None:
        if len(delivery.body) > MAX_BODY_BYTES:
            # Nobody could publish it again, not even to dead: the broker puts it there itself.
            self.channel.basic_reject(delivery.tag.number, requeue=False)
            return
        self.waiting.append(delivery)
        self.waiting_bytes += len(delivery.body)

    def hand_out(self) -> Delivery:
        delivery = self.waiting.popleft()
        self.waiting_bytes -= len(delivery.body)
        self.unacknowledged[delivery.tag.number] = None
        return delivery

    def acknowledge(self, numbers: set[int]) -> None:
        """Acknowledge with one frame as far as ``numbers`` are the first unacknowledged, the rest one by one."""
        numbers &= self.unacknowledged.keys()
        last = None
        for number in self.unacknowledged:
            if number not in numbers:
                break
            last = number
        if last is not None:
            self.channel.basic_ack(last, multiple=True)
        for number in sorted(numbers):
            if last is None or number > last:
                self.channel.basic_ack(number)
            del self.unacknowledged[number]

    def release(self, numbers: set[int]) -> None:
        for number in sorted(numbers & self.unacknowledged.keys()):
            self.channel.basic_reject(number, requeue=True)
            del self.unacknowledged[number]


class AmqpConsumer:
    """The ``Consumer`` on RabbitMQ.

    Prefetch is set per consumer of a queue, never globally (quorum queues know no other). Any fault discards the
    connection; the next call makes one new attempt, waiting before it is the caller's affair.
    """

    def __init__(self, url: AmqpUrl, queues: Sequence[str], prefetch: int, timeouts: AmqpTimeouts) -> None:
        self._url = url
        self._queues = tuple(queues)
        self._prefetch = prefetch
        self._timeouts = timeouts
        self._link: AmqpLink | None = None
        self._lanes: dict[str, _Lane] = {}
        self._epoch = 0
        self._turn = 0
        self._lost: BrokerUnavailableError | None = None

    def receive(self, max_messages: int, wait: timedelta) -> list[Delivery]:
        """Return what has come, up to ``max_messages``, each queue in turn."""
        self._report_loss()
        try:
            self._pump(self._connected(), wait.total_seconds())
        except BrokerUnavailableError:
            self._discard()
            raise
        return self._hand_out(max_messages)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge what is of the present connection."""
        self._report_loss()
        self._settle(deliveries, _Lane.acknowledge)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Requeue what is of the present connection."""
        self._report_loss()
        self._settle(deliveries, _Lane.release)

    def heartbeat(self) -> None:
        """Take in what has come and answer heartbeats; a loss noticed here is reported by the next call."""
        if self._link is None:
            return
        try:
            self._pump(self._link, 0.0)
        except BrokerUnavailableError as error:
            self._discard()
            self._lost = error

    def close(self) -> None:
        """Leave; what is not acknowledged goes back to its queues."""
        self._lost = None
        if self._link is not None:
            link, self._link = self._link, None
            self._lanes = {}
            link.close()

    def _connected(self) -> AmqpLink:
        if self._link is not None:
            return self._link
        link = AmqpLink(self._url, self._timeouts)
        self._epoch += 1
        try:
            with unavailable(self._url), link.limit():
                lanes = [self._open(link.channel(), queue) for queue in self._queues]
                for lane in lanes:
                    self._consume(lane)
        except BrokerUnavailableError:
            link.discard()
            raise
        self._link = link
        self._lanes = {lane.queue: lane for lane in lanes}
        return link

    def _open(self, channel: Any, queue: str) -> _Lane:
        queue = self._prepare(channel, queue)
        channel.basic_qos(0, self._prefetch, a_global=False)
        return _Lane(queue, channel)

    def _consume(self, lane: _Lane) -> None:
        """Begin to consume, and wait for no answer: all that comes before an answer, a whole prefetch, is read."""
        epoch = self._epoch

        def take_in(raw: Any) -> None:
            message = lane.channel.message_to_python(raw)
            lane.take_in(received(message, _Tag(epoch, lane.queue, message.delivery_tag), lane.queue))

        Queue(lane.queue, channel=lane.channel, no_declare=True).consume(_CONSUMER, take_in, nowait=True)

    def _prepare(self, channel: Any, queue: str) -> str:  # noqa: ARG002 - a reply consumer declares its queue there
        """Return the name under which ``queue`` is consumed."""
        return queue

    def _pump(self, link: AmqpLink, wait_s: float) -> None:
        """Take in what is at hand, no more than prefetch allows; where that is nothing, wait for the first."""
        deadline_s = time.monotonic() + wait_s
        with unavailable(self._url):
            while not self._waiting():
                left_s = deadline_s - time.monotonic()
                try:
                    link.drain(min(max(left_s, _SHORTEST_WAIT_S), _LONGEST_WAIT_S))
                except TimeoutError:
                    link.tick()
                    if left_s <= _LONGEST_WAIT_S:
                        break
            with suppress(TimeoutError), link.hurried(_SHORTEST_WAIT_S):
                while self._waiting() and self._waiting_bytes() < ENOUGH_BYTES and link.at_hand():
                    link.drain(_SHORTEST_WAIT_S)
            # After reading, so that the broker's heartbeats, which wait among its messages, have been seen.
            link.tick()

    def _waiting(self) -> bool:
        return any(lane.waiting for lane in self._lanes.values())

    def _waiting_bytes(self) -> int:
        return sum(lane.waiting_bytes for lane in self._lanes.values())

    def _hand_out(self, max_messages: int) -> list[Delivery]:
        """Deal from the queues in turn, beginning each time with another."""
        self._turn += 1
        start = self._turn % len(self._queues)
        lanes = deque(self._lanes[queue] for queue in self._queues[start:] + self._queues[:start])
        dealt: list[Delivery] = []
        while lanes and len(dealt) < max_messages:
            lane = lanes.popleft()
            if lane.waiting:
                dealt.append(lane.hand_out())
                lanes.append(lane)
        return dealt

    def _settle(self, deliveries: Iterable[Delivery], how: Callable[[_Lane, set[int]], None]) -> None:
        if self._link is None:
            return
        numbers: dict[str, set[int]] = {}
        for delivery in deliveries:
            tag: _Tag = delivery.tag
            if tag.epoch == self._epoch:
                numbers.setdefault(tag.queue, set()).add(tag.number)
        try:
            with unavailable(self._url):
                for queue, of_queue in numbers.items():
                    how(self._lanes[queue], of_queue)
        except BrokerUnavailableError:
            self._discard()
            raise

    def _report_loss(self) -> None:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost

    def _discard(self) -> None:
        """Drop the connection without a word to the broker, which may be past answering."""
        if self._link is not None:
            self._link.discard()
        self._link = None
        self._lanes = {}


class AmqpReplyConsumer(AmqpConsumer):
    """Consumes a private queue, named by the broker, that lives as long as the connection.

    It is exclusive: RabbitMQ 4.3 rejects transient queues that are not. Once the connection is lost so is the queue,
    and nothing is left to reconnect to.
    """

    def __init__(self, url: AmqpUrl, timeouts: AmqpTimeouts) -> None:
        super().__init__(url, ("",), _REPLIES, timeouts)
        self._connected()
        [self.queue] = self._queues

    def _connected(self) -> AmqpLink:
        if self._link is None and self._epoch > 0:
            raise BrokerUnavailableError("the private reply queue went with its connection; no answer can arrive now")
        return super()._connected()

    def _prepare(self, channel: Any, queue: str) -> str:
        declared = channel.queue_declare(queue, exclusive=True, auto_delete=True)
        self._queues = (str(declared.queue),)
        return self._queues[0]
