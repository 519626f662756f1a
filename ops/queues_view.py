"""``recouple tap``: a look at what waits in a queue."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from messages.transport.ports import Delivery
from messages.transport.urls import EmbeddedUrl, parse_broker_url
from messages.values import decode_json
from ops.options import AsJson
from ops.printing import counted, make_table, plain, say, told_time
from ops.wiring import Session, session
from workers.spelling import did_you_mean

MAX_LOOKED_AT = 1_000
"""Messages of one look: they are all in memory at once."""

DEFAULT_LOOK = 10

_WORDS = ("errors", "dead", "commands")
_FAMILIES = ("changes.", "instructions.")


def queue_name(ns: str, name: str) -> str:
    """Return the full name of a queue that may be named as in the design: ``dead``, ``changes.bc``."""
    logical = name in _WORDS or (name.startswith(_FAMILIES) and not name.startswith(f"{ns}."))
    return f"{ns}.{name}" if logical else name


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it waits.

    Attributes:
        body: The JSON document, digit for digit; absent where the bytes are none.
        text: The bytes as text, where they are no JSON.
    """

    queue: str
    exchange: str
    routing_key: str
    redelivered: bool
    size_bytes: int
    properties: dict[str, Any]
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET


def message_row(delivery: Delivery) -> MessageRow:
    """Return ``delivery`` for ``--json``."""
    properties = {name: value for name, value in msgspec.structs.asdict(delivery.properties).items() if value}
    row = MessageRow(
        queue=delivery.queue,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        redelivered=delivery.redelivered,
        size_bytes=len(delivery.body),
        properties=properties,
    )
    try:
        decode_json(delivery.body)
        return msgspec.structs.replace(row, body=msgspec.Raw(msgspec.json.format(delivery.body, indent=-1)))
    except (ValueError, ArithmeticError, RecursionError):
        return msgspec.structs.replace(row, text=delivery.body.decode(errors="replace"))


def envelope_of(delivery: Delivery) -> dict[str, Any]:
    """Return the attributes of the event in ``delivery``, as far as it is one; its properties stand in for them."""
    properties = delivery.properties
    found: dict[str, Any] = {"type": properties.type, "id": properties.message_id, "source": properties.app_id}
    try:
        document = decode_json(delivery.body)
    except (ValueError, ArithmeticError, RecursionError):
        return found
    return found | document if isinstance(document, dict) else found


def tap(
    queue: Annotated[
        str, typer.Argument(help="errors, dead, commands, changes.APP, instructions.APP, or a queue's full name.")
    ],
    *,
    max_messages: Annotated[
        int, typer.Option("--max", min=1, max=MAX_LOOKED_AT, help="At most so many, from the front.")
    ] = DEFAULT_LOOK,
    as_json: AsJson = False,
) -> None:
    """Look at the first messages of a queue and leave them there.

    RabbitMQ allows no look: there they are taken and put back, marked as
    redelivered. The embedded broker does not notice.
    """
    if "." not in queue and queue not in _WORDS:
        meant = did_you_mean(queue, _WORDS)
        words = f"{queue!r} is no queue{meant}: write errors, dead, commands, changes.APP or instructions.APP"
        raise typer.BadParameter(words, param_hint="QUEUE")
    with session(as_json=as_json) as current:
        broker, name = current.broker(), queue_name(current.settings.namespace, queue)
        found = broker.peek(name, max_messages)
        depth = max(broker.depth(name), len(found))
        if as_json:
            current.write_json([message_row(one) for one in found])
        elif found:
            current.out.print(messages_table(found))
        else:
            say(current.out, f"Nothing waits in {name}.")
        if found:
            current.note(f"{len(found):,} of {counted(depth, 'message')} in {name}{taken_and_put_back(current)}")


def messages_table(found: list[Delivery]) -> Table:
    """Return a line or two for each message: what it says it is."""
    table = make_table("time", "type", "id", "source", "subject", "bytes", right=("time", "bytes"))
    for delivery in found:
        event = envelope_of(delivery)
        cells = [plain(event.get(name)) for name in ("type", "id", "source", "subject")]
        table.add_row(told_time(event.get("time")), *cells, plain(f"{len(delivery.body):,}"))
    return table


def taken_and_put_back(current: Session) -> str:
    """Return what there is to say of a look at a broker that allows none."""
    if isinstance(parse_broker_url(current.settings.broker_url), EmbeddedUrl):
        return ""
    return "; taken and put back, as this broker allows no other look: they are marked as redelivered now"
