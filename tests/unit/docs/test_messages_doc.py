"""``docs/messages.md`` says what is on the wire: every example is taken, every table names what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest

from messages import codec
from messages.changes import Change
from messages.codec import CommandHead, Limits, MalformedMessageError
from messages.commands import Done, RefusalCode, Refused
from messages.dead import DeadLetter
from messages.documents import MAX_DIGITS, MAX_EXPONENT
from messages.envelope import (
    MAX_RETRY_AFTER_S,
    MAX_VERSION,
    RECORD_CHANGED,
    AppliedData,
    Attributes,
    ChangeData,
    FailedData,
)
from messages.errors import Difference, ErrorReport, ErrorSide, Handling
from messages.order_shapes import MAX_OLDER_THAN_DAYS
from messages.orders import ORDERS
from messages.topology import ERRORS_MAX_LENGTH, MAX_ID_BYTES, MAX_KEY_BYTES, MAX_TABLE_BYTES, topology
from messages.transport.ports import Delivery, Properties, Publication
from tests.unit.docs.marked import Example, examples, page, table_after, words_after
from tools.docs.events import EVENTS, InstructionData

NS = "recouple"
PAGE = page("messages.md")
EXAMPLES = {str(one.message.get("type", "dead")): one for one in examples(PAGE)}

RECEIVED = (ChangeData, AppliedData, FailedData, *{form.shape: None for form in ORDERS.values()})
SENT = (InstructionData, ErrorReport, ErrorSide, Difference, Handling, Done, Refused)


def what_an_app_says(example: Example, body: bytes) -> Publication:
    """Read it as a worker does, and write it as an app does."""
    source = example.message["source"]
    message = codec.decode_app_message(body, Properties(), source, Limits())
    return codec.encode_change(message, NS) if isinstance(message, Change) else codec.encode_outcome(message, NS)


def an_instruction(example: Example, body: bytes) -> Publication:
    """Read it as an adapter does."""
    instruction = codec.decode_instruction(body, example.routing_key.split(".")[0])
    return codec.encode_instruction(instruction, NS, time_of(example))


def an_error(_example: Example, body: bytes) -> Publication:
    """Read it as a watcher of errors does."""
    return codec.encode_error(codec.decode_error(body), NS)


def a_command(example: Example, body: bytes) -> Publication:
    """Read it as a command worker does."""
    return codec.encode_command(codec.decode_command(body, Properties(), NS, Limits()), NS, time_of(example))


def an_answer(example: Example, body: bytes) -> Publication:
    """Read it as the command line does."""
    answer = codec.decode_answer(body)
    ordered = CommandHead(
        id=example.message["id"], source="ops/jane", name=answer.command, reply_to=example.routing_key
    )
    return codec.encode_answer(answer, ordered, time_of(example))


WAYS: dict[str, Callable[[Example, bytes], Publication]] = {
    "as what an app says": what_an_app_says,
    "as an instruction": an_instruction,
    "as an error": an_error,
    "as a command": a_command,
    "as an answer": an_answer,
}


def time_of(example: Example) -> datetime:
    """When the example was said."""
    return datetime.fromisoformat(example.message["time"])


@pytest.mark.parametrize("type_", EVENTS)
def test_an_example_is_whole_and_goes_where_the_page_says(type_: str) -> None:
    """Else somebody would copy a message that goes to dead, lacks a member, or is published where nobody waits."""
    example = EXAMPLES[type_]

    written = WAYS[example.way](example, json.dumps(example.message).encode())

    assert json.loads(written.body) == example.message
    assert (written.exchange, written.routing_key) == (example.exchange, example.routing_key)


def test_every_block_is_an_example_of_its_own_and_every_type_has_one() -> None:
    """Else a message could be added, or a block be written, that no test looks at."""
    assert EXAMPLES.keys() == {*EVENTS, "dead"}
    assert len(EXAMPLES) == PAGE.count("```json")


def test_the_head_of_the_page_lists_every_type() -> None:
    """Else a reader would not find the section of a message."""
    rows = table_after(PAGE, "# Messages\n")

    listed = {type_.strip("` ") for types, *_ in rows for type_ in types.split(",")}
    assert listed == {*EVENTS, "what could not be taken"}
    sections = {section.partition("]")[0].strip("[") for *_, section in rows}
    assert sections <= set(re.findall("^## (.*)$", PAGE, re.MULTILINE))


@pytest.mark.parametrize("name", ORDERS)
def test_a_command_tells_its_answers(name: str) -> None:
    """Else whoever orders would have to try out what comes back."""
    section = PAGE.split(f"\n## Command: {name}\n")[1].split("\n## ")[0]

    assert f"`recouple.command.{name}`: " in section
    assert "*Done*:" in section
    assert set(re.findall(r"`(\w+)`", section.split("*Refused*:")[1])) & {*RefusalCode}


def test_a_job_tells_its_eight_counters() -> None:
    """Else a program could not add up what a bulk command did."""
    told = " ".join(words_after(PAGE, "The result of a job:"))

    counters = "inserted modified deleted unchanged skipped failed coupled uncoupled"
    assert re.findall(r"\w+", told) == ["job", "total", "done", *counters.split()]


def test_the_dead_example_is_what_happens_to_the_change() -> None:
    """Else operators would look for a reason in headers that are not there."""
    dead = EXAMPLES["dead"]
    change = json.loads(json.dumps(EXAMPLES[RECORD_CHANGED].message))
    change["data"]["version"] = "18"
    body = json.dumps(change).encode()
    delivery = Delivery(queue=dead.routing_key, body=body, properties=Properties(), tag=1)

    with pytest.raises(MalformedMessageError) as refused:
        codec.decode_app_message(body, Properties(), "bc", Limits())
    letter = DeadLetter(
        reason=refused.value.reason,
        detail=refused.value.detail,
        field=refused.value.field,
        queue=delivery.queue,
        at=datetime.fromisoformat(change["time"]),
    )
    written = codec.encode_dead(delivery, letter, NS)

    assert dict(written.properties.headers) == dead.message
    assert (written.exchange, written.routing_key, written.body) == (dead.exchange, dead.routing_key, body)
    assert words_after(PAGE, "<!-- headers, compared by a test -->") == list(dead.message)


@pytest.mark.parametrize("shape", RECEIVED)
def test_a_table_names_every_member_that_is_taken(shape: type[msgspec.Struct]) -> None:
    """Else upstream teams would not know of a member, or leave out one that is required."""
    rows = table_after(PAGE, f"<!-- members of {shape.__name__}, compared by a test -->")

    told = {name: required for name, _, required, _ in rows}
    assert told == {one.name: "yes" if one.required else "no" for one in msgspec.structs.fields(shape)}


@pytest.mark.parametrize("shape", SENT)
def test_a_table_names_every_member_that_is_sent(shape: type[msgspec.Struct]) -> None:
    """Else an adapter would rely on a member that may be absent, or not know of one."""
    rows = table_after(PAGE, f"<!-- members of {shape.__name__}, compared by a test -->")

    told = {name: always for name, _, always, _ in rows}
    members = msgspec.structs.fields(shape)
    assert told == {one.name: "no" if one.default is msgspec.UNSET else "yes" for one in members}


def test_the_envelope_is_told() -> None:
    """Else a program could leave out an attribute that is required."""
    rows = table_after(PAGE, "<!-- members of the envelope, compared by a test -->")

    required = {one.name for one in msgspec.structs.fields(Attributes) if one.required}
    assert {name for name, *_ in rows} == {*Attributes.__struct_fields__, "type", "subject", "data"}
    assert {name for name, _, needed, _ in rows if needed == "yes"} == required | {"type", "data"}


def test_the_properties_are_told() -> None:
    """Else a router would be set up on a property that is never there."""
    told = {
        word.replace("timestamp", "timestamp_s") for word in words_after(PAGE, "<!-- properties, compared by a test")
    }

    assert told == {*Properties.__struct_fields__, "delivery_mode"}


def test_every_queue_is_told() -> None:
    """Else an app would wait at a queue that does not exist, or publish to an exchange that does not."""
    rows = table_after(PAGE, "## Where messages travel")

    told = {(exchange, queue, pattern) for exchange, _, queue, pattern, _ in rows if pattern}
    assert told == {(queue.exchange, queue.name, queue.pattern) for queue in topology(NS, ["<app>"]).queues}


@pytest.mark.parametrize(
    "told",
    [
        f"at most {MAX_ID_BYTES} bytes",
        f"at most {MAX_KEY_BYTES} bytes",
        f"at most {MAX_TABLE_BYTES} bytes",
        f"0 to {MAX_VERSION}",
        f"0 to {MAX_RETRY_AFTER_S}",
        f"0 to {MAX_OLDER_THAN_DAYS}",
        f"{MAX_DIGITS} digits with exponents to ±{MAX_EXPONENT}",
        f"{Limits().max_depth}\nlevels of nesting",
        f"last {ERRORS_MAX_LENGTH} messages",
    ],
)
def test_a_limit_is_told_as_it_is(told: str) -> None:
    """Else somebody would build on a limit that is another by now."""
    assert told in PAGE
