"""Several workers side by side: one process starts the others, passes signals on, and ends when all have ended."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from workers.watchdog import STUCK_EXIT_CODE

LOOK_S = 0.05


def work_in_processes(work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> int:
    """Run a worker for each of ``arguments``; when one fails the others stop, and whoever supervises us starts anew."""
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=work, args=each, name=f"worker-{i}") for i, each in enumerate(arguments)]
    for child in children:
        child.start()

    told: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if not told:
            told.append(number)
            for child in children:
                child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    codes: list[int] = []
    while len(codes) < len(children):
        codes = []
        for child in children:
            child.join(LOOK_S)
            if child.exitcode is not None:  # one that was told before it could listen has left in good order, too
                codes.append(0 if told and child.exitcode == -signal.SIGTERM else child.exitcode)
        if any(codes):
            pass_on(0, None)
    return _together(codes)


def _together(codes: Sequence[int]) -> int:
    """What all of them come to: in good order, stuck, or failed."""
    if not any(codes):
        return 0
    return STUCK_EXIT_CODE if STUCK_EXIT_CODE in codes else 1
