"""What the two apps and an operator say, written by hand after DESIGN.md section 3: our encoders are what is tested."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

CONTENT_TYPE = "application/cloudevents+json"

_RUN = secrets.token_hex(3)
_NUMBERS = itertools.count(1)


class Message(NamedTuple):
    """One message to be published: the exchange without its namespace, the routing key, the bytes, their properties."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The id that the properties repeat."""
        return str(self.properties["message_id"])


class Received(NamedTuple):
    """One message as it arrived; ``properties`` holds those AMQP properties that were set."""

    routing_key: str
    body: bytes
    properties: Mapping[str, Any]

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in the body."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def headers(self) -> Mapping[str, Any]:
        """The application headers."""
        headers: Mapping[str, Any] = self.properties.get("headers") or {}
        return headers


def fresh_id(prefix: str = "e") -> str:
    """Return an id that nothing else bears."""
    return f"{prefix}-{_RUN}-{next(_NUMBERS)}"


def rfc3339(at: datetime) -> str:
    """Return ``at`` as CloudEvents write it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def change_event(record: str, operation: str, version: int | None, fields: Any, **more: Any) -> dict[str, Any]:
    """Return a change event of ``app/table/key``.

    Args:
        more: ``id``, ``time`` and other attributes; ``modified_by`` and ``instruction`` go to ``data``.
    """
    app, subject = record.split("/", 1)
    data: dict[str, Any] = {name: more.pop(name) for name in ("modified_by", "instruction") if name in more}
    data |= {"operation": operation} | ({} if version is None else {"version": version})
    data |= {} if fields is None else {"fields": fields}
    event = {
        "specversion": "1.0",
        "id": fresh_id(),
        "source": app,
        "type": "recouple.record.changed",
        "subject": subject,
        "time": rfc3339(datetime.now(UTC)),
        "data": data,
    }
    return event | more


def change(record: str, operation: str, version: int | None, fields: Any = None, **more: Any) -> Message:
    """Return a change event as its app publishes it; arguments as ``change_event``."""
    event = change_event(record, operation, version, fields, **more)
    app, table, _ = record.split("/", 2)
    return message(event, f"{app}.{table}.{operation}", app)


def applied(app: str, instruction: Mapping[str, Any], version: int | None, **data: Any) -> Message:
    """Return the outcome of an instruction: done, at this version of the record."""
    return _outcome(app, "applied", instruction, ({} if version is None else {"version": version}) | data)


def failed(app: str, instruction: Mapping[str, Any], code: str, **data: Any) -> Message:
    """Return the outcome of an instruction: not done."""
    attempt = instruction["data"]["attempt"]
    return _outcome(app, "failed", instruction, {"attempt": attempt, "code": code} | data)


def command(name: str, reply_to: str, data: Mapping[str, Any]) -> Message:
    """Return a command of an operator."""
    event = {
        "specversion": "1.0",
        "id": fresh_id("c"),
        "source": "ops/test",
        "type": f"recouple.command.{name}",
        "time": rfc3339(datetime.now(UTC)),
        "data": dict(data),
    }
    ordered = message(event, name, "ops/test", exchange="commands")
    return ordered._replace(properties={**ordered.properties, "reply_to": reply_to})


def message(event: Mapping[str, Any], routing_key: str, app: str, exchange: str = "changes") -> Message:
    """Return ``event`` with the properties that repeat it."""
    properties = {
        "message_id": event.get("id"),
        "type": event.get("type"),
        "app_id": app,
        "content_type": CONTENT_TYPE,
        "delivery_mode": 2,
    }
    return Message(exchange, routing_key, json.dumps(event).encode(), properties)


def _outcome(app: str, what: str, instruction: Mapping[str, Any], data: Mapping[str, Any]) -> Message:
    event = {
        "specversion": "1.0",
        "id": fresh_id("o"),
        "source": app,
        "type": f"recouple.instruction.{what}",
        "time": rfc3339(datetime.now(UTC)),
        "data": {"instruction": instruction["id"], **data},
    }
    event |= {"traceparent": instruction["traceparent"]} if "traceparent" in instruction else {}
    return message(event, f"{app}.outcome", app)
