"""The consumer on AMQP against a broker that is silent, gone or wrong: it never hangs, and says what is the matter."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pika import BasicProperties, spec

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.connect import connect
from messages.transport.ports import BrokerUnavailableError, Consumer, Delivery, Properties
from tests.unit.messages.transport.fake_broker import FakeBroker, Session

NONE = timedelta(0)
SHORT = timedelta(seconds=0.2)
LONG = timedelta(seconds=5)


@pytest.fixture
def consumer(broker: FakeBroker, timeouts: AmqpTimeouts) -> Iterator[Consumer]:
    """A consumer of one queue of the fake broker."""
    one = connect(broker.url, timeouts).consumer(["work"], 10)
    yield one
    one.close()


def deliver(
    session: Session, *numbers: int, body: bytes = b"body", properties: BasicProperties | None = None, key: str = "key"
) -> None:
    """Deliver messages to the consumer of the first channel."""
    tag = next(one.consumer_tag for one in session.received if isinstance(one, spec.Basic.Consume))
    for number in numbers:
        method = spec.Basic.Deliver(tag, number, exchange="x", routing_key=key)
        session.send_message(method, body, properties or BasicProperties())


def receive(consumer: Consumer, count: int) -> list[Delivery]:
    """Return the next ``count`` deliveries, within a few seconds."""
    deadline_s = time.monotonic() + 5
    got: list[Delivery] = []
    while len(got) < count and time.monotonic() < deadline_s:
        got += consumer.receive(count - len(got), SHORT)
    assert len(got) == count
    return got


def acknowledged(broker: FakeBroker, count: int) -> list[tuple[int, bool]]:
    """Return the number and the ``multiple`` of each acknowledgement, when there are ``count``."""
    deadline_s = time.monotonic() + 5
    found: list[spec.Basic.Ack] = []
    while len(found) < count and time.monotonic() < deadline_s:
        found = [one for one in broker.session.received if isinstance(one, spec.Basic.Ack)]
        time.sleep(0.005)
    return [(one.delivery_tag, one.multiple) for one in found]


@pytest.mark.parametrize(
    ("chosen", "frames"),
    [
        ([1, 2, 3, 4], [(4, True)]),
        ([4, 2, 1, 3], [(4, True)]),
        ([1, 2], [(2, True)]),
        ([3, 4], [(3, False), (4, False)]),
        ([1, 2, 4], [(2, True), (4, False)]),
        ([1, 1], [(1, True)]),
    ],
)
def test_acknowledging_never_takes_in_what_was_not_named(
    broker: FakeBroker, consumer: Consumer, chosen: list[int], frames: list[tuple[int, bool]]
) -> None:
    """If ``multiple`` reached over a delivery that is still being worked on, a crash would lose it."""
    consumer.receive(1, NONE)
    deliver(broker.session, 1, 2, 3, 4)
    by_number = {one.tag.number: one for one in receive(consumer, 4)}
    consumer.acknowledge([by_number[number] for number in chosen])
    assert acknowledged(broker, len(frames)) == frames


def test_acknowledging_spares_what_waits_here_unseen(broker: FakeBroker, consumer: Consumer) -> None:
    """If prefetched deliveries that were not handed out yet were acknowledged along, they would be lost."""
    consumer.receive(1, NONE)
    deliver(broker.session, 1, 2, 3)
    [first] = receive(consumer, 1)
    consumer.heartbeat()
    consumer.acknowledge([first])
    assert acknowledged(broker, 1) == [(1, True)]
    assert [one.tag.number for one in receive(consumer, 2)] == [2, 3]


def test_deliveries_of_an_earlier_connection_are_passed_over(broker: FakeBroker, consumer: Consumer) -> None:
    """If an old delivery's number were used on a new connection, it would acknowledge somebody else's message."""
    consumer.receive(1, NONE)
    deliver(broker.session, 1)
    [old] = receive(consumer, 1)
    broker.session.cut()
    with pytest.raises(BrokerUnavailableError, match="is away"):
        consumer.receive(1, LONG)
    assert consumer.receive(1, NONE) == []
    deliver(broker.session, 1, 2)
    new = receive(consumer, 2)
    consumer.acknowledge([old])
    consumer.acknowledge(new)
    assert acknowledged(broker, 1) == [(2, True)]


def test_a_frozen_broker_is_noticed_while_waiting(broker: FakeBroker, consumer: Consumer) -> None:
    """If missing heartbeats went unnoticed, a worker would wait for ever at a broker that has stopped."""
    consumer.receive(1, NONE)
    broker.frozen.set()
    started_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="heartbeats missed"):
        consumer.receive(1, timedelta(seconds=20))
    assert time.monotonic() - started_s < 6
    broker.frozen.clear()
    assert consumer.receive(1, NONE) == []


def test_a_frozen_broker_is_noticed_while_connecting(broker: FakeBroker, consumer: Consumer) -> None:
    """If the handshake could wait without end, so would a worker that reconnects to a broker that has stopped."""
    broker.frozen.set()
    started_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="does not answer in time"):
        consumer.receive(1, LONG)
    assert time.monotonic() - started_s < 2


def test_a_broker_that_only_sends_heartbeats_is_noticed(broker: FakeBroker, consumer: Consumer) -> None:
    """If heartbeats kept a wait for an answer alive, a broker that has lost its head would hold a worker for ever."""

    def beat(session: Session, _method: object, _channel: int) -> None:
        for _ in range(18):
            session.beat()
            time.sleep(0.05)

    broker.answers[spec.Basic.Qos] = beat
    started_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="does not answer in time"):
        consumer.receive(1, LONG)
    assert time.monotonic() - started_s < 1.5


def test_closing_at_a_frozen_broker_ends(broker: FakeBroker, consumer: Consumer) -> None:
    """If the goodbye waited for its answer without end, a worker could not stop while the broker hangs."""
    consumer.receive(1, NONE)
    broker.frozen.set()
    started_s = time.monotonic()
    consumer.close()
    assert time.monotonic() - started_s < 2


def test_a_loss_noticed_by_a_heartbeat_is_reported_next(broker: FakeBroker, consumer: Consumer) -> None:
    """If a heartbeat swallowed the loss, nobody would log that the broker was gone and why messages come again."""
    consumer.receive(1, NONE)
    deliver(broker.session, 1)
    got = receive(consumer, 1)
    broker.session.cut()
    consumer.heartbeat()
    with pytest.raises(BrokerUnavailableError):
        consumer.acknowledge(got)
    assert consumer.receive(1, NONE) == []


def test_a_deleted_queue_is_named_as_the_cause(broker: FakeBroker, consumer: Consumer) -> None:
    """If the broker's cancellation went unheard, the worker would wait for ever at a queue that it no longer has."""
    consumer.receive(1, NONE)
    [tag] = [one.consumer_tag for one in broker.session.received if isinstance(one, spec.Basic.Consume)]
    broker.session.send(spec.Basic.Cancel(tag))
    with pytest.raises(BrokerUnavailableError, match="its queue was deleted"):
        consumer.receive(1, LONG)
    assert consumer.receive(1, NONE) == []


def test_a_missing_queue_is_named(broker: FakeBroker, consumer: Consumer) -> None:
    """If the words did not name the queue and what to do, the operator would not know that setup was forgotten."""
    close = spec.Channel.Close(404, "NOT_FOUND - no queue 'work' in vhost '/'", 60, 20)
    broker.answers[spec.Basic.Consume] = lambda session, _method, channel: session.send(close, channel)
    with pytest.raises(BrokerUnavailableError, match=r"no queue 'work'.*recouple setup"):
        consumer.receive(1, LONG)


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (403, "ACCESS_REFUSED - Login was refused", "check user, password"),
        (530, "NOT_ALLOWED - vhost wrong not found", "check the virtual host"),
    ],
)
def test_not_let_in(broker: FakeBroker, consumer: Consumer, code: int, text: str, words: str) -> None:
    """If the words did not tell a wrong password from a network fault, the operator would look in the wrong place."""
    close = spec.Connection.Close(code, text, 10, 40)
    broker.answers[spec.Connection.Open] = lambda session, _method, _channel: session.send(close, channel=0)
    with pytest.raises(BrokerUnavailableError, match=rf"guest:\*\*\*@.*{words}"):
        consumer.receive(1, LONG)


class Raw(BasicProperties):  # type: ignore[misc]  # pika ships no types
    """Properties in bytes of our own."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.raw = raw

    def encode(self) -> list[bytes]:
        """Return the bytes."""
        return [self.raw]


def table(content: bytes) -> bytes:
    """Return a table of headers."""
    return struct.pack(">HI", 1 << 13, len(content)) + content


def nested(depth: int) -> bytes:
    """Return tables within tables."""
    content = b"\x01aV"
    for _ in range(depth):
        content = b"\x01aF" + struct.pack(">I", len(content)) + content
    return content


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (struct.pack(">H", 1 << 15) + b"\x02\xff\xfe", Properties()),
        (table(b"\x01aT" + struct.pack(">Q", 2**63)), Properties()),
        (table(nested(3000)), Properties()),
        (table(b"\x01a?"), Properties()),
        (struct.pack(">HQ", 1 << 6, 2**64 - 1), Properties(timestamp_s=2**64 - 1)),
        (struct.pack(">H", 1 << 14) + b"\x04gzip", Properties(content_encoding="gzip")),
        (struct.pack(">H", 1 << 14) + b"\x06utf-16", Properties(content_encoding="utf-16")),
        (table(b"\x0bcompressionS\x00\x00\x00\x04zlib"), Properties(headers={"compression": "zlib"})),
        (table(b"\x01ad" + struct.pack(">d", 1.5)), Properties(headers={"a": "1.5"})),
        (table(b"\x02\xff\xfeV"), Properties(headers={"\ufffd\ufffd": None})),
        (table(b"\x10x-delivery-countI\x00\x00\x00\x07"), Properties()),
    ],
    ids=["text", "time", "depth", "type", "timestamp", "gzip", "utf-16", "compression", "float", "name", "count"],
)
def test_hostile_properties_cost_nothing_but_themselves(
    broker: FakeBroker, consumer: Consumer, raw: bytes, read: Properties
) -> None:
    """If properties that a library trips over ended the connection, one message would stop all consumers for good."""
    consumer.receive(1, NONE)
    deliver(broker.session, 1, properties=Raw(raw))
    deliver(broker.session, 2, body=b"next")
    first, second = receive(consumer, 2)
    assert (first.body, first.properties) == (b"body", read)
    assert (second.body, second.properties) == (b"next", Properties())


def test_a_routing_key_that_is_not_text(
    broker: FakeBroker, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If bytes that are no UTF-8 in a routing key ended the connection, one message would stop all consumers."""
    consumer.receive(1, NONE)
    encode: Callable[[list[bytes], str], int] = spec.data.encode_short_string

    def encode_bytes(pieces: list[bytes], text: str) -> int:
        if text != "bytes":
            return encode(pieces, text)
        pieces.append(b"\x02a\xff")
        return 3

    with monkeypatch.context() as patched:
        patched.setattr(spec.data, "encode_short_string", encode_bytes)
        deliver(broker.session, 1, key="bytes")
    assert receive(consumer, 1)[0].routing_key == "a?"


def test_queues_take_turns(broker: FakeBroker, timeouts: AmqpTimeouts) -> None:
    """If what came first were handed out first, a full queue would hold up the commands behind it."""
    consumer = connect(broker.url, timeouts).consumer(["full", "rare"], 100)
    consumer.receive(1, NONE)
    full, rare = (one.consumer_tag for one in broker.session.received if isinstance(one, spec.Basic.Consume))
    for number in range(1, 11):
        method = spec.Basic.Deliver(full, number, exchange="x", routing_key="")
        broker.session.send_message(method, b"f", BasicProperties(), channel=1)
    broker.session.send_message(spec.Basic.Deliver(rare, 1, exchange="x", routing_key=""), b"r", BasicProperties(), 2)
    consumer.heartbeat()
    assert sorted(one.body for one in receive(consumer, 6)[:2]) == [b"f", b"r"]
    consumer.close()
