"""A worker that can be watched: what it tells a scraper and a probe, through outages, and its end when it hangs."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.processes import LOOK_AGAIN_S, WorkerProcess
from tests.acceptance.wire import change
from tests.faults.servers.proxy import Proxy
from tests.mapping_files import ONE_FIELD
from workers.watchdog import STUCK_EXIT_CODE

HTTP = {"RECOUPLE_HTTP": "127.0.0.1:0"}

LABELS = {
    *("app", "command", "event", "job", "kind", "le", "line", "loop", "mapping", "name", "outcome", "queue", "reason"),
    *("scope", "service", "state", "status", "version"),
}
"""Every label that a scrape may have: each has few values, and none holds what an app or an operator wrote."""

FIRM = "Hunter2 & Sons"
WITHIN_S = 60


class Answer(NamedTuple):
    """What a worker's endpoint said."""

    status: int
    text: str

    @property
    def document(self) -> Any:
        """Read as JSON."""
        return json.loads(self.text)


def ask(worker: WorkerProcess, path: str, number: int = 0) -> Answer:
    """Ask the endpoint that the worker opened as its first, or a later one."""
    worker.wait_for("endpoint.opened", number + 1, WITHIN_S)
    line = worker.events("endpoint.opened")[number]
    connection = http.client.HTTPConnection(line["host"], line["port"], timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it, a minute at most."""
    until_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < until_s, what
        time.sleep(LOOK_AGAIN_S)


def is_ready(worker: WorkerProcess) -> bool:
    """Say whether the worker calls itself ready."""
    return ask(worker, "/health/ready").status == 200


def scrape(worker: WorkerProcess) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that the worker tells, by its name and labels."""
    families = text_string_to_metric_families(ask(worker, "/metrics").text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    """One of them; 0 where it is not there."""
    return samples.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture
def stage(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage on each pair of store and broker."""
    if backend.broker_url.startswith("embedded"):  # what a dead worker held comes again after a second
        backend = backend._replace(broker_url=f"{backend.broker_url}?lease_s=1")
    with open_stage(backend, tmp_path, ONE_FIELD, HTTP) as found:
        yield found


def test_what_a_scraper_is_told(stage: Stage) -> None:
    """Nobody would see what the workers do; or Prometheus would be filled with records, or with what they hold."""
    worker = stage.start_worker()
    wait_until(lambda: is_ready(worker), "the worker")
    stage.couple(
        change("bc/customer/ALFKI", "create", 1, {"name": FIRM}),
        change("sales/account/17", "create", 1, {"title": FIRM}),
    )
    stage.settle(change("bc/customer/ALFKI", "update", 2, {"name": f"{FIRM} AG"}))
    stage.settle(change("bc/customer/ALFKI", "update", 1, {"name": FIRM}))
    samples = scrape(worker)

    queue = f"{stage.namespace}.changes.bc"
    assert value(samples, "recouple_messages_total", queue=queue, outcome="stale") == 1
    assert value(samples, "recouple_messages_total", queue=queue, outcome="decided") >= 1
    assert value(samples, "recouple_decisions_total", mapping="customer", outcome="sent") == 1
    assert value(samples, "recouple_instructions_total", app="sales", event="sent") == 1
    assert value(samples, "recouple_instructions_in_flight", app="sales", state="sent") == 1
    assert value(samples, "recouple_commands_total", command="couple", outcome="done") == 1
    assert value(samples, "recouple_batch_messages_count", job="changes") >= 3
    assert value(samples, "recouple_relay_published_total") >= 2
    assert value(samples, "recouple_store_up") == 1
    assert value(samples, "process_resident_memory_bytes") > 0
    for loop in ("changes", "commands", "relay", "timers", "listening", "retention"):
        assert abs(value(samples, "recouple_loop_last_progress_timestamp_seconds", loop=loop) - time.time()) < WITHIN_S

    names = {name for _, labels in samples for name, _ in labels}
    values = {value for _, labels in samples for _, value in labels}
    assert names <= LABELS
    assert not [one for one in values if "ALFKI" in one or "Hunter2" in one or "/" in one]


def test_several_processes_have_an_endpoint_each(stage: Stage) -> None:
    """Only one of them could be scraped; which, chance would say."""
    worker = stage.start_worker("--processes", "2")
    worker.wait_for("worker.started", 2, WITHIN_S)
    wait_until(lambda: {ask(worker, "/health/ready", number).status for number in (0, 1)} == {200}, "both ready")
    ports = {line["port"] for line in worker.events("endpoint.opened")}
    assert len(ports) == 2


def test_a_port_in_use_is_said_at_the_start(stage: Stage, tmp_path: Path) -> None:
    """A second worker would run unwatched, or end with a traceback."""
    first = stage.start_worker()
    wait_until(lambda: is_ready(first), "the first worker")
    port = first.events("endpoint.opened")[0]["port"]
    second = WorkerProcess(tmp_path / "second", stage.environ | {"RECOUPLE_HTTP": f"127.0.0.1:{port}"})
    assert second.wait(WITHIN_S) == 1
    said = (tmp_path / "second/stderr").read_text(encoding="utf-8")
    assert f"cannot listen at 127.0.0.1:{port}" in " ".join(said.split())
    assert "Traceback" not in said


class Reached(NamedTuple):
    """A worker that reaches broker and store by way of proxies."""

    worker: WorkerProcess
    ways: dict[str, Proxy]


@pytest.fixture
def reached(servers: Backend, tmp_path: Path) -> Iterator[Reached]:
    """A worker on RabbitMQ and PostgreSQL that is ready."""
    with ExitStack() as stack:
        ways = {
            "broker": stack.enter_context(Proxy(urlsplit(servers.broker_url).port or 5672)),
            "store": stack.enter_context(Proxy(urlsplit(servers.store_url).port or 5432)),
        }
        stage = stack.enter_context(open_stage(servers, tmp_path, ONE_FIELD, HTTP))
        environ = stage.environ | {
            "RECOUPLE_STORE_URL": ways["store"].url(servers.store_url),
            "RECOUPLE_BROKER_URL": ways["broker"].url(servers.broker_url),
        }
        worker = WorkerProcess(tmp_path / "reached", environ)
        stage.workers.append(worker)
        wait_until(lambda: is_ready(worker), "a worker that is ready")
        yield Reached(worker, ways)


@pytest.mark.parametrize("away", ["broker", "store"])
def test_ready_follows_the_world_and_alive_does_not(reached: Reached, away: str) -> None:
    """A worker would be given work that it cannot do; or an outage would have all workers started anew, for hours."""
    worker, way = reached.worker, reached.ways[away]
    way.refuse()
    way.cut()
    wait_until(lambda: not is_ready(worker), f"a worker that is not ready without the {away}")
    told = ask(worker, "/health/ready").document
    assert told["status"] == "not_ready"
    assert f"{away} away" in told["loops"].values()
    assert ask(worker, "/health/live") == Answer(200, '{"status":"alive"}\n')
    lost = {loop for loop, said in told["loops"].items() if said != "ready"}
    samples = scrape(worker)
    assert all(value(samples, "recouple_away", service=away, loop=loop) == 1 for loop in lost)
    assert value(samples, "recouple_store_up") in ((0,) if away == "store" else (1,))

    way.accept()
    wait_until(lambda: is_ready(worker), f"a worker that is ready again with the {away}")
    samples = scrape(worker)
    assert all(value(samples, "recouple_reconnected_total", service=away, loop=loop) == 1 for loop in lost)
    back = worker.events(f"{away}.back")
    assert {line["loop"] for line in back} >= lost
    assert all(line["away_ms"] > 0 and line["attempts"] > 0 for line in back)


class HangingWorker(WorkerProcess):
    """A worker that hangs."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "tests.acceptance.hanging_worker")


def test_a_worker_that_hangs_ends_itself(stage: Stage, tmp_path: Path) -> None:
    """It would hold its messages until somebody looks; and nobody would learn where it hangs."""
    worker = HangingWorker(tmp_path / "hanging", stage.environ)
    worker.wait_for("worker.started", 1, WITHIN_S)
    stage.publish(change("bc/customer/BLAUS", "create", 1, {"name": FIRM}))
    assert worker.wait(WITHIN_S) == STUCK_EXIT_CODE
    (line,) = worker.events("worker.stuck")
    assert line["loop"] == "changes"
    assert line["stuck_ms"] >= 2000
    assert any(place.startswith("__main__:") and place.endswith(" hang") for place in line["stack"])
    worker.check_lines()

    other = stage.start_worker()
    wait_until(lambda: len(stage.history("bc/customer/BLAUS")) == 1, "the message, handled by the next worker")
    wait_until(lambda: is_ready(other), "the next worker")
