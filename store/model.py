"""The values that the rules reason about. Pure and frozen: a change is a new value.

A row becomes one of these in one place, the store module of its table.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import UNSET

from messages.errors import Confidence, ErrorKind, ErrorStatus, Handling
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Known, Value


class Side(StrEnum):
    """One of the two ends of a coupling."""

    LEFT = "left"
    """The record of the mapping's left table."""
    RIGHT = "right"
    """The record of the mapping's right table."""

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


SIDES = (Side.LEFT, Side.RIGHT)  # an enum makes an iterator of its own, slowly, each time


class Overwrite(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field that an instruction set: at which version, to what, and what it was known to hold before (R11)."""

    instruction: str
    version: int
    value: Value = None
    replaced: Known = UNSET


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The latest known state of one record; outlives couplings and the record itself.

    Attributes:
        exists: ``None`` where nobody has told us of the record yet.
        fields: By the app's own field names; of a deleted record, its last values.
        versions: Per field, the version that set it (R14).
        version: The highest version heard of; ``existence_version``: the one that says whether the record exists.
        life_version: The version of the last create or delete; nothing older is taken.
        modified_by, modified_at: The last change, whoever made it.
        user_modified_at: The last change that was not ours (R12).
        user_modified_version, user_modified_before: Of that change, and of the one before, should it turn out ours.
        clipped: A time that orders the record lay in the future and was clipped to its arrival.
        written: Per field, what we wrote there last, to tell what was entered before and is heard of too late.
    """

    record: RecordRef
    exists: bool | None = None
    fields: dict[str, Value] = {}
    versions: dict[str, int] = {}
    version: int | None = None
    existence_version: int | None = None
    life_version: int | None = None
    modified_by: str | None = None
    modified_at: datetime | None = None
    user_modified_at: datetime | None = None
    user_modified_version: int | None = None
    user_modified_before: datetime | None = None
    clipped: bool = False
    written: dict[str, Overwrite] = {}


class Form(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of a base: the value on each side, in that side's own form, when the two last agreed.

    Attributes:
        agreed: ``False`` where the sides were coupled while they differed: no base, contested at the first change.
    """

    left: Known = UNSET
    right: Known = UNSET
    agreed: bool = True

    def on(self, side: Side) -> Known:
        """The form on ``side``."""
        return self.left if side is Side.LEFT else self.right

    def with_side(self, side: Side, value: Known) -> Form:
        """The same with another form on ``side``."""
        return msgspec.structs.replace(self, **{side: value})


class Write(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mapped field that an instruction sets.

    Attributes:
        value: What is written, in the target's form.
        held: What the other side's image held when the instruction was made; becomes the base (R4).
            ``UNSET`` for a value that neither side held: it becomes base when both sides agree on it.
        replaced: What the target's image held; kept so that nothing overwritten is lost (R11).
        delta: What an ``add`` write delivers; the base moves by it (R5).
    """

    value: Value = None
    held: Known = UNSET
    replaced: Known = UNSET
    delta: Decimal | None = None


class InstructionState(StrEnum):
    """Where an instruction stands."""

    SENT = "sent"
    """Given to the app, not answered yet."""
    BACKING_OFF = "backing_off"
    """The app is away; the same instruction goes out again when it is due."""
    UNANSWERED = "unanswered"
    """The app did not answer in time; its fate is not known and it keeps its slot (R6)."""
    APPLIED = "applied"
    """The app did it."""
    FAILED = "failed"
    """The app did not do it."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instruction in flight.

    Attributes:
        side: Whose app was instructed.
        record: The target; its key is empty for a create whose key the app assigns.
        fields: All that is written, by the app's own names: the mapped fields of ``writes`` and, for a
            restore, unmapped ones.
        writes: By mapping field name.
        base: The base of the written fields when the instruction was made, for the audit.
        if_version: The version on which the decision was made; of a read, which does not send it, what was known then.
        rule: The policy that settled it, where one did.
        due_at: When to act if nothing is heard: send again, or open ``no_answer``.
        code, words: Of the last failure, if there was one; the words are the app's own and are never logged.
        removed: All that a record held that is deleted, by the app's own names; kept, not sent.
        overtaken: Values that users reported meanwhile for the fields in flight, by the app's own names (R11).
    """

    id: str
    side: Side
    record: RecordRef
    action: Action
    reason: Reason
    made_at: datetime
    fields: dict[str, Value] = {}
    writes: dict[str, Write] = {}
    base: dict[str, Form] = {}
    if_version: int | None = None
    attempt: int = 1
    state: InstructionState = InstructionState.SENT
    rule: str | None = None
    due_at: datetime | None = None
    code: str | None = None
    words: str = ""
    removed: dict[str, Value] = {}
    overtaken: dict[str, list[Value]] = {}
    traceparent: str | None = None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last instruction that a side applied: what still counts as ours when its change event comes late.

    Attributes:
        values: What was written, by the app's own names.
    """

    instruction: str
    version: int | None
    at: datetime
    values: dict[str, Value] = {}


class Alteration(msgspec.Struct, frozen=True, kw_only=True):
    """A side was sent one value and made another of it, in a change that nothing ties to us (R13)."""

    sent: Value
    became: Value


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator wants of two living records; ``keep``, or any of the other two.

    Attributes:
        keep: The side that wins every contested field.
        fields: By mapping field name, the side that wins.
        values: By mapping field name, what both sides are to hold, as the left side spells it.
    """

    keep: Side | None = None
    fields: dict[str, Side] = {}
    values: dict[str, Value] = {}


class OpenError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error of a coupling, or of an uncoupled record that matches several.

    Attributes:
        number: 0 until the store has given one.
        code: The app's failure code.
        words: The app's own words, or a name the detail needs; never logged.
        failed: What an ``apply_failed`` or ``no_answer`` tried; with it R8 tells whether the same would be sent again.
        seen: A digest of what an operator sees; when it changes the revision grows.
        contested: Names of the contested fields.
        candidates: Records that match, at most 20, of ``candidates_total``.
        resolution: What is settling it, while it is ``resolving``, or has settled it; ``resolved_by``: who ordered it.
        awaits: Instructions of the resolution that are not confirmed; gone unconfirmed, they open the error again.
        history: What operators ordered about it, oldest first.
    """

    number: int = 0
    kind: ErrorKind
    status: ErrorStatus = ErrorStatus.OPEN
    revision: int = 1
    opened_at: datetime
    code: str | None = None
    words: str = ""
    field: str | None = None
    failed: Sent | None = None
    attempts: int = 0
    seen: str = ""
    contested: tuple[str, ...] = ()
    confidence: Confidence = Confidence.CERTAIN
    confidence_reasons: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    candidates_total: int = 0
    resolution: str | None = None
    resolved_by: str | None = None
    awaits: tuple[str, ...] = ()
    history: tuple[Handling, ...] = ()


class CouplingStatus(StrEnum):
    """Where a coupling stands in its life."""

    CREATING = "creating"
    """One record waits for the app of the other to create its counterpart."""
    ACTIVE = "active"
    """Two records are tied."""
    CLOSED = "closed"
    """Over: both gone, removed, or uncoupled. Kept so that late outcomes find out."""


class Wait(msgspec.Struct, frozen=True, order=True):
    """A reference that a coupling waits for: the key, on this side, of a record to be coupled under this mapping."""

    mapping: str
    side: Side
    key: str


class Coupling(msgspec.Struct, frozen=True, kw_only=True):
    """The tie between two records under one mapping, with all that a decision about it rests on.

    Attributes:
        id: 0 until the store has given one.
        token: Random per coupling; with ``serial`` it makes instruction ids that are unique and repeatable.
        serial: Counts the decisions that instructed somebody.
        based: Whether a base was ever taken.
        base: By mapping field name; a field that is absent was mapped later.
        flight: At most one instruction to each side (R3).
        last: Per side, the last instruction it applied.
        altered: Per side, field by field, what it made of what we sent (R13).
        mismatches: How often in a row a decision was refused for its version.
        waits: References that stand in the way.
        keep: Set by ``couple`` with ``keep`` until the first decision.
        held_by: What pauses it, as it was last decided: ``mapping <name>``, ``app <name>`` or ``where``.
    """

    id: int
    mapping: str
    token: str
    left: RecordRef | None
    right: RecordRef | None
    status: CouplingStatus = CouplingStatus.ACTIVE
    based: bool = False
    base: dict[str, Form] = {}
    serial: int = 0
    flight: tuple[Sent, ...] = ()
    last: dict[Side, Confirmed] = {}
    altered: dict[Side, dict[str, Alteration]] = {}
    mismatches: int = 0
    waits: tuple[Wait, ...] = ()
    error: OpenError | None = None
    keep: Side | None = None
    held_by: str | None = None

    def record(self, side: Side) -> RecordRef | None:
        """The record on ``side``; ``None`` while it is being created."""
        return self.left if side is Side.LEFT else self.right


LogWord = Literal[
    "duplicate",
    "stale",
    "ignored",
    "uncoupled",
    "coupled",
    "sent",
    "merged",
    "resolved",
    "queued",
    "unchanged",
    "conflict",
    "skipped",
    "converged",
    "error",
    "normalized",
    "overtaken",
    "confirmed",
    "retried",
    "failed",
    "done",
    "refused",
    "paused",
    "unmatched",
]
"""What became of an event, command or outcome, in the words of DESIGN.md section 5."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the synchronization log.

    Attributes:
        record: ``app/table/key``.
        rule: Which rule or policy, where one is worth naming.
        detail: A few words for a person; values only of fields that are not sensitive.
        values: Per field, ``base``, ``left`` and ``right`` where a value was overwritten (R11); sensitive ones masked.
    """

    at: datetime
    record: str
    outcome: LogWord
    coupling: int | None = None
    rule: str | None = None
    event: str | None = None
    command: str | None = None
    instruction: str | None = None
    detail: str = ""
    values: dict[str, Value] = {}
