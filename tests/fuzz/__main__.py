"""``python -m tests.fuzz``: as many inputs as one likes, to every target or to some; ``make fuzz`` is the short way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.fuzz import atheris_engine
from tests.fuzz.corpus import FOUND, keep, path_of
from tests.fuzz.curating import curate
from tests.fuzz.folders import folder
from tests.fuzz.hypothesis_engine import CHUNK, fuzz_chunk, inputs_of, stock_of
from tests.fuzz.tallies import Tally
from tests.fuzz.targets import TARGETS

INPUTS: Final = 50_000
"""In all, where nothing else is said."""

_OUT = Console()


def main() -> int:
    """Fuzz, or choose anew what is kept; 1 where something was found."""
    given = _arguments()
    names = given.target or list(TARGETS)
    if given.keep is not None:
        for name in names:
            _OUT.print(f"{name}: {curate(name, _files(name, given.keep))} inputs are kept")
        return 0
    if given.engine == "atheris" and not atheris_engine.is_installed():
        _OUT.print("There is no Atheris here: pip install atheris, or leave --engine out.")
        return 2
    tallies = _fuzz(names, given)
    _show(tallies)
    return 1 if any(tally.findings for tally in tallies.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("-n", "--inputs", type=int, default=INPUTS, help=f"in all; {INPUTS} if left out")
    parser.add_argument("--seed", type=int, default=0, help="other seeds make other inputs (hypothesis)")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    parser.add_argument("--folder", type=Path, help="where atheris leaves what reached something new")
    parser.add_argument("--target", action="append", choices=TARGETS, help="one or more; all if left out")
    parser.add_argument(
        "--keep", nargs="*", type=Path, metavar="FOLDER", help="choose anew what is kept, also from FOLDER/<target>/*"
    )
    return parser.parse_args()


def _fuzz(names: Sequence[str], given: argparse.Namespace) -> dict[str, Tally]:
    shares = sum(TARGETS[name].share for name in names)
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tallies: dict[str, Tally] = {}
    with Progress(*columns, TimeRemainingColumn(), console=_OUT) as progress:
        for name in names:
            many = max(1, round(given.inputs * TARGETS[name].share / shares))
            task = progress.add_task(name, total=many)

            def told(inputs: int, task: int = task) -> None:
                progress.update(task, completed=inputs)  # type: ignore[arg-type]

            if given.engine == "atheris":
                place = given.folder or folder("atheris")
                place.mkdir(parents=True, exist_ok=True)
                tallies[name] = atheris_engine.fuzz_target(name, many, place, told)
                _write_down(name, tallies[name])
            else:
                tallies[name] = _by_hypothesis(name, many, given.seed, told)
            if not _OUT.is_terminal:  # where no bar is drawn
                _OUT.print(f"{name}: {tallies[name].inputs} inputs")
    return tallies


def _by_hypothesis(name: str, many: int, seed: int, told: Callable[[int], None]) -> Tally:
    tally = Tally(TARGETS[name].run)
    inputs = inputs_of(name, stock_of(name, tally))
    for number in range(many):  # a chunk has one input at least
        _write_down(name, tally)
        if tally.inputs >= many:
            break
        fuzz_chunk(inputs, tally, seed * 1_000_000 + number, min(CHUNK, many - tally.inputs))
        told(tally.inputs)
    return tally


def _write_down(name: str, tally: Tally) -> None:
    for place, (data, words) in tally.findings.items():
        if (path := path_of(name, data, FOUND)).exists():
            continue  # told already
        keep(name, data, prefix=FOUND)
        _OUT.print(f"[bold red]{name}[/]: {place}: {path}", soft_wrap=True)
        _OUT.print(words, markup=False, highlight=False, soft_wrap=True)


def _files(name: str, folders: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for place in folders for path in sorted((place / name).glob("*")) if path.is_file()]


def _show(tallies: dict[str, Tally]) -> None:
    table = Table("target", "inputs", "accepted", "findings")
    for name, tally in tallies.items():
        table.add_row(name, str(tally.inputs), f"{tally.accepted_share:.0%}", str(len(tally.findings)))
    table.add_row("all", str(sum(one.inputs for one in tallies.values())), "", "")
    _OUT.print(table)


if __name__ == "__main__":
    sys.exit(main())
