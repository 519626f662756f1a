"""Every message as one type, envelope and ``data``, and the JSON Schemas of these types."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

import msgspec

from messages import envelope
from messages.commands import Done, Refused
from messages.envelope import AppliedEvent, Attributes, ChangeEvent, FailedEvent
from messages.errors import ErrorEvent, ErrorReport
from messages.instructions import Instruction
from messages.orders import ORDERS

ENVELOPE_MEMBERS: Final = frozenset({"app", "id", "traceparent"})
"""What an ``Instruction`` holds that is no part of its ``data``."""

InstructionData: Final = msgspec.defstruct(
    "InstructionData",
    [
        (member.name, member.type)
        for member in msgspec.structs.fields(Instruction)
        if member.name not in ENVELOPE_MEMBERS
    ],
    namespace={"__doc__": Instruction.__doc__},
    kw_only=True,
)
"""``data`` of an instruction, every member of it always there."""


def _event(name: str, type_: str, data: type[msgspec.Struct]) -> type[msgspec.Struct]:
    members = [("subject", str), ("data", data)] if data in (InstructionData, ErrorReport) else [("data", data)]
    return msgspec.defstruct(
        name, members, bases=(Attributes,), namespace={"__doc__": None}, kw_only=True, tag_field="type", tag=type_
    )


EVENTS: Final[dict[str, type[msgspec.Struct]]] = {
    envelope.RECORD_CHANGED: ChangeEvent,
    envelope.INSTRUCTION_APPLIED: AppliedEvent,
    envelope.INSTRUCTION_FAILED: FailedEvent,
    envelope.INSTRUCTION: _event("InstructionEvent", envelope.INSTRUCTION, InstructionData),
    **{
        f"{envelope.ERROR_PREFIX}{word}": _event(
            f"Error{word.title()}Event", f"{envelope.ERROR_PREFIX}{word}", ErrorReport
        )
        for word in ErrorEvent
    },
    **{
        f"{envelope.COMMAND_PREFIX}{name}": _event(
            f"{form.order.__name__}Event", f"{envelope.COMMAND_PREFIX}{name}", form.shape
        )
        for name, form in ORDERS.items()
    },
    envelope.COMMAND_DONE: _event("DoneEvent", envelope.COMMAND_DONE, Done),
    envelope.COMMAND_REFUSED: _event("RefusedEvent", envelope.COMMAND_REFUSED, Refused),
}
"""The type of each message by its ``type``; what goes to dead has none of its own."""


def schemas() -> dict[str, Any]:
    """Return the JSON Schemas of all events and of what they consist of, by name, in the order of the alphabet."""
    _, found = msgspec.json.schema_components(EVENTS.values(), ref_template="#/components/schemas/{name}")
    return {name: _for_everybody(_described(schema)) for name, schema in sorted(found.items())}


_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n {5,}.+)*)", re.MULTILINE)


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Move what a docstring says of its attributes to the members of the schema."""
    said, _, attributes = inspect.cleandoc(schema.pop("description", "")).partition("\n\nAttributes:\n")
    members = schema.get("properties", {})
    for names, told in _ATTRIBUTE.findall(attributes):
        for name in names.split(", "):
            if name in members:
                members[name].setdefault("description", _plain(told))
    return {"title": schema.pop("title"), **({"description": _plain(said)} if said else {}), **schema}


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _for_everybody(schema: Any) -> Any:
    """Write patterns as ECMA-262 has them; Python has its own signs for start, end and any character."""
    if isinstance(schema, dict):
        return {
            name: _pattern(member) if name == "pattern" and isinstance(member, str) else _for_everybody(member)
            for name, member in schema.items()
        }
    return [_for_everybody(item) for item in schema] if isinstance(schema, list) else schema


def _pattern(python: str) -> str:
    return python.replace(r"\A", "^").replace(r"\Z", "$").replace("(?s:.", r"(?:[\s\S]")
