"""One picture per section: bars with the spread for rates, and how long things take by load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.medians import Spread
from bench.results import Line, Results, Section, stem

RATE = "events_per_s"
LATENCIES = ("p50_ms", "p99_ms", "p99.9_ms")
_COLOURS = ("#2b6cb0", "#dd6b20", "#718096")
_INCHES = 7.5


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw every section that has something to draw; return the files, or none where matplotlib is not installed."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra that only the plots need
    except ImportError:
        return []
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "recouple", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    return [path for section in results.sections for path in _section(section, folder)]


def _section(section: Section, folder: Path) -> list[Path]:
    drawn, name = list[Path](), stem(section)
    if all(RATE in line.figures for line in section.lines):
        drawn.append(_bars(section, folder / f"{name}.svg"))
    if all(which in line.figures for line in section.lines for which in LATENCIES):
        drawn.append(_latencies(section, folder / f"{name}-latency.svg"))
    return drawn


def _bars(section: Section, path: Path) -> Path:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    lines = section.lines[::-1]
    figure, axes = plt.subplots(figsize=(_INCHES, 0.8 + 0.38 * len(lines)), layout="constrained")
    found = [line.figures[RATE] for line in lines]
    axes.barh([line.name for line in lines], [one.median for one in found], color=_COLOURS[0], height=0.6)
    axes.errorbar(
        [one.median for one in found], range(len(found)), xerr=_whiskers(found), fmt="none", ecolor="black", capsize=3
    )
    for position, one in enumerate(found):
        axes.annotate(f" {one.median:,.0f}", (one.most, position), va="center")
    axes.set_xlabel("events a second; median, least and most")
    axes.margins(x=0.12)
    return _save(figure, axes, section.title, path)


def _latencies(section: Section, path: Path) -> Path:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(_INCHES, 3.2), layout="constrained")
    names = [_short(line) for line in section.lines]
    for name, colour in zip(LATENCIES, _COLOURS, strict=True):
        found = [line.figures[name] for line in section.lines]
        label = name.removesuffix("_ms")
        axes.errorbar(
            names,
            [one.median for one in found],
            yerr=_whiskers(found),
            label=label,
            color=colour,
            marker="o",
            capsize=3,
        )
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds")
    axes.legend()
    return _save(figure, axes, section.title, path)


def _short(line: Line) -> str:
    return line.name.replace(" of full load", "").replace(", ", "\n")


def _whiskers(found: list[Spread]) -> list[list[float]]:
    return [[one.median - one.least for one in found], [one.most - one.median for one in found]]


def _save(figure: Any, axes: Any, title: str, path: Path) -> Path:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return path
