"""What becomes of all this when a store has grown: more couplings, more open errors, a long log, a long queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import text

from bench import scenery
from bench.arena import Arena, open_arena
from bench.contenders import RECOUPLE, at_work, recouple
from bench.grounds import Grounds, Seeded
from bench.latency import WARM_UP_S, Load, measure
from bench.medians import Spread, spread
from bench.plan import Plan
from bench.results import Line, Section, lines_of
from bench.runs import Case, Run, Tell, metered, rounds, run_seeded
from bench.scenarios import CLEAN, Scenario, seed_agreeing, seed_conflicts
from messages.codec import encode_change
from messages.transport.ports import Publication
from store.connect import Store
from tests.load.seeding import key
from tests.load.watching import Watch

LATENCY_LOAD = 0.25
WATCH_S = 30.0
"""So long a worker is watched while it works on a backlog, or until that is gone."""

MIB = 1024 * 1024
_SIZES = ("records", "couplings", "errors", "log", "handled", "instructions", "due", "outbox")


class Size(NamedTuple):
    """How large a store has grown."""

    couplings: int
    errors: int = 0
    log_lines: int = 0

    @property
    def name(self) -> str:
        """For tables."""
        parts = [f"{self.couplings:,} couplings"]
        parts += [f"{self.errors:,} open errors"] if self.errors else []
        parts += [f"{self.log_lines:,} log lines"] if self.log_lines else []
        return ", ".join(parts)


def sizes(plan: Plan) -> list[Size]:
    """Return the sizes to be compared: more couplings; then, in the middle of those, more errors, and a long log."""
    middle = sorted(plan.couplings)[len(plan.couplings) // 2]
    found = [Size(couplings) for couplings in plan.couplings]
    found += [Size(middle, errors) for errors in plan.errors if errors]
    return found + ([Size(middle, 0, plan.log_lines)] if plan.log_lines else [])


def grown(size: Size, spread_over: int) -> Scenario:
    """Return the clean case in a store of this size; so many events would be spread evenly over its couplings."""

    def seed(scenario: Scenario, store: Store, _events: int) -> None:
        seed_agreeing(scenario, store, size.couplings + size.errors)
        seed_conflicts(scenario, store, range(size.couplings + 1, size.couplings + size.errors + 1))
        _lengthen_log(store, size.log_lines)

    def messages(scenario: Scenario, _store: Store, ns: str, events: int) -> Iterator[Publication]:
        step = size.couplings // spread_over
        for number in range(events):
            record = f"{scenery.LEFT}/{key(number * step + 1)}"
            one = scenery.change(record, f"bench-{number}", 2, scenery.edited(scenario.shape, "f"))
            yield encode_change(one, ns)

    return CLEAN._replace(name=size.name, seed=seed, messages=messages)


def growth(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Throughput, latency at a quarter of the first size's load, and the size of indexes; all sizes in turn."""
    found, events = sizes(plan), plan.growth_events
    scenarios = [grown(size, events) for size in found]
    seeded: list[Seeded] = []
    for scenario in scenarios:
        tell(f"seeding {scenario.name}")
        seeded.append(grounds.seeded(scenario.name, _seeding(scenario)))
    cases = [Case(RECOUPLE, scenario) for scenario in scenarios]
    runs: list[list[Run]] = []
    slow: list[list[dict[str, float]]] = [[] for _ in cases]
    for number in range(plan.growth_rounds + 1):
        runs.append([])
        for case, store in zip(cases, seeded, strict=True):
            tell(f"{case.scenario.name}, {number} of {plan.growth_rounds}")
            runs[-1].append(run_seeded((grounds, store), case, events))
    del runs[0]  # the warm-up
    load = Load(LATENCY_LOAD * min(one[0].rate for one in runs), min(plan.latency_s, 10.0) + WARM_UP_S)
    load = load._replace(seconds=min(load.seconds, events / load.events_per_s))
    for _ in range(plan.growth_rounds):
        for case, store, so_far in zip(cases, seeded, slow, strict=True):
            tell(f"{case.scenario.name}, latency")
            so_far.append(measure((grounds, store), RECOUPLE, case.scenario, load))
    names = [scenario.name for scenario in scenarios]
    lines = [
        msgspec.structs.replace(
            line,
            figures=line.figures | _latencies(of_size),
            facts=line.facts | _sizes_of(grounds, store),
        )
        for line, of_size, store in zip(lines_of(runs, names), slow, seeded, strict=True)
    ]
    for scenario in scenarios:
        grounds.forget(scenario.name)
    note = (
        f"Latency at {load.events_per_s:,.0f} events a second. Sizes are those at the start of a run. The events of "
        "a run are spread evenly over all couplings, so that at every size each of them touches pages of its own."
    )
    return Section(name="growth/size", title="Throughput and latency as a store grows", lines=lines, note=note)


def memory(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """What a worker holds while more lies in its queue than it takes."""
    couplings = min(100_000, max(plan.backlogs))
    scenario = grown(Size(couplings), couplings)
    seeded = grounds.seeded(scenario.name, _seeding(scenario))
    lines = []
    for backlog in plan.backlogs:
        tell(f"a backlog of {backlog:,}")
        with open_arena(grounds, seeded, scenario.mapping_file) as arena:
            arena.publish(_again_and_again(scenario, arena, (couplings, backlog)))
            lines.append(Line(name=f"a backlog of {backlog:,}", figures=_held(arena, backlog)))
    grounds.forget(scenario.name)
    note = f"What a worker holds, at most within {WATCH_S:.0f} s of work, or until the backlog is gone."
    return Section(name="growth/memory", title="Memory of a worker by backlog", lines=lines, note=note)


def processes(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Several processes of one worker, in turn."""
    cases = [Case(recouple(many), CLEAN) for many in plan.processes]
    found = rounds(grounds, cases, (plan.rounds, plan.events), tell)
    names = [case.contender.name for case in cases]
    note = "On one machine with PostgreSQL and RabbitMQ: they share its cores."
    return Section(name="growth/processes", title="Several processes", lines=lines_of(found, names), note=note)


def _seeding(scenario: Scenario) -> Callable[[Store], None]:
    return lambda store: scenario.seed(scenario, store, 0)


def _lengthen_log(store: Store, lines: int) -> None:
    if not lines:
        return
    line = (
        """'{"at":"2026-03-01T12:00:00Z","record":"bc/customer/K' || lpad((i % 100000)::text, 8, '0') || """
        """'","outcome":"sent","coupling":' || i || ',"rule":null,"event":"seed-' || i || '","command":null,"""
        """"instruction":"' || i || '-1-right","detail":"","values":{}}'"""
    )
    record = "'bc/customer/K' || lpad((i % 100000)::text, 8, '0')"
    with store.transaction() as conn:
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        conn.exec_driver_sql(
            f"INSERT INTO log (at, record, outcome, line) SELECT now(), {record}, 'sent', {line}".replace("%", "%%")
            + f" FROM generate_series(1, {lines}) AS i"
        )


def _latencies(found: list[dict[str, float]]) -> dict[str, Spread]:
    return {name: spread([one[name] for one in found]) for name in found[0]}


def _sizes_of(grounds: Grounds, seeded: Seeded) -> dict[str, int]:
    """Return how large the tables and their indexes are, in MiB."""
    tables = " + ".join(f"pg_table_size('{name}')" for name in _SIZES)
    indexes = " + ".join(f"pg_indexes_size('{name}')" for name in _SIZES)
    with grounds.opened(seeded) as store, store.reading() as conn:
        row = conn.execute(text(f"SELECT {tables} AS tables, {indexes} AS indexes")).one()
    return {"tables MiB": round(row.tables / MIB), "indexes MiB": round(row.indexes / MIB)}


def _again_and_again(scenario: Scenario, arena: Arena, many: tuple[int, int]) -> Iterator[Publication]:
    """One edit of each of ``couplings`` records after the other, until there are ``backlog`` messages."""
    couplings, backlog = many
    fields = scenery.edited(scenario.shape, "f")
    for number in range(backlog):
        record = f"{scenery.LEFT}/{key(number % couplings + 1)}"
        version = 2 + number // couplings
        yield encode_change(scenery.change(record, f"bench-{number}", version, fields), arena.namespace)


def _held(arena: Arena, backlog: int) -> dict[str, Spread]:
    with at_work(RECOUPLE, arena) as process, metered(arena, process.pid):
        process.wait_for(b'"event": "worker.started"')
        watch = Watch(process.pid)
        watch.start()
        until_s = time.monotonic() + WATCH_S
        while time.monotonic() < until_s and (arena.depth("changes.bc") or time.monotonic() < until_s - WATCH_S + 3):
            process.check()
            time.sleep(0.2)
        taken = backlog - arena.depth("changes.bc")
        watch.stop()
    held = [one.rss_bytes / MIB for one in watch.seen]
    return {"most_held_mib": spread([max(held)]), "at_the_end_mib": spread([held[-1]]), "taken": spread([taken])}
