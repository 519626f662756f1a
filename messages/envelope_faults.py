"""What is wrong with the attributes that every event has, whoever sent it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from messages.dead import DeadReason
from messages.envelope import Attributes, in_utc
from messages.faults import Fault
from messages.shapes import kept_faults, kind_of, shape_faults, twice, value_faults


def unkept_in(document: Any, shape: type[Attributes]) -> Iterator[Fault]:
    """Yield what is well-formed in ``document`` but cannot be kept; a typed decoder does not see it."""
    if isinstance(document, dict):
        yield from kept_faults(shape, document)
        # the structs have their type as a tag, not as a member
        yield from value_faults(document.get("type"), "type")
        if "type" in getattr(document, "twice", ()):
            yield twice("type")


def envelope_faults(document: dict[str, Any], shape: type[Attributes]) -> Iterator[Fault]:
    """Yield what is missing in ``document`` as an event of this ``shape``, or of the wrong type there."""
    if "type" not in document:
        yield Fault(DeadReason.MALFORMED, "type", "missing, expected text")
    elif not isinstance(document["type"], str):
        yield Fault(DeadReason.MALFORMED, "type", f"expected text, found {kind_of(document['type'])}")
    yield from shape_faults(shape, document)
    yield from time_faults(document)


def time_faults(document: dict[str, Any]) -> Iterator[Fault]:
    """Yield a fault if the ``time`` is one, but none that exists in UTC."""
    try:
        in_utc(msgspec.convert(document.get("time"), datetime))
    except ValueError:
        return  # no time at all: told by its shape
    except OverflowError:
        yield Fault(DeadReason.MALFORMED, "time", "expected a time in the years 1 to 9999 in UTC")
