"""Who is measured: each is given the same backlog in its own way, and starts as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.arena import Arena
from bench.grounds import libpq
from bench.scenarios import Scenario
from messages.transport.ports import Properties, Publication
from tests.acceptance.processes import COMMAND

STOP_WITHIN_S = 30
READY_WITHIN_S = 60
LOOK_S = 0.02


class Process:
    """One contender at work, its output in files."""

    def __init__(self, arena: Arena, command: list[str], environ: dict[str, str]) -> None:
        folder = arena.folder / f"process-{len(list(arena.folder.iterdir()))}"
        folder.mkdir()
        self._output, self._errors = folder / "stdout", folder / "stderr"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command, env=_bare() | environ, stdout=output, stderr=errors, cwd=Path(__file__).parents[1]
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def wait_for(self, word: bytes) -> None:
        """Wait until the process has logged this.

        Raises:
            RuntimeError: it ended before, or did not say it in time.
        """
        deadline_s = time.monotonic() + READY_WITHIN_S
        while word not in self._output.read_bytes()[:100_000]:
            self.check()
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{word.decode()} was waited for in vain: {self.said}")
            time.sleep(LOOK_S)

    def check(self) -> None:
        """See that it still runs.

        Raises:
            RuntimeError: it has ended.
        """
        if self._process.poll() is not None:
            raise RuntimeError(f"a contender has ended by itself: {self.said}")

    @property
    def said(self) -> str:
        """The end of what it wrote to standard error, or else to standard output."""
        return "\n".join(
            path.read_text(encoding="utf-8", errors="replace")[-3000:] for path in (self._output, self._errors)
        )

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Tell it to stop; end it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _bare() -> dict[str, str]:
    """The environment without any setting of Recouple: it is measured with its defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RECOUPLE_")}


class Contender(NamedTuple):
    """One way to do the work.

    Attributes:
        feed: Puts so many events of a scenario into its queue; returns how many there were.
        command: How it is started in an arena, and its environment.
        part: So much of a plan's events: it is given about as long as the others.
        stop_within_s: So long it is waited for when all is done; Celery takes ten seconds to leave.
    """

    name: str
    feed: Callable[[Arena, Scenario, int], int]
    command: Callable[[Arena], tuple[list[str], dict[str, str]]]
    part: float = 1.0
    stop_within_s: float = STOP_WITHIN_S


@contextmanager
def at_work(contender: Contender, arena: Arena, **environ: str) -> Iterator[Process]:
    """Start a contender, and stop it."""
    command, own = contender.command(arena)
    process = Process(arena, command, own | environ)
    try:
        yield process
    finally:
        process.stop(contender.stop_within_s)


def _feed(arena: Arena, scenario: Scenario, events: int) -> int:
    return arena.publish(scenario.messages(scenario, arena.store, arena.namespace, events))


def _feed_tasks(arena: Arena, scenario: Scenario, events: int) -> int:
    from bench.celery_worker import TASK, app  # noqa: PLC0415 - only who measures Celery needs it

    queue = f"{arena.namespace}.celery"
    arena.declare_own(queue)

    def task(one: Publication) -> Publication:
        event = msgspec.json.decode(one.body)
        made = app.amqp.as_task_v2(event["id"], TASK, args=[event], ignore_result=True)
        body = msgspec.json.encode(made.body)
        properties = Properties(
            message_id=event["id"],
            correlation_id=event["id"],
            content_type="application/json",
            content_encoding="utf-8",
            headers=made.headers,
        )
        return Publication(exchange=queue, routing_key=queue, body=body, properties=properties)

    return arena.publish(map(task, scenario.messages(scenario, arena.store, arena.namespace, events)))


def _rival(arena: Arena) -> dict[str, str]:
    return {
        "BENCH_STORE_URL": libpq(arena.worker_store_url),
        "BENCH_BROKER_URL": arena.broker_url,
        "BENCH_NAMESPACE": arena.namespace,
    }


def _recouple(*options: str) -> Callable[[Arena], tuple[list[str], dict[str, str]]]:
    return lambda arena: ([*COMMAND, "work", *options], arena.environ)


def _celery(pool: str) -> Callable[[Arena], tuple[list[str], dict[str, str]]]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    command = [sys.executable, "-m", "celery", "-A", "bench.celery_worker", "worker", *quiet]
    return lambda arena: ([*command, "--pool", pool, "--concurrency", "1"], _rival(arena))


RECOUPLE = Contender("Recouple", _feed, _recouple())
CEILING = Contender("ceiling", _feed, lambda arena: ([sys.executable, "-m", "bench.ceiling"], _rival(arena)), part=3.0)
CELERY_POOLS = {
    pool: Contender(f"Celery, {pool}", _feed_tasks, _celery(pool), part=0.12, stop_within_s=1.0)
    for pool in ("prefork", "solo", "threads")
}
CELERY = CELERY_POOLS["solo"]
"""With one worker process; ``python -m bench --only throughput/celery`` compares the pools."""


def ceiling(batch: int) -> Contender:
    """The ceiling with batches of this size."""

    def command(arena: Arena) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "bench.ceiling"], _rival(arena) | {"BENCH_BATCH": str(batch)}

    return CEILING._replace(name=f"ceiling, batches of {batch}", command=command)


def recouple(processes: int) -> Contender:
    """Recouple in so many processes."""
    return Contender(f"Recouple, {processes} processes", _feed, _recouple("--processes", str(processes)))
