"""When a server is back: the moment at which it lets clients in again, while it is being started."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from tests.faults.scene import Scene

BACK_WITHIN_S = 90.0
LOOK_AGAIN_S = 0.05
ACTIONS = 20


def bring_back(scene: Scene, start: Callable[[], None], answers: Callable[[], bool]) -> None:
    """Start a server while everybody goes on, and note in the world when it answered for the first time.

    Args:
        scene: Where.
        start: Returns when it is ready; that may be seconds after it let clients in.
        answers: Says whether it lets clients in.
    """
    looked_at, was_away = 0.0, False

    def is_done() -> bool:
        nonlocal looked_at, was_away
        if time.monotonic() - looked_at > LOOK_AGAIN_S and scene.world.back_at is None:
            looked_at, lets_in = time.monotonic(), answers()
            if lets_in and was_away:
                scene.world.back_at = datetime.now(UTC)
            was_away |= not lets_in
        return starting.done()

    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start)
        scene.world.traffic(ACTIONS, BACK_WITHIN_S, is_done)
        starting.result()
