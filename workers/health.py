"""What the worker's endpoint answers: is it alive, is it ready, and the metrics.

*Alive* is about the process alone: its loops give signs of life. It never depends on the broker or the database, or an
outage of these would have every worker started anew, again and again. *Ready* is about the work: set up, and at the
last attempt of every loop the broker and the store answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from workers.endpoint import Page, Pages
from workers.progress import Progress, Standing
from workers.watchdog import Watchdog

METRICS, LIVE, READY = "/metrics", "/health/live", "/health/ready"


class Report:
    """How a worker is, as its pages say it.

    Attributes:
        loops: The names of its loops, once they have been started.
    """

    def __init__(self, progress: Progress, watchdog: Watchdog, is_stopping: Callable[[], bool]) -> None:
        self._progress, self._watchdog, self._is_stopping = progress, watchdog, is_stopping
        self.loops: Sequence[str] = ()

    def pages(self, scrape: Collector) -> Pages:
        """Return the pages by their paths."""
        return {
            METRICS: lambda accept: _metrics(scrape, accept),
            LIVE: lambda _: self.live(),
            READY: lambda _: self.ready(),
        }

    def live(self) -> Page:
        """Say whether the loops get on."""
        stuck = self._watchdog.stuck()
        if stuck:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stuck", "loops": stuck})
        return _json(HTTPStatus.OK, {"status": "alive"})

    def ready(self) -> Page:
        """Say whether every loop can work, and of each how it is."""
        standings = {one.loop: one for one in self._progress.standings()}
        loops = {name: _told(standings.get(name)) for name in self.loops or standings}
        if self._is_stopping():
            status = "stopping"
        elif not self.loops:
            status = "starting"
        else:
            status = "ready" if set(loops.values()) == {"ready"} else "not_ready"
        code = HTTPStatus.OK if status == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(code, {"status": status, "loops": loops})


def _told(one: Standing | None) -> str:
    if one is None:
        return "ended"
    if one.away is not None:
        return f"{one.away} away"
    return "ready" if one.has_worked else "starting"


def _metrics(scrape: Collector, accept: str) -> Page:
    encode, kind = choose_encoder(accept)
    return Page(HTTPStatus.OK, kind, encode(scrape))


def _json(status: HTTPStatus, value: dict[str, Any]) -> Page:
    return Page(status, "application/json", msgspec.json.encode(value) + b"\n")
