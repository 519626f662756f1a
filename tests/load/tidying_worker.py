"""A worker that begins at once to delete what has had its time: ``python -m tests.load.tidying_worker``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import ClassVar

from tests.acceptance.processes import WorkerProcess
from workers import retention
from workers.bootstrap import WorkPlan, work
from workers.settings import read_settings


class TidyingWorker(WorkerProcess):
    """Such a worker as a process."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "tests.load.tidying_worker")


def main() -> int:
    """Work until told to stop."""
    retention.FIRST_ROUND = timedelta()
    return work(read_settings(os.environ), WorkPlan())


if __name__ == "__main__":
    raise SystemExit(main())
