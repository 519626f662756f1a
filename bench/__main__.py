"""``python -m bench``: measure, print a table, write ``bench/latest.json``, the same as a page, and its plots."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.grounds import Grounds, open_grounds
from bench.machine import machine
from bench.plan import PLANS, Plan
from bench.plots import draw
from bench.report import markdown
from bench.results import Results, Section
from bench.runs import Tell
from bench.sections import SECTIONS, Part

LATEST = Path(__file__).parent / "latest.json"

Only = Annotated[
    list[str] | None, typer.Option(help="Measure only sections whose name begins so, throughput/clean; several times.")
]
PlanName = Annotated[
    str,
    typer.Option(
        "--plan",
        envvar="BENCH",
        help="quick (two minutes), medium (twenty minutes), full (an hour and a half), or smoke.",
    ),
]
Out = Annotated[Path, typer.Option(help="Where the results go; the plots beside it, in plots/.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of tables.")]


def main(*, only: Only = None, plan: PlanName = "quick", out: Out = LATEST, as_json: AsJson = False) -> None:
    """Measure Recouple against what could be written by hand and what one would pick instead."""
    if plan not in PLANS:
        raise typer.BadParameter(f"{plan} is none of {', '.join(PLANS)}", param_hint="--plan")
    chosen = [one for one in SECTIONS if not only or any(one.name.startswith(begin) for begin in only)]
    chosen = [one for one in chosen if only or plan in one.plans]
    if not chosen:
        raise typer.BadParameter(f"none of {', '.join(one.name for one in SECTIONS)}", param_hint="--only")
    errors = Console(stderr=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all that was made is removed
    results = _measure(chosen, PLANS[plan], errors, out)
    if as_json:
        sys.stdout.write(out.read_text(encoding="utf-8"))
    elif sys.stdout.isatty():
        Console().print(Markdown(markdown(results)))
    else:
        sys.stdout.write(markdown(results))
    if results.missing:
        raise typer.Exit(1)


def _write(results: Results, out: Path) -> None:
    out.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    plots = draw(results, out.parent / "plots")
    page = markdown(results, [path.relative_to(out.parent) for path in plots])
    out.with_suffix(".md").write_text(page, encoding="utf-8")


def _measure(chosen: list[Part], plan: Plan, errors: Console, out: Path) -> Results:
    """Measure part by part and write what there is after each; one that fails is named, and the others go on."""
    began, found = time.monotonic(), list[Section]()
    missing = dict.fromkeys((one.name for one in chosen), "not reached")

    def results() -> Results:
        now, spent_s = datetime.now(UTC).isoformat(timespec="seconds"), round(time.monotonic() - began, 1)
        return Results(at=now, plan=plan.name, seconds=spent_s, machine=known, sections=found, missing=missing)

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with open_grounds(embedded=all(one.embedded for one in chosen)) as grounds:
        known = machine(grounds)
        with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
            task = progress.add_task("", total=len(chosen))
            for one in chosen:
                try:
                    found.append(_part(one, grounds, plan, _teller(progress, task, one.name)))
                    del missing[one.name]
                except Exception as fault:  # noqa: BLE001 - an hour of other figures must not be lost with it
                    missing[one.name] = f"{type(fault).__name__}: {fault}"
                    errors.print(f"{one.name}: {missing[one.name]}", style="red", markup=False)
                progress.advance(task)
                _write(results(), out)
    return results()


def _part(part: Part, grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    if part.embedded == grounds.embedded:
        return part.measure(grounds, plan, tell)
    with open_grounds(embedded=part.embedded) as others:
        return part.measure(others, plan, tell)


def _teller(progress: Progress, task: TaskID, name: str) -> Tell:
    return lambda what: progress.update(task, description=f"{name}: {what}")


if __name__ == "__main__":
    typer.run(main)
