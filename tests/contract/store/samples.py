"""Values for the store's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from messages.errors import ErrorKind, ErrorReport, ErrorSide, ErrorStatus
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.transport.ports import Properties, Publication
from store.model import (
    Alteration,
    Confirmed,
    Coupling,
    Form,
    Image,
    LogLine,
    OpenError,
    Sent,
    Side,
    Wait,
    Write,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AWKWARD = {
    "exact": Decimal("1.10"),
    "long": Decimal("123456789012345678901234567890.0123456789"),
    "nul": "a\0b",
    "quotes": "'\"\\%s:name{given}",
    "nested": {"list": [1, Decimal("0.10"), None, True]},
    "large": 2**63 - 1,
}
"""Values that a store must not bend: digits, NUL, and what could be taken for SQL."""


def bc(key: object) -> RecordRef:
    """A record of the left table."""
    return RecordRef("bc", "customer", str(key))


def sales(key: object) -> RecordRef:
    """A record of the right table."""
    return RecordRef("sales", "account", str(key))


def image(record: RecordRef, **changes: Any) -> Image:
    """A full image."""
    whole = Image(
        record=record,
        exists=True,
        fields=AWKWARD,
        versions={"exact": 3},
        version=3,
        existence_version=1,
        life_version=1,
        modified_by="jane",
        modified_at=NOW,
        user_modified_at=NOW,
        clipped=True,
    )
    return msgspec.structs.replace(whole, **changes)


def sent(id_: object, **changes: Any) -> Sent:
    """A full instruction."""
    whole = Sent(
        id=str(id_),
        side=Side.RIGHT,
        record=sales(1),
        action=Action.UPDATE,
        reason=Reason.MERGE,
        made_at=NOW,
        fields=AWKWARD,
        writes={"exact": Write(value=Decimal("2.00"), held=None, replaced=Decimal("1.0"), delta=Decimal("1.00"))},
        base={"exact": Form(left=Decimal("1.0"), right=None)},
        if_version=3,
        rule="newest",
        due_at=NOW,
    )
    return msgspec.structs.replace(whole, **changes)


def coupling(left: RecordRef | None, right: RecordRef | None, **changes: Any) -> Coupling:
    """A coupling with something in every attribute."""
    whole = Coupling(
        id=0,
        mapping="customer",
        token="t0",  # noqa: S106 - a name, no secret
        left=left,
        right=right,
        based=True,
        base={"exact": Form(left=Decimal("1.10"), right="1,1"), "one_sided": Form(left=None, agreed=False)},
        serial=2,
        flight=(sent("i1"),),
        last={Side.LEFT: Confirmed(instruction="i0", version=2, at=NOW, values=AWKWARD)},
        altered={Side.RIGHT: {"exact": Alteration(sent=1, became=Decimal("1.0"))}},
        mismatches=1,
        waits=(Wait("salesperson", Side.LEFT, "JO"),),
        error=OpenError(number=7, kind=ErrorKind.APPLY_FAILED, opened_at=NOW, words="no", failed=sent("i1")),
        keep=Side.LEFT,
    )
    return msgspec.structs.replace(whole, **changes)


def plain(left: RecordRef | None, right: RecordRef | None, **changes: Any) -> Coupling:
    """A coupling of which nothing is known yet."""
    whole = Coupling(id=0, mapping="customer", token="t", left=left, right=right)  # noqa: S106 - a name, no secret
    return msgspec.structs.replace(whole, **changes)


def report(number: int, **changes: Any) -> ErrorReport:
    """A full error."""
    whole = ErrorReport(
        error=number,
        kind=ErrorKind.UPDATE_CONFLICT,
        family=ErrorKind.UPDATE_CONFLICT.family,
        status=ErrorStatus.OPEN,
        revision=2,
        mapping="customer",
        coupling=1,
        title="title",
        detail="detail",
        left=ErrorSide(app="bc", table="customer", key="1", fields=AWKWARD),
        right=ErrorSide(app="sales", table="account", key=None),
        base=AWKWARD,
        opened_at=NOW,
        fingerprint="f",
    )
    return msgspec.structs.replace(whole, **changes)


def line(record: RecordRef, **changes: Any) -> LogLine:
    """A full line of the synchronization log."""
    whole = LogLine(at=NOW, record=str(record), outcome="sent", coupling=1, event="e", detail="d", values=AWKWARD)
    return msgspec.structs.replace(whole, **changes)


def publication(body: bytes = b"{}") -> Publication:
    """A message to be published."""
    properties = Properties(message_id="m", timestamp_s=1, headers={"traceparent": "t", "count": 3})
    return Publication(exchange="recouple.errors", routing_key="a.b", body=body, properties=properties)
