"""A worker that can die: ``python -m tests.faults.dying_worker``, the settings as ever, the rest in ``Environ``.

It is ``recouple work`` but for its doors, and for what a test breaks in it on purpose.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults import sabotage
from tests.faults.doors import fused_doors
from tests.faults.steps import Fuse
from workers.bootstrap import WorkPlan, work
from workers.settings import read_settings

FUSE = "RECOUPLE_TEST_FUSE"
"""Names the file in which a ``Charge`` may be laid."""

TARRY = "RECOUPLE_TEST_TARRY"
"""A step, and for how many milliseconds to stay there."""

SABOTAGE = "RECOUPLE_TEST_SABOTAGE"
"""What is broken in this worker, a ``Sabotage``; nothing where it is not set."""


def main() -> int:
    """Work until told to stop, or until the fuse has burnt down."""
    fuse = Fuse(Path(os.environ[FUSE]), os.environ.get(TARRY, ""))
    doors = fused_doors(fuse)
    broken = os.environ.get(SABOTAGE)
    if broken:
        doors = sabotage.commit(sabotage.Sabotage(broken), doors)
    return work(read_settings(os.environ), WorkPlan(), doors)


if __name__ == "__main__":
    raise SystemExit(main())
