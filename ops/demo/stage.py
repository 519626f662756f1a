"""One scene of the working day while it is played: what people do, what is seen on both sides, what it should be."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from messages.changes import Change, Operation
from messages.commands import Done, Order
from messages.errors import ErrorReport, ErrorStatus
from messages.instructions import Instruction
from messages.records import RecordRef
from messages.values import Known
from ops.demo.apps import Record
from ops.demo.world import World
from store import errors as error_store
from store.errors import ErrorFilters
from store.model import LogLine

OPERATOR = "mia"
"""Who settles what Anna and Sam leave behind."""

_ERRORS = 100
_THERE = "there"


class Moved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of one record that is not what it was; ``field`` is empty where the whole record came or went."""

    record: str
    field: str = ""
    before: Known = UNSET
    after: Known = UNSET
    by: str


class Check(msgspec.Struct, frozen=True):
    """One thing that should be so, and whether it is."""

    sentence: str
    holds: bool


class Logged(msgspec.Struct, frozen=True):
    """What the synchronization log says of one record in this scene, its outcomes in order."""

    record: str
    outcomes: tuple[str, ...]


class Ordered(msgspec.Struct, frozen=True):
    """What an operator ordered: as it would be typed, and whether it was done or why not."""

    line: str
    answer: str


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A scene that was played."""

    title: str
    story: str
    orders: tuple[Ordered, ...] = ()
    moved: tuple[Moved, ...]
    log: tuple[Logged, ...]
    checks: tuple[Check, ...]

    @property
    def as_it_should(self) -> bool:
        """Whether all is as it should be."""
        return all(check.holds for check in self.checks)


class Stage:
    """What a scene works with: the two apps and their coupled records, and what has happened since it began."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bc, self.sales = world.bc, world.sales
        self.checks: list[Check] = []
        self._orders: list[Ordered] = []
        self._before = self._records()
        self._made = {app.name: len(app.changes) for app in (self.bc, self.sales)}
        self._received = {app.name: len(app.received) for app in (self.bc, self.sales)}
        self._lines: dict[RecordRef, int] = {}

    def customer(self, number: str) -> tuple[RecordRef, RecordRef]:
        """Return a customer and the account that it is coupled with."""
        return self._pair(RecordRef("bc", "customer", number))

    def contact(self, name: str) -> tuple[RecordRef, RecordRef]:
        """Return the two records of the contact of this name."""
        return self._pair(self.bc.find("contact", name=name))

    def play(self, *changes: Change) -> None:
        """Let the apps announce what their users did, and wait until all is quiet."""
        self.world.announce(*changes)
        self.world.settle()

    def order(self, line: str, what: Order, reason: str) -> bool:
        """Order something as the operator, and wait until all is quiet; say whether it was done.

        Args:
            line: What would be typed for it.
        """
        answer = self.world.order(what, OPERATOR, reason)
        self._orders.append(Ordered(line, "done" if isinstance(answer, Done) else f"{answer.code}: {answer.detail}"))
        self.world.settle()
        return isinstance(answer, Done)

    def expect(self, sentence: str, holds: bool) -> None:  # noqa: FBT001 - reads as what it is: expect(what, is it so)
        """Note what should be so."""
        self.checks.append(Check(sentence, holds))

    def value(self, record: RecordRef, field: str) -> Known:
        """Return what a field holds now; ``UNSET`` where the record or the field is not there."""
        kept = self._records().get(record)
        return UNSET if kept is None else kept.fields.get(field, UNSET)

    def exists(self, record: RecordRef) -> bool:
        """Say whether the record is there."""
        return record in self._records()

    def instructions(self, app: str) -> list[Instruction]:
        """Return what an app was instructed to do in this scene."""
        received = {"bc": self.bc, "sales": self.sales}[app].received
        return received[self._received[app] :]

    def lines(self) -> list[LogLine]:
        """Return what the synchronization log has of the records of this scene, one record after the other."""
        return [line for record in self._lines for line in self._new_lines(record)]

    def heard(self, change: Change) -> tuple[str, ...]:
        """Return what became of one event, each time that it was delivered."""
        return tuple(line.outcome for line in self._new_lines(change.record) if line.event == change.id)

    def open_errors(self, record: RecordRef) -> list[ErrorReport]:
        """Return the open errors with this record on either side."""
        filters = ErrorFilters(record=record, status=frozenset({ErrorStatus.OPEN}))
        with self.world.store.reading() as conn:
            return error_store.page(conn, filters, _ERRORS)

    def played(self, title: str, story: str) -> Scene:
        """Return the scene as it went."""
        return Scene(
            title=title,
            story=story,
            orders=tuple(self._orders),
            moved=tuple(_moved(self._before, self._changes())),
            log=tuple(self._logged(record) for record in self._lines),
            checks=tuple(self.checks),
        )

    def coupling(self, record: RecordRef) -> int | None:
        """Return the number of the coupling of this record."""
        return self.world.coupling(record)

    def watch(self, record: RecordRef) -> None:
        """Tell of this record what happens from now on."""
        self._lines.setdefault(record, len(self.world.lines(record)))

    def partner(self, record: RecordRef) -> RecordRef | None:
        """Return the record that this one is coupled with now."""
        partner = self.world.partner(record)
        if partner is not None:
            self._lines.setdefault(partner, 0)
        return partner

    def _pair(self, record: RecordRef) -> tuple[RecordRef, RecordRef]:
        partner = self.world.partner(record)
        if partner is None:
            raise LookupError(f"{record} is not coupled")
        for one in (record, partner):
            self.watch(one)
        return record, partner

    def _logged(self, record: RecordRef) -> Logged:
        return Logged(str(record), tuple(line.outcome for line in self._new_lines(record)))

    def _new_lines(self, record: RecordRef) -> list[LogLine]:
        return self.world.lines(record)[self._lines[record] :]

    def _records(self) -> dict[RecordRef, Record]:
        return self.bc.records() | self.sales.records()

    def _changes(self) -> list[Change]:
        return [change for app in (self.bc, self.sales) for change in app.changes[self._made[app.name] :]]


Play = Callable[[Stage], None]
"""Plays one scene."""


def _moved(before: dict[RecordRef, Record], changes: list[Change]) -> list[Moved]:
    """Return what these changes have moved, and who moved it last."""
    fields = {record: kept.fields for record, kept in before.items()}
    moved: dict[tuple[RecordRef, str], Moved] = {}
    for change in changes:
        record, name, by = change.record, str(change.record), change.modified_by or ""
        if change.operation is Operation.DELETE:
            moved[record, ""] = Moved(record=name, before=_THERE, by=by)
        elif change.operation is Operation.CREATE:
            moved[record, ""] = Moved(record=name, after=_THERE, by=by)
        else:
            for field, value in change.fields.items():
                if value != fields[record].get(field, UNSET):
                    was = before[record].fields.get(field, UNSET) if record in before else UNSET
                    moved[record, field] = Moved(record=name, field=field, before=was, after=value, by=by)
        fields[record] = change.fields
    return list(moved.values())
