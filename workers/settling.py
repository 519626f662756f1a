"""Settling a batch of uncoupled records, in memory: whom each is coupled with, what is created, what waits (rule 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from messages.errors import ErrorKind
from messages.records import RecordRef
from store.arrivals import Arrival
from store.instructions import InstructionRow
from store.matches import Candidates as Found
from store.model import Coupling, CouplingStatus, Form, LogWord, OpenError, Side
from workers.mapping import Mapping
from workers.rules.answers import waiting
from workers.rules.desk import Desk, Touch
from workers.rules.error_life import what_is_seen
from workers.rules.filters import ignored, inside
from workers.rules.matching import Arriving, Candidates, Fate, Verdict, echo_marks, is_echo, judge, match_values
from workers.rules.situation import Situation

Key = tuple[str, RecordRef]
"""Mapping and record."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found around the arrivals before their records were locked.

    Attributes:
        values: Per arrival, its match values.
        candidates: Per (mapping, side, group, value), uncoupled records of that side.
        creates: Per (mapping, value or mark), creates that are or were in flight for it.
        rows: Those creates.
        unmade: Per (mapping, side, group, value), records of that side whose counterpart is still to be created.
    """

    values: dict[Key, tuple[tuple[int, str], ...]]
    candidates: dict[tuple[str, Side, int, str], Found]
    creates: dict[tuple[str, str], list[tuple[str, Side]]]
    rows: dict[str, InstructionRow]
    unmade: dict[tuple[str, Side, int, str], tuple[RecordRef, ...]] = {}


def new_coupling(mapping: Mapping, token: str, left: RecordRef | None, right: RecordRef | None) -> Coupling:
    """Return a coupling that is not stored yet; with one record missing it waits for the app to create it."""
    creating = left is None or right is None
    return Coupling(
        id=0,
        mapping=mapping.name,
        token=token,
        left=left,
        right=right,
        status=CouplingStatus.CREATING if creating else CouplingStatus.ACTIVE,
        base={field.name: Form() for field in mapping.fields} if creating else {},
    )


def uncoupled_situation(desk: Desk, arrival: Arrival) -> Situation:
    """Return an uncoupled record as a report sees it: a coupling of which there is only one side."""
    mapping = desk.file.mappings[arrival.mapping]
    pair = (arrival.record, None) if arrival.side is Side.LEFT else (None, arrival.record)
    return desk.situation(new_coupling(mapping, "", *pair), mapping)


class Bench:
    """Where arrivals are settled one after the other: what one takes, the next finds taken.

    Attributes:
        made: Couplings to be stored and decided.
        traces: For each of these, the trace of the event that led to it.
        taken: Mappings and records that were coupled here.
        gone: Arrivals that wait no more.
        kept: Arrivals that go on waiting, as they were and as they are now.
        again: Arrivals that changed since they were looked at; to be settled anew.
    """

    def __init__(self, desk: Desk, around: Surroundings, tokens: Callable[[], str]) -> None:
        self.desk, self.around, self._tokens = desk, around, tokens
        self.made: list[Coupling] = []
        self.traces: list[str | None] = []
        self.touches: list[Touch] = []
        self.gone: list[Arrival] = []
        self.kept: list[tuple[Arrival, Arrival]] = []
        self.again: list[Arrival] = []
        self.taken: set[Key] = set()
        self._creating: dict[tuple[str, str], str] = {}

    def settle(self, arrival: Arrival, *, apart: bool) -> None:
        """Settle one arrival: it goes, or is kept with what it waits for."""
        mapping, image = self.desk.file.mappings[arrival.mapping], self.desk.image(arrival.record)
        coupled = any(coupling.mapping == mapping.name for coupling, _, _ in self.desk.of(arrival.record))
        if (mapping.name, arrival.record) in self.taken:
            return  # ``end_taken`` ends it
        if coupled or apart or not image.exists:
            self.gone.append(arrival)
            return
        if not inside(mapping, arrival.side, image):
            self.gone.append(arrival)
            self.touches.append(ignored(arrival.record, mapping))
            return
        if match_values(mapping, arrival.side, image, {}) != self._values(arrival):
            self.again.append(arrival)  # it has changed since we looked; its values are not the ones we locked
            return
        stuck = self._stuck(mapping, arrival)
        if stuck is not None:
            self._adopt(arrival, stuck)
            return
        self._carry_out(mapping, arrival, judge(mapping, self.arriving(mapping, arrival)))

    def end_taken(self, arrivals: Iterable[Arrival]) -> None:
        """End those of ``arrivals`` that another one took for its counterpart, an ambiguity found before included."""
        gone = {(one.mapping, one.record) for one in self.gone}
        ended = {(one.mapping, one.record): one for one in arrivals}
        ended = {key: one for key, one in ended.items() if key in self.taken and key not in gone}
        self.kept = [(before, after) for before, after in self.kept if (after.mapping, after.record) not in ended]
        self.touches = [touch for touch in self.touches if (touch.rule, touch.record) not in ended]
        self.gone += ended.values()
        for one in ended.values():
            self._note(one, "coupled")

    def arriving(self, mapping: Mapping, arrival: Arrival) -> Arriving:
        """The arrival with what is still free around it: whom it matches, and which creates it may be the echo of."""
        image = self.desk.image(arrival.record)
        groups = [
            self._still_free(mapping, self.around.candidates[mapping.name, arrival.side.other, group, value])
            for group, value in self._values(arrival)
        ]
        creates = tuple(one for one in self._creates(mapping, arrival) if self._in_flight(one))
        local = [self._creating.get((mapping.name, value)) for _, value in self._values(arrival)]
        creates += tuple(one for one in local if one is not None)
        return Arriving(side=arrival.side, image=image, groups=groups, creates=creates, twin_of=self._twin_of(arrival))

    def _values(self, arrival: Arrival) -> tuple[tuple[int, str], ...]:
        return self.around.values[arrival.mapping, arrival.record]

    def _still_free(self, mapping: Mapping, found: Found) -> Candidates:
        free = tuple(one for one in found.records if (mapping.name, one) not in self.taken and self._free(mapping, one))
        return Candidates(records=free, total=found.total - (len(found.records) - len(free)))

    def _free(self, mapping: Mapping, record: RecordRef) -> bool:
        left = (record.app, record.table) == (mapping.left.app, mapping.left.name)
        if not inside(mapping, Side.LEFT if left else Side.RIGHT, self.desk.image(record)):
            return False
        return all(coupling.mapping != mapping.name for coupling, _, _ in self.desk.of(record))

    def _creates(self, mapping: Mapping, arrival: Arrival) -> list[str]:
        """Creates for the arrival's match values, and creates towards its own side with these very fields (R15)."""
        image = self.desk.image(arrival.record)
        found = [one for _, value in self._values(arrival) for one in self._for(mapping, value)]
        for mark in echo_marks(mapping, arrival.side, image.fields):
            for instruction, side in self._for(mapping, mark):
                if side is arrival.side and is_echo(self.around.rows[instruction].sent, image):
                    found.append((instruction, side))
        return list(dict.fromkeys(instruction for instruction, _ in found if instruction in self.around.rows))

    def _for(self, mapping: Mapping, value: str) -> list[tuple[str, Side]]:
        return self.around.creates.get((mapping.name, value), [])

    def _coupling_of(self, instruction: str) -> Coupling | None:
        return self.desk.couplings.get(self.around.rows[instruction].coupling_id)

    def _in_flight(self, instruction: str) -> bool:
        coupling = self._coupling_of(instruction)
        return coupling is not None and any(sent.id == instruction for sent in waiting(coupling))

    def _stuck(self, mapping: Mapping, arrival: Arrival) -> Coupling | None:
        """A coupling whose create towards the arrival's own side was refused: the app has the record already."""
        for instruction in self._creates(mapping, arrival):
            coupling, row = self._coupling_of(instruction), self.around.rows[instruction]
            if (
                coupling is not None
                and coupling.status is CouplingStatus.CREATING
                and row.side is arrival.side
                and not waiting(coupling)
            ):
                return coupling
        return self._put_off(mapping, arrival)

    def _put_off(self, mapping: Mapping, arrival: Arrival) -> Coupling | None:
        """The coupling of the one record that the arrival matches, of which the create has never been sent.

        A pause holds it, or a value has no form: created later, the arrival's own counterpart would be there twice.
        """
        side = arrival.side.other
        for group, value in self._values(arrival):
            key = (mapping.name, side, group, value)
            found = self.around.unmade.get(key, ())
            if self._still_free(mapping, self.around.candidates[key]).total or len(found) > 1:
                return None
            coupling = self.desk.coupled(mapping.name, found[0]) if found else None
            if coupling is None or coupling.status is not CouplingStatus.CREATING or waiting(coupling):
                continue
            image = self.desk.image(found[0])
            if inside(mapping, side, image) and (group, value) in match_values(mapping, side, image, {}):
                return coupling
        return None

    def _twin_of(self, arrival: Arrival) -> RecordRef | None:
        """The record that was coupled to another one of the arrival's app while the arrival waited."""
        row = self.around.rows.get(arrival.waits_for or "")
        coupling = None if row is None else self._coupling_of(row.id)
        if row is None or coupling is None or row.side is not arrival.side:
            return None
        partner = coupling.record(arrival.side)
        return None if partner in (None, arrival.record) else coupling.record(arrival.side.other)

    def _adopt(self, arrival: Arrival, stuck: Coupling) -> None:
        name = "left" if arrival.side is Side.LEFT else "right"
        adopted = msgspec.structs.replace(stuck, status=CouplingStatus.ACTIVE, flight=(), based=False, base={})
        self.desk.put(msgspec.structs.replace(adopted, **{name: arrival.record}))
        self.desk.decide[stuck.id] = None
        self.taken.add((arrival.mapping, arrival.record))
        self.gone.append(arrival)
        self._note(arrival, "coupled", stuck.id)

    def _carry_out(self, mapping: Mapping, arrival: Arrival, verdict: Verdict) -> None:
        if verdict.fate is Fate.WAIT:
            self._keep(arrival, waits_for=verdict.waits_for, error=None)
            self._note(arrival, "queued")
        elif verdict.fate is Fate.AMBIGUOUS:
            self._keep(arrival, waits_for=None, error=self._ambiguous(arrival, verdict))
            self._note(arrival, "error")
        elif verdict.fate is Fate.LEAVE:
            self.gone.append(arrival)
            self._note(arrival, "uncoupled")
        else:
            self._couple(mapping, arrival, verdict.partner)

    def _couple(self, mapping: Mapping, arrival: Arrival, partner: RecordRef | None) -> None:
        """Tie the arrival to its match, or to a counterpart that is to be created."""
        pair = (arrival.record, partner) if arrival.side is Side.LEFT else (partner, arrival.record)
        coupling = new_coupling(mapping, self._tokens(), *pair)
        self.made.append(coupling)
        self.traces.append(arrival.traceparent)
        self.taken.update((mapping.name, record) for record in pair if record is not None)
        if partner is None:
            instruction = f"{coupling.token}-1-{arrival.side.other.value}"
            self._creating |= {(mapping.name, value): instruction for _, value in self._values(arrival)}
        self.gone.append(arrival)
        self._note(arrival, "sent" if partner is None else "coupled")

    def _ambiguous(self, arrival: Arrival, verdict: Verdict) -> OpenError:
        names = tuple(str(record) for record in verdict.candidates.records[:20])
        previous = arrival.error
        error = OpenError(
            kind=ErrorKind.MATCH_AMBIGUOUS,
            number=0 if previous is None else previous.number,
            revision=1 if previous is None else previous.revision,
            opened_at=self.desk.now if previous is None else previous.opened_at,
            candidates=names,
            candidates_total=verdict.candidates.total,
            history=() if previous is None else previous.history,
        )
        seen = what_is_seen(error, self.situation(arrival))
        if previous is not None and seen != previous.seen:
            error = msgspec.structs.replace(error, revision=previous.revision + 1)
        return msgspec.structs.replace(error, seen=seen)

    def situation(self, arrival: Arrival) -> Situation:
        """The arrival as a report sees it."""
        return uncoupled_situation(self.desk, arrival)

    def how_it_ended(self, arrival: Arrival) -> str:
        """What settled the ambiguity of an arrival that waits no more."""
        coupled = (arrival.mapping, arrival.record, "coupled")
        if any((touch.rule, touch.record, touch.word) == coupled for touch in self.touches):
            return "matched"
        return "converged" if self.desk.image(arrival.record).exists else "closed"

    def _keep(self, arrival: Arrival, *, waits_for: str | None, error: OpenError | None) -> None:
        self.kept.append((arrival, msgspec.structs.replace(arrival, waits_for=waits_for, error=error, gated=False)))
        if arrival.error is not None and error is None:
            self.gone.append(arrival)

    def _note(self, arrival: Arrival, word: LogWord, coupling: int | None = None) -> None:
        self.touches.append(Touch(record=arrival.record, word=word, rule=arrival.mapping, coupling=coupling))
