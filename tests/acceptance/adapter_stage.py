"""Stages that are left to themselves: what is known of them is what the store and the broker show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from messages.topology import topology
from messages.transport.connect import connect
from store import couplings as coupling_store
from store import tables
from store.connect import open_store
from store.couplings import Standing
from store.model import Coupling, CouplingStatus
from tests.acceptance.clients import client_of, wait_for
from tests.acceptance.harness import Stage
from tests.acceptance.table_apps import TableApp
from workers.bootstrap import setup
from workers.settings import read_settings

NO_LIMIT = 1_000_000
"""More couplings than any test has."""


class WatchedStage(Stage):
    """A stage that says more of what the store and the broker hold."""

    def couplings(self) -> list[Coupling]:
        """Every coupling that is not closed."""
        with self.store.reading() as conn:
            found = coupling_store.page(conn, limit=NO_LIMIT)
        return [one for one in found if one.status is not CouplingStatus.CLOSED]

    def wait_long(self, condition: Any, what: str, wait: timedelta) -> None:
        """Wait for what takes longer than a test usually waits."""
        wait_for(condition, self.client.look, what, wait)

    def depths(self) -> dict[str, int]:
        """How many messages wait in each queue that has any."""
        broker = connect(self.backend.broker_url)
        names = [queue.name for queue in topology(self.namespace, self.apps).queues]
        return {name: depth for name in names if (depth := broker.depth(name))}

    def handled_ids(self, app: str) -> set[str]:
        """The ids of all events of ``app`` that were handled."""
        with self.store.reading() as conn:
            return set(conn.execute(sa.select(tables.handled.c.id).where(tables.handled.c.app == app)).scalars())

    def column(self, column: sa.Column[Any]) -> Sequence[Any]:
        """Everything that stands in a column of the store."""
        with self.store.reading() as conn:
            return conn.execute(sa.select(column)).scalars().all()

    def is_idle(self) -> bool:
        """Say whether nothing is due or waits to be published."""
        return self._idle()


class AdapterStage(WatchedStage):
    """A stage whose apps take their own instructions."""

    def open(self) -> None:
        """Migrate the store, declare the topology, and watch what people watch."""
        setup(read_settings(self.environ))
        self.apps = ("bc", "sales")
        self.client = client_of(self.backend.broker_url, self.namespace, ["errors", "dead"])
        self.store = open_store(self.backend.store_url)
        self._is_open = True

    def in_flight(self) -> int:
        """How many couplings wait for an app."""
        with self.store.reading() as conn:
            found = (
                coupling_store.page(conn, status=one, limit=NO_LIMIT) for one in (Standing.IN_FLIGHT, Standing.CREATING)
            )
            return sum(map(len, found))

    def all_quiet(self, *apps: TableApp) -> None:
        """Wait until nothing is under way any more, in the apps, on the broker or in the store.

        Rests on there being one worker: it handles what is in a queue in order.
        """

        def is_done() -> bool:
            return not self.in_flight() and not any(app.count("recouple_changes") for app in apps) and self._idle()

        for _ in range(20):
            self.wait(is_done, "the apps to be in step")
            marks = [f"{app.name}/mark/{app.mark()}" for app in apps]
            self.wait(lambda marks=marks: self._handled(marks), "the marks")
            if is_done():
                return
        pytest.fail("it never comes to rest")

    def open_errors(self) -> list[dict[str, Any]]:
        """The errors that are open, as they were told last."""
        last = {event["data"]["error"]: event["data"] for event in self.told("customer")}
        return [data for data in last.values() if data["status"] != "resolved"]
