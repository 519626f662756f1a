"""Which members of a command's ``data`` go together: what the shapes alone do not say.

The document is looked at as it came, so that these faults are told in one answer with those of its shape. A member
counts as given when it is there and neither null nor an empty object, whatever else is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from messages.dead import DeadReason
from messages.faults import Fault
from messages.shapes import join, kind_of
from messages.topology import MAX_KEY_BYTES

Document: TypeAlias = Mapping[str, Any]
"""``data`` as it came."""


def target_faults(data: Document) -> Iterator[Fault]:
    """Yield a fault unless the data names either an error or a coupling."""
    yield from _one_of(data, "error", "coupling")


def scope_faults(data: Document) -> Iterator[Fault]:
    """Yield a fault unless the data names either an app or a mapping."""
    yield from _one_of(data, "app", "mapping")


def couple_faults(data: Document) -> Iterator[Fault]:
    """Yield a fault for a record whose key has few enough characters, but too many bytes to be kept."""
    for name in ("left", "right"):
        record = data.get(name)
        key = record.split("/", 2)[-1] if isinstance(record, str) else ""
        if len(key) <= MAX_KEY_BYTES < (length := len(key.encode(errors="surrogatepass"))):
            words = f"expected a record with a key of 1 to {MAX_KEY_BYTES} bytes, found a key of {length} bytes"
            yield _fault(f"data.{name}", words)


def purge_faults(data: Document) -> Iterator[Fault]:
    """Yield a fault if the data asks for all, and for those of some age."""
    if data.get("all") is True and _given(data, "older_than_days"):
        yield _fault("data", "expected at most one of older_than_days, all; found both")


def synchronize_faults(data: Document) -> Iterator[Fault]:
    """Yield what does not go together in an order to synchronize."""
    yield from _one_of(data, "error", "coupling", "mapping")
    if _given(data, "mapping"):
        yield from _whole_mapping_faults(data)
    chosen = _given(data, "fields", "values")
    if chosen and _given(data, "keep"):
        yield _fault("data", f"expected either keep, or fields and values; found keep, {', '.join(chosen)}")
    if not chosen and not _given(data, "keep"):
        yield _fault("data", "expected either keep, or fields and values; found none of them")
    fields, values = _members(data, "fields"), _members(data, "values")
    for name, members in (("fields", fields), ("values", values)):
        if "" in members:
            yield _fault(f"data.{name}", "expected the names of fields, found an empty name")
    for field, value in values.items():
        if isinstance(value, (dict, list)):
            words = f"expected text, a number, true, false or null, found {kind_of(value)}"
            yield _fault(join("data.values", field), words)
        if field in fields:
            yield _fault(join("data.values", field), "expected a field that fields does not name")


def _whole_mapping_faults(data: Document) -> Iterator[Fault]:
    for name in _given(data, "revision"):
        yield _fault(f"data.{name}", "expected none with mapping: a revision is that of one error")
    for name in _given(data, "fields", "values"):
        yield _fault(f"data.{name}", "expected none with mapping: there, keep alone says which values win")


def _one_of(data: Document, *names: str) -> Iterator[Fault]:
    found = _given(data, *names)
    if len(found) != 1:
        words = f"expected exactly one of {', '.join(names)}; found {', '.join(found) or 'none of them'}"
        yield _fault("data", words)


def _given(data: Document, *names: str) -> list[str]:
    """Return those of the names that are given."""
    return [name for name in names if data.get(name) is not None and data[name] != {}]


def _members(data: Document, name: str) -> Document:
    members = data.get(name)
    return members if isinstance(members, dict) else {}


def _fault(place: str, words: str) -> Fault:
    return Fault(DeadReason.MALFORMED, place, words)
