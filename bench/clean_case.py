"""The clean one-sided update and nothing else, as one would write it by hand: what both rivals of Recouple decide.

An update of a left record whose coupling is at rest and whose right record still holds the base leads to one
instruction. Rows and bytes are those that Recouple writes for it: ``handled``, the image in ``records``, the state in
``couplings``, ``instructions``, ``due`` (when the answer is missed) and ``log``.

Left out: every other case (a message that is none is refused with ``NotCleanError``, and the loop stops), mapping
files, value maps, references, filters, pauses, paces, traces, the checks of hostile bytes and the dead queue.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec

ANSWER_WITHIN = timedelta(days=1)

HANDLED = "INSERT INTO handled (app, id, digest, handled_at)"
INSTRUCTIONS = (
    "INSERT INTO instructions"
    " (id, coupling_id, app, table_name, key, action, reason, rule, attempt, state, code, made_at, sent)"
)
DUE = "INSERT INTO due (kind, coupling_id, instruction, due_at, starts)"
LOG = "INSERT INTO log (at, record, outcome, line)"
TABLES = ("handled", "records", "couplings", "instructions", "due", "log", "outbox", "errors")
"""What is counted after a run: all contenders must have left the same."""


class NotCleanError(Exception):
    """This is not the one case that is handled here."""


class _Data(msgspec.Struct):
    operation: str
    version: int
    fields: dict[str, Any]
    modified_by: str | None = None


class Event(msgspec.Struct):
    """A change event, as far as the clean case looks at it."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    data: _Data

    @property
    def key(self) -> str:
        """The key of its record."""
        return self.subject.partition("/")[2]

    def digest(self) -> str:
        """Of its content; tells a duplicate from an id that is used twice."""
        return hashlib.blake2b(msgspec.json.encode([self.subject, self.data]), digest_size=16).hexdigest()


class _Image(msgspec.Struct):
    record: msgspec.Raw
    exists: bool
    fields: dict[str, Any]
    versions: dict[str, int]
    version: int
    existence_version: int
    life_version: int
    modified_by: str | None
    modified_at: str | None
    user_modified_at: str | None
    user_modified_version: int | None
    user_modified_before: str | None
    clipped: bool
    written: msgspec.Raw


class _Other(msgspec.Struct):
    """What is looked at of the record on the other side."""

    fields: dict[str, Any]
    version: int


class _Form(msgspec.Struct):
    left: Any
    right: Any


class _State(msgspec.Struct):
    id: int
    mapping: str
    token: str
    left: msgspec.Raw
    right: msgspec.Raw
    status: str
    based: bool
    base: dict[str, _Form]
    serial: int
    flight: list[msgspec.Raw]
    last: msgspec.Raw
    altered: msgspec.Raw
    mismatches: int
    waits: msgspec.Raw
    error: msgspec.Raw
    keep: str | None
    held_by: str | None


class Told(msgspec.Struct):
    """What is published: the message of an instruction."""

    instruction: str
    body: bytes


class Rows(Told):
    """What one event leaves behind, and what is published."""

    key: str
    image: str
    coupling: int
    state: str
    sent: str
    line: str


_EVENT, _IMAGE = msgspec.json.Decoder(Event), msgspec.json.Decoder(_Image)
_OTHER, _STATE = msgspec.json.Decoder(_Other), msgspec.json.Decoder(_State)
_ENCODER = msgspec.json.Encoder()
_NULL = msgspec.Raw(b"null")


def read(body: bytes) -> Event:
    """Return the event in ``body``.

    Raises:
        NotCleanError: it is no update of a left record.
    """
    event = _EVENT.decode(body)
    if event.type != "recouple.record.changed" or event.source != "bc" or event.data.operation != "update":
        raise NotCleanError(event.id)
    return event


def decide(event: Event, image: str, other: str, state: str, now: datetime) -> Rows:
    """Return what follows from ``event``, given both images and the state of the coupling.

    Raises:
        NotCleanError: it is stale, or the coupling is not at rest, or both sides have changed, or none.
    """
    own, right, coupling = _IMAGE.decode(image), _OTHER.decode(other), _STATE.decode(state)
    data, key = event.data, event.key
    if data.version <= own.version or coupling.flight or coupling.error != _NULL:
        raise NotCleanError(event.id)
    changed = []
    for name, form in coupling.base.items():
        if right.fields["r" + name[1:]] != form.right:
            raise NotCleanError(event.id)
        if data.fields[name] != form.left:
            changed.append(name)
    if not changed:
        raise NotCleanError(event.id)
    _lay(own, event)
    coupling.serial += 1
    instruction = f"{coupling.token}-{coupling.serial}-right"
    sent = _sent(coupling, right, instruction, changed, (data.fields, now))
    coupling.flight = [msgspec.Raw(sent)]
    return Rows(
        key=key,
        image=_ENCODER.encode(own).decode(),
        coupling=coupling.id,
        state=_ENCODER.encode(coupling).decode(),
        instruction=instruction,
        sent=sent.decode(),
        line=_line(event, coupling.id, instruction, now),
        body=_body(coupling.id, instruction, key, ({"r" + n[1:]: data.fields[n] for n in changed}, right.version), now),
    )


def retell(state: str, now: datetime) -> list[Told]:
    """Return the message of the instruction that a coupling has in flight, once more; none where it is answered."""
    coupling = _STATE.decode(state)
    found = []
    for one in coupling.flight:
        sent = msgspec.json.decode(one)
        what = (sent["fields"], sent["if_version"])
        found.append(Told(sent["id"], _body(coupling.id, sent["id"], sent["record"]["key"], what, now)))
    return found


def _lay(own: _Image, event: Event) -> None:
    data = event.data
    own.fields.update(data.fields)
    own.versions.update(dict.fromkeys(data.fields, data.version))
    own.version = own.existence_version = own.user_modified_version = data.version
    own.modified_by, own.user_modified_before = data.modified_by, own.user_modified_at
    own.modified_at = own.user_modified_at = event.time


def _sent(
    coupling: _State, right: _Other, instruction: str, changed: list[str], made: tuple[dict[str, Any], datetime]
) -> bytes:
    values, now = made
    held = {name: right.fields["r" + name[1:]] for name in changed}
    return _ENCODER.encode(
        {
            "id": instruction,
            "side": "right",
            "record": coupling.right,
            "action": "update",
            "reason": "sync",
            "made_at": now,
            "fields": {"r" + name[1:]: values[name] for name in changed},
            "writes": {name: {"value": values[name], "held": values[name], "replaced": held[name]} for name in changed},
            "base": {name: coupling.base[name] for name in changed},
            "if_version": right.version,
            "due_at": now + ANSWER_WITHIN,
        }
    )


def _line(event: Event, coupling: int, instruction: str, now: datetime) -> str:
    return _ENCODER.encode(
        {
            "at": now,
            "record": f"bc/{event.subject}",
            "outcome": "sent",
            "coupling": coupling,
            "rule": None,
            "event": event.id,
            "command": None,
            "instruction": instruction,
            "detail": "",
            "values": {},
        }
    ).decode()


def _body(coupling: int, instruction: str, key: str, what: tuple[dict[str, Any], int], now: datetime) -> bytes:
    fields, version = what
    return _ENCODER.encode(
        {
            "specversion": "1.0",
            "id": instruction,
            "type": "recouple.instruction",
            "source": "recouple",
            "time": now,
            "subject": f"account/{key}",
            "data": {
                "action": "update",
                "table": "account",
                "key": key,
                "fields": fields,
                "if_version": version,
                "coupling": coupling,
                "reason": "sync",
                "attempt": 1,
            },
        }
    )
