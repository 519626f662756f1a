"""How long it takes from the publication of a change to the arrival of the instruction or error in its queue."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench.arena import Arena, open_arena
from bench.contenders import RECOUPLE, Contender, at_work
from bench.grounds import Grounds, Seeded
from bench.medians import quantile, spread
from bench.open_loop import Errand, Notes
from bench.plan import Plan
from bench.results import Line, Section
from bench.runs import Case, MeasureError, Tell, run, seeded_for
from bench.scenarios import CONFLICTS_10, Scenario

LOADS = (0.10, 0.25, 0.50, 0.75)
WARM_UP_S = 1.0
START_S = 1.0
"""Both processes are at work by then."""
PATIENCE_S = 60.0
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p99.9_ms": 0.999}


class Load(NamedTuple):
    """A rate and how long it lasts."""

    events_per_s: float
    seconds: float

    @property
    def events(self) -> int:
        """How many are published."""
        return int(self.events_per_s * self.seconds)


def latency(grounds: Grounds, plan: Plan, tell: Tell) -> Section:
    """Publish at parts of the full load; the loads in turn, several times."""
    scenario = CONFLICTS_10
    tell("the full load")
    full = median(run(grounds, Case(RECOUPLE, scenario), plan.events).rate for _ in range(plan.latency_rounds))
    loads = [Load(share * full, plan.latency_s + WARM_UP_S) for share in LOADS]
    seeded = seeded_for(grounds, scenario, max(load.events for load in loads))
    found: list[list[dict[str, float]]] = [[] for _ in loads]
    for number in range(1, plan.latency_rounds + 1):
        for load, so_far in zip(loads, found, strict=True):
            tell(f"{load.events_per_s:,.0f} a second, {number} of {plan.latency_rounds}")
            so_far.append(measure((grounds, seeded), RECOUPLE, scenario, load))
    lines = [
        Line(
            name=f"{share:.0%} of full load",
            figures={name: spread([one[name] for one in of_load]) for name in of_load[0]},
            facts={"events_per_s": round(load.events_per_s), "events": load.events},
        )
        for share, load, of_load in zip(LOADS, loads, found, strict=True)
    ]
    note = (
        f"Full load: {full:,.0f} events a second, 10 % of them conflicts. From the moment when a message is due to the "
        f"moment when its instruction or error has arrived at a consumer; the first {WARM_UP_S:.0f} s of each run are "
        "left out. Publisher and consumer have processes of their own on the same machine, and take their part of it; "
        "how late the publisher itself was is in the latencies."
    )
    where = ("embedded/latency", " on the embedded default") if grounds.embedded else ("latency", "")
    return Section(name=where[0], title=f"Latency by load{where[1]}", lines=lines, note=note)


def measure(where: tuple[Grounds, Seeded], contender: Contender, scenario: Scenario, load: Load) -> dict[str, float]:
    """Publish one load; return the quantiles in milliseconds, and how late the publisher was.

    Raises:
        MeasureError: not all arrived.
    """
    with open_arena(*where, scenario.mapping_file) as arena, at_work(contender, arena) as process:
        process.wait_for(b'"event": "worker.started"')
        errand = _errand(arena, scenario, load)
        published, received = _send_out(arena.folder, errand)
        process.check()
    late = sorted(published.late_s)
    if len(received.arrived) < load.events:
        raise MeasureError(f"{len(received.arrived)} of {load.events} messages arrived")
    taken = sorted(latencies_s(errand, received))
    quantiles = {name: quantile(taken, share) * 1000 for name, share in QUANTILES.items()}
    return quantiles | {"publisher_late_p99_ms": quantile(late, 0.99) * 1000}


def latencies_s(errand: Errand, received: Notes) -> Sequence[float]:
    """Return how long each message took from its moment, the warm-up left out."""
    records = (msgspec.json.decode(body)["subject"].partition("/")[2] for _, _, _, body in errand.messages)
    due_s = {record: errand.begin_s + number * errand.every_s for number, record in enumerate(records)}
    counted_s = errand.begin_s + WARM_UP_S
    return [at_s - due_s[record] for record, at_s in received.arrived if due_s[record] >= counted_s]


def _errand(arena: Arena, scenario: Scenario, load: Load) -> Errand:
    messages = scenario.messages(scenario, arena.store, arena.namespace, load.events)
    begin_s = time.monotonic() + START_S + load.events / 20_000  # they are read before the first is due
    return Errand(
        broker_url=arena.broker_url,
        queues=[f"{arena.namespace}.{queue}" for queue in scenario.targets],
        total=load.events,
        begin_s=begin_s,
        every_s=1 / load.events_per_s,
        until_s=begin_s + load.seconds + PATIENCE_S,
        messages=[
            (one.exchange, one.routing_key, one.properties.message_id or "", one.body)
            for one in islice(messages, load.events)
        ],
    )


def _send_out(folder: Path, errand: Errand) -> tuple[Notes, Notes]:
    here = folder / "open-loop"
    here.mkdir()
    (here / "errand").write_bytes(msgspec.msgpack.encode(errand))
    left_s = errand.until_s - time.monotonic() + 10
    started = [
        subprocess.Popen([sys.executable, "-m", "bench.open_loop", what, str(here)], cwd=Path(__file__).parents[1])
        for what in ("receive", "publish")
    ]
    try:
        codes = [one.wait(left_s) for one in started]
    finally:
        for one in started:
            one.kill()
            one.wait()
    if codes != [0, 0]:
        raise MeasureError("publisher or receiver failed")
    notes = [msgspec.msgpack.decode((here / what).read_bytes(), type=Notes) for what in ("publish", "receive")]
    return notes[0], notes[1]
