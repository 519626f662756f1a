"""The workers of a run: always as many, started anew when one dies, woken when one stands still for too long."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import psutil

from tests.acceptance.processes import STOP_WITHIN_S, WorkerProcess
from tests.faults.dying_worker import FUSE
from tests.faults.steps import Charge, lay

STARTED_WITHIN_S = 90


class DyingWorker(WorkerProcess):
    """A worker with a fuse."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "tests.faults.dying_worker")

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._fuse = folder / "fuse"
        super().__init__(folder, {**environ, FUSE: str(self._fuse)})

    def charge(self, charge: Charge) -> None:
        """Have it end like this."""
        lay(self._fuse, charge)

    def discharge(self) -> None:
        """Take back what has not happened yet."""
        self._fuse.unlink(missing_ok=True)

    @property
    def is_charged(self) -> bool:
        """Say whether something is still to happen to it."""
        return self._fuse.exists()

    @property
    def is_standing(self) -> bool:
        """Say whether it was stopped by a signal and not woken yet."""
        if not self.is_running():
            return False
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def first_commit_after(self, moment: datetime) -> datetime | None:
        """When it committed its first batch after that moment."""
        found = (line["timestamp"] for line in self.events("batch.committed"))
        return next((at for at in map(datetime.fromisoformat, found) if at > moment), None)


class Crew:
    """The workers that run, and those that have run.

    Attributes:
        running: Those that are at work, or should be.
        left: Those that are no more.
        ends: How often a worker ended with which signal or code.
        surprises: Exit codes that nobody asked for.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], size: int) -> None:
        self._folder, self._environ = folder, environ
        self.left: list[DyingWorker] = []
        self.ends: Counter[str] = Counter()
        self.surprises: list[str] = []
        self._standing_since: dict[int, float] = {}
        self._told_at: dict[int, float] = {}
        self._started = 0
        self.running = [self._start() for _ in range(size)]

    @property
    def everyone(self) -> list[DyingWorker]:
        """All that ever worked."""
        return [*self.left, *self.running]

    def ready(self) -> None:
        """Wait until all are at work."""
        for worker in self.running:
            worker.wait_for("worker.started", 1, STARTED_WITHIN_S)

    def tend(self, stand_s: float = 0.0) -> None:
        """Put another in the place of each that has died; wake those that have stood still for so long."""
        for place, worker in enumerate(self.running):
            if not worker.is_running():
                self._take_note(worker, worker.wait(0))
                self.left.append(worker)
                self.running[place] = self._start()
            elif worker.is_standing:
                since = self._standing_since.setdefault(worker.pid, time.monotonic())
                if time.monotonic() - since >= stand_s:
                    del self._standing_since[worker.pid]
                    worker.signal(signal.SIGCONT)

    def tell(self, worker: DyingWorker) -> None:
        """Tell one to stop."""
        worker.wait_for("worker.started", 1, STARTED_WITHIN_S)  # before it listens to signals
        self._told_at[worker.pid] = time.monotonic()
        worker.signal(signal.SIGTERM)

    def _take_note(self, worker: DyingWorker, code: int) -> None:
        told_at = self._told_at.pop(worker.pid, None)
        self.ends[signal.Signals(-code).name if code < 0 else f"{code}"] += 1
        if code != (0 if told_at is not None else -signal.SIGKILL):
            self.surprises.append(f"a worker left with {code}: {worker.output[-2000:]}")
        elif told_at is not None and (took_s := time.monotonic() - told_at) > STOP_WITHIN_S:
            self.surprises.append(f"a worker that was told to stop took {took_s:.0f} s")

    def stop(self) -> list[int]:
        """Tell all to stop, those that have just begun as well; return their exit codes."""
        for worker in self.running:
            worker.discharge()
        self.tend()
        self.ready()
        for worker in self.running:
            if worker.is_running():
                worker.signal(signal.SIGCONT)
                worker.signal(signal.SIGTERM)
        codes = [worker.wait(30) for worker in self.running]
        self.left += self.running
        self.running = []
        return codes

    def kill(self) -> None:
        """Kill all that still run."""
        for worker in self.running:
            if worker.is_running():
                worker.signal(signal.SIGKILL)
                worker.wait(STARTED_WITHIN_S)

    def first_commit_after(self, moment: datetime) -> datetime | None:
        """When the first batch was committed after that moment; ``None`` if none was yet."""
        recent = self.everyone[-2 * len(self.running) :]
        found = (worker.first_commit_after(moment) for worker in recent)
        return min((at for at in found if at is not None), default=None)

    def _start(self) -> DyingWorker:
        self._started += 1
        return DyingWorker(self._folder / f"worker-{self._started}", self._environ)
