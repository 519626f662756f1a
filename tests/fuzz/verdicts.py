"""What a target says of an input that broke none of its properties, and the limits that hold for every input."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

MAX_CPU_S: Final = 2.0
"""For one input. The slowest good ones take some 50 ms, on a machine that has other things to do, too."""

MAX_GROWTH_BYTES: Final = 256 * 1024 * 1024
"""By which one input may raise the most memory that this process ever held."""


class Verdict(StrEnum):
    """What became of an input."""

    ACCEPTED = "accepted"
    """It was taken, and what it says came back whole."""
    REJECTED = "rejected"
    """It was refused, with one of the exceptions that are declared for it."""


Run: TypeAlias = Callable[[bytes], Verdict]
"""A target: raises if and only if a property is broken."""


class LimitExceededError(AssertionError):
    """An input took too long, or too much memory."""


def within_limits(run: Run, data: bytes) -> Verdict:
    """Run a target.

    Raises:
        LimitExceededError: it ended, but cost more than an input may.
    """
    held, started_s = _most_held(), time.process_time()
    verdict = run(data)
    took_s, grown = time.process_time() - started_s, _most_held() - held
    if took_s > MAX_CPU_S:
        raise LimitExceededError(f"{took_s:.1f} s of processor time, at most {MAX_CPU_S} are in order")
    if grown > MAX_GROWTH_BYTES:
        raise LimitExceededError(f"{grown >> 20} MiB more than ever before, at most {MAX_GROWTH_BYTES >> 20} are")
    return verdict


def _most_held() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
