"""AMQP properties as a broker hands them on, into a delivery, to dead, and back: it can always be published."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any, Final

from amqp import spec
from amqp.serialization import loads

from messages.codec import encode_answer, encode_dead, head_of
from messages.commands import RefusalCode, Refused
from messages.dead import DeadLetter, DeadReason
from messages.dead_letters import HEADER_PREFIX, encode_replay
from messages.topology import changes_queue
from messages.transport.amqp_delivery import received
from messages.transport.amqp_raw import RawTransport, tolerant_frame_handler
from messages.transport.limits import amqp_properties, travels
from messages.transport.ports import Delivery, Properties
from store.documents import Document
from tests.fuzz.codec_targets import APP, AT, NS
from tests.fuzz.verdicts import Verdict

_QUEUE: Final = changes_queue(NS, APP)
_BASIC: Final = 60
_METHOD, _HEADER, _BODY = 1, 2, 3
_KEPT = Document(Properties)
"""How the outbox keeps them."""


def amqp_properties_read(data: bytes) -> Verdict:
    """Any bytes, as a routing key (its length first) and a list of properties."""
    length = data[0] if data else 0
    try:
        delivery = _delivered(data[1 : 1 + length], data[1 + length :], data)
    except IndexError:  # a list that ends in the middle of an item, which no broker lets in
        return Verdict.REJECTED
    assert delivery.body == data
    detail = data.decode(errors="replace")
    letter = DeadLetter(reason=DeadReason.MALFORMED, detail=detail, field=detail, queue=_QUEUE, at=AT)
    dead = encode_dead(delivery, letter, NS)
    assert dead.body == data
    assert travels(dead), "a dead letter that cannot be published"
    assert dead.properties.user_id is None
    assert _KEPT.read(_KEPT.write(dead.properties)) == dead.properties
    dug = _delivered(_QUEUE.encode(), _on_the_wire(dead.properties), data)
    assert dug.properties == dead.properties
    replay = encode_replay(dug)
    assert (replay.exchange, replay.routing_key, replay.body) == ("", _QUEUE, data)
    assert travels(replay)
    assert not [name for name in replay.properties.headers if name.startswith(HEADER_PREFIX)]
    _can_be_refused(delivery.properties)
    return Verdict.ACCEPTED if delivery.properties != Properties() else Verdict.REJECTED


def _can_be_refused(properties: Properties) -> None:
    """See that a command of which the properties are all that is known can be answered, where it asks for that."""
    head = head_of(properties, NS)
    if head is not None and head.reply_to is not None:
        refused = Refused(command=head.name, code=RefusalCode.FAILED, detail="")
        assert travels(encode_answer(refused, head, AT))


def _on_the_wire(properties: Properties) -> bytes:
    return b"".join(amqp_properties(properties).encode())


def _delivered(routing_key: bytes, properties: bytes, body: bytes) -> Delivery:
    """Return what a consumer gets to see of these frames."""
    found: list[Delivery] = []

    def on_method(_channel: int, _method: tuple[int, int], arguments: bytes, content: Any) -> None:
        (tag, number, redelivered, exchange, key), _ = loads("sLbss", arguments, 4)
        content.delivery_info = {
            "consumer_tag": tag,
            "delivery_tag": number,
            "redelivered": redelivered,
            "exchange": exchange,
            "routing_key": key,
        }
        found.append(received(RawTransport.Connection.Channel.Message(content), 1, _QUEUE))

    on_frame = tolerant_frame_handler(SimpleNamespace(bytes_recv=0), on_method)
    on_frame((_METHOD, 1, _deliver(routing_key)))
    on_frame((_HEADER, 1, struct.pack(">HxxQ", _BASIC, len(body)) + properties))
    if body:
        on_frame((_BODY, 1, body))
    (delivery,) = found
    return delivery


def _deliver(routing_key: bytes) -> bytes:
    method = struct.pack(">HH", *spec.Basic.Deliver)
    return method + _short(b"tag") + struct.pack(">QB", 1, 1) + _short(b"exchange") + _short(routing_key)


def _short(text: bytes) -> bytes:
    return struct.pack("B", len(text)) + text
