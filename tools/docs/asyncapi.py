"""``docs/asyncapi.yaml``: the wire contract for machines, out of the types that the product reads and writes.

AsyncAPI 3.0 with AMQP bindings 0.3.0, seen from Recouple: it *receives* what apps and operators publish.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from messages import envelope
from messages.dead import DeadReason
from messages.dead_letters import HEADER_PREFIX
from messages.topology import DEFAULT_NAMESPACE, topology
from tools.docs.events import EVENTS, schemas

Json = dict[str, Any]

_PROJECT: Final = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_BINDING: Final = {"bindingVersion": "0.3.0"}
_TOPOLOGY: Final = topology(DEFAULT_NAMESPACE, ["{app}"])

_PARAMETERS: Final = {
    "app": "The app, as the mapping file names it.",
    "table": "The table; every character but letters, digits, _ and - is percent-encoded.",
    "operation": "What happened to the record: create, update, delete or read.",
    "action": "What the app is to do: create, update, delete or read.",
    "kind": "The kind of the error.",
    "mapping": "The mapping of the two records.",
    "command": "The last word of the command's type.",
    "queue": "The queue that the message came from.",
}

_CHANNELS: Final = {
    # name: exchange, routing key, prefix of the message types, what it is for
    "changes": ("changes", "{app}.{table}.{operation}", envelope.RECORD_CHANGED, "Apps say what became of records."),
    "outcomes": ("changes", "{app}.outcome", f"{envelope.INSTRUCTION}.", "Apps answer instructions."),
    "instructions": ("instructions", "{app}.{table}.{action}", envelope.INSTRUCTION, "What the apps are to do."),
    "errors": ("errors", "{kind}.{mapping}", envelope.ERROR_PREFIX, "What people have to know, or to settle."),
    "commands": ("commands", "{command}", envelope.COMMAND_PREFIX, "What operators and programs order."),
}
_ANSWERS: Final = (envelope.COMMAND_DONE, envelope.COMMAND_REFUSED)


def document() -> Json:
    """Return the whole description; the same types give the same document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Recouple",
            "version": _PROJECT["version"],
            "description": f"{_PROJECT['description']}. For people: docs/messages.md.",
            "license": {"name": _PROJECT["license"]},
        },
        "defaultContentType": envelope.CONTENT_TYPE,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": schemas()},
    }


def _channels() -> Json:
    channels = {
        name: _channel(exchange, address, _types(prefix), told)
        for name, (exchange, address, prefix, told) in _CHANNELS.items()
    }
    channels["dead"] = _channel("dead", "{queue}", ["dead"], "What could not be taken, and why.")
    channels["answers"] = {
        "address": None,
        "description": "The queue that the command names in reply_to; through the default exchange.",
        "messages": _references(_ANSWERS),
    }
    return channels


def _channel(exchange: str, address: str, types: list[str], told: str) -> Json:
    name = f"{DEFAULT_NAMESPACE}.{exchange}"
    queues = [queue for queue in _TOPOLOGY.queues if queue.exchange == name]
    bound = {"type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": address,
        "description": told,
        "messages": _references(types),
        "parameters": {word: {"description": told} for word, told in _PARAMETERS.items() if f"{{{word}}}" in address},
        "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": name, **bound}, **_BINDING}},
        "x-recouple-queues": [
            {"name": queue.name, "bindingPattern": queue.pattern, "arguments": dict(queue.arguments)}
            for queue in queues
        ],
    }


def _types(prefix: str) -> list[str]:
    """The types of messages under ``prefix``; a prefix that is a type stands for itself."""
    if prefix in EVENTS:
        return [prefix]
    return [type_ for type_ in EVENTS if type_.startswith(prefix) and type_ not in _ANSWERS]


def _references(types: list[str] | tuple[str, ...]) -> Json:
    return {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in types}


def _operations() -> Json:
    operations = {
        f"receive_{name}": _operation("receive", name, {"ack": True}) for name in ("changes", "outcomes", "commands")
    }
    operations |= {
        f"send_{name}": _operation("send", name, {"deliveryMode": 2}) for name in ("instructions", "errors", "dead")
    }
    operations["receive_commands"]["reply"] = {
        "address": {"location": "$message.header#/reply_to", "description": "The AMQP property reply_to."},
        "channel": {"$ref": "#/channels/answers"},
    }
    return operations


def _operation(action: str, channel: str, binding: Json) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"amqp": {**binding, **_BINDING}},
    }


def _messages() -> Json:
    messages: Json = {
        type_: {
            "name": type_,
            "contentType": envelope.CONTENT_TYPE,
            "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
            "bindings": {"amqp": {"messageType": type_, **_BINDING}},
        }
        for type_, event in EVENTS.items()
    }
    for type_ in _ANSWERS:
        messages[type_]["correlationId"] = {
            "location": "$message.header#/correlation_id",
            "description": "The AMQP property correlation_id: the id of the command.",
        }
    messages["dead"] = {
        "name": "dead",
        "summary": "The original bytes, whatever they are, with the reason in the headers.",
        "headers": {"type": "object", "properties": _dead_headers()},
        "payload": {},
    }
    return messages


def _dead_headers() -> Json:
    told: dict[str, Json] = {
        "reason": {"enum": [reason.value for reason in DeadReason]},
        "detail": {"description": "All faults in words, without any value."},
        "field": {"description": "The path of the first faulty member; empty where the document is at fault."},
        "queue": {"description": "The queue that the message came from."},
        "at": {"description": "When it was put to dead.", "format": "date-time"},
    }
    return {f"{HEADER_PREFIX}{name}": {"type": "string", **rest} for name, rest in told.items()}
