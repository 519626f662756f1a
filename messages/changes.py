"""What an app says of its own records: a record was created, updated, deleted, or is read as asked."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from messages.records import RecordRef
from messages.values import Value


class Operation(StrEnum):
    """What happened to the record."""

    CREATE = "create"
    """The record is new, or new again: what was known of it is cleared."""
    UPDATE = "update"
    """The record has these values now; fields that are absent keep theirs."""
    DELETE = "delete"
    """The record is gone."""
    READ = "read"
    """The record as it stands: the answer to a ``read`` instruction, or the seed of an image."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change event, ``recouple.record.changed``, as it came through the queue of ``record.app``.

    Attributes:
        id: Unique per app; the same id again is a duplicate.
        version: The record's version after the change, 0 to 2⁶³−1; ``None`` where the app orders by time.
        at: When the app says it happened (CloudEvents ``time``), aware.
        fields: The record after the change; an absent field is unknown, not null. Empty for a delete.
        instruction: The instruction that caused this change, if the app knows.
        digest: Of the content, to tell a duplicate from an id used twice.
    """

    record: RecordRef
    id: str
    operation: Operation
    version: int | None = None
    at: datetime | None = None
    fields: dict[str, Value] = {}
    modified_by: str | None = None
    instruction: str | None = None
    traceparent: str | None = None
    digest: str = ""
