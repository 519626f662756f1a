"""The stage of a run: the suite reaches broker and store directly, the workers through whatever stands between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from store.connect import open_store
from tests.acceptance.adapter_stage import WatchedStage
from tests.acceptance.clients import wait_for
from tests.acceptance.harness import FAULTS, Backend
from tests.acceptance.wire import Message, Received
from tests.faults.crew import Crew
from tests.faults.ledger import Ledger
from tests.faults.patient_client import PatientClient
from workers.bootstrap import setup
from workers.settings import read_settings

WORKERS = 2

LIMITS = {
    "timezone": "UTC",
    "lock_timeout": "2500",
    "statement_timeout": "8000",
    "idle_in_transaction_session_timeout": "3000",
    "jit": "off",
}
"""PostgreSQL's patience with a worker, shorter than the product's: a frozen one loses its locks within the test."""

BETWEEN_LOOKS_S = 0.03
"""How often the store is asked while something is waited for."""

STAND_S = 6.0
"""How long a worker stands still: longer than broker and database have patience with it."""


def short(store_url: str) -> str:
    """Return the URL of the store under ``LIMITS``."""
    if not store_url.startswith("postgresql"):
        return store_url
    options = "%20".join(f"-c%20{name}%3D{value}" for name, value in LIMITS.items())
    return f"{store_url}?options={options}&tcp_user_timeout=4000&connect_timeout=2"


class FaultStage(WatchedStage):
    """A stage with a crew, a ledger and a client that outlives its broker.

    Attributes:
        crew: The workers.
    """

    crew: Crew

    def __init__(self, backend: Backend, folder: Path, mapping: str, environ: Mapping[str, str]) -> None:
        super().__init__(backend, folder, mapping, environ)
        self.ledger = Ledger()
        self.tend: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Migrate the store and declare the topology as workers would; connect to both directly."""
        setup(read_settings(self.environ))
        self.apps = ("bc", "sales")
        watched = ["errors", "dead", *(f"instructions.{app}" for app in self.apps)]
        self.client: PatientClient = PatientClient(self.backend.broker_url, self.namespace, watched, self.ledger)
        self.store = open_store(self.backend.store_url)
        self._is_open = True

    def man(self, workers: int = WORKERS, **environ: str) -> None:
        """Start the crew."""
        self.crew = Crew(self.folder, {**self.environ, **environ}, workers)
        self.tend = lambda: self.crew.tend(STAND_S)

    def wait_long(self, condition: Any, what: str, wait: timedelta) -> None:
        """Wait, and look after the crew meanwhile."""

        def look() -> None:
            self.tend()
            until = time.monotonic() + BETWEEN_LOOKS_S
            while time.monotonic() < until:
                self.client.look()

        wait_for(condition, look, what, wait)

    def dead(self) -> list[Received]:
        """What is in the dead queue and was not meant to be."""
        return [one for one in super().dead() if one.body not in self.ledger.poison]

    def spoil(self, *messages: Message) -> None:
        """Publish what can only be dead."""
        for one in messages:
            self.ledger.spoil(one)
        self.publish(*messages)

    def close(self) -> None:
        """Stop the crew; see that all left in good order, held nothing and logged nothing but what is described."""
        codes = self.crew.stop()
        left = self.depths()  # also of what a worker was handed and never acknowledged
        self.leave()
        assert not left, f"left in the queues: {left}"
        assert set(codes) <= {0}, codes
        assert not self.crew.surprises, self.crew.surprises
        for worker in self.crew.everyone:
            worker.check_lines()
            assert [line for line in worker.lines if line["event"] in FAULTS] == []
