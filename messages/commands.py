"""What operators and programs order, and the one answer that each order gets."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

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


Order: TypeAlias = Couple | Loaded
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
