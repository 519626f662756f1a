"""What Recouple tells people: records disagree, or an app could not do what it was asked. Data, not exceptions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from messages.values import Value


class Family(StrEnum):
    """Who settles the error."""

    COUPLED_DATA = "coupled_data"
    """The users of the apps."""
    INTEGRATION = "integration"
    """An administrator."""


class ErrorKind(StrEnum):
    """What is wrong between two coupled records."""

    UPDATE_CONFLICT = "update_conflict"
    """Both sides changed what only one of them can have changed."""
    DELETION_CONFLICT = "deletion_conflict"
    """One side is gone, the other is alive, and no policy says what follows."""
    APPLY_FAILED = "apply_failed"
    """An app refused an instruction."""
    NO_ANSWER = "no_answer"
    """An app has not answered an instruction in time; whether it did it is not known."""
    VALUE_NOT_MAPPED = "value_not_mapped"
    """A value does not stand in the value map of its field."""
    REFERENCE_NOT_COUPLED = "reference_not_coupled"
    """A field points to a record that is not coupled."""
    MATCH_AMBIGUOUS = "match_ambiguous"
    """A new record matches several uncoupled records of the other side."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """More deletions or creations towards an app than the mapping allows in a minute; the mapping is paused."""

    @property
    def family(self) -> Family:
        """The family, which decides where the error is listed and who settles it."""
        if self in (ErrorKind.UPDATE_CONFLICT, ErrorKind.DELETION_CONFLICT):
            return Family.COUPLED_DATA
        return Family.INTEGRATION


class ErrorStatus(StrEnum):
    """Where the error stands in its life."""

    OPEN = "open"
    """Waits for a person, or for its cause to go away; its coupling is skipped."""
    RESOLVING = "resolving"
    """A resolution is in flight; a failure opens the same error again."""
    RESOLVED = "resolved"
    """Over; kept for the record until it is purged."""


class ErrorEvent(StrEnum):
    """What happened to the error; the last word of the message type ``recouple.error.…``."""

    OPENED = "opened"
    """It is new."""
    UPDATED = "updated"
    """What an operator would see has changed; the revision grew."""
    RESOLVED = "resolved"
    """It is over."""


class Confidence(StrEnum):
    """Whether the detection rests on everything it should rest on."""

    CERTAIN = "certain"
    """Base, versions and images were all there."""
    DEGRADED = "degraded"
    """Something was missing; ``confidence_reasons`` says what."""


class Handling(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an operator ordered about an error: the audit of it.

    Attributes:
        id: Of the command.
        by: Who, as the command's ``source`` says; ``user_id``, as the broker says, in brackets where there is one.
        reason: Why, in the operator's words.
        revision: Of the error as it was found.
        effect: What followed, in a few words and without values.
    """

    at: datetime
    command: str
    id: str
    by: str
    reason: str | None = None
    revision: int = 0
    effect: str = ""


class ErrorSide(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the disagreement, as its own app names and spells its fields."""

    app: str
    table: str
    key: str | None
    url: str | None = None
    exists: bool | None = None
    version: int | None = None
    modified_by: str | None = None
    modified_at: datetime | None = None
    fields: dict[str, Value] = {}


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field in which the sides differ, in mapping terms; an absent member is a value that nobody knows."""

    field: str
    contested: bool = msgspec.field()
    base: Value | UnsetType = UNSET
    left: Value | UnsetType = UNSET
    right: Value | UnsetType = UNSET


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """The ``data`` of an error message, and a row of ``recouple errors --json``.

    Attributes:
        error: The number by which operators name it.
        revision: Grows whenever what an operator would see changes.
        detail: A sentence that a night operator can act on.
        code: The app's failure code, where an app failed.
        actions: The commands that apply now.
        candidates: At most 20 records, of ``candidates_total``, where a match was ambiguous.
        resolution: What settled it: a command, a policy, ``converged`` …
        fingerprint: The same for errors of the same cause.
        history: What operators ordered about it, oldest first.
    """

    error: int
    kind: ErrorKind
    family: Family
    status: ErrorStatus
    revision: int
    mapping: str
    coupling: int | None
    title: str
    detail: str
    code: str | None = None
    retryable: bool = False
    confidence: Confidence = Confidence.CERTAIN
    confidence_reasons: tuple[str, ...] = ()
    left: ErrorSide | None = None
    right: ErrorSide | None = None
    base: dict[str, Value] = {}
    differences: tuple[Difference, ...] = ()
    actions: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    candidates_total: int = 0
    attempts: int = 0
    opened_at: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None
    resolved_by: str | None = None
    fingerprint: str = ""
    history: tuple[Handling, ...] = ()


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.error.opened|updated|resolved``: the error as it is now."""

    id: str
    event: ErrorEvent
    report: ErrorReport
    at: datetime
    traceparent: str | None = None
    extensions: dict[str, Any] = {}
