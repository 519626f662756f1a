"""Everything that can be measured, in the order in which it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench import throughput
from bench.cost import cost
from bench.grounds import Grounds
from bench.growth import growth, memory, processes
from bench.latency import latency
from bench.plan import Plan
from bench.results import Section
from bench.runs import Tell

ALWAYS = ("quick", "medium", "full", "smoke")
AT_LENGTH = ("medium", "full", "smoke")


class Part(NamedTuple):
    """One section and what makes it.

    Attributes:
        plans: In which it is measured unless it is asked for by name.
        embedded: On the embedded default, not on the servers.
    """

    name: str
    measure: Callable[[Grounds, Plan, Tell], Section]
    plans: tuple[str, ...] = ALWAYS
    embedded: bool = False


SECTIONS = (
    Part("throughput/clean", throughput.clean),
    Part("throughput/large", throughput.large, AT_LENGTH),
    Part("throughput/kinds", throughput.kinds),
    Part("throughput/celery", throughput.pools, ("full", "smoke")),
    Part("throughput/ceiling", throughput.batches, ("full", "smoke")),
    Part("cost", cost, AT_LENGTH),
    Part("latency", latency),
    Part("embedded/kinds", throughput.kinds, embedded=True),
    Part("embedded/latency", latency, AT_LENGTH, embedded=True),
    Part("growth/size", growth, AT_LENGTH),
    Part("growth/memory", memory, AT_LENGTH),
    Part("growth/processes", processes, AT_LENGTH),
)
