"""Deciding a desk: fetch what the rules still need to look at, set by set, and decide each touched coupling once."""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from store import couplings as coupling_store
from store import pauses as pause_store
from store import records as record_store
from store.model import SIDES, Coupling, Wait
from workers.brake import brake
from workers.mapping import Mapping
from workers.rules.decide import decide
from workers.rules.desk import Desk
from workers.rules.forms import wait_for
from workers.rules.situation import Decision, Situation


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One coupling's situation and what was decided on it."""

    situation: Situation
    decision: Decision


def decide_touched(conn: Connection, desk: Desk) -> list[Decided]:
    """Decide every coupling that the desk's events touched, in the order of their numbers.

    What is paused is only held; what would pass a mapping's limit of deletions or creations pauses the mapping.
    """
    open_couplings = [desk.couplings[number] for number in sorted(desk.decide)]
    pairs = [(one, desk.file.mappings[one.mapping]) for one in open_couplings if one.mapping in desk.file.mappings]
    if not pairs:
        return []
    pauses = pause_store.read(conn)
    situations = [msgspec.structs.replace(one, paused=pauses.of(one.mapping)) for one in look_at(conn, desk, pairs)]
    allowed = brake(conn, desk, [(situation, decide(situation)) for situation in situations])
    decided = [Decided(situation=situation, decision=decision) for situation, decision in allowed]
    for one in decided:
        desk.take(one.decision)
    return decided


def look_at(conn: Connection, desk: Desk, pairs: list[tuple[Coupling, Mapping]]) -> list[Situation]:
    """Return the situation of each coupling, with the images of both sides and the references they make."""
    records = {record for coupling, _ in pairs for side in SIDES if (record := coupling.record(side)) is not None}
    desk.add_images(record_store.read(conn, records - desk.images.keys()))
    situations = [
        desk.situation(desk.note_fields_mapped_later(coupling, mapping), mapping) for coupling, mapping in pairs
    ]
    references = coupling_store.references(conn, _waits(situations))
    return [msgspec.structs.replace(situation, references=references) for situation in situations]


def _waits(situations: list[Situation]) -> set[Wait]:
    found = set()
    for situation in situations:
        for field in situation.mapping.fields:
            if field.reference is None:
                continue
            for side in SIDES:
                wait = wait_for(field, situation.image(side).fields.get(field.on(side), UNSET), side)
                if wait is not None:
                    found.add(wait)
    return found
