"""Whatever bytes come, the codec takes the message or names the fault, and never anything else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from messages.changes import Change
from messages.codec import InvalidCommandError, MalformedMessageError, decode_command, encode_change, expand_short
from messages.transport.ports import Properties
from messages.values import same
from tests.unit.messages.samples import (
    APPLIED,
    CHANGE,
    FAILED,
    LIMITS,
    ORDERED,
    changed,
    compact,
    decode,
    json_again,
    ordered,
)

FUZZ = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(max_size=20) | st.sampled_from(["\0", "\ud800", "1.0", "bc", "a/b", "create", "x" * 300])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from([10**40, 2**63, -0.0, 1e300])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
COMMANDS = [ordered(name, data) for name, data in ORDERED.items()]
EVENTS = st.sampled_from([CHANGE, APPLIED, FAILED, *COMMANDS])
MEMBERS = sorted({name for data in ORDERED.values() for name in data} | {"all", "app", "error", "coupling", "mapping"})


def paths_of(members: dict[str, Any], prefix: str = "") -> list[str]:
    """Every path to a member."""
    found = []
    for name, value in members.items():
        found.append(prefix + name)
        if isinstance(value, dict):
            found += paths_of(value, f"{prefix}{name}.")
    return found


def survives(body: bytes) -> None:
    """Decode as everything that comes from strangers; only the named errors may come out."""
    try:
        decode(body)
    except MalformedMessageError as error:
        (error.detail + error.field).encode()
    try:
        decode_command(body, Properties(), "recouple", LIMITS)
    except (MalformedMessageError, InvalidCommandError) as error:
        str(error).encode()


@FUZZ
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")))
@example(b'{"type":"recouple.record.changed","data":{"fields":{"a":' + b"1" * 5000 + b"}}}")
def test_any_bytes(body: bytes) -> None:
    """An exception of another kind stops a worker, and the message comes again after the restart."""
    survives(body)


@FUZZ
@given(VALUES)
def test_any_json(value: Any) -> None:
    """Well-formed JSON of any shape is no exception to it."""
    survives(json.dumps(value).encode())


@FUZZ
@given(EVENTS, st.data())
def test_any_member_changed(event: dict[str, Any], data: st.DataObject) -> None:
    """One member of a valid message replaced by anything: the corner that hand-written tables miss."""
    path = data.draw(st.sampled_from(paths_of(event)))
    survives(json.dumps(changed(event, path, data.draw(VALUES))).encode())


@FUZZ
@given(st.sampled_from([*ORDERED]), st.dictionaries(st.sampled_from(MEMBERS), VALUES | st.integers(1, 9), max_size=6))
@example("synchronize", {"error": 1, "fields": {"": "left"}})
@example("synchronize", {"error": 1, "values": {"\ud800": 10**40}})
def test_any_members_of_a_command(name: str, data: dict[str, Any]) -> None:
    """What goes together is looked at before anything is known to have its type; that must not trip over any."""
    survives(json.dumps(ordered(name, data)).encode())


@FUZZ
@given(EVENTS, st.data())
def test_any_byte_changed(event: dict[str, Any], data: st.DataObject) -> None:
    """Bits that tipped over on the way, and messages cut short."""
    body = bytearray(compact(event))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(body[: data.draw(st.integers(0, len(body)))]))
    survives(bytes(body))


@FUZZ
@given(EVENTS, st.data())
def test_doubled_members_never_pass(event: dict[str, Any], data: st.DataObject) -> None:
    """The cheap look at names must never vouch for a message in which a known one stands twice."""
    body = compact(event)
    path = data.draw(st.sampled_from([path for path in paths_of(event) if path.count(".") < 2]))
    name = json.dumps(path.rpartition(".")[2]).encode()
    space = data.draw(st.sampled_from([b"", b" ", b"\n", b"\t", b"\r", b"  "]))
    decoy = data.draw(st.sampled_from([b"", b',"x":"\\":"', b',"x\\\\":1']))
    if "." in path:
        doubled = body.replace(b'"data":{', b'"data":{' + name + space + b":1" + decoy + b",", 1)
    else:
        doubled = b"{" + name + space + b":1" + decoy + b"," + body[1:]
    for taken in (decode, lambda raw: decode_command(raw, Properties(), "recouple", LIMITS)):
        try:
            message = taken(doubled)
        except (MalformedMessageError, InvalidCommandError):
            continue
        raise AssertionError(f"taken as {message}")


@FUZZ
@given(
    st.dictionaries(st.sampled_from(["app", "table", "key", "operation", "version", "fields", "id", "time"]), VALUES)
)
def test_any_short_line(line: dict[str, Any]) -> None:
    """A file of an operator is no better than a message of a stranger."""
    try:
        expand_short(line)
    except MalformedMessageError as error:
        error.detail.encode()


KEPT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**38) + 1, 10**38 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**30), max_value=10**30)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", '":', "\\"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@FUZZ
@given(st.dictionaries(st.sampled_from(["a", "b", "ü", '":', "\\u0000"]), KEPT))
def test_every_value_comes_back(fields: dict[str, Any]) -> None:
    """A value that is altered between two apps is the very thing this product exists to prevent."""
    change = decode(CHANGE)
    assert isinstance(change, Change)
    sent = Change(record=change.record, id="e", operation=change.operation, fields=fields)
    found = decode(encode_change(sent, "recouple").body)
    assert isinstance(found, Change)
    assert same(found.fields, fields)
    assert found.digest == decode(json_again(encode_change(sent, "recouple").body)).digest
