"""From deliveries to events: decoded, addressed, ordered; what cannot be taken is told apart with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from messages.changes import Change
from messages.codec import AppMessage, MalformedMessageError, decode_app_message
from messages.dead import ROUTING_KEY, DeadLetter, DeadReason
from messages.outcomes import Applied
from messages.topology import app_of_changes_queue, changes_exchange
from messages.transport.ports import Delivery
from workers.context import Context
from workers.rules.images import Order, order_of


class Event(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One message of an app, and where it stands in its record's history.

    Attributes:
        order: ``None`` for a refusal, and for an outcome that names no version.
    """

    delivery: Delivery
    app: str
    message: AppMessage
    order: Order | None = None


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """One message that goes to the dead queue, and why."""

    delivery: Delivery
    letter: DeadLetter


def reject(delivery: Delivery, reason: DeadReason, detail: str, field: str, now: datetime) -> Rejected:
    """Say why ``delivery`` cannot be taken."""
    letter = DeadLetter(reason=reason, detail=detail, field=field, queue=delivery.queue, at=now)
    return Rejected(delivery=delivery, letter=letter)


def read_events(context: Context, deliveries: Sequence[Delivery], now: datetime) -> tuple[list[Event], list[Rejected]]:
    """Decode what came through the queues of the apps."""
    events: list[Event] = []
    rejected: list[Rejected] = []
    for delivery in deliveries:
        read = _read(context, delivery, now)
        if isinstance(read, Event):
            events.append(read)
        else:
            rejected.append(read)
    return events, rejected


def _read(context: Context, delivery: Delivery, now: datetime) -> Event | Rejected:
    name = app_of_changes_queue(context.namespace, delivery.queue)
    app = context.file.apps.get(name or "")
    if app is None:
        detail = f"the mapping file knows no app {name!r}: add it, or have the app publish under its own name"
        return reject(delivery, DeadReason.UNKNOWN_APP, detail, "source", now)
    if delivery.exchange == changes_exchange(context.namespace) and not delivery.routing_key.startswith(f"{app.name}."):
        # RabbitMQ checks the right to the routing key, and not to those that the headers CC and BCC add to it.
        detail = f"{ROUTING_KEY}: it does not begin with {app.name}. although the queue does; no app speaks for another"
        return reject(delivery, DeadReason.WRONG_SOURCE, detail, ROUTING_KEY, now)
    try:
        message = decode_app_message(delivery.body, delivery.properties, app.name, context.limits)
    except MalformedMessageError as fault:
        return reject(delivery, fault.reason, fault.detail, fault.field, now)
    order = None
    if isinstance(message, (Change, Applied)):
        order = order_of(app, message.version, message.at, now)
    if isinstance(message, Change) and order is None:
        missing = "data.version" if app.order == "version" else "time"
        detail = (
            f"{missing}: it is missing, and {app.name} is ordered by it (order = {app.order!s} in the mapping file)"
        )
        return reject(delivery, DeadReason.MISSING_ORDER, detail, missing, now)
    return Event(delivery=delivery, app=app.name, message=message, order=order)
