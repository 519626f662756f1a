"""How much is measured: what fits into two minutes, or all of it."""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """Numbers of runs and of what is in them.

    Attributes:
        rounds, events: Of throughput; each case takes its part of the events.
        kinds_rounds, kinds_events: The same where all kinds of work are compared.
        latency_s: How long each load lasts; ``latency_rounds`` times, the loads in turn.
        couplings, errors, log_lines: The sizes that a store is grown to. The least number of couplings is five times
            ``growth_events``: then no two events of a run share a page, at any size.
        backlogs: Under which a worker's memory is looked at.
    """

    name: str
    rounds: int
    events: int
    kinds_rounds: int
    kinds_events: int
    latency_rounds: int
    latency_s: float
    couplings: tuple[int, ...]
    errors: tuple[int, ...]
    growth_rounds: int
    growth_events: int
    log_lines: int
    backlogs: tuple[int, ...]
    processes: tuple[int, ...]


QUICK = Plan(
    name="quick",
    rounds=3,
    events=2500,
    kinds_rounds=1,
    kinds_events=1000,
    latency_rounds=1,
    latency_s=1.5,
    couplings=(10_000, 100_000),
    errors=(0,),
    growth_rounds=1,
    growth_events=2000,
    log_lines=0,
    backlogs=(),
    processes=(),
)
FULL = Plan(
    name="full",
    rounds=7,
    events=20_000,
    kinds_rounds=5,
    kinds_events=15_000,
    latency_rounds=3,
    latency_s=30.0,
    couplings=(10_000, 100_000, 1_000_000),
    errors=(0, 1000, 100_000),
    growth_rounds=9,
    growth_events=2000,
    log_lines=10_000_000,
    backlogs=(1000, 1_000_000),
    processes=(1, 2, 4),
)
MEDIUM = FULL._replace(
    name="medium",
    rounds=3,
    events=5000,
    kinds_rounds=3,
    kinds_events=2000,
    latency_rounds=3,
    latency_s=3.0,
    errors=(0, 100_000),
    growth_rounds=3,
)
"""All of it, at the sizes of the full one and with fewer runs: some twenty minutes."""
SMOKE = QUICK._replace(
    name="smoke",
    rounds=2,
    events=1500,
    kinds_events=1000,
    latency_s=2.0,
    couplings=(2000, 10_000),
    errors=(0, 100),
    growth_events=1000,
    log_lines=10_000,
    backlogs=(1000, 3000),
    processes=(1, 2),
)
"""To see that everything works; its figures mean nothing."""

PLANS = {plan.name: plan for plan in (QUICK, MEDIUM, FULL, SMOKE)}
