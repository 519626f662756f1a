"""Who belongs to whom among the uncoupled records of a mapping: two that are each other's only match.

Neither is coupled where several match, so that what comes of it does not depend on who is looked at first. The match
values, records and couplings are locked, in this order, before anything is judged (``docs/decisions/0004``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from messages.records import RecordRef
from store import couplings as coupling_store
from store import instructions as instruction_store
from store import matches as match_store
from store import records as record_store
from store.arrivals import Arrival
from store.matches import Candidates as Stored
from store.model import Image, Side
from workers.context import Context
from workers.mapping import Mapping
from workers.rules.desk import Desk
from workers.rules.filters import inside
from workers.rules.matching import Candidates, Fate, Verdict, echo_marks, judge, match_values
from workers.settling import Bench, Key, Surroundings

Values: TypeAlias = dict[Key, tuple[tuple[int, str], ...]]
"""What each record is matched by, group by group."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for.

    Attributes:
        side: Whose records are looked at; their matches are on the other.
        groups: How many groups of ``match_on`` are tried, from the first on.
    """

    mapping: Mapping
    side: Side
    groups: int

    def values(self, side: Side, image: Image) -> tuple[tuple[int, str], ...]:
        """By what a record of ``side`` is matched."""
        return tuple(one for one in match_values(self.mapping, side, image, {}) if one[0] < self.groups)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one record; nothing at all where it matches none.

    Attributes:
        partner: The record with which it is to be coupled.
        candidates: Whom it matches, where that does not say with whom to couple it.
        passed_over: Why it is left alone, whomever it matches.
    """

    record: RecordRef
    partner: RecordRef | None = None
    candidates: Candidates = Candidates()
    passed_over: str | None = None


def find_partners(
    conn: Connection, context: Context, search: Search, records: Sequence[RecordRef], now: datetime
) -> tuple[Desk, list[Found]]:
    """Judge these records; return a desk on which they and their partners lie locked, and what was found.

    A record that has been coupled or deleted meanwhile is left out.
    """
    around = _look_around(conn, search, records)
    images = record_store.lock(conn, {record for _, record in around.values})
    couplings = coupling_store.lock(conn, images.keys(), {row.coupling_id for row in around.rows.values()})
    desk = Desk(context.file, now, images, couplings.values())
    judging = _Judging(search, Bench(desk, around, context.tokens), record_store.apart(conn, images.keys()))
    free = [record for record in records if judging.is_free(record)]
    return desk, [judging.find(record) for record in free]


def _look_around(conn: Connection, search: Search, records: Sequence[RecordRef]) -> Surroundings:
    """Find whom the records match, and whom those few match that are the only match of one."""
    name, side = search.mapping.name, search.side
    seen = record_store.read(conn, records)
    values: Values = {(name, record): search.values(side, seen[record]) for record in records}
    match_store.lock_values(conn, {(name, value) for found in values.values() for _, value in found})
    candidates = _candidates(conn, search.mapping, side.other, values)
    partners = {one.records[0] for one in candidates.values() if one.total == 1}
    of_partners = record_store.read(conn, partners)
    theirs: Values = {(name, one): search.values(side.other, of_partners[one]) for one in partners}
    candidates |= _candidates(conn, search.mapping, side, theirs)
    values |= theirs
    marks = {(name, mark) for one in seen.values() for mark in echo_marks(search.mapping, side, one.fields)}
    marks |= {
        (name, mark) for one in of_partners.values() for mark in echo_marks(search.mapping, side.other, one.fields)
    }
    matched = {(name, value) for found in values.values() for _, value in found}
    creates = match_store.creating(conn, matched | marks)
    rows = instruction_store.find(conn, {instruction for found in creates.values() for instruction, _ in found})
    return Surroundings(values=values, candidates=candidates, creates=creates, rows=rows)


def _candidates(conn: Connection, mapping: Mapping, side: Side, values: Values) -> dict[match_store.Key, Stored]:
    """Return, for each of these values, the records of ``side`` that have it and are inside of ``where``."""
    wanted = {(mapping.name, side, group, value) for found in values.values() for group, value in found}
    found = match_store.candidates(conn, wanted)
    if all(condition.side is not side for condition in mapping.where):
        return found
    images = record_store.read(conn, {record for one in found.values() for record in one.records})
    return {key: _inside(mapping, side, one, images) for key, one in found.items()}


def _inside(mapping: Mapping, side: Side, found: Stored, images: dict[RecordRef, Image]) -> Stored:
    kept = tuple(record for record in found.records if inside(mapping, side, images[record]))
    return Stored(kept, found.total - (len(found.records) - len(kept)))


class _Judging:
    """Judges locked records, one after the other."""

    def __init__(self, search: Search, bench: Bench, apart: Collection[Key]) -> None:
        self._search, self._bench, self._desk, self._apart = search, bench, bench.desk, apart

    def is_free(self, record: RecordRef) -> bool:
        """Say whether the record exists and is not coupled under the mapping."""
        return bool(self._desk.image(record).exists) and self._desk.coupled(self._search.mapping.name, record) is None

    def find(self, record: RecordRef) -> Found:
        """Say with whom a free record is to be coupled, or why with nobody."""
        side = self._search.side
        reason = self._reason(side, record)
        verdict = self._judge(side, record) if reason is None else None
        if verdict is None or verdict.fate is Fate.WAIT:
            return Found(record=record, passed_over=reason or WAITS)
        if verdict.fate is Fate.AMBIGUOUS:
            return Found(record=record, candidates=verdict.candidates)
        if verdict.partner is None:
            return Found(record=record)
        return self._with(record, verdict.partner)

    def _with(self, record: RecordRef, partner: RecordRef) -> Found:
        """The record has one match: see that it is the only one of that match, too."""
        other = self._search.side.other
        reason = self._reason(other, partner) if self.is_free(partner) else CHANGED
        back = self._judge(other, partner) if reason is None else None
        if back is None or back.fate is Fate.WAIT:
            return Found(record=record, passed_over=f"its match {partner}: {reason or WAITS}")
        if back.fate not in (Fate.COUPLE, Fate.AMBIGUOUS) or not self._shared(record, partner):
            return Found(record=record, passed_over=CHANGED)  # since it was kept what they are matched by
        if back.partner != record:
            return Found(record=record, candidates=Candidates(records=(partner,), total=1))
        return Found(record=record, partner=partner)

    def _shared(self, record: RecordRef, partner: RecordRef) -> bool:
        mine, theirs = (self._bench.around.values[self._search.mapping.name, one] for one in (record, partner))
        return not set(mine).isdisjoint(theirs)

    def _reason(self, side: Side, record: RecordRef) -> str | None:
        """Why the record is left alone, whomever it matches."""
        mapping, image = self._search.mapping, self._desk.image(record)
        if (mapping.name, record) in self._apart:
            return "apart"
        if not inside(mapping, side, image):
            return "outside where"
        changed = self._search.values(side, image) != self._bench.around.values[mapping.name, record]
        return CHANGED if changed else None

    def _judge(self, side: Side, record: RecordRef) -> Verdict:
        mapping = self._search.mapping
        arrival = Arrival(mapping=mapping.name, record=record, side=side, since=self._desk.now)
        return judge(mapping, self._bench.arriving(mapping, arrival))


WAITS = "waits for a record that is being created"
CHANGED = "has changed meanwhile, order it again"
