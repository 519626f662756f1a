"""What an app answers to an instruction: applied, or failed and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from messages.values import Value


class FailureCode(StrEnum):
    """Why an app did not do what it was instructed to do. What each leads to is ``workers.rules.failures``."""

    PERMISSION_DENIED = "permission_denied"
    """The integration user may not do this."""
    AUTHENTICATION_FAILED = "authentication_failed"
    """The integration user could not sign in."""
    CONFIGURATION = "configuration"
    """The app or its connector is not set up for this."""
    VALIDATION_FAILED = "validation_failed"
    """The app's own rules refuse the values."""
    DUPLICATE = "duplicate"
    """Another record already holds a value that must be unique."""
    NOT_FOUND = "not_found"
    """The record is not there: a deletion that we learn late."""
    VERSION_MISMATCH = "version_mismatch"
    """The record has moved since the version that the instruction named."""
    UNAVAILABLE = "unavailable"
    """The app is away for the moment."""
    RATE_LIMITED = "rate_limited"
    """The app asks for fewer requests; ``retry_after`` may say when."""
    OTHER = "other"
    """Anything else; the words in ``detail`` are all there is."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.instruction.applied``: the app did it.

    Attributes:
        app: The app whose queue it came through; only the instructed app can answer.
        attempt: Which attempt is answered; ``None`` means the current one.
        key: The key that the app assigned to a created record.
        version: The record's version after the instruction was applied.
        at: CloudEvents ``time``; orders where the app has no versions.
        fields: What the app made of the values, where it says so; ``None`` where it does not.
    """

    app: str
    id: str
    instruction: str
    attempt: int | None = None
    key: str | None = None
    version: int | None = None
    at: datetime | None = None
    fields: dict[str, Value] | None = None
    traceparent: str | None = None
    digest: str = ""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """``recouple.instruction.failed``: the app did not do it, for the reason in ``code``.

    Attributes:
        detail: The app's own words. Kept for the operator, never logged.
        retry_after: How long the app asks us to wait before the next attempt.
    """

    app: str
    id: str
    instruction: str
    code: FailureCode
    attempt: int | None = None
    detail: str = ""
    retry_after: timedelta | None = None
    at: datetime | None = None
    traceparent: str | None = None
    digest: str = ""
