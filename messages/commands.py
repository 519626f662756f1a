"""What operators and programs order, and the one answer that each order gets."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from messages.errors import ErrorKind, Family
from messages.records import RecordRef
from messages.values import Value


class Keep(StrEnum):
    """Whose values win."""

    LEFT = "left"
    """The left record's."""
    RIGHT = "right"
    """The right record's."""


class Couple(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.couple``: tie two records together.

    Attributes:
        mapping: May be left out where one mapping only fits the two tables.
        keep: Synchronize at once, with this side's values; without it differing fields wait for a change.
    """

    left: RecordRef
    right: RecordRef
    mapping: str | None = None
    keep: Keep | None = None


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.loaded``: every record of this table has been announced."""

    app: str
    table: str


class CoupleMatching(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.couple_matching``: couple what ``match_on`` of the mapping finds; a job.

    Attributes:
        keep: Synchronize at once, with this side's values.
    """

    mapping: str
    keep: Keep | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a resolution is about: an error or a coupling, by number; exactly one of them is given.

    Attributes:
        revision: Of the error as the operator saw it; with another one now the command is refused as stale.
    """

    error: int | None = None
    coupling: int | None = None
    revision: int | None = None


class RemoveCoupling(Target, frozen=True, kw_only=True):
    """``recouple.command.remove_coupling``: the two records are left alone, as they are."""


class Retry(Target, frozen=True, kw_only=True):
    """``recouple.command.retry``: decide anew, on what the records and the policies are now."""


class RestoreRecord(Target, frozen=True, kw_only=True):
    """``recouple.command.restore_record``: create the deleted record again in its app."""


class DeleteRecord(Target, frozen=True, kw_only=True):
    """``recouple.command.delete_record``: delete the record that is still there, too."""


class Dismiss(Target, frozen=True, kw_only=True):
    """``recouple.command.dismiss``: close an integration error without effect; the next change tries again."""


class Synchronize(Target, frozen=True, kw_only=True):
    """``recouple.command.synchronize``: say which values win; ``keep``, or any of ``fields`` and ``values``.

    Attributes:
        mapping: Instead of an error or a coupling: every coupling of the mapping, as a job; with ``keep`` only.
        keep: The side that wins every contested field.
        fields: By mapping field name, the side that wins.
        values: By mapping field name, what both sides are to hold, as the left side spells it.
    """

    mapping: str | None = None
    keep: Keep | None = None
    fields: dict[str, Keep] = {}
    values: dict[str, Value] = {}


class RetryAll(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.retry_all``: retry every open error that fits all that is given; a job."""

    mapping: str | None = None
    kind: ErrorKind | None = None
    code: str | None = None
    fingerprint: str | None = None


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.purge``: delete resolved errors; a job.

    Attributes:
        older_than_days: Counted from when they were resolved; 0 for all of them.
    """

    older_than_days: int = 7
    family: Family | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.pause``: decide and send nothing under a mapping, or with an app; exactly one is given."""

    app: str | None = None
    mapping: str | None = None


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.resume``: go on, with all that has changed meanwhile; exactly one is given."""

    app: str | None = None
    mapping: str | None = None


Order: TypeAlias = (
    Couple
    | CoupleMatching
    | Loaded
    | RemoveCoupling
    | Retry
    | RetryAll
    | Synchronize
    | RestoreRecord
    | DeleteRecord
    | Dismiss
    | Purge
    | Pause
    | Resume
)
"""What a command orders."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command, with who ordered it and where the answer goes.

    Attributes:
        id: The same id twice has one effect and gets the same answer twice.
        source: Who orders, for example ``ops/jane``.
        reason: Free text, kept in the audit, never logged.
        user_id: The broker-validated user, where there is one.
    """

    id: str
    source: str
    name: str
    order: Order
    reason: str | None = None
    reply_to: str | None = None
    user_id: str | None = None
    traceparent: str | None = None
    digest: str = ""


class RefusalCode(StrEnum):
    """Why a command was refused; nothing happened."""

    INVALID = "invalid"
    """The command itself is wrong; ``detail`` lists every fault."""
    NOT_FOUND = "not_found"
    """What it names does not exist."""
    NOT_APPLICABLE = "not_applicable"
    """It does not fit the state of what it names; ``detail`` says what does."""
    STALE = "stale"
    """The error has moved on since the revision that was named."""
    DUPLICATE_COUPLING = "duplicate_coupling"
    """One of the records is already coupled under the mapping."""
    ID_REUSED = "id_reused"
    """The same command id came before with other content."""
    FAILED = "failed"
    """Handling it failed in Recouple itself; the command is in the dead queue and can be replayed."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.done``."""

    command: str
    result: dict[str, Value]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.command.refused``."""

    command: str
    code: RefusalCode
    detail: str
    error: dict[str, Value] | None = None


Answer: TypeAlias = Done | Refused
"""Exactly one per command."""
