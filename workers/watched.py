"""The frame around the loops of a worker: somebody watches that they get on, and tells whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client.registry import Collector

from workers.endpoint import Endpoint
from workers.health import Report
from workers.logs import get_logger
from workers.progress import Progress
from workers.settings import Settings
from workers.watchdog import Watchdog

log = get_logger("workers.watched")


@contextmanager
def watched(
    settings: Settings, progress: Progress, scrape: Collector, is_stopping: Callable[[], bool]
) -> Iterator[Report]:
    """Watch the loops, and answer at the worker's endpoint, where one is set.

    Raises:
        EndpointError: it cannot listen there.
    """
    watchdog, over = Watchdog(progress, settings.stuck_after), threading.Event()
    report, endpoint = Report(progress, watchdog, is_stopping), None
    threading.Thread(target=watchdog.watch, args=(over,), name="watchdog", daemon=True).start()
    try:
        if settings.http is not None:
            endpoint = Endpoint(settings.http, report.pages(scrape))
            log.info("endpoint.opened", host=endpoint.address.host, port=endpoint.address.port)
        yield report
    finally:
        over.set()
        if endpoint is not None:
            endpoint.close()
