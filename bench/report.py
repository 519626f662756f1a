"""The table of what was measured, for a terminal and for ``docs/performance.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from bench.medians import Spread
from bench.results import Results, Section, stem


def markdown(results: Results, plots: Sequence[PurePath] = ()) -> str:
    """Return all sections as Markdown tables, each followed by its plots."""
    parts = [_head(results)]
    for section in results.sections:
        parts.append("\n".join(_section(section)))
        own = [path for path in plots if path.stem.removesuffix("-latency") == stem(section)]
        parts += [f"![{section.title}]({path.as_posix()})" for path in own]
    if results.missing:
        parts.append("\n".join(["### Not measured", "", *(f"- {k}: {v}" for k, v in results.missing.items())]))
    return "\n\n".join(parts) + "\n"


def _head(results: Results) -> str:
    machine = results.machine
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items())
    lines = [
        (
            f"Measured {results.at} by `make bench BENCH={results.plan}` in {results.seconds:,.0f} s"
            f" on {machine['cores']} × {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}"
            f" (load before: {machine['load_before']}, niceness {machine['niceness']})."
        ),
        f"Python {machine['python']}, {packages}; commit {machine['commit'] or 'unknown'}.",
    ]
    if machine["postgresql"]:
        settings = ", ".join(f"{name} {value}" for name, value in machine["postgresql"].items())
        lines.append(f"PostgreSQL: {settings}. RabbitMQ {machine['rabbitmq']['version']}, quorum queues on one node.")
    return "\n".join([*lines, "Every figure: the median, and in brackets the least and the most of all runs."])


def _section(section: Section) -> Iterator[str]:
    yield f"### {section.title}"
    yield ""
    columns = list(dict.fromkeys(name for line in section.lines for name in line.figures))
    if section.name != "cost":
        columns = [name for name in columns if not name.endswith("_per_1000")]
    if not section.name.startswith(RIVALS):
        columns = [name for name in columns if not name.endswith(" of it")]
    facts = [n for n in dict.fromkeys(n for line in section.lines for n in line.facts) if n not in _LEFT_OUT]
    yield "| | " + " | ".join([name.removesuffix("_per_1000").replace("_", " ") for name in (*columns, *facts)]) + " |"
    yield "|---|" + "---:|" * (len(columns) + len(facts))
    for line in section.lines:
        cells = [cell(line.figures.get(column)) for column in columns]
        yield f"| {line.name} | " + " | ".join([*cells, *(str(line.facts.get(name, "")) for name in facts)]) + " |"
    if section.note:
        yield ""
        yield section.note


RIVALS = "throughput/clean"
"""Where Recouple is told in terms of the others, and not only they in its own."""
_LEFT_OUT = ("rows", "arrived")
"""Stand in the JSON."""


def cell(found: Spread | None) -> str:
    """Return a figure and its spread, with as many digits as mean something."""
    if found is None:
        return ""
    if found.runs == 1:
        return number(found.median)
    return f"{number(found.median)} ({number(found.least)}–{number(found.most)})"


def number(value: float) -> str:
    """Return a number with three digits, or all of a large one; what is next to nothing is nothing."""
    if abs(value) < 0.0005:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
