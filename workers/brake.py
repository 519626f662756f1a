"""The brake: what would pass a mapping's limit of deletions or creations pauses the mapping, and none of it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection

from store import brake_levels as level_store
from store import errors as error_store
from store import pauses as pause_store
from store.brake_levels import Level
from store.pauses import Scope
from workers.rules.decide import decide
from workers.rules.desk import Desk
from workers.rules.limits import ONE, Limited, counted, leaked, limit_exceeded, limit_of, wanted
from workers.rules.situation import Decision, Situation


def brake(
    conn: Connection, desk: Desk, decisions: Sequence[tuple[Situation, Decision]]
) -> list[tuple[Situation, Decision]]:
    """Return the decisions as they may be carried out; those of a mapping that has passed a limit only hold.

    What operators ordered of single couplings is neither counted nor held up. Call it once in a transaction, after
    the couplings were locked; ``write_desk`` writes the pauses and their errors.
    """
    counts = wanted(decisions)
    if not counts:
        return list(decisions)
    found = level_store.lock(conn, counts, desk.now)
    levels = {what: _level(desk, what, found[what]) for what in counts}
    paused = _paused_meanwhile(conn, desk, counts)
    free = [what for what in sorted(counts) if what.mapping not in paused]
    passed = {what.mapping: what for what in free if levels[what] + counts[what] * ONE > _limit(desk, what) * ONE}
    stopped = paused | {name: f"{Scope.MAPPING} {name}" for name in passed}
    taken = {what: levels[what] + (0 if what.mapping in stopped else count * ONE) for what, count in counts.items()}
    # Never measured back: the worker whose clock is ahead would empty the same minutes once more.
    level_store.save(conn, {what: Level(level, max(desk.now, found[what].at)) for what, level in taken.items()})
    for (name, what), number in zip(passed.items(), error_store.numbers(conn, len(passed)), strict=True):
        desk.limits_passed.append(limit_exceeded(desk.file.mappings[name], what, counts[what], number, desk.now))
    return [_held(*one, stopped[one[0].mapping.name]) if one[0].mapping.name in stopped else one for one in decisions]


def _level(desk: Desk, what: Limited, found: Level) -> int:
    """How full an allowance is now, in thousandths."""
    return leaked(found.thousandths, _limit(desk, what), desk.now - found.at)


def _paused_meanwhile(conn: Connection, desk: Desk, counts: Iterable[Limited]) -> dict[str, str]:
    """Mappings that were paused since we looked, by whoever held their levels before us, and what pauses them."""
    pauses = pause_store.read(conn)
    found = {what.mapping: pauses.of(desk.file.mappings[what.mapping]) for what in counts}
    return {name: paused for name, paused in found.items() if paused is not None}


def _limit(desk: Desk, what: Limited) -> int:
    return limit_of(desk.file.mappings[what.mapping], what.action)


def _held(situation: Situation, decision: Decision, paused: str) -> tuple[Situation, Decision]:
    """Decide again as if the mapping had been paused before, if anything would be sent."""
    if not decision.send or not counted(situation):
        return situation, decision
    held = msgspec.structs.replace(situation, paused=paused, ordered=None)
    return held, decide(held)
