"""Valid messages to start from; a test changes one thing and says what follows."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

from messages.codec import AppMessage, Limits, MalformedMessageError, decode_app_message
from messages.transport.ports import Properties
from messages.values import decode_json, encode_json

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIMITS = Limits()
PROPERTIES = Properties(content_type="application/cloudevents+json")

CHANGE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "type": "recouple.record.changed",
    "source": "bc/company-1",
    "subject": "customer/10000",
    "time": "2026-11-20T08:00:00Z",
    "data": {
        "operation": "update",
        "version": 17,
        "fields": {"name": "Adatum", "limit": 10000},
        "modified_by": "jane",
        "instruction": "i-9",
    },
}
APPLIED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-2",
    "type": "recouple.instruction.applied",
    "source": "bc",
    "data": {"instruction": "i-9", "attempt": 1, "key": "K1", "version": 18, "fields": {"name": "Adatum"}},
}
FAILED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-3",
    "type": "recouple.instruction.failed",
    "source": "bc",
    "data": {"instruction": "i-9", "attempt": 2, "code": "rate_limited", "detail": "slow down", "retry_after": 1.5},
}
COUPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "c-1",
    "type": "recouple.command.couple",
    "source": "ops/jane",
    "data": {"left": "bc/customer/10000", "right": "sales/account/A/1", "keep": "left", "reason": "the same firm"},
}

ORDERED: dict[str, dict[str, Any]] = {
    "couple": COUPLE["data"],
    "couple_matching": {"mapping": "customer", "keep": "left", "reason": "first load"},
    "loaded": {"table": "bc/customer"},
    "remove_coupling": {"coupling": 12, "revision": 3, "reason": "two firms"},
    "retry": {"error": 7, "revision": 3},
    "retry_all": {"mapping": "customer", "kind": "apply_failed", "code": "duplicate", "fingerprint": "0c91fe27b4d8"},
    "synchronize": {"error": 7, "revision": 3, "fields": {"name": "left"}, "values": {"limit": 1.5, "note": None}},
    "restore_record": {"error": 7},
    "delete_record": {"coupling": 12},
    "dismiss": {"error": 7, "revision": 3},
    "purge": {"older_than_days": 30, "family": "integration"},
    "pause": {"app": "bc"},
    "resume": {"mapping": "customer"},
}
"""Good ``data`` of every command, by its name."""


def ordered(name: str, data: Any) -> dict[str, Any]:
    """Return the command ``name`` with this ``data``."""
    return COUPLE | {"type": f"recouple.command.{name}", "data": copy.deepcopy(data)}


ABSENT = object()
"""As a new value: take the member out."""


def changed(event: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of ``event`` with the member at ``path`` set to ``value``, or taken out."""
    event = copy.deepcopy(event)
    *way, name = path.split(".")
    members = event
    for step in way:
        members = members[step]
    if value is ABSENT:
        del members[name]
    else:
        members[name] = value
    return event


def compact(event: Any) -> bytes:
    """Return ``event`` as most programs write it."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def decode(body: bytes | dict[str, Any], properties: Properties = PROPERTIES, limits: Limits = LIMITS) -> AppMessage:
    """Decode as a message of the app ``bc``."""
    return decode_app_message(body if isinstance(body, bytes) else compact(body), properties, "bc", limits)


def refusal(body: bytes | dict[str, Any], properties: Properties = PROPERTIES) -> MalformedMessageError:
    """Return why ``bc`` cannot say this; fails if it can."""
    try:
        message = decode(body, properties)
    except MalformedMessageError as error:
        return error
    raise AssertionError(f"taken as {message}")


def json_again(body: bytes) -> bytes:
    """The same document as another program writes it: members in reverse, white space, escapes."""

    def reverse(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: reverse(inner) for name, inner in reversed(value.items())}
        return [reverse(inner) for inner in value] if isinstance(value, list) else value

    return b" \n" + encode_json(reverse(decode_json(body)))
