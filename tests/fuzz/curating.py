"""Which inputs are worth keeping: the fewest and shortest that reach all that any of them reaches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

from tests.fuzz.corpus import FOLDER, FOUND, keep, kept
from tests.fuzz.seeds import seeds
from tests.fuzz.tallies import Tally
from tests.fuzz.targets import TARGETS
from tests.fuzz.verdicts import Run

MOST: Final = 28
"""Inputs that are kept of a target, beside findings."""

MAX_KEPT_BYTES: Final = 4096
"""Of one of them."""

Reached: TypeAlias = set[tuple[str, int, int]]
"""Steps from a line to another, each with its file."""

_ROOT: Final = Path(__file__).parents[2]
_LOOKED_AT: Final = tuple(str(_ROOT / name) + "/" for name in ("messages", "workers"))


def curate(name: str, further: Iterable[bytes]) -> int:
    """Write the corpus of a target anew, out of what it holds, its seeds and ``further``; return how many it holds."""
    found = {file: data for file, data in kept(name).items() if file.startswith(FOUND)}
    candidates = {*kept(name).values(), *seeds(name), *further} - set(found.values())
    chosen = fewest(TARGETS[name].run, sorted(candidates, key=lambda data: (len(data), data)))
    for file in kept(name).keys() - found.keys():
        (FOLDER / name / file).unlink()
    for data in chosen:
        keep(name, data)
    return len(chosen) + len(found)


def fewest(run: Run, candidates: Iterable[bytes]) -> list[bytes]:
    """Return the inputs that reach most, one after the other, each with something that no earlier one reaches."""
    reached: dict[bytes, Reached] = {}
    all_reached: Reached = set()
    tally = Tally(run)
    for data in candidates:
        if len(data) > MAX_KEPT_BYTES or tally.note(data) is not None:  # what breaks a property is a finding
            continue
        steps = _reached_by(run, data)
        if steps - all_reached:
            reached[data] = steps
            all_reached |= steps
    chosen: list[bytes] = []
    while reached and len(chosen) < MOST:
        best = max(reached, key=lambda data: (len(reached[data]), -len(data)))
        gained = reached.pop(best)
        if not gained:
            break
        chosen.append(best)
        reached = {data: steps - gained for data, steps in reached.items()}
    return chosen


def _reached_by(run: Run, data: bytes) -> Reached:
    reached: Reached = set()
    with _traced(reached):
        run(data)
    return reached


@contextmanager
def _traced(reached: Reached) -> Iterator[None]:
    def on_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(_LOOKED_AT):
            return None
        last = frame.f_lineno

        def on_line(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event == "line":
                reached.add((file, last, frame.f_lineno))
                last = frame.f_lineno
            return on_line

        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)
