"""A message too large to be published again: RabbitMQ itself puts it to dead, and the next ones come through."""

from __future__ import annotations

from datetime import timedelta

from kombu.connection import Connection

from messages.topology import changes_exchange, changes_queue, dead_queue, topology
from messages.transport.connect import connect
from messages.transport.limits import MAX_BODY_BYTES
from messages.transport.ports import Delivery
from tests.acceptance.clients import wait_for

WAIT = timedelta(milliseconds=200)


def test_what_nobody_could_publish_again_goes_to_dead(amqp_url: str, namespace: str) -> None:
    """It would stay in the outbox for ever, be loaded again at the end of each lease, and never be seen by anybody."""
    broker = connect(amqp_url)
    broker.declare(topology(namespace, ["bc"]))
    with Connection(amqp_url) as client, client.channel() as channel:
        for body in (b"x" * (MAX_BODY_BYTES + 1), b"small"):
            message = channel.prepare_message(body, properties={"delivery_mode": 2})
            channel.basic_publish(message, changes_exchange(namespace), "bc.customer.update")
    consumer, received = broker.consumer([changes_queue(namespace, "bc")], 10), list[Delivery]()

    def look() -> None:
        received.extend(consumer.receive(10, WAIT))

    wait_for(lambda: bool(received) and broker.depth(dead_queue(namespace)) == 1, look, "the small one, and dead")
    consumer.acknowledge(received)
    consumer.close()
    assert [one.body for one in received] == [b"small"]
    [dead] = broker.take(dead_queue(namespace), 1)
    assert (len(dead.body), dead.routing_key) == (MAX_BODY_BYTES + 1, changes_queue(namespace, "bc"))
