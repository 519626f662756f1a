"""A RabbitMQ, or a network, that falls silent holds no call for longer than it may, wherever it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import pytest

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.connect import connect
from messages.transport.ports import Broker, BrokerUnavailableError, Delivery, PublishOutcome
from tests.contract.transport.conftest import MESSAGE, TOPOLOGY, Hurtable
from tests.contract.transport.stalling import StallingProxy
from tests.faults.servers.proxy import Direction

TIMEOUTS = AmqpTimeouts(
    connect=timedelta(seconds=0.9),
    answer=timedelta(seconds=1),
    heartbeat=timedelta(seconds=2),
    close=timedelta(seconds=0.5),
)
WAIT, PUBLISH = timedelta(seconds=0.2), timedelta(seconds=2)

HELD_S = 6.0
"""How long a call may last: connecting with all its answers, on a machine that has other things to do."""

LOST_S = 10.0
"""After how long at the latest a consumer that waits notices: two heartbeats that do not come, and as much again."""

Calls = Callable[[Broker], Iterator[Callable[[], object]]]


def consume(broker: Broker) -> Iterator[Callable[[], object]]:
    """Receive and acknowledge, as a worker does."""
    consumer = broker.consumer(["q"], 5)
    got: list[Delivery] = []
    for _ in range(2):
        yield lambda: got.extend(consumer.receive(5, WAIT))
        yield consumer.heartbeat
        yield lambda: consumer.acknowledge(got)
    yield consumer.close


def publish(broker: Broker) -> Iterator[Callable[[], object]]:
    """Publish, as a relay does."""
    publisher = broker.publisher()
    for _ in range(2):
        yield lambda: publisher.publish([MESSAGE] * 3, PUBLISH)
    yield publisher.close


def ask(broker: Broker) -> None:
    """Open a queue for an answer, and leave."""
    _, consumer = broker.reply_consumer()
    consumer.close()


def look(broker: Broker) -> Iterator[Callable[[], object]]:
    """Declare, check and look, as operators do."""
    yield lambda: broker.declare(TOPOLOGY)
    yield lambda: broker.missing(TOPOLOGY)
    yield lambda: broker.peek("q", 2)
    yield lambda: broker.take("q", 1)
    yield lambda: ask(broker)


ALL = (consume, publish, look)


def longest(calls: Calls, broker: Broker) -> float:
    """Return for how long one of these calls held us at most."""
    longest_s = 0.0
    for call in calls(broker):
        started_s = time.monotonic()
        with suppress(BrokerUnavailableError):
            call()
        longest_s = max(longest_s, time.monotonic() - started_s)
    return longest_s


def eventually(happens: Callable[[], bool]) -> None:
    """Try until it happens."""
    for _ in range(20):
        with suppress(BrokerUnavailableError):
            if happens():
                return
    raise AssertionError("it does not happen")


class Stall(NamedTuple):
    """After how many bytes in which direction a network falls silent, and what is done meanwhile."""

    direction: Direction
    passing_bytes: int
    calls: Calls


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_network_that_falls_silent_anywhere_holds_no_call(own_rabbitmq: Hurtable, *, tls: bool) -> None:
    """Else a loop hangs for ever, in a handshake, in the middle of a frame or in its farewell, or dies of it."""
    url, port = own_rabbitmq.url(tls=tls), own_rabbitmq.port(tls=tls)

    def held(stall: Stall) -> tuple[bool, float]:
        with StallingProxy(port, stall.direction, stall.passing_bytes) as proxy:
            held_s = longest(stall.calls, connect(proxy.url(url), TIMEOUTS))
            return proxy.stalled, held_s

    counts = range(0, 4000, 250) if tls else range(0, 1200, 75)
    stalls = [Stall(direction, count, calls) for count in counts for direction in Direction for calls in ALL]
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(stalls, pool.map(held, stalls), strict=True))
    assert {stall: held_s for stall, (_, held_s) in found.items() if held_s > HELD_S} == {}
    assert sum(stalled for stalled, _ in found.values()) > len(stalls) / 3, "most never got so far"


@pytest.fixture
def frozen(own_rabbitmq: Hurtable) -> Iterator[Callable[[], None]]:
    """Freezes the server for the rest of the test."""
    yield own_rabbitmq.server.freeze
    own_rabbitmq.server.thaw()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_frozen_broker_holds_nobody_and_is_found_again(
    own_rabbitmq: Hurtable, frozen: Callable[[], None], *, tls: bool
) -> None:
    """Else a worker stands still behind a broker that hangs: its kernel goes on acknowledging what we send."""
    broker = connect(own_rabbitmq.url(tls=tls), TIMEOUTS)
    consumer, publisher = broker.consumer(["q"], 5), broker.publisher()
    idle = broker.publisher()
    eventually(lambda: publisher.publish([MESSAGE], PUBLISH) == [PublishOutcome.CONFIRMED])
    eventually(lambda: idle.publish([MESSAGE], PUBLISH) == [PublishOutcome.CONFIRMED])
    held = consumer.receive(5, 5 * PUBLISH)
    assert held
    frozen()

    assert publisher.publish([MESSAGE], PUBLISH) == [PublishOutcome.UNKNOWN]
    started_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="does not answer in time"):
        publisher.publish([MESSAGE], PUBLISH)
    idle.close()
    assert time.monotonic() - started_s < HELD_S

    started_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError):  # noqa: PT012 - each call may be the one
        while time.monotonic() - started_s < 2 * LOST_S:
            consumer.receive(5, WAIT)
    assert time.monotonic() - started_s < LOST_S
    assert max(longest(calls, broker) for calls in ALL) < HELD_S

    own_rabbitmq.server.thaw()
    eventually(lambda: publisher.publish([MESSAGE], PUBLISH) == [PublishOutcome.CONFIRMED])
    eventually(lambda: bool(consumer.receive(5, PUBLISH)))
    consumer.acknowledge(held)
    consumer.close()
    publisher.close()
