"""Allowances: how fast they fill, and what comes back with time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from workers.rules.limits import ONE, leaked

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("level", "limit", "passed", "left"),
    [
        (3 * ONE, 3, 0 * SECOND, 3 * ONE),
        (3 * ONE, 3, 20 * SECOND, 2 * ONE),
        (3 * ONE, 3, 60 * SECOND, 0),
        (3 * ONE, 3, 999 * SECOND, 0),
        (100 * ONE, 100, SECOND / 10, 100 * ONE - 166),
        (3 * ONE, 3, -20 * SECOND, 3 * ONE),
        (9 * ONE, 3, 60 * SECOND, 6 * ONE),
    ],
    ids=["at once", "a third", "a minute", "long after", "little by little", "a clock that goes back", "a lower limit"],
)
def test_what_is_left_of_what_was_used(level: int, limit: int, passed: timedelta, left: int) -> None:
    """A mapping would be paused for what was long ago, or never."""
    assert leaked(level, limit, passed) == left
