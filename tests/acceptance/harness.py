"""A stage for acceptance tests: a namespace and a store of their own, workers, and a client that plays the rest.

Tests say what an app or an operator says, and look at what comes out: messages, the store's pages, log lines.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from messages.records import RecordRef
from messages.topology import topology
from store import couplings as coupling_store
from store import due as due_store
from store import log as log_store
from store import outbox as outbox_store
from store.connect import Store, open_store
from store.couplings import Standing, standing
from store.model import LogLine
from tests.acceptance.clients import REPLIES, Client, client_of, wait_for
from tests.acceptance.processes import WorkerProcess
from tests.acceptance.wire import Message, Received, applied, change, command, failed
from tests.services import remove
from workers.bootstrap import setup
from workers.settings import read_settings

__all__ = ["Backend", "Stage", "open_stage"]

UNMAPPED = "sentinel"
"""A table that no mapping speaks of: an event of it is logged, and that it is shows that all before it were handled."""

STARTED_WITHIN_S = 20

FAULTS = ("batch.failed", "work.failed", "worker.failed")
"""Log events that tell of a fault in Recouple itself."""


class Backend(NamedTuple):
    """Where a stage has its store and its broker."""

    store_url: str
    broker_url: str


class Stage:
    """One namespace on one broker, one store, one mapping file; workers come and go."""

    def __init__(self, backend: Backend, folder: Path, mapping: str, environ: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "recouple.toml"
        config.write_text(mapping, encoding="utf-8")
        self.folder, self.namespace = folder, f"test-{secrets.token_hex(6)}"
        self.environ = {
            "RECOUPLE_STORE_URL": backend.store_url,
            "RECOUPLE_BROKER_URL": backend.broker_url,
            "RECOUPLE_CONFIG": str(config),
            "RECOUPLE_NAMESPACE": self.namespace,
            "RECOUPLE_LOG_FORMAT": "json",
            **environ,
        }
        self.backend, self.apps, self.workers = backend, tuple[str, ...](), list[WorkerProcess]()
        self._is_open = False

    def open(self) -> None:
        """Migrate the store, declare the topology, and connect to both."""
        names = setup(read_settings(self.environ)).declared
        queues = [name.removeprefix(f"{self.namespace}.") for name in names]
        self.apps = tuple(name.removeprefix("changes.") for name in queues if name.startswith("changes."))
        watched = [name for name in queues if not name.startswith(("changes.", "commands"))]
        self.client: Client = client_of(self.backend.broker_url, self.namespace, watched)
        self.store: Store = open_store(self.backend.store_url)
        self._is_open = True

    # --- workers

    def start_worker(self, *options: str) -> WorkerProcess:
        """Start a worker."""
        worker = WorkerProcess(self.folder / f"worker-{len(self.workers)}", self.environ, *options)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        """Stop what still runs; see that every worker left in good order and logged nothing but what is described."""
        running = [worker for worker in self.workers if worker.is_running()]
        for worker in running:
            worker.wait_for("worker.started", 1, STARTED_WITHIN_S)  # before that it does not hear that it is to stop
        codes = [worker.stop() for worker in running]
        self.leave()
        assert set(codes) <= {0}
        for worker in self.workers:
            worker.check_lines()
            assert [line for line in worker.lines if line["event"] in FAULTS] == []

    def leave(self) -> None:
        """Close what is open; a second time does nothing."""
        if self._is_open:
            self._is_open = False
            self.client.close()
            self.store.close()

    # --- what the apps and the operator say

    def publish(self, *messages: Message) -> None:
        """Publish these, in order."""
        self.client.publish(messages)

    def settle(self, *messages: Message) -> None:
        """Publish these, and wait until everything so far is handled and all that follows from it has arrived.

        Rests on there being one worker: it handles what is in a queue in order.
        """
        version = int(secrets.token_hex(4), 16)
        last = [change(f"{app}/{UNMAPPED}/{version}", "update", version, {"x": 1}) for app in self.apps]
        self.publish(*messages, *last)
        self.wait(lambda: self._handled([f"{app}/{UNMAPPED}/{version}" for app in self.apps]), "the sentinels")
        self.quiet()

    def quiet(self) -> None:
        """Wait until nothing is due or waits to be published, and all that was published has arrived."""
        self.wait(self._idle, "outbox and due work to be done")
        self.client.flush()

    def order(self, name: str, **data: Any) -> dict[str, Any]:
        """Order a command, wait for its answer and for what follows from it; return the answer."""
        ordered = command(name, self.client.reply_to, data)
        self.publish(ordered)
        found: list[Received] = []

        def answered() -> bool:
            found[:] = [one for one in self.client.arrived[REPLIES] if one.properties["correlation_id"] == ordered.id]
            return bool(found)

        self.wait(answered, f"the answer to {name}")
        self.quiet()
        assert len(found) == 1
        return found[0].event

    def couple(self, left: Message, right: Message) -> int:
        """Announce two records and couple them; return the coupling's number."""
        self.settle(left, right)
        answer = self.order("couple", left=record_of(left), right=record_of(right))
        assert answer["type"] == "recouple.command.done", answer
        return int(answer["data"]["result"]["coupling"])

    def apply(self, instruction: dict[str, Any], version: int | None = None, **data: Any) -> Message:
        """Return the outcome: done, one version after the one that the instruction named, unless told otherwise."""
        if version is None:
            version = instruction["data"]["if_version"] + 1
        return applied(self._app_of(instruction), instruction, version, **data)

    def refuse(self, instruction: dict[str, Any], code: str, **data: Any) -> Message:
        """Return the outcome: not done."""
        return failed(self._app_of(instruction), instruction, code, **data)

    def _app_of(self, instruction: dict[str, Any]) -> str:
        return next(app for app in self.apps if instruction in self._instructed(app))

    # --- what comes out

    def instructions(self, app: str, table: str) -> list[dict[str, Any]]:
        """The instructions to ``app`` about ``table`` that have arrived, as CloudEvents."""
        return [event for event in self._instructed(app) if event["data"]["table"] == table]

    def _instructed(self, app: str) -> list[dict[str, Any]]:
        return [one.event for one in self.client.arrived[f"instructions.{app}"]]

    def told(self, mapping: str) -> list[dict[str, Any]]:
        """The error messages about ``mapping`` that have arrived, as CloudEvents."""
        events = [one.event for one in self.client.arrived["errors"]]
        return [event for event in events if event["data"]["mapping"] == mapping]

    def dead(self) -> list[Received]:
        """What has arrived in the dead queue."""
        return self.client.arrived["dead"]

    def wait(self, condition: Any, what: str) -> None:
        """Wait until ``condition`` holds; fail at once if a worker has ended meanwhile."""

        def look() -> None:
            ended = [worker for worker in self.workers if not worker.is_running()]
            assert len(ended) < len(self.workers) or not self.workers, f"no worker runs any more, {what} will not come"
            self.client.look()

        wait_for(condition, look, what)

    # --- what the store knows

    def standing(self, record: str) -> Standing | None:
        """Where the coupling of ``record`` stands, the latest if there were several; ``None`` where there is none."""
        with self.store.reading() as conn:
            found = coupling_store.page(conn, record=RecordRef.parse(record), limit=100)
        return standing(found[-1]) if found else None

    def history(self, record: str) -> list[LogLine]:
        """The synchronization log of ``record``."""
        with self.store.reading() as conn:
            return log_store.of_record(conn, record, limit=1000)

    def outcome(self, sent: Message) -> list[str]:
        """What became of a change or an outcome, in the words of the synchronization log of its record."""
        return [line.outcome for line in self.history(record_of(sent)) if line.event == sent.id]

    def _handled(self, records: list[str]) -> bool:
        with self.store.reading() as conn:
            return all(log_store.of_record(conn, record, limit=1) for record in records)

    def _idle(self) -> bool:
        with self.store.reading() as conn:
            # In this order: what due work leaves behind is in the outbox by the time its row is gone.
            return not due_store.count(conn, datetime.now(UTC)) and not outbox_store.count(conn)


def record_of(sent: Message) -> str:
    """Return the record that a change is about, ``app/table/key``."""
    event = Received("", sent.body, {}).event
    return f"{event['source'].split('/')[0]}/{event['subject']}"


@contextmanager
def open_stage(backend: Backend, folder: Path, mapping: str, environ: Mapping[str, str] = {}) -> Iterator[Stage]:
    """Set a stage up, and take it down again with all that it declared."""
    stage = Stage(backend, folder, mapping, environ)
    try:
        stage.open()
        yield stage
        stage.close()
    finally:
        stage.leave()
        for worker in stage.workers:
            if worker.is_running():
                worker.stop()
        if backend.broker_url.startswith("amqp"):
            remove(backend.broker_url, topology(stage.namespace, stage.apps))
