"""``recouple demo`` from beginning to end: seed, couple, play the day, close it, say whether it is as it should be."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace
from rich.console import Console

from messages.changes import Change
from messages.commands import Done, Refused
from messages.records import RecordRef
from ops.demo.closing import DAY, Report, close_the_day
from ops.demo.northwind import as_bc_contact, as_bc_customer, as_sales_account, as_sales_contact, read_customers
from ops.demo.stage import Scene, Stage
from ops.demo.telling import Teller
from ops.demo.world import StuckError, World
from ops.printing import json_text, say
from ops.wiring import ExitCode

MAPPING_FILE = Path(__file__).with_name("recouple.toml")

_IMPORT = "import"
"""Who entered the seed."""


def run(console: Console, *, keep: Path | None = None, as_json: bool = False, mapping_file: Path = MAPPING_FILE) -> int:
    """Play the demo and return the exit code: 0 where all is as it should be.

    Args:
        console: Where it is told.
        keep: A new or empty folder in which everything stays; a temporary one is used, and removed, without it.
        as_json: Tell nothing, and print the facts as one JSON object.
        mapping_file: Of the demo's two apps; with other policies in it the day ends otherwise, and that is a failure.
    """
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        say(console, f"{keep} is no empty folder; name one that is, or one that does not exist yet", "red")
        return ExitCode.USAGE
    teller = Teller(Console(quiet=True) if as_json else console)
    with ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="recouple-demo-")))
        else:
            keep.mkdir(parents=True, exist_ok=True)
            folder = keep.resolve()
        world = stack.enter_context(closing(World(folder, mapping_file)))
        report = replace(_live_through(world, teller), folder=None if keep is None else str(folder))
        teller.closing(report)
        if keep is not None:
            teller.further(world.environ)
    if as_json:
        console.file.write(f"{json_text(report)}\n")
    return ExitCode.DONE if report.as_it_should else ExitCode.REFUSED


def _live_through(world: World, teller: Teller) -> Report:
    began = time.monotonic()
    scenes: list[Scene] = []
    faults: list[str] = []
    teller.line(
        "Two apps keep the 91 customers of Northwind, each in its own way. Recouple keeps them in step.", "bold"
    )
    try:
        with world.running():
            pid = "" if world.worker is None else f", process {world.worker.pid}"
            teller.line(f"Store, broker and log of the worker{pid}, are in {world.folder}.")
            faults += _begin(world, teller)
            for number, (title, story, play) in enumerate(DAY, start=1):
                stage = Stage(world)
                play(stage)
                scenes.append(stage.played(title, story))
                teller.scene(number, scenes[-1])
    except StuckError as stuck:
        faults.append(str(stuck))
    report = close_the_day(world, scenes, faults)
    return replace(report, duration_ms=round((time.monotonic() - began) * 1000))


def _begin(world: World, teller: Teller) -> list[str]:
    """Seed both apps and couple what belongs together; return what went wrong."""
    changes, pairs = _seed(world)
    with teller.progress("Announcing", len(changes)) as advance:
        world.announce(*changes)
        world.settle(advance)
    teller.line(f"Both apps have announced their customers and contacts: {len(changes)} change events.")
    with teller.progress("Coupling", len(pairs)) as advance:
        answers = world.couple(pairs, advance)
    world.settle()
    coupled = sum(isinstance(answer, Done) and answer.result["status"] == "synchronized" for answer in answers)
    teller.line(f"{coupled} pairs of them were coupled, by as many commands, and are in step.")
    refusals = [answer.detail for answer in answers if isinstance(answer, Refused)]
    return refusals or ([] if coupled == len(pairs) else ["not all that was coupled is in step"])


def _seed(world: World) -> tuple[list[Change], list[tuple[RecordRef, RecordRef]]]:
    """Enter the customers and their contacts in both apps; return the events, and what belongs together."""
    changes, pairs = [], []
    for customer in read_customers():
        left = world.bc.create("customer", _IMPORT, as_bc_customer(customer), customer.number)
        right = world.sales.create("account", _IMPORT, as_sales_account(customer))
        changes += [left, right]
        pairs.append((left.record, right.record))
    for customer, (left_company, right_company) in zip(read_customers(), [*pairs], strict=True):
        left = world.bc.create("contact", _IMPORT, as_bc_contact(customer, left_company.key))
        right = world.sales.create("contact", _IMPORT, as_sales_contact(customer, right_company.key))
        changes += [left, right]
        pairs.append((left.record, right.record))
    return changes, pairs
