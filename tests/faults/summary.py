"""What a run was: a table for people, and the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.faults.checks import CHECKS
from tests.faults.cycles import Cycle
from tests.faults.scene import Away

FILE = Path(__file__).with_name("latest.json")


class Outcome(msgspec.Struct, kw_only=True):
    """How one run ended.

    Attributes:
        ground: What it stood on.
        found: What is wrong, by check; ``failed`` where the run could not go on.
    """

    ground: str
    seed: int
    cycles: list[Cycle]
    events: int
    repeated: int
    checked: int
    duration_s: float
    ends: Counter[str]
    found: dict[str, list[str]]

    @property
    def is_good(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.found

    def recoveries(self, away: Away) -> list[float]:
        """How long it took each time until what was away was used again."""
        return [one.recovered_s for one in self.cycles if one.away is away and one.recovered_s is not None]


def document(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return all of it as JSON has it."""
    documents = []
    for outcome in outcomes:
        found = msgspec.to_builtins(outcome)
        found["cycles"] = [one._asdict() for one in outcome.cycles]
        found["recovery_s"] = {
            away.value: {"median": median(times), "worst": max(times), "times": len(times)}
            for away in (Away.BROKER, Away.DATABASE)
            if (times := outcome.recoveries(away))
        }
        documents.append(found)
    return documents


def record(outcomes: list[Outcome], file: Path = FILE) -> None:
    """Write it to the file."""
    file.write_text(json.dumps(document(outcomes), indent=2) + "\n", encoding="utf-8")


def show(outcomes: list[Outcome], console: Console) -> None:
    """Print the table, and below it what is wrong."""
    table = Table("", *(outcome.ground for outcome in outcomes), title="Faults")
    for name, cell in _rows().items():
        table.add_row(name, *(cell(outcome) for outcome in outcomes))
    console.print(table)
    kinds = Table("fault", *(outcome.ground for outcome in outcomes))
    every = dict.fromkeys(one.fault for outcome in outcomes for one in outcome.cycles)
    for fault in sorted(every):
        kinds.add_row(fault, *(_times(outcome, fault) for outcome in outcomes))
    console.print(kinds)
    for outcome in outcomes:
        for name, found in outcome.found.items():
            for one in found[:20]:
                console.print(f"{outcome.ground}: {name}: {one}", markup=False, highlight=False)


def _rows() -> dict[str, Any]:
    rows: dict[str, Any] = {
        "seed": lambda one: f"{one.seed}",
        "cycles": lambda one: f"{len(one.cycles)}",
        "messages published": lambda one: f"{one.events}",
        "workers killed": lambda one: f"{one.ends.get('SIGKILL', 0)}",
        "came again, the same": lambda one: f"{one.repeated}",
        "checked at rest": lambda one: f"{one.checked} times",
    }
    for check in (*CHECKS, "diverged"):
        rows[check] = lambda one, check=check: f"{len(one.found.get(check, []))}"
    for away in (Away.BROKER, Away.DATABASE):
        rows[f"{away} back → first commit"] = lambda one, away=away: _spread(one.recoveries(away))
    return rows | {"duration": lambda one: f"{one.duration_s:.0f} s"}


def _spread(times: list[float]) -> str:
    return f"median {median(times):.1f} s, worst {max(times):.1f} s ({len(times)})" if times else "–"


def _times(outcome: Outcome, fault: str) -> str:
    cycles = [one for one in outcome.cycles if one.fault == fault]
    missed = sum(not one.reached for one in cycles)
    return f"{len(cycles) - missed}" + (f" ({missed} not reached)" if missed else "") if cycles else "–"
