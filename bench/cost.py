"""What a thousand events cost: CPU of worker and servers, statements, round trips, bytes of the write-ahead log."""

from __future__ import annotations

from bench.arena import open_arena
from bench.contenders import CEILING, CELERY, RECOUPLE, at_work
from bench.grounds import Grounds, Seeded
from bench.plan import Plan
from bench.results import Line, Section, costs
from bench.runs import Case, Tell, metered, most_events, seeded_for, within_s
from bench.scenarios import CLEAN, CONFLICTS_100
from bench.tap import tapped
from bench.watching import looking, watch


def cost(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """The clean case, all contenders in turn; and conflicts, of Recouple."""
    cases = [Case(RECOUPLE, CLEAN), Case(CEILING, CLEAN), Case(CELERY, CLEAN), Case(RECOUPLE, CONFLICTS_100)]
    found: list[list[dict[str, float | None]]] = [[] for _ in cases]
    for number in range(plan.rounds + 1):
        for case, so_far in zip(cases, found, strict=True):
            tell(f"{case.name}, {number} of {plan.rounds}")
            size = most_events(cases, case.scenario, plan.events)
            so_far.append(measure((grounds, seeded_for(grounds, case.scenario, size)), case, plan.events))
    found = [of_case[1:] for of_case in found]  # the first is the warm-up
    lines = [
        Line(name=case.name, figures=costs(of_case), facts={"events": case.events(plan.events)})
        for case, of_case in zip(cases, found, strict=True)
    ]
    note = (
        "For each thousand events. A server's CPU time is that of the whole server; every run begins after a "
        "checkpoint, so that the first change of each page is logged with the whole page. Statements and round trips "
        "are counted on the wire, by a relay that slows all alike: the rates stand under throughput."
    )
    return Section(name="cost", title="Cost of a thousand events", lines=lines, note=note)


def measure(where: tuple[Grounds, Seeded], case: Case, wanted: int) -> dict[str, float | None]:
    """Run a case behind a tap; return what a thousand events cost."""
    scenario, events = case.scenario, case.events(wanted)
    counts: list[tuple[int, int]] = []
    with open_arena(*where, scenario.mapping_file) as arena, tapped(arena.store_url) as tap:
        case.contender.feed(arena, scenario, events)
        arena.worker_store_url = tap.url
        with at_work(case.contender, arena) as process, metered(arena, process.pid) as (meters, readings):

            def look_at_all() -> None:
                readings.append(meters.read())
                counts.append((tap.statements(), tap.round_trips()))

            total = round(events * scenario.yields)
            with looking(arena, scenario.targets) as look:
                window = watch(look, total, look_at_all, process.check, within_s(events))
            look_at_all()
    share = 1000 * scenario.yields / window.arrivals
    used = (readings[1] - readings[0]).per_thousand(1000 / share)
    return {name: getattr(used, name) for name in used.__struct_fields__} | {
        "statements": (counts[1][0] - counts[0][0]) * share,
        "round_trips": (counts[1][1] - counts[0][1]) * share,
    }
