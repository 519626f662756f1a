"""When an app that has not answered is silent, and not merely unheard.

Time to answer in runs only while the app could have answered: the broker is there, what is said to the app goes out,
and somebody sees that it does. And nobody is called silent before all is read that the app had said until then.

===================================================== ===============================================================
when                                                  then
===================================================== ===============================================================
nobody has looked for a while: broker or workers away it has all its time anew, from the moment somebody looks again
its instructions wait in the outbox                   likewise, from the moment they go out again
its time is not over yet                              wait until then
its time is over, what it said waits to be read       wait until it is read
its time is over, and all is read                     it is silent: ``no_answer``
===================================================== ===============================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from store.hearing import Hearing

LONGEST_RHYTHM = timedelta(seconds=30)
SHORTEST_RHYTHM = timedelta(milliseconds=200)
LOOKS = 20
"""So often somebody looks within the time that the quickest app has to answer in."""

MISSED = 3
"""After so many looks that did not take place nobody can say what was in between."""


class Look(msgspec.Struct, frozen=True):
    """What somebody saw who looked, with the broker there.

    Attributes:
        reached: What is said to the app goes out.
        read: All that the app has said is read, or at hand.
    """

    reached: bool
    read: bool


def rhythm(answer_within: Iterable[timedelta]) -> timedelta:
    """Return how often to look, for apps that have so much time to answer in."""
    shortest = min(answer_within, default=LOOKS * LONGEST_RHYTHM)
    return min(max(shortest / LOOKS, SHORTEST_RHYTHM), LONGEST_RHYTHM)


def is_time(hearing: Hearing | None, now: datetime, every: timedelta) -> bool:
    """Say whether it is time to look again; nobody else has just done so."""
    return hearing is None or abs(now - hearing.looked_at) >= every


def after_look(before: Hearing | None, look: Look, now: datetime, every: timedelta) -> Hearing:
    """Return what is known once somebody has looked at ``now``.

    What was at hand when all else was read has been handled by the time of the next look.
    """
    if before is None or _has_gap(before, now, every):
        return Hearing(since=now, looked_at=now, empty_at=now if look.read else None, heard_at=None)
    return Hearing(
        since=before.since if look.reached else now,
        looked_at=now,
        empty_at=now if look.read else None,
        heard_at=before.empty_at or before.heard_at,
    )


def wait_for_answer(
    due_at: datetime, within: timedelta, hearing: Hearing | None, now: datetime, every: timedelta
) -> datetime | None:
    """Return until when to wait for an answer that was due at ``due_at``; ``None``: wait no longer, the app is silent.

    Args:
        within: The app's ``answer_within``.
        every: The rhythm of the looks.
    """
    if hearing is None or _has_gap(hearing, now, every):
        return now + within
    late_at = max(due_at, hearing.since + within)
    if now < late_at:
        return late_at
    if hearing.heard_at is None or hearing.heard_at < late_at:
        return now + 2 * every
    return None


def _has_gap(hearing: Hearing, now: datetime, every: timedelta) -> bool:
    return abs(now - hearing.looked_at) > MISSED * every
