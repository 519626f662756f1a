"""Rule 4: an uncoupled record under ``only_coupled = false``: matched, created on the other side, or told about.

The groups of ``match_on`` are tried in order; within a group all values must be equal, case-insensitive, and an empty
one never matches. Then

================================================ ==================================================
when                                             then
================================================ ==================================================
a create for that match value, or with these     wait for its answer: this may be its echo (R15)
very fields, is in flight
exactly one uncoupled match                      couple, decide
several                                          ``match_ambiguous``
it waited for a create to its own side that      ``match_ambiguous``: the app has two of them now
brought another record to life
none                                             create on the other side, if the mapping flows there
================================================ ==================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec
from msgspec import UNSET

from messages.records import RecordRef
from messages.values import Value, encode_json, is_number, plain_number, same
from store.model import Image, Sent, Side
from workers.mapping import MappedField, Mapping
from workers.rules.filters import inside
from workers.rules.forms import References, in_mapping_terms


def match_values(mapping: Mapping, side: Side, image: Image, references: References) -> tuple[tuple[int, str], ...]:
    """Return (group, value) for every group of ``match_on`` in which the record has all values, in mapping terms.

    A record outside the mapping's ``where`` has none: nobody finds it.
    """
    if not inside(mapping, side, image):
        return ()
    fields = {field.name: field for field in mapping.fields}
    found = []
    for group, names in enumerate(mapping.match_on):
        parts = [_comparable(fields[name], image, side, references) for name in names]
        if all(part is not None for part in parts):
            found.append((group, encode_json([group, parts]).decode()))
    return tuple(found)


def _comparable(field: MappedField, image: Image, side: Side, references: References) -> str | None:
    value = in_mapping_terms(field, image.fields.get(field.on(side), UNSET), side, references)
    if value is UNSET or value is None or value == "":
        return None
    if isinstance(value, str):
        return value.strip().casefold() or None
    if is_number(value):
        return plain_number(value)
    return encode_json(value).decode()


def written_mark(mapping: Mapping, side: Side, fields: dict[str, Value]) -> str | None:
    """Return the mark under which a create with ``fields`` towards ``side`` is found: its first mapped field."""
    for field in mapping.fields:
        if field.on(side) in fields:
            return _mark(field, fields[field.on(side)])
    return None


def echo_marks(mapping: Mapping, side: Side, fields: dict[str, Value]) -> tuple[str, ...]:
    """Return every mark under which a create is found that a record with ``fields`` might be the echo of."""
    return tuple(_mark(field, fields[field.on(side)]) for field in mapping.fields if field.on(side) in fields)


def _mark(field: MappedField, value: Value) -> str:
    plain = plain_number(value) if is_number(value) else value
    return encode_json(["field", field.name, plain]).decode()


def is_echo(sent: Sent, image: Image) -> bool:
    """Say whether ``image`` holds these very fields that the create ``sent`` in flight writes."""
    return all(same(image.fields.get(name, UNSET), value) for name, value in sent.fields.items())


class Fate(Enum):
    """What becomes of an uncoupled record."""

    WAIT = "wait"
    """A create is in flight that may turn out to be this very record."""
    COUPLE = "couple"
    """One match: couple the two."""
    AMBIGUOUS = "ambiguous"
    """Several matches: a person has to say which."""
    CREATE = "create"
    """No match: create it on the other side."""
    LEAVE = "leave"
    """The mapping does not flow to the other side: keep the image only."""


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """Uncoupled records of the other side with the same match value: the first few, and how many there are."""

    records: tuple[RecordRef, ...] = ()
    total: int = 0


class Arriving(msgspec.Struct, frozen=True, kw_only=True):
    """An uncoupled record and what is known around it.

    Attributes:
        groups: The candidates of each group of ``match_on``, in order.
        creates: Instructions in flight that create a record of the same match value, or with these very fields.
        twin_of: The record that a create brought to life while this one waited for it, where it was another one.
    """

    side: Side
    image: Image
    groups: Sequence[Candidates] = ()
    creates: tuple[str, ...] = ()
    twin_of: RecordRef | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an uncoupled record, and with whom or for whom."""

    fate: Fate
    partner: RecordRef | None = None
    waits_for: str | None = None
    candidates: Candidates = Candidates()


def judge(mapping: Mapping, arriving: Arriving) -> Verdict:
    """Say what becomes of an uncoupled record."""
    if arriving.creates:
        return Verdict(fate=Fate.WAIT, waits_for=arriving.creates[0])
    found = next((group for group in arriving.groups if group.total), None)
    if found is not None and found.total == 1:
        return Verdict(fate=Fate.COUPLE, partner=found.records[0])
    if found is not None:
        return Verdict(fate=Fate.AMBIGUOUS, candidates=found)
    if arriving.twin_of is not None:
        return Verdict(fate=Fate.AMBIGUOUS, candidates=Candidates(records=(arriving.twin_of,), total=1))
    return Verdict(fate=Fate.CREATE if mapping.direction.flows_from(arriving.side) else Fate.LEAVE)
