"""A worker leaves in time: the end of the process is forced where its main thread hangs, and only there."""

from __future__ import annotations

import threading
from datetime import timedelta

from workers.leaving import GRACE, LATE_EXIT_CODE, leaving_in_time

AT_ONCE = -GRACE
WITHIN_S = 5


def test_a_worker_that_hangs_is_ended() -> None:
    """Else it goes on, told to stop, until somebody kills it."""
    told, left, codes = threading.Event(), threading.Event(), list[int]()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    with leaving_in_time(told.is_set, AT_ONCE, leave):
        assert not left.wait(0.3), "nobody has told it to stop"
        told.set()
        assert left.wait(WITHIN_S)
    assert codes == [LATE_EXIT_CODE]


def test_a_worker_that_ends_is_left_alone() -> None:
    """Else a worker that stops in good order would be ended all the same, with an exit code that calls it late."""
    left = threading.Event()
    with leaving_in_time(lambda: True, timedelta(hours=1), lambda _: left.set()):
        (watching,) = (thread for thread in threading.enumerate() if thread.name == "leaving")
    watching.join(WITHIN_S)
    assert not watching.is_alive()
    assert not left.is_set()
