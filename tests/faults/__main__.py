"""``python -m tests.faults``: the fault suite.

``FAULTS`` is how many cycles there are; ``FAULTS_SEED`` gives the same faults and the same users again, while what of
it meets is the machine's affair.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from random import Random

from rich.console import Console

from tests.faults import summary
from tests.faults.grounds import on_files, on_servers, own_servers
from tests.faults.run import ON_FILES, ON_SERVERS, draw, play
from tests.servers.server import ServerStartError

CYCLES = 40
ON_FILES_SHARE = 4
"""One of so many cycles is on the embedded store and broker."""


def main(console: Console) -> int:
    """Run it all, print what came of it and write it to ``latest.json``; return the exit code."""
    cycles = int(os.environ.get("FAULTS") or CYCLES)
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(10**8))
    again = f"FAULTS={cycles} FAULTS_SEED={seed} make faults"
    console.print(f"{cycles} cycles, seed {seed}; the same faults again: {again}")
    of_files = max(1, cycles // ON_FILES_SHARE)
    chance = Random(seed)  # noqa: S311 - repeatable, hides nothing
    folder = Path(tempfile.mkdtemp(prefix="recouple-faults-"))
    faults = draw(ON_FILES, of_files, chance)
    outcomes = [play("embedded", on_files(folder / "files", seed), faults, seed, console.print)]
    try:
        with own_servers() as ground:
            faults = draw(ON_SERVERS, max(1, cycles - of_files), chance)
            outcomes.append(play("servers", on_servers(ground, folder / "servers", seed), faults, seed, console.print))
    except ServerStartError as error:
        console.print(f"without RabbitMQ and PostgreSQL: {error}", markup=False)
        if os.environ.get("CI") == "true":
            return 1
    summary.record(outcomes)
    summary.show(outcomes, console)
    if all(one.is_good for one in outcomes):
        return 0
    console.print(f"Something is wrong. Stores and logs: {folder}. The same faults again: {again}", soft_wrap=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(Console()))
