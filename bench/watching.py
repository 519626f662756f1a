"""What arrives in a run's target queues, seen from outside, the same way for all contenders.

The time of a run begins when a twentieth of what is to arrive has arrived, and ends with the last of it: the start of
the process, its connections and its first, cold transactions are nobody's throughput. What had arrived when the time
began is not counted either. Who works in batches delivers in bursts, and the end of a run is the end of a burst; so the
time begins at the end of one too, when two looks in a row see as much, or with a tenth where there are no such pauses:
in the middle of a burst, what is left of it would be work that took no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.arena import Arena
from bench.quick_amqp import QuickLink

LOOK_S = 0.02
LOOK_AT_FILES_S = 0.1
"""The embedded broker's file is opened for each look."""
BEGIN, BEGIN_AT_LAST = 0.05, 0.1
LEAST_S = 0.2


class Look(NamedTuple):
    """Looks how many messages wait, all queues together, once in so many seconds."""

    depth: Callable[[], int]
    every_s: float


class Window(NamedTuple):
    """What arrived while the time ran."""

    arrivals: int
    seconds: float


@contextmanager
def looking(arena: Arena, queues: tuple[str, ...]) -> Iterator[Look]:
    """Give a look at these queues that costs little: over one open connection."""
    names = [f"{arena.namespace}.{queue}" for queue in queues]
    if not arena.broker_url.startswith("amqp"):
        yield Look(lambda: sum(arena.broker.depth(name) for name in names), LOOK_AT_FILES_S)
        return
    link = QuickLink(arena.broker_url)
    try:
        declare = link.channel.queue_declare
        yield Look(lambda: sum(int(declare(name, passive=True).message_count) for name in names), LOOK_S)
    finally:
        link.close()


def watch(look: Look, total: int, begin: Callable[[], None], check: Callable[[], None], within_s: float) -> Window:
    """Wait until ``total`` have arrived; ``begin`` is called when the time begins, ``check`` again and again.

    Raises:
        TimeoutError: they did not arrive in time.
        ValueError: they all arrived within a few looks.
    """
    deadline_s = time.monotonic() + within_s
    first: tuple[int, float] | None = None
    before = -1
    while True:
        seen, now_s = look.depth(), time.monotonic()
        if first is None and seen >= (BEGIN if seen == before else BEGIN_AT_LAST) * total:
            first = (seen, now_s)
            begin()
        if first is not None and seen >= total:
            if now_s - first[1] < LEAST_S:
                raise ValueError(f"{total} messages arrived too quickly to be measured; give it more")
            return Window(total - first[0], now_s - first[1])
        before = seen
        check()
        if now_s > deadline_s:
            raise TimeoutError(f"{seen} of {total} messages arrived within {within_s:.0f} s")
        time.sleep(max(0.0, now_s + look.every_s - time.monotonic()))
