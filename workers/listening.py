"""The job of listening: somebody looks, all the while, whether apps that are to answer can be heard.

One look serves all workers: it is kept in the store, and whoever comes to look next finds it there. Where the broker is
away nobody can look, and the gap tells.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from messages.topology import changes_queue, instructions_exchange
from messages.transport.ports import Broker
from store import listening as listening_store
from workers.rules.silence import Look, after_look, is_time, rhythm
from workers.workplace import Workplace


class Listening:
    """The loop that looks; only while an answer is awaited, and as often as the quickest app needs it."""

    name = "listening"

    def __init__(self, place: Workplace, broker: Broker, wait: timedelta) -> None:
        """``wait``: how long a step with nothing to do rests."""
        self._place, self._broker, self._wait = place, broker, wait
        self._apps = place.context.file.apps
        self._every = rhythm(app.answer_within for app in self._apps.values())
        self._resting = threading.Event()
        self._next: datetime | None = None

    def step(self) -> bool:
        """Look, if it is time to and nobody else has; never says that it was busy: nobody has to wait for it."""
        now = self._place.clock()
        if self._next is not None and now < self._next:
            self._resting.wait(min(self._wait, self._next - now).total_seconds())
            return False
        if self._is_wanted(now):
            self._keep(self._look(now), now)
        self._next = now + self._every / 2
        return False

    def _is_wanted(self, now: datetime) -> bool:
        with self._place.store.reading() as conn:
            if not listening_store.awaits_answers(conn):
                return False
            known = listening_store.read(conn)
        return any(is_time(known.get(app), now, self._every) for app in self._apps)

    def _look(self, now: datetime) -> dict[str, Look]:
        namespace = self._place.context.namespace
        with self._place.store.reading() as conn:
            late, all_late = listening_store.held_up(conn, instructions_exchange(namespace), now - self._every)
        behind = {key.partition(".")[0] for key in late}
        return {
            app: Look(
                reached=not all_late and app not in behind,
                read=self._broker.depth(changes_queue(namespace, app)) == 0,
            )
            for app in self._apps
        }

    def _keep(self, looks: Mapping[str, Look], now: datetime) -> None:
        with self._place.store.transaction() as conn:
            known = listening_store.lock(conn, looks.keys())
            fresh = {
                app: after_look(known.get(app), look, now, self._every)
                for app, look in looks.items()
                if is_time(known.get(app), now, self._every)  # else another worker was quicker
            }
            listening_store.save(conn, fresh)

    def close(self) -> None:
        """Nothing to leave."""
