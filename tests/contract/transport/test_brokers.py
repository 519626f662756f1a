"""What the workers rely on, the same on both brokers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from messages.topology import ExchangeSpec, QueueSpec, Topology
from messages.transport.connect import connect
from messages.transport.ports import Properties, Publication, PublishOutcome, TopologyMismatchError
from tests.contract.transport.conftest import WAIT, Place, bodies, receive

CONFIRMED, RETURNED, REFUSED = PublishOutcome.CONFIRMED, PublishOutcome.RETURNED, PublishOutcome.REFUSED
SHORT = timedelta(seconds=0.1)
EVERY_BYTE = bytes(range(256)) * 3
FULL = Properties(
    message_id="id-1",
    type="recouple.record.changed",
    app_id="bc/Łódź",
    correlation_id="c" * 255,
    reply_to="amq.gen-abc",
    content_type="application/cloudevents+json",
    content_encoding="gzip",
    timestamp_s=1_790_000_000,
    headers={
        "text": "ż",
        "number": -5,
        "big": 2**40,
        "flag": True,
        "none": None,
        "list": [1, "a"],
        "table": {"a": {"b": 1}},
    },
)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds, a few seconds at most."""
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


@pytest.mark.parametrize("body", [b"", b"{}", EVERY_BYTE, b"\x1f\x8b\x08 not really gzip", b"x" * 1_100_000])
def test_what_is_published_arrives_unchanged(place: Place, body: bytes) -> None:
    """If bytes or properties changed on the way, no digest, encoding check or correlation could be relied on."""
    publisher, consumer = place.broker.publisher(), place.broker.consumer([place.one], 10)
    assert publisher.publish([place.publication(body, "one.a.b", FULL)], WAIT) == [CONFIRMED]
    [delivery] = receive(consumer, 1)
    assert delivery.body == body
    assert delivery.properties == FULL
    assert (delivery.queue, delivery.exchange, delivery.routing_key) == (place.one, place.exchange, "one.a.b")
    assert (delivery.redelivered, delivery.attempts) == (False, 0)
    consumer.acknowledge([delivery])
    consumer.close()
    publisher.close()


def test_a_header_named_compression_is_only_a_header(place: Place) -> None:
    """If kombu decompressed by it, anybody could send a bomb, or a message that no consumer survives."""
    publisher, consumer = place.broker.publisher(), place.broker.consumer([place.one], 10)
    properties = Properties(headers={"compression": "application/x-gzip"})
    publisher.publish([place.publication(b"plain", properties=properties)], WAIT)
    assert bodies(receive(consumer, 1)) == [b"plain"]
    consumer.close()
    publisher.close()


def test_acknowledged_is_gone_for_good(place: Place) -> None:
    """If an acknowledged message came again, each restart would repeat work."""
    place.publish(*(b"%d" % number for number in range(5)))
    consumer = place.broker.consumer([place.one], 10)
    consumer.acknowledge(receive(consumer, 5))
    consumer.close()
    again = place.broker.consumer([place.one], 10)
    assert again.receive(10, SHORT) == []
    again.close()
    assert place.broker.depth(place.one) == 0


def test_closing_gives_back_at_once(place: Place) -> None:
    """If a clean stop kept what it had not finished, a deployment would delay messages or lose them."""
    place.publish(b"1", b"2", b"3")
    first = place.broker.consumer([place.one], 10)
    kept, *_ = receive(first, 3)
    first.acknowledge([kept])
    first.close()
    second = place.broker.consumer([place.one], 10)
    again = receive(second, 2)
    assert sorted([kept.body, *bodies(again)]) == [b"1", b"2", b"3"]
    assert [one.redelivered for one in again] == [True, True]
    assert [one.attempts for one in again] == [1, 1]
    second.close()


def test_a_killed_consumer_loses_nothing(place: Place) -> None:
    """If kill -9 lost what was delivered and not acknowledged, the first promise of all would be broken."""
    place.publish(*(b"%d" % number for number in range(10)))
    script = (
        "import sys, time; from datetime import timedelta; from messages.transport.connect import connect\n"
        "consumer = connect(sys.argv[1]).consumer([sys.argv[2]], 10)\n"
        "got = []\n"
        "while len(got) < 10: got += consumer.receive(10, timedelta(seconds=1))\n"
        "print('got', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", script, place.url, place.one], stdout=subprocess.PIPE, cwd=root
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"got\n"
        assert place.broker.depth(place.one) == 0
        os.kill(killed.pid, signal.SIGKILL)
    consumer = place.broker.consumer([place.one], 10)
    again = receive(consumer, 10)
    assert bodies(again) == [b"%d" % number for number in range(10)]
    assert {one.attempts for one in again} == {1}  # a death charges all that was delivered: it makes suspects
    consumer.close()


@pytest.mark.parametrize("chosen", [[0, 1, 2], [2, 3, 4], [0, 2, 4], [4, 0], list(range(5))])
def test_only_what_is_named_is_acknowledged(place: Place, chosen: list[int]) -> None:
    """If acknowledging some took in others, a crash would lose what is still being worked on."""
    place.publish(*(b"%d" % number for number in range(5)))
    consumer = place.broker.consumer([place.one], 10)
    got = receive(consumer, 5)
    consumer.acknowledge([got[index] for index in chosen])
    consumer.close()
    eventually(lambda: place.broker.depth(place.one) == 5 - len(chosen))
    left = [one.body for index, one in enumerate(got) if index not in chosen]
    assert bodies(place.broker.take(place.one, 10)) == sorted(left)


def test_acknowledging_twice_does_no_harm(place: Place) -> None:
    """If a repeated acknowledgement broke the channel, one slip would return a whole batch."""
    place.publish(b"1", b"2")
    consumer = place.broker.consumer([place.one], 10)
    one, two = receive(consumer, 2)
    consumer.acknowledge([one])
    consumer.acknowledge([one, two])
    consumer.acknowledge([])
    assert consumer.receive(1, SHORT) == []
    consumer.close()
    assert place.broker.depth(place.one) == 0


def test_competing_consumers_share(place: Place) -> None:
    """If two consumers got the same message, each event would be worked on by every worker."""
    sent = [b"%03d" % number for number in range(200)]
    place.publish(*sent)
    consumers = [place.broker.consumer([place.one], 10) for _ in range(2)]
    got: list[list[bytes]] = [[], []]
    for _ in range(200):
        for mine, consumer in zip(got, consumers, strict=True):
            deliveries = consumer.receive(10, timedelta(seconds=0.02))
            mine += [one.body for one in deliveries]
            consumer.acknowledge(deliveries)
        if len(got[0]) + len(got[1]) >= 200:
            break
    assert sorted(got[0] + got[1]) == sent
    assert min(map(len, got)) > 0
    for consumer in consumers:
        consumer.close()


def test_no_queue_starves_another(place: Place) -> None:
    """If a full queue were emptied first, commands would wait behind a million events."""
    place.publish(*[b"full"] * 600)
    place.publish(*[b"rare"] * 3, key="two.x")
    consumer = place.broker.consumer([place.one, place.two], 100)
    seen: list[bytes] = []
    while seen.count(b"rare") < 3 and len(seen) < 603:
        got = receive(consumer, 10)
        consumer.acknowledge(got)
        seen += [one.body for one in got]
    assert len(seen) < 300
    consumer.close()


def test_one_at_a_time_takes_turns_too(place: Place) -> None:
    """If the first queue were always looked at first, a batch of one would never come from the second."""
    place.publish(*[b"one"] * 5)
    place.publish(*[b"two"] * 5, key="two.x")
    consumer = place.broker.consumer([place.one, place.two], 10)
    seen: list[bytes] = []
    for _ in range(10):
        got = receive(consumer, 1)
        consumer.acknowledge(got)
        seen += [one.body for one in got]
    assert len(set(seen[:8])) == 2
    consumer.close()


def test_large_messages_come_in_small_batches(place: Place) -> None:
    """If a batch were counted in messages only, a backlog of large ones would not fit into a worker's memory."""
    megabyte = bytes(1024 * 1024)
    place.publish(*[megabyte] * 12)
    consumer = place.broker.consumer([place.one], 100)
    first = receive(consumer, 1) + consumer.receive(100, WAIT)
    assert len(first) < 12
    consumer.acknowledge(first)
    consumer.acknowledge(receive(consumer, 12 - len(first)))
    consumer.close()
    assert place.broker.depth(place.one) == 0


def test_no_more_is_held_than_prefetch_says(place: Place) -> None:
    """If prefetch were not kept, one worker would take all, and its death would return all."""
    place.publish(*[b"x"] * 20)
    consumer = place.broker.consumer([place.one], 5)
    held = receive(consumer, 5)
    assert consumer.receive(5, SHORT) == []
    eventually(lambda: place.broker.depth(place.one) == 15)
    consumer.acknowledge(held)
    assert len(receive(consumer, 5)) == 5
    consumer.close()


def test_released_comes_again(place: Place) -> None:
    """If what is given back did not come at once, a worker could not pass work on."""
    place.publish(b"1", b"2", b"3")
    consumer = place.broker.consumer([place.one], 10)
    got = receive(consumer, 3)
    consumer.release(got[1:2])
    [again] = receive(consumer, 1)
    assert (again.body, again.redelivered) == (got[1].body, True)
    consumer.acknowledge([got[0], again, got[2]])
    consumer.close()
    assert place.broker.depth(place.one) == 0


def test_unroutable_is_returned_and_nothing_else(place: Place) -> None:
    """If an unroutable message were called confirmed it would be lost, and so would its batch if that suffered."""
    publisher = place.broker.publisher()
    batch = [place.publication(b"1"), place.publication(b"2", "nowhere"), place.publication(b"3")]
    assert publisher.publish(batch, WAIT) == [CONFIRMED, RETURNED, CONFIRMED]
    assert publisher.publish([place.publication(b"4")], WAIT) == [CONFIRMED]
    gone = Publication(exchange="", routing_key=f"{place.one}.gone", body=b"", properties=Properties())
    assert publisher.publish([gone], WAIT) == [RETURNED]
    no_exchange = Publication(exchange=f"{place.exchange}.gone", routing_key="one", body=b"", properties=Properties())
    assert publisher.publish([no_exchange], WAIT) == [RETURNED]
    assert publisher.publish([place.publication(b"5")], WAIT) == [CONFIRMED]
    publisher.close()
    assert bodies(place.broker.take(place.one, 10)) == [b"1", b"3", b"4", b"5"]


def test_publishing_nothing(place: Place) -> None:
    """If an empty batch waited for confirms, an idle relay would hang."""
    publisher = place.broker.publisher()
    assert publisher.publish([], WAIT) == []
    publisher.close()


def test_topics_route(place: Place) -> None:
    """If routing differed between the brokers, what works on a laptop would not in production."""
    publisher = place.broker.publisher()
    keys = ["one", "one.x", "one.x.y", "two.x", "onex", "x.one", ""]
    outcomes = publisher.publish([place.publication(key.encode(), key) for key in keys], WAIT)
    assert outcomes == [CONFIRMED] * 4 + [RETURNED] * 3
    publisher.close()
    assert bodies(place.broker.take(place.one, 10)) == [b"one", b"one.x", b"one.x.y"]
    assert bodies(place.broker.take(place.two, 10)) == [b"two.x"]


def test_a_queue_bound_twice_gets_a_message_once(place: Place) -> None:
    """If overlapping patterns doubled a message, each would cost a duplicate."""
    [one, *_] = place.topology.queues
    place.broker.declare(Topology(exchanges=(), queues=(msgspec.structs.replace(one, pattern="#"),)))
    place.publish(b"1")
    assert place.broker.depth(place.one) == 1


def test_looking_leaves_and_taking_takes(place: Place) -> None:
    """If a look took messages away, an operator's curiosity would lose data."""
    place.publish(b"1", b"2", b"3")
    assert place.broker.depth(place.one) == 3
    assert bodies(place.broker.peek(place.one, 2)) == [b"1", b"2"]
    eventually(lambda: place.broker.depth(place.one) == 3)
    assert len(place.broker.take(place.one, 2)) == 2
    assert place.broker.depth(place.one) == 1
    assert len(place.broker.take(place.one, 10)) == 1
    assert place.broker.peek(place.one, 10) == []


def test_what_is_held_is_not_waiting(place: Place) -> None:
    """If depth counted what is in hand, ``--drain`` would never find a queue empty."""
    place.publish(b"1", b"2")
    consumer = place.broker.consumer([place.one], 1)
    receive(consumer, 1)
    eventually(lambda: place.broker.depth(place.one) == 1)
    consumer.close()


def test_declaring_again_changes_nothing(place: Place) -> None:
    """If setup could not be run twice, no deployment could include it."""
    place.publish(b"1")
    place.broker.declare(place.topology)
    assert place.broker.missing(place.topology) == []
    assert place.broker.depth(place.one) == 1


def test_what_is_missing_is_named(place: Place) -> None:
    """If a worker could not say which queue is missing, the operator would have to guess."""
    exchange, queue = f"{place.exchange}.more", f"{place.one}.more"
    more = Topology(
        exchanges=(*place.topology.exchanges, ExchangeSpec(name=exchange)),
        queues=(*place.topology.queues, QueueSpec(name=queue, exchange=exchange, pattern="#", arguments={})),
    )
    assert place.broker.missing(more) == [f"the exchange {exchange} is missing", f"the queue {queue} is missing"]


def test_other_arguments_are_a_mismatch(place: Place) -> None:
    """If a queue with other arguments were taken for ours, its limits would surprise us under load."""
    [one, *_] = place.topology.queues
    other = msgspec.structs.replace(one, arguments={**one.arguments, "x-max-length": 7})
    with pytest.raises(TopologyMismatchError, match=f"the queue {place.one} exists"):
        place.broker.declare(Topology(exchanges=(), queues=(other,)))


def test_replies_come_to_a_queue_of_ones_own(place: Place) -> None:
    """If the private queue outlived its consumer, each command would leave one behind."""
    name, consumer = place.broker.reply_consumer()
    assert name.startswith("amq.gen-")
    reply = Publication(exchange="", routing_key=name, body=b"done", properties=Properties(correlation_id="c"))
    publisher = place.broker.publisher()
    assert publisher.publish([reply, reply], WAIT) == [CONFIRMED, CONFIRMED]
    answers = receive(consumer, 2)
    assert [(one.body, one.properties.correlation_id) for one in answers] == [(b"done", "c")] * 2
    consumer.acknowledge(answers)
    consumer.close()
    eventually(lambda: publisher.publish([reply], WAIT) == [RETURNED])
    publisher.close()


def test_a_large_batch(place: Place) -> None:
    """If batches larger than the window stalled or lost their order of outcomes, the relay would publish again."""
    publisher = place.broker.publisher()
    batch = [place.publication(b"%04d" % number, "one.x" if number % 3 else "nowhere") for number in range(2000)]
    outcomes = publisher.publish(batch, WAIT)
    assert outcomes == [CONFIRMED if number % 3 else RETURNED for number in range(2000)]
    publisher.close()
    consumer = place.broker.consumer([place.one], 400)
    got: list[bytes] = []
    for _ in range(200):
        deliveries = consumer.receive(200, timedelta(seconds=0.1))
        consumer.acknowledge(deliveries)
        got += [one.body for one in deliveries]
        if len(got) == outcomes.count(CONFIRMED):
            break
    assert sorted(got) == [b"%04d" % number for number in range(2000) if number % 3]
    consumer.close()


@pytest.mark.parametrize(
    "properties",
    [
        Properties(correlation_id="x" * 256),
        Properties(message_id="ż" * 128),
        Properties(type="\ud800"),
        Properties(headers={"long": "x" * 125_000}),
        Properties(headers={"number": 2**63}),
        Properties(headers={"n" * 256: 1}),
        Properties(headers={"set": {1}}),
    ],
)
def test_what_cannot_travel_is_refused_alone(place: Place, properties: Properties) -> None:
    """If one message that does not fit the wire raised, it would hold up every other one for good."""
    publisher = place.broker.publisher()
    batch = [place.publication(b"1"), place.publication(b"2", properties=properties), place.publication(b"3")]
    assert publisher.publish(batch, WAIT) == [CONFIRMED, REFUSED, CONFIRMED]
    publisher.close()


def test_a_feed_forgets_its_oldest(place: Place) -> None:
    """If the feed of errors grew without end, it would one day fill the disk."""
    place.publish(*(b"%d" % number for number in range(10)), key="forgetful.x")
    eventually(lambda: place.broker.depth(place.forgetful) == 3)
    assert bodies(place.broker.take(place.forgetful, 10)) == [b"7", b"8", b"9"]


def test_a_full_queue_refuses(place: Place) -> None:
    """If a full queue dropped what it was given, a confirmed message would be lost."""
    publisher = place.broker.publisher()
    outcomes = [publisher.publish([place.publication(b"x", "strict.x")], WAIT)[0] for _ in range(20)]
    assert outcomes[:3] == [CONFIRMED] * 3
    assert outcomes[-1] == REFUSED
    assert place.broker.depth(place.strict) == outcomes.count(CONFIRMED)
    publisher.close()


def test_two_processes_meet(place: Place) -> None:
    """If queues and bindings lived in a process, a message from another one would be dropped in silence."""
    script = (
        "import sys; from datetime import timedelta; from messages.transport.connect import connect\n"
        "from messages.transport.ports import Properties, Publication\n"
        "one = Publication(exchange=sys.argv[2], routing_key='one.x', body=b'from afar', properties=Properties())\n"
        "publisher = connect(sys.argv[1]).publisher()\n"
        "print(publisher.publish([one], timedelta(seconds=10))[0].value); publisher.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, place.url, place.exchange],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[3],
        timeout=30,
    )
    assert done.stdout == b"confirmed\n"
    assert bodies(connect(place.url).take(place.one, 10)) == [b"from afar"]
