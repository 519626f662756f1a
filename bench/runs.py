"""Single runs, and rounds of them: A B C A B C, so that what slows the machine for a while slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from sqlalchemy import text

from bench.arena import Arena, open_arena
from bench.clean_case import TABLES
from bench.contenders import Contender, at_work
from bench.grounds import Grounds, Seeded
from bench.meters import Meters, Reading, others_cores
from bench.scenarios import MARK_EVERY, Scenario
from bench.watching import looking, watch

Tell = Callable[[str], None]
"""Is told what is being done, for whoever watches."""

EVENTS_PER_S_AT_LEAST = 20
"""A run that is slower has failed."""

WARM_UP_EVENTS = 1500
QUEUES = ("instructions.bc", "instructions.sales", "errors", "dead")
_FINISHED_WITHIN_S = 30
_TOO_MANY_ROWS = 1_000_000


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to.

    Attributes:
        rate: Events a second.
        others_cores: So many cores were busy with neither worker nor servers: the measurement itself, or a disturbance.
        rows: How many were added to each table; ``bytes``: to their text, where PostgreSQL holds them.
        outcomes: What became of its events, in the words of the synchronization log.
        arrived: How many messages lay in each queue at the end.
        cost: For each thousand events.
    """

    contender: str
    scenario: str
    events: int
    seconds: float
    rate: float
    others_cores: float | None
    cost: Reading
    rows: dict[str, int]
    bytes: dict[str, int]
    outcomes: dict[str, int]
    arrived: dict[str, int]


class Case(NamedTuple):
    """A contender and its work."""

    contender: Contender
    scenario: Scenario

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.contender.name}: {self.scenario.name}"

    def events(self, wanted: int) -> int:
        """How many events it is given where a plan wants so many; a whole number of markers."""
        share = self.contender.part * self.scenario.part
        return max(MARK_EVERY, round(wanted * share / MARK_EVERY) * MARK_EVERY)


class MeasureError(Exception):
    """What was measured is not what should have been: the figures are worth nothing."""


def seeded_for(grounds: Grounds, scenario: Scenario, events: int) -> Seeded:
    """Return the store with what so many events of a scenario need."""
    name = f"{scenario.name}/{events}"
    return grounds.seeded(name, lambda store: scenario.seed(scenario, store, events))


def run(grounds: Grounds, case: Case, wanted: int, beside: Sequence[Case] = ()) -> Run:
    """Seed, publish, start, and measure; all cases ``beside`` it that share its scenario have stores of one size.

    Raises:
        MeasureError: the contender did not do the work, or did other work.
    """
    seeded = seeded_for(grounds, case.scenario, most_events([case, *beside], case.scenario, wanted))
    return run_seeded((grounds, seeded), case, case.events(wanted))


def most_events(cases: Sequence[Case], scenario: Scenario, wanted: int) -> int:
    """Return how many events those get of these cases that get most of a scenario."""
    return max(case.events(wanted) for case in cases if case.scenario == scenario)


def run_seeded(where: tuple[Grounds, Seeded], case: Case, events: int) -> Run:
    """Publish, start, and measure, on a copy of this store.

    Raises:
        MeasureError: the contender did not do the work, or did other work.
    """
    contender, scenario = case.contender, case.scenario
    with open_arena(*where, scenario.mapping_file) as arena:
        before = (rows_of(arena), bytes_of(arena))
        if contender.feed(arena, scenario, events) != events:
            raise MeasureError(f"{case.name}: the backlog is not {events} messages")
        with at_work(contender, arena) as process, metered(arena, process.pid) as (meters, readings):
            total = round(events * scenario.yields)
            with looking(arena, scenario.targets) as look:
                window = watch(look, total, lambda: readings.append(meters.read()), process.check, within_s(events))
            readings.append(meters.read())
            _see_the_end(arena, process.check)
        see_the_right_end(case, arena, events)
        measured, used = window.arrivals / scenario.yields, readings[-1] - readings[0]
        return Run(
            contender=contender.name,
            scenario=scenario.name,
            events=events,
            seconds=window.seconds,
            rate=measured / window.seconds,
            others_cores=others_cores(used, window.seconds),
            cost=used.per_thousand(measured),
            rows=_added(before[0], rows_of(arena)),
            bytes=_added(before[1], bytes_of(arena)),
            outcomes=arena.outcomes(),
            arrived={queue: arena.depth(queue) for queue in QUEUES},
        )


def within_s(events: int) -> float:
    """Return how long a run of so many events may take."""
    return 60 + events / EVENTS_PER_S_AT_LEAST


@contextmanager
def metered(arena: Arena, pid: int) -> Iterator[tuple[Meters, list[Reading]]]:
    """Give the meters of a run, and a place for what they read."""
    meters = Meters(pid, arena.store_url)
    try:
        yield meters, []
    finally:
        meters.close()


def _see_the_end(arena: Arena, check: Callable[[], None]) -> None:
    """Let the contender acknowledge and clean up; then nothing may be left."""
    deadline_s = time.monotonic() + _FINISHED_WITHIN_S
    while not arena.has_published():
        check()
        if time.monotonic() > deadline_s:
            raise MeasureError("the outbox is not empty at the end")
        time.sleep(0.05)


def see_the_right_end(case: Case, arena: Arena, events: int) -> None:
    """See that all was taken, nothing went to dead, and every event came to what it should.

    Raises:
        MeasureError: it is not so.
    """
    dead, left = arena.depth("dead"), arena.depth("changes.bc", "changes.sales", "commands")
    if dead or left:
        raise MeasureError(f"{case.name}: {dead} messages went to dead, {left} were not taken")
    outcomes, expected = arena.outcomes(), case.scenario.expected(events)
    if outcomes != expected:
        raise MeasureError(f"{case.name}: the log tells of {outcomes}, not of {expected}")


def _added(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in after.items() if name in before}


def rows_of(arena: Arena) -> dict[str, int]:
    """Return how many rows each table holds."""
    with arena.store.reading() as conn:
        return {name: int(conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in TABLES}


def bytes_of(arena: Arena) -> dict[str, int]:
    """Return how long the text of all rows of each table is; nothing of what SQLite holds, or of very much."""
    if arena.store.dialect != "postgresql" or sum(rows_of(arena).values()) > _TOO_MANY_ROWS:
        return {}
    length = "coalesce(sum(octet_length(one::text)), 0)"
    with arena.store.reading() as conn:
        return {n: int(conn.execute(text(f"SELECT {length} FROM {n} AS one")).scalar_one()) for n in TABLES}


def rounds(grounds: Grounds, cases: Sequence[Case], plan: tuple[int, int], tell: Tell) -> list[list[Run]]:
    """Run each case in turn, ``plan`` = (rounds, events) times; before several rounds, a shorter one to warm up."""
    many, wanted = plan
    contenders = {case.contender.name: case for case in reversed(cases)} if many > 1 else {}
    for case in contenders.values():
        tell(f"{case.name}, warming up")
        run(grounds, case, max(WARM_UP_EVENTS, wanted // 10), cases)
    found: list[list[Run]] = []
    for number in range(1, many + 1):
        found.append([])
        for case in cases:
            tell(f"{case.name}, {number} of {many}")
            found[-1].append(run(grounds, case, wanted, cases))
    return found
