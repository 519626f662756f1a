"""A worker for whom an hour of waiting passes in seconds: ``python -m tests.faults.hurried_worker``.

It makes as many attempts while the world is away as any worker would; only the waits between them are shorter.
"""

from __future__ import annotations

import os

from workers import loops
from workers.bootstrap import WorkPlan, work
from workers.settings import read_settings

HURRY = 400
"""So many times faster than the clock: an hour in nine seconds, its minute in 150 ms."""


def main() -> int:
    """Work until told to stop."""
    loops.FIRST_WAIT /= HURRY
    loops.LONGEST_WAIT /= HURRY
    loops.STILL_AWAY /= HURRY
    return work(read_settings(os.environ), WorkPlan())


if __name__ == "__main__":
    raise SystemExit(main())
