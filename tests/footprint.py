"""What this process holds of the machine: so that a test can see whether something is left behind each time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil

SETTLED_WITHIN_S = 10


class Footprint(NamedTuple):
    """What is held at one moment.

    Attributes:
        descriptors: Open files, sockets and pipes.
        objects: Python's own, those that its collector knows.
    """

    threads: int
    descriptors: int
    objects: int
    memory_bytes: int


def footprint() -> Footprint:
    """Return what is held now, garbage left out."""
    gc.collect()
    process = psutil.Process()
    return Footprint(process.num_threads(), process.num_fds(), len(gc.get_objects()), process.memory_info().rss)


def growth(happen: Callable[[], None], times: int) -> Footprint:
    """Return by how much what is held grows while something happens so many times; before it is counted it happens too.

    What ends a moment later, a thread or the other end of a connection, is waited for.
    """
    for _ in range(times // 4):
        happen()
    before = footprint()
    for _ in range(times):
        happen()
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        after = footprint()
        grown = Footprint(*(now - then for now, then in zip(after, before, strict=True)))
        if (grown.threads <= 0 and grown.descriptors <= 0) or time.monotonic() > deadline:
            return grown
        time.sleep(0.05)
