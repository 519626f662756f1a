"""Several workers side by side: what they come to together."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from workers.processes import work_in_processes
from workers.watchdog import STUCK_EXIT_CODE


def leave(code: int) -> None:
    """Work for no time at all."""
    raise SystemExit(code)


def work_on(_: int) -> None:
    """Work until told to stop."""
    time.sleep(60)


def leave_or_work_on(code: int) -> None:
    """Leave with this code, or work on where it is 0."""
    (leave if code else work_on)(code)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Leave the signals of the test run as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("codes", "together"),
    [
        ((0, 0), 0),
        ((0, 1), 1),
        ((3, 0), 1),
        ((0, STUCK_EXIT_CODE), STUCK_EXIT_CODE),
    ],
)
def test_what_they_come_to(codes: tuple[int, ...], together: int) -> None:
    """A supervisor would take workers that failed for workers that are done, or never learn that one hung."""
    assert work_in_processes(leave, [(code,) for code in codes]) == together


def test_when_one_ends_badly_the_others_stop() -> None:
    """A host would go on with half of its workers, and nobody would start the other half."""
    begun_s = time.monotonic()
    assert work_in_processes(leave_or_work_on, [(0,), (STUCK_EXIT_CODE,)]) == STUCK_EXIT_CODE
    assert time.monotonic() - begun_s < 50
