"""The table that a run of the load tests prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.load.watching import Held, Operator, Watch

MIB = 1024 * 1024


class Row(NamedTuple):
    """What one scenario came to; empty where it does not say."""

    scenario: str
    messages: int
    seconds: float
    rss: str = ""
    connections: str = ""
    answers: str = ""
    remark: str = ""


HEAD = ("scenario", "messages", "seconds", "a second", "RSS start/peak/end", "connections", "commands p50/p99", "")


def rss(watch: Watch) -> str:
    """What a worker held, in MiB."""
    moments: tuple[Held, ...] = (watch.seen[0], watch.peak, watch.seen[-1])
    return "/".join(f"{one.rss_bytes / MIB:.0f}" for one in moments) + " MiB"


def connections(watch: Watch) -> str:
    """How many connections it had at most."""
    return str(watch.peak.connections)


def answers(operator: Operator) -> str:
    """How long its commands took."""
    return f"{operator.quantile_s(0.5) * 1000:.0f}/{operator.quantile_s(0.99) * 1000:.0f} ms"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of the table."""
    cells = [HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    rate = f"{row.messages / row.seconds:,.0f}"
    numbers = (f"{row.messages:,}", f"{row.seconds:.1f}", rate)
    return (row.scenario, *numbers, row.rss, row.connections, row.answers, row.remark)
