"""``recouple health --worker``: what a worker says of itself at its endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.ops.samples import World
from workers.address import Address
from workers.endpoint import Endpoint, Page
from workers.health import Report
from workers.progress import Progress
from workers.watchdog import Watchdog


class Worker:
    """What a worker shows of itself: one loop, and an endpoint."""

    def __init__(self, stack: ExitStack) -> None:
        self.now_s = 0.0
        self.progress = Progress(lambda: self.now_s)
        self.watchdog = Watchdog(self.progress, timedelta(minutes=2))
        report = Report(self.progress, self.watchdog, lambda: False)
        report.loops = ["relay"]
        stack.enter_context(self.progress.running("relay"))
        self.progress.note("relay", busy=False)
        endpoint = Endpoint(Address("127.0.0.1", 0), report.pages(CollectorRegistry()))
        stack.callback(endpoint.close)
        self.address = str(endpoint.address)

    def hang(self) -> None:
        """Its loop gives no sign of life."""
        for _ in range(130):
            self.now_s += 1
            self.watchdog.look()


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that is ready."""
    with ExitStack() as stack:
        yield Worker(stack)


def test_a_worker_that_works(world: World, worker: Worker) -> None:
    """If it failed, a sound worker would be an alarm."""
    said = world.json("health", "--worker", worker.address)
    assert said["workers"] == [{"address": worker.address, "state": "ready", "loops": {"relay": "ready"}}]
    assert f"worker {worker.address}" in world.run("health", "--worker", worker.address).stdout


def test_a_worker_that_cannot_work(world: World, worker: Worker) -> None:
    """If it failed, nobody would see from outside that a worker is without its broker, though others have it."""
    worker.progress.miss("relay", "broker")
    said = world.json("health", "--worker", worker.address, exit_code=1)
    assert said["problems"] == [f"The worker at {worker.address} is not ready: relay broker away"]
    worker.hang()
    said = world.json("health", "--worker", worker.address, exit_code=1)
    assert "hangs (relay stuck)" in said["problems"][0]


def test_a_worker_that_is_not_there(world: World) -> None:
    """If it failed, a worker that has died would not be missed; or the command would wait for it without end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    said = world.json("health", "--worker", address, exit_code=1)
    assert (said["workers"][0]["state"], said["problems"]) == (
        "away",
        [f"The worker at {address} does not answer: does it run, and is its RECOUPLE_HTTP set so?"],
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"status": 1}', b"\xff"])
def test_who_is_no_worker(world: World, body: bytes) -> None:
    """If it failed, a wrong port would end in a traceback, or pass for a worker."""
    page = Page(HTTPStatus.OK, "text/html", body)
    endpoint = Endpoint(Address("127.0.0.1", 0), {"/health/live": lambda _: page, "/health/ready": lambda _: page})
    try:
        said = world.json("health", "--worker", str(endpoint.address), exit_code=1)
    finally:
        endpoint.close()
    assert said["workers"][0]["state"] == "away"


@pytest.mark.parametrize("text", ["9464", "127.0.0.1:0", "", "http://127.0.0.1:9464"])
def test_what_is_no_address(world: World, text: str) -> None:
    """If it failed, a typing error would look like a worker that has died."""
    assert world.run("health", "--worker", text).exit_code == 2
