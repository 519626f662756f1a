"""What the demo plays in: a folder with an embedded store and broker, a worker in a process of its own, two apps."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from messages.changes import Change
from messages.codec import decode_answer, encode_command
from messages.commands import Answer, Command, Couple, Order
from messages.orders import ORDERS
from messages.records import RecordRef
from messages.transport.connect import connect
from messages.transport.ports import Publication, PublishOutcome
from ops.demo.apps import INTEGRATION_USER, App, Connector, publication_of
from store import couplings as coupling_store
from store import log as log_store
from store import outbox as outbox_store
from store.connect import open_store
from store.couplings import Standing
from store.model import LogLine
from workers.bootstrap import setup
from workers.settings import PREFIX, read_settings

WAIT_AT_MOST = timedelta(seconds=15)
"""For anything that is to happen; it takes some tenths of a second, more on a machine that has much else to do."""

STOP_WITHIN_S = 10
"""A worker that is told to stop does so within ten seconds."""

_NAMES = {form.order: name for name, form in ORDERS.items()}
_LOOK_S = 0.02
_PUBLISH_WITHIN = timedelta(seconds=10)
_LINES = 1000
_SEE_LOG = "the worker's log says why; --keep keeps it, as worker.log"

Advance = Callable[[int], None]
"""Is told how much of something long is done by now."""


class StuckError(Exception):
    """Something that had to happen did not; the text says what, and where to look."""


class World:
    """The apps, the queues between them and the worker, and the store behind it.

    Attributes:
        environ: The settings, as the environment of a command has them.
    """

    def __init__(self, folder: Path, mapping_file: Path) -> None:
        shutil.copyfile(mapping_file, folder / "recouple.toml")
        self.folder = folder
        self.environ = {
            "RECOUPLE_STORE_URL": f"sqlite:///{folder / 'store.db'}",
            "RECOUPLE_BROKER_URL": f"embedded:///{folder / 'broker.db'}",
            "RECOUPLE_CONFIG": str(folder / "recouple.toml"),
        }
        self.settings = read_settings(self.environ)
        self.namespace = self.settings.namespace
        self.broker = connect(self.settings.broker_url)
        self.store = open_store(self.settings.store_url)
        self.bc = App("bc", {"customer": "D", "contact": "CT"}, _now)
        self.sales = App("sales", {"account": "A", "contact": "C"}, _now)
        self.worker: subprocess.Popen[bytes] | None = None
        self._connectors = [Connector(app, self.broker, self.namespace) for app in (self.bc, self.sales)]
        self._publisher = self.broker.publisher()
        self._awaited: dict[tuple[RecordRef, str], int] = {}
        self._orders = itertools.count(1)
        self._seen = {app.name: 0 for app in (self.bc, self.sales)}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Set up, start worker and connectors; stop them all in the end."""
        with ExitStack() as stack:
            stack.callback(self._publisher.close)
            setup(self.settings)
            self.worker = stack.enter_context(self._work())
            for connector in self._connectors:
                connector.start()
                stack.callback(connector.close)
            yield

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def publish(self, publications: Sequence[Publication]) -> None:
        """Publish messages, confirmed.

        Raises:
            StuckError: the broker has not taken one of them.
        """
        outcomes = self._publisher.publish(publications, _PUBLISH_WITHIN)
        if any(outcome is not PublishOutcome.CONFIRMED for outcome in outcomes):
            raise StuckError("the embedded broker did not take a message")

    def announce(self, *changes: Change) -> None:
        """Publish changes of the apps, in this order; ``settle`` waits for each of them to be heard once more."""
        with self.store.reading() as conn:
            for change in changes:
                self._awaited[change.record, change.id] = self._lines_of(conn, change.record)[change.id]
        self.publish([publication_of(change, self.namespace) for change in changes])

    def settle(self, advance: Advance = lambda _done: None) -> None:
        """Wait until every change was heard, every instruction answered, and everything published.

        Raises:
            StuckError: it does not come to rest.
        """
        total = len(self._awaited)

        def at_rest() -> bool:
            quiet = self._is_quiet()
            advance(max(0, total - len(self._awaited)))
            return quiet

        self.wait_for(at_rest, "the change events were not all heard and answered")

    def couple(self, pairs: Sequence[tuple[RecordRef, RecordRef]], advance: Advance) -> list[Answer]:
        """Order these records to be coupled, as a program would: commands through the queue, answers awaited."""
        return self._order([Couple(left=left, right=right) for left, right in pairs], "demo", None, advance)

    def order(self, what: Order, by: str, reason: str) -> Answer:
        """Order one thing, as an operator would, and return the answer; ``settle`` waits for what follows from it."""
        [answer] = self._order([what], by, reason, lambda _done: None)
        return answer

    def _order(self, orders: Sequence[Order], by: str, reason: str | None, advance: Advance) -> list[Answer]:
        reply_to, replies = self.broker.reply_consumer()
        commands = [
            Command(
                id=f"demo-{next(self._orders)}",
                source=f"ops/{by}",
                name=_NAMES[type(one)],
                order=one,
                reason=reason,
                reply_to=reply_to,
            )
            for one in orders
        ]
        answers: list[Answer] = []

        def all_answered() -> bool:
            deliveries = replies.receive(len(commands), timedelta(seconds=_LOOK_S))
            answers.extend(decode_answer(delivery.body) for delivery in deliveries)
            replies.acknowledge(deliveries)
            advance(len(answers))
            return len(answers) == len(commands)

        try:
            self.publish([encode_command(command, self.namespace, _now()) for command in commands])
            self.wait_for(all_answered, "the commands were not all answered")
        finally:
            replies.close()
        return answers

    def wait_for(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait until ``condition`` holds.

        Raises:
            StuckError: it does not in time, or who would bring it about is gone.
        """
        deadline = time.monotonic() + WAIT_AT_MOST.total_seconds()
        while not condition():
            if self.worker is not None and self.worker.poll() is not None:
                raise StuckError(f"the worker has stopped; {_SEE_LOG}")
            gone = [connector.name for connector in self._connectors if not connector.is_alive()]
            if gone or time.monotonic() > deadline:
                raise StuckError(f"{otherwise} within {WAIT_AT_MOST.seconds} s; {_SEE_LOG}")
            time.sleep(_LOOK_S)

    def lines(self, record: RecordRef) -> list[LogLine]:
        """Return the synchronization log of one record."""
        with self.store.reading() as conn:
            return log_store.of_record(conn, str(record), _LINES)

    def partner(self, record: RecordRef) -> RecordRef | None:
        """Return the record that this one is coupled with."""
        with self.store.reading() as conn:
            found = coupling_store.by_record(conn, [record])[record]
        sides = [side for coupling in found for side in (coupling.left, coupling.right)]
        return next((side for side in sides if side not in (record, None)), None)

    def coupling(self, record: RecordRef) -> int | None:
        """Return the number of the coupling that ties this record, if one does."""
        with self.store.reading() as conn:
            found = coupling_store.by_record(conn, [record])[record]
        return next((coupling.id for coupling in found), None)

    def _is_quiet(self) -> bool:
        # One snapshot of the store, and the apps' changes after it: an app makes its change before it answers, so
        # that where no instruction is in flight any more, the change is among those that have to be heard.
        with self.store.reading() as conn:
            busy = not outbox_store.is_empty(conn) or any(
                coupling_store.page(conn, status=status, limit=1) for status in (Standing.IN_FLIGHT, Standing.CREATING)
            )
            self._note_changes()
            heard = {record: self._lines_of(conn, record) for record, _ in self._awaited}
        self._awaited = {
            (record, event): before
            for (record, event), before in self._awaited.items()
            if heard[record][event] <= before
        }
        return not busy and not self._awaited

    def _note_changes(self) -> None:
        """Wait also for the changes that the apps made because they were instructed to."""
        for app in (self.bc, self.sales):
            new = app.changes[self._seen[app.name] :]
            self._seen[app.name] += len(new)
            ours = [change for change in new if change.modified_by == INTEGRATION_USER]
            self._awaited |= {(change.record, change.id): 0 for change in ours}

    def _lines_of(self, conn: Connection, record: RecordRef) -> Counter[str | None]:
        return Counter(line.event for line in log_store.of_record(conn, str(record), _LINES))

    @contextmanager
    def _work(self) -> Iterator[subprocess.Popen[bytes]]:
        environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)} | self.environ
        with (self.folder / "worker.log").open("wb") as log:
            command = [sys.executable, "-m", "ops", "work"]
            worker = subprocess.Popen(command, env=environ, stdout=log, stderr=log)  # noqa: S603 - ourselves
        try:
            yield worker
        finally:
            worker.terminate()
            try:
                worker.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _now() -> datetime:
    return datetime.now(UTC)
