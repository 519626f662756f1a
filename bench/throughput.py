"""Events a second, from a queue that is full at the start to the last confirmed instruction, error or answer."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contenders import CEILING, CELERY, CELERY_POOLS, RECOUPLE, ceiling
from bench.grounds import Grounds
from bench.plan import Plan
from bench.results import Section, lines_of
from bench.runs import Case, MeasureError, Run, Tell, rounds
from bench.scenarios import CLEAN, CLEAN_LARGE, CONFLICTS_100, CONFLICTS_LARGE, KINDS, Scenario

CEILING_BATCHES = (200, 300, 500, 1000, 2000)
SAME_WITHIN = 0.02
"""By so much the rows, messages and bytes of two contenders may differ for each event: one pair of records more, the
pattern of all others, is in each store."""
DIGITS = 8
"""… and the bytes by so many more: where there are more events, their numbers have more digits."""


def against(grounds: Grounds, scenario: Scenario, plan: Plan, tell: Tell) -> Section:
    """Recouple, the ceiling and Celery, on the same work."""
    cases = [Case(one, scenario) for one in (RECOUPLE, CEILING, CELERY)]
    found = rounds(grounds, cases, (plan.rounds, plan.events), tell)
    see_the_same_rows([found[0][position] for position in range(len(cases))])
    return Section(
        name=f"throughput/{scenario.name}",
        title=f"{scenario.name}, against what could be written by hand and what one would pick instead",
        lines=lines_of(found, [case.contender.name for case in cases]),
        note="Events a second in one process. Ratios are taken within each round.",
    )


def clean(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Messages of some 500 bytes with 15 fields."""
    return against(grounds, CLEAN, plan, tell)


def large(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Messages of 2 kB with 60 fields."""
    return against(grounds, CLEAN_LARGE, plan, tell)


def pools(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Celery with each of its pools: the best is what Recouple is compared to."""
    cases = [Case(one, CLEAN) for one in CELERY_POOLS.values()]
    found = rounds(grounds, cases, (plan.rounds, plan.events), tell)
    names = [case.contender.name for case in cases]
    return Section(name="throughput/celery", title="Celery by pool", lines=lines_of(found, names))


def batches(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """The ceiling with batches of several sizes: the best is what Recouple is compared to."""
    cases = [Case(ceiling(size), CLEAN) for size in CEILING_BATCHES]
    found = rounds(grounds, cases, (plan.rounds, plan.events), tell)
    names = [case.contender.name for case in cases]
    return Section(name="throughput/ceiling", title="The ceiling by size of batch", lines=lines_of(found, names))


def kinds(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Recouple on every kind of work."""
    scenarios = _scenarios(grounds, plan)
    cases = [Case(RECOUPLE, scenario) for scenario in scenarios]
    found = rounds(grounds, cases, (plan.kinds_rounds, plan.kinds_events), tell)
    where = "embedded" if grounds.embedded else "throughput"
    return Section(
        name=f"{where}/kinds",
        title="Recouple by kind of work" + (", on the embedded default" if grounds.embedded else ""),
        lines=lines_of(found, [scenario.name for scenario in scenarios]),
        note="Commands have a transaction each, and are fewer. Where events lead to no message, 2 % are clean updates.",
    )


def _scenarios(grounds: Grounds, plan: Plan) -> Sequence[Scenario]:
    if plan.kinds_rounds > 1:
        return KINDS if grounds.embedded else (*KINDS, CLEAN_LARGE, CONFLICTS_LARGE)
    return (CLEAN, CONFLICTS_100) if grounds.embedded else KINDS


def see_the_same_rows(runs: Sequence[Run]) -> None:
    """See that all have done the same work: as many rows in the same tables, of the same length, and messages.

    Raises:
        MeasureError: they have not.
    """
    first = runs[0]
    for other in runs[1:]:
        for what in ("rows", "bytes", "arrived"):
            ours, theirs = getattr(first, what), getattr(other, what)
            for name, count in ours.items():
                mine, its = count / first.events, theirs[name] / other.events
                if abs(mine - its) > SAME_WITHIN * max(1.0, mine) + DIGITS * (what == "bytes"):
                    raise MeasureError(
                        f"{other.contender} left {its:.3f} {what} in {name} for an event, not {mine:.3f}"
                    )
