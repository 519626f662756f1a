"""A workshop over each store: batches are handled as a worker handles them, without a broker."""

from __future__ import annotations

import io
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from messages.transport.ports import Delivery, Properties
from store import couplings as coupling_store
from store import due as due_store
from store import errors as error_store
from store import log as log_store
from store import outbox as outbox_store
from store.connect import Store, open_store
from store.couplings import Standing, standing
from store.errors import ErrorFilters
from store.migrate import migrate
from tests.acceptance.wire import Message, Received, change, command
from workers.bootstrap import context_of
from workers.changes import handle_changes
from workers.consume import handle_commands
from workers.context import Context
from workers.logs import set_up_logging
from workers.pipeline import Handler, Handling, process
from workers.settings import read_settings
from workers.timing import Timing
from workers.workplace import Workplace

MAPPING = """
[apps.bc]
[apps.sales]
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"
[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
"""

LIMIT = 10_000


class Workshop:
    """Handles messages in batches of the test's choice, and shows what came of them."""

    def __init__(self, store: Store, context: Context, logged: io.StringIO) -> None:
        self.store, self.context, self._logged = store, context, logged
        self._tags = itertools.count(1)

    def deliveries(self, messages: Sequence[Message]) -> list[Delivery]:
        """Return messages as they come out of the queues."""
        return [self._delivery(one) for one in messages]

    def handling(self, handler: Handler) -> Handling:
        """Return how a worker's loop with this handler handles a batch."""
        return Handling(self.store, self.context, handler, lambda: datetime.now(UTC))

    def handle(self, *messages: Message) -> None:
        """Handle messages of apps as one batch."""
        process(self.handling(handle_changes), self.deliveries(messages))

    def do_due_work(self) -> int:
        """Let the timers do what is due, and return how many steps they took."""
        timing = Timing(Workplace(self.store, self.context, lambda: datetime.now(UTC)), LIMIT)
        steps = 0
        while self.count_due():
            timing.step()
            steps += 1
            assert steps < 100
        return steps

    def count_due(self) -> int:
        """Return how much work is due."""
        with self.store.reading() as conn:
            return due_store.count(conn, datetime.now(UTC))

    def couple(self, keys: Sequence[str]) -> None:
        """Create records of these keys in both apps, and couple them."""
        created = [change(f"bc/customer/{key}", "create", 1, {"name": "base", "city": "x"}) for key in keys]
        created += [change(f"sales/account/{key}", "create", 1, {"title": "base", "town": "x"}) for key in keys]
        self.handle(*created)
        orders = [
            command("couple", "", {"left": f"bc/customer/{key}", "right": f"sales/account/{key}"}) for key in keys
        ]
        self.order(*orders)

    def order(self, *orders: Message) -> None:
        """Handle commands, each by itself."""
        for one in self.deliveries(orders):
            process(self.handling(handle_commands), [one])

    def answers(self, reply_to: str) -> list[dict[str, Any]]:
        """Look at the answers to this queue, as CloudEvents."""
        with self.store.transaction() as conn:
            waiting = outbox_store.claim(conn, LIMIT, datetime.now(UTC), self.context.outbox_lease)
            outbox_store.release(conn, [one.id for one in waiting])
        found = [one.publication for one in waiting if one.publication.exchange == ""]
        return [Received("", one.body, {}).event for one in found if one.routing_key == reply_to]

    def sent(self, exchange: str) -> list[Received]:
        """Take everything for this exchange (without its namespace) out of the outbox."""
        with self.store.transaction() as conn:
            waiting = outbox_store.claim(conn, LIMIT, datetime.now(UTC), self.context.outbox_lease)
            ours = [one for one in waiting if one.publication.exchange == f"{self.context.namespace}.{exchange}"]
            outbox_store.done(conn, [one.id for one in ours])
            outbox_store.release(conn, [one.id for one in waiting if one not in ours])
        return [
            Received(one.publication.routing_key, one.publication.body, {"headers": one.publication.properties.headers})
            for one in ours
        ]

    def instructions(self) -> list[dict[str, Any]]:
        """Take the instructions out of the outbox, as CloudEvents."""
        return [one.event for one in self.sent("instructions")]

    def standing(self, key: str) -> Standing:
        """Where the coupling of the records of this key stands."""
        (found,) = (one for one in self._couplings() if one.left is not None and one.left.key == key)
        return standing(found)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines about this event."""
        lines = (json.loads(line) for line in self._logged.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]

    def outcomes(self, record: str) -> list[str]:
        """What the synchronization log says of a record."""
        with self.store.reading() as conn:
            return [line.outcome for line in log_store.of_record(conn, record, LIMIT)]

    def knowledge(self) -> Any:
        """Everything that is known but the log: two of them are equal where nothing has changed."""
        with self.store.reading() as conn:
            errors = error_store.page(conn, ErrorFilters(), LIMIT)
            return (self._couplings(), errors, outbox_store.count(conn))

    def _couplings(self) -> list[Any]:
        with self.store.reading() as conn:
            return list(coupling_store.page(conn, limit=LIMIT))

    def _delivery(self, sent: Message) -> Delivery:
        source = Received("", sent.body, {}).event["source"] if sent.body.startswith(b"{") else "bc"
        queue = "commands" if sent.exchange == "commands" else f"changes.{source}"
        properties = {name: value for name, value in sent.properties.items() if name != "delivery_mode" and value}
        return Delivery(
            queue=f"{self.context.namespace}.{queue}",
            body=sent.body,
            properties=Properties(**properties),
            tag=next(self._tags),
        )


@pytest.fixture
def workshop(store_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A workshop over a migrated store of each kind."""
    config = tmp_path / "recouple.toml"
    config.write_text(MAPPING, encoding="utf-8")
    migrate(store_url)
    store = open_store(store_url)
    settings = read_settings({"RECOUPLE_STORE_URL": store_url, "RECOUPLE_CONFIG": str(config)})
    logged, handlers = io.StringIO(), [*logging.getLogger().handlers]
    set_up_logging("json", "info", logged, strict=True)
    yield Workshop(store, context_of(settings), logged)
    store.close()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
