"""Publishes at a fixed rate, whatever becomes of it, and notes what arrives when: two processes beside the worker's.

    python -m bench.open_loop publish|receive FOLDER

A message is due at its own moment, and its latency counts from that moment, also where the publisher comes late: no
slow answer delays the next question (no coordinated omission). Moments are CLOCK_MONOTONIC, one clock for all processes
of a machine.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench.quick_amqp import QuickLink
from messages.transport.connect import connect
from messages.transport.ports import Properties, Publication

_FOR_A_MOMENT_S = 0.0005
_WITHIN = timedelta(seconds=60)


class Errand(msgspec.Struct):
    """What both are told.

    Attributes:
        queues: In which ``total`` messages are to arrive.
        begin_s: When the first message is due; one more every ``every_s``.
        messages: Exchange, routing key, message id, body.
    """

    broker_url: str
    queues: list[str]
    total: int
    begin_s: float
    every_s: float
    until_s: float
    messages: list[tuple[str, str, str, bytes]]


class Notes(msgspec.Struct):
    """What one of them has seen: of the publisher, how late each message went out; of the receiver, what came when."""

    late_s: list[float] = []
    arrived: list[tuple[str, float]] = []


def publish(errand: Errand) -> Notes:
    """Publish each message when it is due, confirmed; confirms are awaited at the end only."""
    if not errand.broker_url.startswith("amqp"):
        return _publish_embedded(errand)
    link, open_tags = QuickLink(errand.broker_url), set[int]()
    link.channel.confirm_select()

    def confirmed(tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        if multiple:
            open_tags.difference_update([one for one in open_tags if one <= tag])
        else:
            open_tags.discard(tag)

    link.channel.events["basic_ack"].add(confirmed)
    late_s: list[float] = []
    for number, (exchange, routing_key, name, body) in enumerate(errand.messages):
        due_s = errand.begin_s + number * errand.every_s
        while (left_s := due_s - time.monotonic()) > 0:
            if link.has_some():
                link.drain()
            elif left_s > _FOR_A_MOMENT_S:
                time.sleep(left_s / 2)
        properties = {"message_id": name, "delivery_mode": 2, "content_type": "application/cloudevents+json"}
        open_tags.add(number + 1)
        link.publish([(body, properties)], exchange, routing_key)
        late_s.append(time.monotonic() - due_s)
    while open_tags and time.monotonic() < errand.until_s:
        if link.has_some(0.1):
            link.drain()
    link.close()
    return Notes(late_s=late_s)


def _publish_embedded(errand: Errand) -> Notes:
    """Publish what is due by now, all at once; it is on disk when ``publish`` returns."""
    publisher, late_s = connect(errand.broker_url).publisher(), list[float]()
    while len(late_s) < len(errand.messages):
        now_s = time.monotonic()
        due = min(len(errand.messages), int((now_s - errand.begin_s) / errand.every_s) + 1)
        if now_s < errand.begin_s or due == len(late_s):
            time.sleep(_FOR_A_MOMENT_S)
            continue
        going = [
            Publication(exchange=exchange, routing_key=routing_key, body=body, properties=Properties(message_id=name))
            for exchange, routing_key, name, body in errand.messages[len(late_s) : due]
        ]
        late_s += [now_s - errand.begin_s - number * errand.every_s for number in range(len(late_s), due)]
        publisher.publish(going, _WITHIN)
    publisher.close()
    return Notes(late_s=late_s)


def _receive_embedded(errand: Errand) -> Notes:
    consumer, arrived = connect(errand.broker_url).consumer(errand.queues, prefetch=100), list[tuple[str, float]]()
    while len(arrived) < errand.total and time.monotonic() < errand.until_s:
        found = consumer.receive(100, timedelta(milliseconds=100))
        now_s = time.monotonic()
        arrived += [(_record(one.body), now_s) for one in found]
        consumer.acknowledge(found)
    consumer.close()
    return Notes(arrived=arrived)


def receive(errand: Errand) -> Notes:
    """Take what arrives, until all has arrived or time is up."""
    if not errand.broker_url.startswith("amqp"):
        return _receive_embedded(errand)
    link = QuickLink(errand.broker_url)
    taken: list[tuple[bytes, float]] = []

    def take(message: Any) -> None:
        taken.append((message.body, time.monotonic()))

    for queue in errand.queues:
        link.channel.basic_consume(queue, no_ack=True, callback=take)
    while len(taken) < errand.total and time.monotonic() < errand.until_s:
        if link.has_some(0.1):
            link.drain()
    link.close()
    return Notes(arrived=[(_record(body), at_s) for body, at_s in taken])


def _record(body: bytes) -> str:
    """Return the key of the record that an instruction is about, or an error; of pairs both keys are the same."""
    event = msgspec.json.decode(body)
    if event["type"] == "recouple.instruction":
        return str(event["data"]["key"])
    return str(event["data"]["left"]["key"])


def main(what: str, folder: Path) -> None:
    """Do one of the two."""
    errand = msgspec.msgpack.decode((folder / "errand").read_bytes(), type=Errand)
    notes = publish(errand) if what == "publish" else receive(errand)
    (folder / what).write_bytes(msgspec.msgpack.encode(notes))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
