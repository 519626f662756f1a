"""Everything bad that an app, or somebody who got hold of its password, may send; and what has to become of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.acceptance.wire import Message, applied, change, change_event, failed, message

MARK = "never-to-be-logged"
"""Stands in every bad message; in no log line, and in no reason."""

KEY = "bad"
UNKNOWN = {"id": "nobody-ever-gave-this", "data": {"attempt": 1}}


class Bad(NamedTuple):
    """A bad message, the reason for which it is dead, the member at fault, and words that its reason has to hold."""

    sent: Message
    reason: str
    field: str
    words: str


def raw(body: bytes, **properties: Any) -> Message:
    """Return bytes as a message of bc."""
    sent = change("bc/customer/raw", "update", 1, {})
    return sent._replace(body=body, properties={**sent.properties, **properties})


def twisted(**members: Any) -> Message:
    """Return a change of bc with other members; those that are ``None`` are left out."""
    event = change_event(f"bc/customer/{KEY}", "update", 5, {"name": MARK}) | members
    return message({name: value for name, value in event.items() if value is not None}, "bc.customer.update", "bc")


def with_data(**members: Any) -> Message:
    """Return a change of bc with other members in its ``data``."""
    data = {"operation": "update", "version": 5, "fields": {"name": MARK}} | members
    return twisted(data={name: value for name, value in data.items() if value is not None})


def spelled(old: str, new: str) -> Message:
    """Return a change of bc of which a part of the JSON text is replaced: what no encoder would write."""
    sent = twisted()
    assert sent.body.count(old.encode()) == 1
    return sent._replace(body=sent.body.replace(old.encode(), new.encode()))


def nested(depth: int) -> Any:
    """Return lists within lists, so deep."""
    found: Any = MARK
    for _ in range(depth):
        found = [found]
    return found


def bad_messages(accepted: Message, instruction: Mapping[str, Any]) -> dict[str, Bad]:
    """Return all that has to go to dead, by name.

    Args:
        accepted: A change that is in order, whose id comes again.
        instruction: One in flight to sales.
    """
    reused = json.loads(accepted.body) | {"data": {"operation": "update", "version": 6, "fields": {"name": MARK}}}
    return {
        "source of an unknown app": Bad(twisted(source="nobody"), "wrong_source", "source", "bc"),
        "source of another app": Bad(twisted(source="sales"), "wrong_source", "source", "no app speaks for another"),
        "not JSON": Bad(raw(f"name={MARK}".encode()), "not_json", "", "JSON"),
        "empty": Bad(raw(b""), "not_json", "", "JSON"),
        "NaN": Bad(spelled(f'"{MARK}"', "NaN"), "not_json", "", "JSON"),
        "Latin-1": Bad(raw('{"name": "Müller"}'.encode("latin-1")), "wrong_encoding", "", "UTF-8"),
        "UTF-16": Bad(raw(twisted().body.decode().encode("utf-16")), "wrong_encoding", "", "UTF-8"),
        "compressed": Bad(raw(twisted().body, content_encoding="gzip"), "wrong_encoding", "", "content_encoding"),
        "oversized": Bad(with_data(fields={"name": MARK + "x" * 1_100_000}), "too_large", "", "bytes"),
        "deeply nested": Bad(with_data(fields={"name": nested(50)}), "too_deep", "", "deep"),
        "very deeply nested": Bad(raw(b"[" * 100_000), "too_deep", "", "deep"),
        "wrong types": Bad(with_data(fields=[MARK]), "malformed", "data.fields", "expected an object"),
        "no object": Bad(raw(json.dumps([MARK]).encode()), "malformed", "", "expected an object"),
        "no id": Bad(twisted(id=None), "malformed", "id", "missing"),
        "no subject": Bad(twisted(subject=None), "malformed", "subject", "missing"),
        "no data": Bad(twisted(data=None), "malformed", "data", "missing"),
        "no fields": Bad(with_data(fields=None), "malformed", "data.fields", "only a delete may leave it out"),
        "no version": Bad(with_data(version=None), "missing_order", "data.version", "ordered by it"),
        "version in text": Bad(with_data(version="5"), "malformed", "data.version", "an integer"),
        "version with a fraction": Bad(with_data(version=5.5), "malformed", "data.version", "an integer"),
        "version below zero": Bad(with_data(version=-1), "malformed", "data.version", "an integer from 0"),
        "version beyond 64 bit": Bad(with_data(version=2**63), "malformed", "data.version", "an integer from 0"),
        "key of 4 kB": Bad(twisted(subject="customer/" + "k" * 4096), "malformed", "subject", "4096 bytes"),
        "no key": Bad(twisted(subject="customer"), "malformed", "subject", "<table>/<key>"),
        "unknown operation": Bad(
            with_data(operation="upsert"), "malformed", "data.operation", "create, update, delete"
        ),
        "NUL in a value": Bad(with_data(fields={"name": f"{MARK}\0"}), "nul_character", "data.fields.name", "U+0000"),
        "NUL in the key": Bad(twisted(subject="customer/1\0"), "nul_character", "subject", "U+0000"),
        "exponent without end": Bad(
            spelled(f'"{MARK}"', "1e999999999"), "number_out_of_range", "data.fields.name", "digits"
        ),
        "the same member twice": Bad(
            spelled('"fields": {', f'"fields": {{"name": "{MARK}", '), "duplicate_member", "data.fields.name", "twice"
        ),
        "unknown type": Bad(twisted(type="recouple.record.renamed"), "unknown_type", "type", "recouple.record.changed"),
        "the same id, other content": Bad(message(reused, "bc.customer.update", "bc"), "id_reused", "id", "used once"),
        "outcome for an unknown instruction": Bad(
            failed("bc", UNKNOWN, "other", detail=MARK), "unknown_instruction", "data.instruction", "ever given"
        ),
        "outcome by the wrong app": Bad(
            applied("bc", instruction, 9), "not_instructed", "data.instruction", "another app"
        ),
    }
