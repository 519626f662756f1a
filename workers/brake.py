"""The brake: what would pass a mapping's limit of deletions or creations pauses the mapping, and none of it is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from store import brake_levels as level_store
from store import errors as error_store
from store import pauses as pause_store
from store.brake_levels import Level
from store.pauses import Pause, Scope
from workers.rules.decide import decide
from workers.rules.desk import Desk
from workers.rules.limits import ONE, Limited, counted, leaked, limit_exceeded, limit_of, wanted
from workers.rules.situation import Decision, Situation

RECOUPLE = "recouple"
"""Who pauses a mapping, where nobody ordered it."""


def brake(
    conn: Connection, desk: Desk, decisions: Sequence[tuple[Situation, Decision]]
) -> list[tuple[Situation, Decision]]:
    """Return the decisions as they may be carried out; those of a mapping that has passed a limit only hold.

    What operators ordered of single couplings is neither counted nor held up. Call it once in a transaction, after
    the couplings were locked and before anything of the decisions is written.
    """
    counts = wanted(decisions)
    if not counts:
        return list(decisions)
    levels = _levels(conn, desk, counts)
    paused = _paused_meanwhile(conn, desk, counts)
    free = [what for what in sorted(counts) if what.mapping not in paused]
    passed = {what.mapping: what for what in free if levels[what] + counts[what] * ONE > _limit(desk, what) * ONE}
    stopped = paused | {name: f"{Scope.MAPPING} {name}" for name in passed}
    taken = {what: levels[what] + (0 if what.mapping in stopped else count * ONE) for what, count in counts.items()}
    level_store.save(conn, {what: Level(level, desk.now) for what, level in taken.items()})
    if passed:
        _pause(conn, desk, {name: (what, counts[what]) for name, what in passed.items()})
    return [_held(*one, stopped[one[0].mapping.name]) if one[0].mapping.name in stopped else one for one in decisions]


def _levels(conn: Connection, desk: Desk, counts: Collection[Limited]) -> dict[Limited, int]:
    """How full each allowance is now, in thousandths; locked."""
    found = level_store.lock(conn, counts, desk.now)
    return {what: leaked(found[what].thousandths, _limit(desk, what), desk.now - found[what].at) for what in counts}


def _paused_meanwhile(conn: Connection, desk: Desk, counts: Iterable[Limited]) -> dict[str, str]:
    """Mappings that were paused since we looked, by whoever held their levels before us, and what pauses them."""
    pauses = pause_store.hold(conn)
    found = {what.mapping: pauses.of(desk.file.mappings[what.mapping]) for what in counts}
    return {name: paused for name, paused in found.items() if paused is not None}


def _limit(desk: Desk, what: Limited) -> int:
    return limit_of(desk.file.mappings[what.mapping], what.action)


def _pause(conn: Connection, desk: Desk, passed: Mapping[str, tuple[Limited, int]]) -> None:
    """Pause these mappings, and open an error for each that nobody had paused meanwhile."""
    numbers = error_store.numbers(conn, len(passed))
    reports = {
        name: limit_exceeded(desk.file.mappings[name], what, count, number, desk.now)
        for (name, (what, count)), number in zip(passed.items(), numbers, strict=True)
    }
    pauses = [
        Pause(scope=Scope.MAPPING, name=name, at=desk.now, by=RECOUPLE, error=report.error)
        for name, report in reports.items()
    ]
    begun = pause_store.begin(conn, pauses)
    desk.limits_passed += [report for name, report in reports.items() if (Scope.MAPPING, name) in begun]


def _held(situation: Situation, decision: Decision, paused: str) -> tuple[Situation, Decision]:
    """Decide again as if the mapping had been paused before, if anything would be sent."""
    if not decision.send or not counted(situation):
        return situation, decision
    held = msgspec.structs.replace(situation, paused=paused, ordered=None)
    return held, decide(held)
