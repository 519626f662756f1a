"""Everything that is wrong with what an app sent: the slow look at a message that the typed decoder did not take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from messages.changes import Operation
from messages.dead import DeadReason
from messages.envelope import (
    INSTRUCTION_APPLIED,
    INSTRUCTION_FAILED,
    RECORD_CHANGED,
    AppliedEvent,
    Attributes,
    ChangeEvent,
    FailedEvent,
    is_from,
    longer,
)
from messages.envelope_faults import envelope_faults, unkept_in
from messages.faults import Fault
from messages.shapes import kind_of
from messages.topology import MAX_KEY_BYTES, UnroutableTableError, table_word

_SHAPES: Final[dict[str, type[Attributes]]] = {
    RECORD_CHANGED: ChangeEvent,
    INSTRUCTION_APPLIED: AppliedEvent,
    INSTRUCTION_FAILED: FailedEvent,
}


def shape_of(document: Any) -> type[Attributes]:
    """Return the shape that the document's type asks for; where it asks for none that we know, the envelope's."""
    type_ = document.get("type") if isinstance(document, dict) else None
    return _SHAPES.get(type_, Attributes) if isinstance(type_, str) else Attributes


def app_message_faults(document: Any, app: str) -> Iterator[Fault]:
    """Yield everything that is wrong with ``document`` as a message of ``app``."""
    if not isinstance(document, dict):
        yield Fault(DeadReason.MALFORMED, "", f"expected an object, found {kind_of(document)}")
        return
    shape = shape_of(document)
    yield from unkept_in(document, shape)
    yield from envelope_faults(document, shape)
    yield from _type_faults(document.get("type"))
    yield from _source_faults(document.get("source"), app)
    if shape is ChangeEvent:
        yield from _subject_faults(document.get("subject"))
        yield from fields_faults(document.get("data"), "data.fields")


def _type_faults(type_: Any) -> Iterator[Fault]:
    if isinstance(type_, str) and type_ not in _SHAPES:
        yield Fault(DeadReason.UNKNOWN_TYPE, "type", "expected one of " + ", ".join(_SHAPES))


def _source_faults(source: Any, app: str) -> Iterator[Fault]:
    if isinstance(source, str) and source and not is_from(source, app):
        yield Fault(DeadReason.WRONG_SOURCE, "source", f"expected {app} or {app}/…: no app speaks for another")


def _subject_faults(subject: Any) -> Iterator[Fault]:
    if not isinstance(subject, str):
        return  # told already
    table, _, key = subject.partition("/")
    try:
        table_word(table)
    except UnroutableTableError as error:
        yield Fault(DeadReason.MALFORMED, "subject", f"expected <table>/<key>; {error}")
    if not key or longer(key, MAX_KEY_BYTES):
        length = len(key.encode(errors="surrogatepass"))
        words = f"expected <table>/<key> with a key of 1 to {MAX_KEY_BYTES} bytes, found a key of {length} bytes"
        yield Fault(DeadReason.MALFORMED, "subject", words)


def fields_faults(data: Any, place: str) -> Iterator[Fault]:
    """Yield a fault if the fields, to be at ``place``, are missing in ``data``; only a delete may leave them out."""
    if isinstance(data, dict) and data.get("operation") != Operation.DELETE and data.get("fields") is None:
        found = "null" if "fields" in data else "nothing"
        yield Fault(DeadReason.MALFORMED, place, f"expected an object, found {found}; only a delete may leave it out")
