"""How much is too much: a few thousand messages where everything is tested, a million where ``make load`` is asked."""

from __future__ import annotations

import os
from datetime import timedelta

IN_PASSING = 2000
"""So many messages lie in a backlog unless ``LOAD`` says how many."""

MESSAGES = int(os.environ.get("LOAD") or IN_PASSING)
AT_LENGTH = MESSAGES > IN_PASSING
"""Whether there is time: then the slowest hundredth of the answers is held to the second, too."""

BIG_MESSAGES = 15 if not AT_LENGTH else min(1000, MESSAGES // 66)
"""So many of 1 MiB each lie in a backlog; there they are as many bytes as some twenty times the others."""

WITHIN = timedelta(seconds=60 + MESSAGES / 20)
"""A scenario takes no longer; ten times what it takes on two cores that do nothing else."""

WORKER_BYTES = 150 * 1024 * 1024
"""DESIGN.md section 9: a worker never holds more, at any backlog."""

GROWTH_BYTES = 25 * 1024 * 1024
"""So much more than in the first tenth of the time a worker may hold in the last: a leak would be more."""

ANSWER_WITHIN = timedelta(seconds=1)
"""A command is answered by then while a backlog drains."""

BATCHES = 6
"""… or, where others keep the machine busy, in the time of so many batches. It waits for two or three."""


def share(part: float, least: int) -> int:
    """Return that part of the messages, and no fewer than ``least``."""
    return max(least, int(MESSAGES * part))
