"""A store, a broker and workers, with more in them than they can take."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text

from messages.changes import Change
from messages.codec import encode_change
from messages.topology import topology
from messages.transport.connect import connect
from messages.transport.ports import Publication, PublishOutcome
from store import outbox as outbox_store
from store.connect import open_store
from tests.acceptance.harness import FAULTS, Backend
from tests.acceptance.processes import WorkerProcess
from tests.load.seeding import Pair, couple_many
from tests.services import remove
from workers.bootstrap import setup
from workers.settings import read_settings

WINDOW = 2000
"""So many messages are published in one go, unless they are big."""

LOOK_S = 0.2
FASTEST = 5000
"""So many messages a second no worker handles: what is missing takes longer than at that pace."""


class Ground:
    """One namespace on one broker, one store; workers come and go, and nobody takes what they send."""

    def __init__(self, backend: Backend, folder: Path, mapping_file: str, environ: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "recouple.toml"
        config.write_text(mapping_file, encoding="utf-8")
        self.namespace, self.broker_url, self.folder = f"test-{secrets.token_hex(6)}", backend.broker_url, folder
        self.environ = {
            "RECOUPLE_STORE_URL": backend.store_url,
            "RECOUPLE_BROKER_URL": backend.broker_url,
            "RECOUPLE_CONFIG": str(config),
            "RECOUPLE_NAMESPACE": self.namespace,
            "RECOUPLE_LOG_FORMAT": "json",
            **environ,
        }
        self.workers: list[WorkerProcess] = []
        self._mapping_file, self._has_left = mapping_file, False

    def open(self) -> None:
        """Set up the store and the broker."""
        names = setup(read_settings(self.environ)).declared
        self.apps = [name.rsplit(".", 1)[1] for name in names if name.startswith(f"{self.namespace}.changes.")]
        self.store = open_store(self.environ["RECOUPLE_STORE_URL"])
        self.broker = connect(self.broker_url)
        self._publisher = self.broker.publisher()

    def couple(self, pair: Pair, count: int) -> None:
        """Couple so many pairs of records like this one."""
        couple_many(self.store, self._mapping_file, pair, count)

    def publish(self, changes: Iterable[Change], window_messages: int = WINDOW) -> int:
        """Publish these, confirmed, so many in one go; return how many there were."""
        going, published = iter(changes), 0
        while window := [encode_change(one, self.namespace) for one in islice(going, window_messages)]:
            self.send(window)
            published += len(window)
        return published

    def send(self, window: list[Publication]) -> None:
        """Publish messages as they are."""
        outcomes = self._publisher.publish(window, timedelta(seconds=60))
        assert set(outcomes) == {PublishOutcome.CONFIRMED}

    def start_worker(self, *options: str, kind: type[WorkerProcess] = WorkerProcess, **environ: str) -> WorkerProcess:
        """Start a worker, and wait until it works."""
        folder = self.folder / f"worker-{len(self.workers)}"
        worker = kind(folder, self.environ | environ, *options)
        self.workers.append(worker)
        deadline = time.monotonic() + 60
        while b'"event": "worker.started"' not in (folder / "stdout").read_bytes()[:100_000]:
            assert worker.is_running(), worker.output
            assert time.monotonic() < deadline, "the worker does not start"
            time.sleep(LOOK_S / 10)
        return worker

    def wait(self, condition: Callable[[], bool], what: str, within: timedelta) -> float:
        """Wait until ``condition`` holds, and return how many seconds that took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < within.total_seconds(), f"waited in vain for {what}"
            assert self.workers[-1].is_running(), "the worker has ended"
            time.sleep(LOOK_S)
        return time.monotonic() - began

    def wait_until_handled(self, messages: int, within: timedelta) -> float:
        """Wait until so many messages of apps were handled and all that followed is published; return the seconds."""
        handled = at_least(self.handled, messages)
        return self.wait(lambda: handled() and self.has_published(), f"{messages} messages to be handled", within)

    def number(self, query: str, **values: Any) -> int:
        """Return what a query counts."""
        with self.store.reading() as conn:
            return int(conn.execute(text(query), values).scalar_one())

    def handled(self) -> int:
        """How many messages of apps were handled."""
        return self.number("SELECT count(*) FROM handled")

    def has_published(self) -> bool:
        """Say whether nothing waits to be published."""
        with self.store.reading() as conn:
            return outbox_store.is_empty(conn)

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue, named without the namespace."""
        return self.broker.depth(f"{self.namespace}.{queue}")

    def close(self) -> None:
        """Stop the workers, see that they left in good order and met no fault, and remove all that was made."""
        codes = [worker.stop() for worker in self.workers if worker.is_running()]
        faults = [line for worker in self.workers for line in self.faults(worker)]
        self.leave()
        assert (codes, faults) == ([0] * len(codes), [])

    def faults(self, worker: WorkerProcess) -> list[str]:
        """The log lines of a worker that tell of a fault in Recouple itself."""
        return list(self._lines(worker, FAULTS))

    def batch_s(self, worker: WorkerProcess) -> float:
        """How long a batch of a worker took: the median; 0 where it had none of more than one message."""
        return float(median(self.batches_s(worker) or [0]))

    def batches_s(self, worker: WorkerProcess) -> list[float]:
        """How long each batch of more than one message took."""
        batches = self.told(worker, "batch.committed")
        return [one["duration_ms"] / 1000 for one in batches if one["messages"] > 1]

    def told(self, worker: WorkerProcess, event: str) -> list[dict[str, Any]]:
        """The log lines of a worker about this event."""
        return [json.loads(line) for line in self._lines(worker, (event,)) if line.endswith("\n")]

    def _lines(self, worker: WorkerProcess, events: Sequence[str]) -> Iterator[str]:
        """The log lines of these events; a log may be too long to be read whole."""
        path = self.folder / f"worker-{self.workers.index(worker)}" / "stdout"
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if any(f'"event": "{event}"' in line for event in events):
                    yield line

    def leave(self) -> None:
        """Stop what runs, and remove the logs, which may be long, and the queues; a second time does nothing."""
        if self._has_left:
            return
        self._has_left = True
        for worker in self.workers:
            if worker.is_running():
                worker.stop()
        self._publisher.close()
        self.store.close()
        for path in self.folder.glob("worker-*/stdout"):
            path.unlink()
        if self.broker_url.startswith("amqp"):
            remove(self.broker_url, topology(self.namespace, self.apps))


def at_least(count: Callable[[], int], number: int) -> Callable[[], bool]:
    """Return a condition that holds once ``count`` returns so many.

    It counts seldom while much is missing: to count a million rows five times a second would be a load of its own.
    """
    look_again_s, missing = 0.0, number

    def is_reached() -> bool:
        nonlocal look_again_s, missing
        if missing > 0 and time.monotonic() >= look_again_s:
            missing = number - count()
            look_again_s = time.monotonic() + missing / FASTEST
        return missing <= 0

    return is_reached


@contextmanager
def open_ground(
    backend: Backend, folder: Path, mapping_file: str, environ: Mapping[str, str] | None = None
) -> Iterator[Ground]:
    """Set a ground up, and take it down again."""
    ground = Ground(backend, folder, mapping_file, environ or {})
    ground.open()
    try:
        yield ground
        ground.close()
    finally:
        ground.leave()
