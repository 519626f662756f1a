"""A RabbitMQ that takes nothing, and connections that are cut time and again: bounded, and nothing stays behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.connect import connect
from messages.transport.ports import BrokerUnavailableError, Publisher, PublishOutcome
from tests.acceptance.clients import wait_for
from tests.contract.transport.conftest import MESSAGE, WAIT, Hurtable
from tests.faults.servers.proxy import Proxy
from tests.footprint import growth
from tests.full_line import full_line

SOON = timedelta(seconds=1)
SPARE_S = 2.0
"""How much longer a machine may take that has other things to do."""

OBJECTS_PER_OUTAGE = 2
MEMORY_BYTES = 4 * 1024 * 1024
"""How much the process may grow over all outages: less than a few of these connections."""


def test_a_memory_alarm_holds_no_publisher_and_no_consumer(own_rabbitmq: Hurtable) -> None:
    """Else the outbox, or the inbox with it, would stand still without a word while the broker is short of memory."""
    broker = connect(own_rabbitmq.server.url)
    publisher, other, consumer = broker.publisher(), broker.publisher(), broker.consumer(["q"], 10)
    assert publisher.publish([MESSAGE], WAIT) == [PublishOutcome.CONFIRMED]
    own_rabbitmq.server.ctl("set_vm_memory_high_watermark", "0")
    try:
        for blocked in (publisher, other, publisher):
            wait_for(partial(is_blocked, blocked), lambda: None, "the alarm to reach this connection")
        received = consumer.receive(10, WAIT)
        assert received, "who consumes is not blocked"
        consumer.acknowledge(received)
        started_s = time.monotonic()
        consumer.close()
        other.close()
        assert time.monotonic() - started_s < SPARE_S
    finally:
        own_rabbitmq.server.ctl("set_vm_memory_high_watermark", "0.4")

    def is_over() -> bool:
        with suppress(BrokerUnavailableError):  # the broker says so to each connection, in its own time
            return publisher.publish([MESSAGE], WAIT) == [PublishOutcome.CONFIRMED]
        return False

    wait_for(is_over, lambda: None, "the alarm to be over")
    publisher.close()


def is_blocked(publisher: Publisher) -> bool:
    """Say whether the broker takes nothing of this publisher any more; whatever it does, it is done soon."""
    started_s, outcomes = time.monotonic(), list[PublishOutcome]()
    with suppress(BrokerUnavailableError):
        outcomes = publisher.publish([MESSAGE] * 3, SOON)
    assert time.monotonic() - started_s < SOON.total_seconds() + SPARE_S
    return set(outcomes) <= {PublishOutcome.UNKNOWN}


def test_a_host_that_swallows_what_is_sent_holds_nobody() -> None:
    """Else a worker whose broker is behind a new firewall stands still for the two minutes that TCP tries."""
    with full_line() as port:
        broker = connect(f"amqp://guest:guest@127.0.0.1:{port}//", AmqpTimeouts(connect=SOON))
        consumer, publisher = broker.consumer(["q"], 10), broker.publisher()
        calls: list[Callable[[], object]] = [
            lambda: consumer.receive(1, SOON),
            lambda: publisher.publish([MESSAGE], WAIT),
            lambda: broker.depth("q"),
        ]
        for call in calls:
            started_s = time.monotonic()
            with pytest.raises(BrokerUnavailableError, match="does not answer in time"):
                call()
            assert time.monotonic() - started_s < SOON.total_seconds() + SPARE_S


@pytest.mark.parametrize(("tls", "times"), [(False, 200), (True, 60)], ids=["plain", "TLS"])
def test_hundreds_of_outages_leave_nothing_behind(own_rabbitmq: Hurtable, *, tls: bool, times: int) -> None:
    """Else a worker that lives through a week of bad network runs out of memory, or of descriptors, one day."""
    with Proxy(own_rabbitmq.port(tls=tls)) as proxy:
        broker = connect(proxy.url(own_rabbitmq.url(tls=tls)))
        consumer, publisher = broker.consumer(["q"], 10), broker.publisher()

        def outage() -> None:
            assert publisher.publish([MESSAGE], WAIT) == [PublishOutcome.CONFIRMED]
            received = consumer.receive(10, WAIT)
            assert received
            proxy.cut()
            with suppress(BrokerUnavailableError):
                consumer.acknowledge(received)
                consumer.receive(1, SOON)

        grown = growth(outage, times)
        consumer.close()
        publisher.close()
    assert grown.threads <= 0
    assert grown.descriptors <= 0
    assert grown.objects < OBJECTS_PER_OUTAGE * times
    assert grown.memory_bytes < MEMORY_BYTES
