"""The embedded broker where it differs from RabbitMQ: its file, its leases, its face towards kombu."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer

from messages.topology import ExchangeSpec, QueueSpec, Topology
from messages.transport.embedded import EmbeddedBroker
from messages.transport.embedded_store import EmbeddedStore
from messages.transport.ports import BrokerUnavailableError, Delivery, Properties, Publication, PublishOutcome

LEASE = timedelta(seconds=0.3)
SHORT = timedelta(seconds=0.05)
LONG = timedelta(seconds=5)
WORK = Topology(
    exchanges=(ExchangeSpec(name="x"),), queues=(QueueSpec(name="work", exchange="x", pattern="#", arguments={}),)
)


@pytest.fixture
def broker(tmp_path: Path) -> EmbeddedBroker:
    """A broker with one queue, whose leases end soon."""
    one = EmbeddedBroker(tmp_path / "folder" / "broker.db", LEASE)
    one.declare(WORK)
    return one


def publish(broker: EmbeddedBroker, *bodies: bytes, properties: Properties = Properties()) -> None:  # noqa: B008 - frozen
    """Publish one message a body."""
    publisher = broker.publisher()
    messages = [Publication(exchange="x", routing_key="k", body=body, properties=properties) for body in bodies]
    assert set(publisher.publish(messages, LONG)) == {PublishOutcome.CONFIRMED}
    publisher.close()


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    """Return what was delivered."""
    return [one.body for one in deliveries]


def test_what_a_silent_consumer_holds_comes_again_after_the_lease(broker: EmbeddedBroker) -> None:
    """If leases did not end, what a killed worker held would be lost; if at once, all would be done twice."""
    publish(broker, b"1")
    silent, other = broker.consumer(["work"], 10), broker.consumer(["work"], 10)
    assert bodies(silent.receive(10, LONG)) == [b"1"]
    assert other.receive(10, SHORT) == []
    [again] = other.receive(10, LONG)
    assert (again.body, again.redelivered, again.attempts) == (b"1", True, 1)
    silent.close()
    assert other.receive(10, SHORT) == []
    other.close()


def test_heartbeats_keep_what_is_held(broker: EmbeddedBroker) -> None:
    """If a long batch could not extend its leases, another worker would do the same work meanwhile."""
    publish(broker, b"1")
    busy, other = broker.consumer(["work"], 10), broker.consumer(["work"], 10)
    held = busy.receive(10, LONG)
    deadline_s = time.monotonic() + 3 * LEASE.total_seconds()
    while time.monotonic() < deadline_s:
        busy.heartbeat()
        assert other.receive(10, SHORT) == []
    busy.acknowledge(held)
    busy.close()
    other.close()
    assert broker.depth("work") == 0


def test_waiting_for_more_keeps_what_is_held(broker: EmbeddedBroker) -> None:
    """If waiting for messages let the leases of those in hand end, a quiet queue would cause repetitions."""
    publish(broker, b"1")
    busy, other = broker.consumer(["work"], 10), broker.consumer(["work"], 10)
    held = busy.receive(10, LONG)
    assert busy.receive(10, 3 * LEASE) == []
    assert other.receive(10, SHORT) == []
    busy.acknowledge(held)
    busy.close()
    other.close()


def test_done_is_done_after_the_lease_too(broker: EmbeddedBroker) -> None:
    """If a late acknowledgement were ignored, what is committed would be worked on once more."""
    publish(broker, b"1")
    slow, other = broker.consumer(["work"], 10), broker.consumer(["work"], 10)
    held = slow.receive(10, LONG)
    again = other.receive(10, LONG)
    slow.acknowledge(held)
    other.release(again)
    assert broker.depth("work") == 0
    slow.close()
    other.close()


def test_leaving_does_not_give_back_what_others_hold(broker: EmbeddedBroker) -> None:
    """If giving back ignored who holds the lease, a third worker would get what the second is working on."""
    publish(broker, b"1")
    silent, other = broker.consumer(["work"], 10), broker.consumer(["work"], 10)
    silent.receive(10, LONG)
    held = other.receive(10, LONG)
    silent.close()
    assert broker.depth("work") == 0
    other.acknowledge(held)
    other.close()


def test_there_is_no_broker_before_setup(tmp_path: Path) -> None:
    """If a consumer made the file, a mistyped path would be a silent, empty broker."""
    path = tmp_path / "broker.db"
    broker = EmbeddedBroker(path)
    for act in (
        lambda: broker.consumer(["work"], 10).receive(1, SHORT),
        lambda: broker.publisher().publish([], SHORT),
        lambda: broker.depth("work"),
        broker.reply_consumer,
    ):
        with pytest.raises(BrokerUnavailableError, match="recouple setup"):
            act()
    assert broker.missing(WORK) == [f"the embedded broker's file {path} does not exist"]
    assert not path.exists()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    """If any SQLite file were taken, the store's own could be filled with a broker's tables."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE coupling (id INTEGER)")
    database.close()
    with pytest.raises(BrokerUnavailableError, match="not a broker's"):
        EmbeddedBroker(path).declare(WORK)
    path.write_bytes(b"something else altogether, longer than a header of SQLite" * 20)
    with pytest.raises(BrokerUnavailableError, match="not a database"):
        EmbeddedBroker(path).declare(WORK)


def test_a_missing_queue_is_named(broker: EmbeddedBroker) -> None:
    """If a queue that is not there looked like an empty one, a worker would wait for ever."""
    consumer = broker.consumer(["nowhere"], 10)
    with pytest.raises(BrokerUnavailableError, match=r"queue nowhere does not exist.*recouple setup"):
        consumer.receive(1, LONG)
    consumer.close()


def test_publishing_waits_no_longer_than_it_may(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """If another process's transaction could hold a publisher, a stuck worker would stop all others."""
    other = EmbeddedStore(tmp_path / "folder" / "broker.db")
    publisher = broker.publisher()
    with other.transaction():
        started_s = time.monotonic()
        with pytest.raises(BrokerUnavailableError, match="locked"):
            publisher.publish(
                [Publication(exchange="x", routing_key="k", body=b"", properties=Properties())], timedelta(seconds=0.2)
            )
        assert time.monotonic() - started_s < 2
    other.close()
    publisher.close()
    assert broker.depth("work") == 0


def test_an_idle_consumer_wakes_quickly(broker: EmbeddedBroker) -> None:
    """If the file were looked at once a second, as kombu does by default, every reaction would take half of one."""
    consumer = broker.consumer(["work"], 10)
    assert consumer.receive(1, SHORT) == []
    published_s: list[float] = []

    def later() -> None:
        publish(broker, b"1")
        published_s.append(time.monotonic())

    timer = threading.Timer(0.1, later)
    timer.start()
    received = consumer.receive(1, LONG)
    arrived_s = time.monotonic()
    timer.join()
    assert bodies(received) == [b"1"]
    assert arrived_s - published_s[0] < 0.5
    consumer.close()


def test_nobody_vouches_for_a_user(broker: EmbeddedBroker) -> None:
    """If user_id were passed on, whoever can write the file could sign commands with any name."""
    publish(broker, b"1", properties=Properties(user_id="jane", message_id="m"))
    assert broker.take("work", 1)[0].properties == Properties(message_id="m")


def test_a_private_queue_of_the_dead_is_swept_up(broker: EmbeddedBroker) -> None:
    """If the reply queues of killed commands stayed, the file would fill with answers that nobody reads."""
    name, dead = broker.reply_consumer()
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        _, living = broker.reply_consumer()
        living.close()
        try:
            broker.depth(name)
        except BrokerUnavailableError:
            break
        time.sleep(0.02)
    with pytest.raises(BrokerUnavailableError, match="does not exist"):
        broker.depth(name)
    dead.close()


def test_plain_kombu_speaks_to_it(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """If the alias were not a whole transport, an app that uses kombu could not join in on the embedded broker."""
    exchange = Exchange("y", type="topic")
    queue = Queue("mine", exchange, routing_key="a.*")
    with Connection(f"embedded:///{tmp_path}/folder/broker.db") as connection:
        producer = Producer(connection.channel())
        producer.publish({"n": 1}, exchange=exchange, routing_key="a.b", declare=[queue], serializer="json")
        simple = connection.SimpleQueue(queue)
        message = simple.get(timeout=2)
        assert message.payload == {"n": 1}
        message.ack()
        simple.close()
    assert broker.depth("mine") == 0


def test_a_full_feed_stays_as_long_as_it_may_be(tmp_path: Path) -> None:
    """A feed that nobody reads would fill the disk, as it is not counted each time; or be cut too short."""
    keep, window = 1000, 7
    feed = QueueSpec(
        name="feed", exchange="x", pattern="#", arguments={"x-max-length": keep, "x-overflow": "drop-head"}
    )
    broker = EmbeddedBroker(tmp_path / "broker.db", LEASE)
    broker.declare(Topology(exchanges=WORK.exchanges, queues=(feed,)))
    publish(broker, *([b"old"] * keep))
    publisher, depths = broker.publisher(), list[int]()
    for _ in range(20):
        message = Publication(exchange="x", routing_key="k", body=b"new", properties=Properties())
        publisher.publish([message] * window, LONG)
        depths.append(broker.depth("feed"))
    publisher.close()
    assert min(depths) >= keep
    assert max(depths) <= keep + keep // 100
