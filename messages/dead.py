"""Messages that could not be taken: why, and where they came from."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

ROUTING_KEY: Final = "routing key"
"""The ``field`` of a message that another app routed into a queue; it is never sent back there."""


class DeadReason(StrEnum):
    """Why a message went to the dead queue; the header ``x-recouple-reason``."""

    NOT_JSON = "not_json"
    """The bytes are no JSON document."""
    WRONG_ENCODING = "wrong_encoding"
    """The bytes are not UTF-8, or claim to be compressed or encoded otherwise."""
    TOO_LARGE = "too_large"
    """The message is longer than the limit."""
    TOO_DEEP = "too_deep"
    """The document is nested deeper than the limit."""
    NUL_CHARACTER = "nul_character"
    """A text holds U+0000, which the store cannot keep."""
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    """A number has more digits or a larger exponent than can be kept exactly."""
    DUPLICATE_MEMBER = "duplicate_member"
    """A JSON object names the same member twice, so that what was meant is not known."""
    MALFORMED = "malformed"
    """Members are missing or of the wrong type; every fault is listed."""
    UNKNOWN_TYPE = "unknown_type"
    """The message type is none that this queue takes."""
    WRONG_SOURCE = "wrong_source"
    """The source is not the app whose queue the message came through."""
    UNKNOWN_APP = "unknown_app"
    """No app of that name stands in the mapping file."""
    MISSING_ORDER = "missing_order"
    """The event lacks the version or time by which its app is ordered."""
    ID_REUSED = "id_reused"
    """The same event id came before with other content."""
    UNKNOWN_INSTRUCTION = "unknown_instruction"
    """The outcome names an instruction that we never gave."""
    NOT_INSTRUCTED = "not_instructed"
    """The outcome answers an instruction that was given to another app."""
    REPLY_NOT_ALLOWED = "reply_not_allowed"
    """The command wants its answer in a queue that is not a reply queue."""
    FAILED_HERE = "failed_here"
    """Handling the message failed in Recouple itself; a fault to report."""
    KILLED_WORKER = "killed_worker"
    """Worker processes died over this message, the last ones while they handled nothing else; a fault to report."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Why one message cannot be taken.

    Attributes:
        detail: All faults of the message in words, without any field value.
        field: Path of the first faulty member, for example ``data.version``.
    """

    reason: DeadReason
    detail: str
    queue: str
    at: datetime
    field: str = ""
