"""What each failure code of an app leads to, and how long to wait before the next attempt.

==================== ========= =======================================================================
code                 leads to  because
==================== ========= =======================================================================
unavailable          RETRY     the app is away; the same instruction will do later
rate_limited         RETRY     likewise, when the app says
version_mismatch     REREAD    the record has moved; decide on what it is now (R2)
not_found            GONE      a deletion that we learn late
permission_denied    GIVE_UP   a person has to grant it
authentication_…     GIVE_UP   a person has to renew it
configuration        GIVE_UP   a person has to set it up
validation_failed    GIVE_UP   the values have to change
duplicate            GIVE_UP   the other record has to change
other                GIVE_UP   nobody but the app's own words can say
==================== ========= =======================================================================

Nothing is ever parked because the same text came twice: what is given up is tried again as soon as something else
would be sent (R8), or when an operator says so.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from enum import Enum

import msgspec

from messages.outcomes import FailureCode


class Consequence(Enum):
    """What follows from a failure."""

    RETRY = "retry"
    """The same instruction again, after a while, up to a limit."""
    REREAD = "reread"
    """Decide anew on the record as it stands now."""
    GONE = "gone"
    """The record no longer exists; decide anew."""
    GIVE_UP = "give_up"
    """An ``apply_failed`` error, if what was tried still applies."""


CONSEQUENCES: dict[FailureCode, Consequence] = {
    FailureCode.UNAVAILABLE: Consequence.RETRY,
    FailureCode.RATE_LIMITED: Consequence.RETRY,
    FailureCode.VERSION_MISMATCH: Consequence.REREAD,
    FailureCode.NOT_FOUND: Consequence.GONE,
    FailureCode.PERMISSION_DENIED: Consequence.GIVE_UP,
    FailureCode.AUTHENTICATION_FAILED: Consequence.GIVE_UP,
    FailureCode.CONFIGURATION: Consequence.GIVE_UP,
    FailureCode.VALIDATION_FAILED: Consequence.GIVE_UP,
    FailureCode.DUPLICATE: Consequence.GIVE_UP,
    FailureCode.OTHER: Consequence.GIVE_UP,
}

MISMATCH_LIMIT = 20
"""After so many refusals for the version in a row, without one success, a person is told."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long an absent app is waited for.

    Attributes:
        first: Before the second attempt; doubled for each that follows.
        ceiling: Never longer than this, ``retry_after`` of the app excepted.
        limit: So many attempts in all, then an ``apply_failed``.
    """

    first: timedelta = timedelta(seconds=1)
    ceiling: timedelta = timedelta(minutes=5)
    limit: int = 10


def backoff(patience: Patience, attempt: int, seed: str) -> timedelta:
    """Return how long to wait after ``attempt`` failed: doubling, with a jitter of half, the same for the same seed.

    The jitter comes from the instruction's id rather than from chance, so that a replay decides the same.
    """
    doubled = min(patience.ceiling, patience.first * (1 << min(attempt - 1, 30)))
    draw = hashlib.blake2b(f"{seed}/{attempt}".encode(), digest_size=4).digest()
    return doubled * (0.5 + int.from_bytes(draw, "big") / 2**33)
