"""What the worker's pages say: alive is about the process, ready is about the work."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from workers.endpoint import Page
from workers.health import LIVE, METRICS, READY, Report
from workers.progress import Progress
from workers.watchdog import Watchdog

LOOPS = ("changes", "relay")


class Worker:
    """A worker that is only told of."""

    def __init__(self) -> None:
        self.now_s, self.is_stopping = 100.0, False
        self.progress = Progress(lambda: self.now_s)
        self.watchdog = Watchdog(self.progress, timedelta(minutes=2))
        self.report = Report(self.progress, self.watchdog, lambda: self.is_stopping)
        self.pages = self.report.pages(CollectorRegistry())

    def ask(self, path: str) -> tuple[HTTPStatus, Any]:
        """What a page says."""
        page: Page = self.pages[path]("")
        assert page.kind == "application/json"
        return page.status, msgspec.json.decode(page.body)


@pytest.fixture
def worker() -> Worker:
    """A worker that has not begun."""
    return Worker()


def test_from_the_start_to_the_end(worker: Worker) -> None:
    """An orchestrator would send it work too early or too late, or have it killed while it starts or waits."""
    worker.progress.miss("start", "broker")
    assert worker.ask(READY) == (503, {"status": "starting", "loops": {}})
    with ExitStack() as stack:
        for loop in LOOPS:
            stack.enter_context(worker.progress.running(loop))
        worker.report.loops = LOOPS
        worker.progress.note("relay", busy=False)
        assert worker.ask(READY) == (503, {"status": "not_ready", "loops": {"changes": "starting", "relay": "ready"}})
        worker.progress.note("changes", busy=False)
        assert worker.ask(READY) == (200, {"status": "ready", "loops": dict.fromkeys(LOOPS, "ready")})
        worker.progress.miss("changes", "broker")
        assert worker.ask(READY) == (
            503,
            {"status": "not_ready", "loops": {"changes": "broker away", "relay": "ready"}},
        )
        assert worker.ask(LIVE) == (200, {"status": "alive"})
        worker.progress.note("changes", busy=True)
        worker.is_stopping = True
        assert worker.ask(READY)[1]["status"] == "stopping"
    worker.is_stopping = False
    assert worker.ask(READY) == (503, {"status": "not_ready", "loops": dict.fromkeys(LOOPS, "ended")})


def test_what_is_away_while_it_starts(worker: Worker) -> None:
    """Nobody could see why a worker does not begin."""
    with worker.progress.running("start"):
        worker.progress.miss("start", "store")
        assert worker.ask(READY) == (503, {"status": "starting", "loops": {"start": "store away"}})
        assert worker.ask(LIVE)[0] == 200


def test_a_loop_that_hangs_is_not_alive(worker: Worker) -> None:
    """An orchestrator would keep a worker that does nothing."""
    with worker.progress.running("relay"):
        for _ in range(130):
            worker.now_s += 1
            worker.watchdog.look()
        assert worker.ask(LIVE) == (503, {"status": "stuck", "loops": ["relay"]})


def test_the_metrics() -> None:
    """Prometheus could not read them."""
    worker, registry = Worker(), CollectorRegistry()
    Counter("recouple_x", "X.", registry=registry).inc(3)
    page = worker.report.pages(registry)[METRICS]("text/plain;version=0.0.4")
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page.body.decode())
        for sample in family.samples
    }
    assert page.status == 200
    assert page.kind.startswith("text/plain; version=0.0.4")
    assert samples["recouple_x_total"] == 3
