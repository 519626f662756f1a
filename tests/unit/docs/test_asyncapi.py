"""``docs/asyncapi.yaml`` describes the messages that are really sent; that it is current is in ``test_rules_doc``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from messages.topology import DEFAULT_NAMESPACE, topology
from tests.unit.docs.marked import Example, examples, page
from tools.docs.asyncapi import document

DOCUMENT = document()
EXAMPLES = [example for example in examples(page("messages.md")) if "type" in example.message]


def schema_of(type_: str) -> dict[str, Any]:
    """The schema of a message, with all that it refers to."""
    payload = DOCUMENT["components"]["messages"][type_]["payload"]
    return {**payload, "components": DOCUMENT["components"]}


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of a document, however deep."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from members(inner)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.message["type"])
def test_an_example_fits_its_schema(example: Example) -> None:
    """Else a program made from the description would refuse what Recouple says."""
    schema = schema_of(example.message["type"])

    assert list(Draft202012Validator(schema).iter_errors(example.message)) == []


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        ("recouple.record.changed", {"operation": "move"}),
        ("recouple.record.changed", {"operation": "update", "version": -1}),
        ("recouple.instruction.failed", {"instruction": "i-1"}),
        ("recouple.command.couple", {"left": "bc/customer", "right": "sales/account/1"}),
        ("recouple.command.retry", {"error": 0}),
        ("recouple.command.dismiss", {"coupling": 1}),
        ("recouple.command.synchronize", {"error": 1, "fields": {"name": "both"}}),
        ("recouple.command.synchronize", {"error": 1, "values": {"name": ["a"]}}),
        ("recouple.command.purge", {"older_than_days": -1}),
        ("recouple.command.pause", {"app": "No App"}),
        ("recouple.error.opened", {"error": 1}),
    ],
)
def test_a_wrong_message_does_not_fit(type_: str, wrong: dict[str, Any]) -> None:
    """Else the schemas would allow what goes to dead."""
    message = {"specversion": "1.0", "id": "1", "type": type_, "source": "bc", "subject": "customer/1", "data": wrong}

    faults = Draft202012Validator(schema_of(type_)).iter_errors(message)

    assert {fault.absolute_path[0] for fault in faults} == {"data"}


def test_every_reference_leads_somewhere() -> None:
    """Else no tool could read the description."""
    references = {member for name, member in members(DOCUMENT) if name == "$ref"}

    for reference in references:
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    assert len(references) > len(EXAMPLES)


def test_every_queue_and_message_has_its_channel() -> None:
    """Else a message, or a queue, could be added of which the description says nothing."""
    channels = DOCUMENT["channels"].values()
    queues = {queue["name"] for channel in channels for queue in channel.get("x-recouple-queues", ())}

    assert {name for channel in channels for name in channel["messages"]} == {*DOCUMENT["components"]["messages"]}
    assert queues == {queue.name for queue in topology(DEFAULT_NAMESPACE, ["{app}"]).queues}


def test_patterns_are_such_as_every_language_has() -> None:
    r"""Else ``\A`` or ``(?s:`` of Python would be refused, or mean something else, elsewhere."""
    patterns = [member for name, member in members(DOCUMENT) if name == "pattern"]

    assert patterns
    assert [pattern for pattern in patterns if re.search(r"\\A|\\Z|\(\?[a-z]", pattern)] == []
