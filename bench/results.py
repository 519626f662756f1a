"""What was measured, as it is written to ``bench/latest.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bench.medians import Spread, ratios, spread
from bench.runs import Run


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was measured.

    Attributes:
        figures: By name, which ends with the unit; each of several runs.
        facts: What does not vary, or is no number.
    """

    name: str
    figures: dict[str, Spread]
    facts: dict[str, Any] = {}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured in alternation.

    Attributes:
        note: How to read it.
    """

    name: str
    title: str
    lines: list[Line]
    note: str = ""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the bench.

    Attributes:
        missing: What was to be measured and was not, and why.
    """

    at: str
    plan: str
    seconds: float
    machine: dict[str, Any]
    sections: list[Section]
    missing: dict[str, str] = {}


def lines_of(found: Sequence[Sequence[Run]], names: Sequence[str]) -> list[Line]:
    """Return a line per case of these rounds; each is compared to the first case, round by round."""
    columns = list(zip(*found, strict=True))
    first = [run.rate for run in columns[0]]
    return [
        Line(
            name=name,
            figures={"events_per_s": spread([run.rate for run in runs])}
            | {f"of {names[0]}": ratios([run.rate for run in runs], first)}
            | {f"{names[0]} of it": ratios(first, [run.rate for run in runs])}
            | _others([run.others_cores for run in runs])
            | costs([msgspec.structs.asdict(run.cost) for run in runs]),
            facts={"events": runs[0].events, "rows": runs[0].rows, "arrived": runs[0].arrived},
        )
        for name, runs in zip(names, columns, strict=True)
    ]


def _others(cores: Sequence[float | None]) -> dict[str, Spread]:
    known = [one for one in cores if one is not None]
    return {"others' cores": spread(known)} if known else {}


def costs(readings: Sequence[Mapping[str, float | None]]) -> dict[str, Spread]:
    """Return what a thousand events cost, as far as it could be read."""
    found = {}
    for name in readings[0]:
        values = [value for one in readings if (value := one[name]) is not None]
        if len(values) == len(readings):
            found[f"{name}_per_1000"] = spread(values)
    return found


def stem(section: Section) -> str:
    """Return what the files of a section are called."""
    return section.name.replace("/", "-").replace(" ", "-")
