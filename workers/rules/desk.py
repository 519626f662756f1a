"""What one batch works on, in memory: the images of its records and the couplings of those.

Every event is laid on the desk in turn (``lay_changes``, ``lay_outcomes``); then each coupling that was touched is
decided once. The store fills a desk and takes it back; a replay or a simulation can fill one from anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Lookup
from datetime import datetime

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from messages.dead import DeadReason
from messages.errors import ErrorReport
from messages.instructions import Action
from messages.outcomes import FailureCode
from messages.records import RecordRef
from messages.values import Value
from store.model import SIDES, Coupling, CouplingStatus, Form, Image, InstructionState, LogWord, Sent, Side
from workers.mapping import Mapping, MappingFile
from workers.rules.answers import Answer, Confirmation, confirm
from workers.rules.situation import Decision, Situation
from workers.rules.updates import MASK


class Instructed(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction that an outcome answers, as the store remembers it."""

    coupling: int
    sent: Sent


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the synchronization log in the making.

    Attributes:
        word: What became of the event; ``None`` where the decision about ``coupling`` has yet to say.
        event: The id of the event, where this line is about one.
    """

    record: RecordRef
    word: LogWord | None = None
    coupling: int | None = None
    event: str | None = None
    instruction: str | None = None
    rule: str | None = None
    detail: str = ""
    values: dict[str, Value] = {}


class SenderFaultError(Exception):
    """An event that its sender has to put right; it goes to the dead queue."""

    def __init__(self, reason: DeadReason, detail: str, field: str) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.field = reason, detail, field


class Desk:
    """What one batch works on.

    Attributes:
        now: When the batch is handled; the only time that its decisions know.
        images: Of every record that is locked, and of those read beside them.
        couplings: By number, as they are now.
        decide: Numbers of the couplings to be decided, in the order they were touched.
        answered: Instructions that need no more waiting, with their coupling.
        resend: Instructions that go out again when they are due, with their coupling.
        reads: Reads to be sent now, with their coupling.
        apart: (mapping, record) to be left alone from now on.
        uncoupled: (mapping, record), with its side, that has no coupling there and might need one.
        traces: Per coupling, the ``traceparent`` of the last event that touched it; carried to all that follows.
        record_traces: The same per record that changed, for those that are not coupled yet.
        instructed: Instructions that this batch answers or names, by id.
        echoed: Creates in flight that a record, still unknown to us, might be the echo of.
        woken: Numbers of couplings that timers have woken: what held them, and holds them again, is noted again.
        limits_passed: New errors of mappings that are paused because they passed a limit; their numbers are given.
    """

    def __init__(
        self, file: MappingFile, now: datetime, images: dict[RecordRef, Image], couplings: Iterable[Coupling]
    ) -> None:
        self.file = file
        self.now = now
        self.images = images
        self.couplings: dict[int, Coupling] = {}
        self._images_found = dict(images)
        self._couplings_found: dict[int, Coupling] = {}
        self.decide: dict[int, None] = {}
        self.answered: list[tuple[int, Sent]] = []
        self.resend: list[tuple[int, Sent]] = []
        self.reads: list[tuple[int, Sent]] = []
        self.apart: list[tuple[str, RecordRef]] = []
        self.uncoupled: dict[tuple[str, RecordRef], Side] = {}
        self.traces: dict[int, str] = {}
        self.record_traces: dict[RecordRef, str] = {}
        self.instructed: Lookup[str, Instructed] = {}
        self.echoed: Lookup[RecordRef, tuple[str, ...]] = {}
        self.limits_passed: list[ErrorReport] = []
        self.woken: set[int] = set()
        self._by_record: dict[RecordRef, list[int]] = {}
        for coupling in couplings:
            self.add(coupling)

    def add(self, coupling: Coupling) -> None:
        """Lay a coupling on the desk as the store has it."""
        self._couplings_found[coupling.id] = coupling
        self.put(coupling)

    def add_images(self, images: Lookup[RecordRef, Image]) -> None:
        """Lay images of further records beside those that are locked; what is here already stays."""
        for record, image in images.items():
            self._images_found.setdefault(record, image)
            self.images.setdefault(record, image)

    def changed_images(self) -> list[Image]:
        """The images that are other than they were found."""
        return [image for record, image in self.images.items() if image is not self._images_found.get(record)]

    def changed_couplings(self) -> list[Coupling]:
        """The couplings that are other than they were found."""
        return [one for number, one in self.couplings.items() if one != self._couplings_found.get(number)]

    def was(self, coupling: int) -> Coupling | None:
        """The coupling as it was found."""
        return self._couplings_found.get(coupling)

    def put(self, coupling: Coupling) -> None:
        """Lay ``coupling`` on the desk, in place of what it was."""
        self.couplings[coupling.id] = coupling
        for record in (coupling.left, coupling.right):
            if record is not None:
                numbers = self._by_record.setdefault(record, [])
                if coupling.id not in numbers:
                    numbers.append(coupling.id)

    def take(self, decision: Decision) -> None:
        """Lay down what was decided on a coupling: the coupling as it is now, who is apart, what goes out once more."""
        coupling = decision.coupling
        self.put(coupling)
        self.apart += [(coupling.mapping, record) for record in decision.apart]
        self.resend += [(coupling.id, sent) for sent in decision.resend]

    def of(self, record: RecordRef) -> Iterator[tuple[Coupling, Mapping, Side]]:
        """Every open coupling that ``record`` is part of, with its mapping and the record's side."""
        for number in self._by_record.get(record, ()):
            coupling = self.couplings[number]
            mapping = self.file.mappings.get(coupling.mapping)
            if mapping is None or coupling.status is CouplingStatus.CLOSED:
                continue
            for side in SIDES:
                if coupling.record(side) == record:
                    yield coupling, mapping, side

    def coupled(self, mapping: str, record: RecordRef) -> Coupling | None:
        """The open coupling of ``record`` under ``mapping``, if it has one."""
        return next((coupling for coupling, _, _ in self.of(record) if coupling.mapping == mapping), None)

    def image(self, record: RecordRef) -> Image:
        """The image of ``record``; blank where nothing is known of it."""
        return self.images.get(record) or Image(record=record)

    def note_fields_mapped_later(self, coupling: Coupling, mapping: Mapping) -> Coupling:
        """Give a field that was mapped after the coupling was made its base: what each side held before this batch."""
        if not coupling.based or mapping.names <= coupling.base.keys():
            return coupling
        later = [field for field in mapping.fields if field.name not in coupling.base]
        left, right = (self._before(coupling.record(side)) for side in SIDES)
        base = {
            field.name: Form(left=left.fields.get(field.left, UNSET), right=right.fields.get(field.right, UNSET))
            for field in later
        }
        noted = replace(coupling, base={**coupling.base, **base})
        self.put(noted)
        return noted

    def _before(self, record: RecordRef | None) -> Image:
        blank = Image(record=record or RecordRef("", "", ""))
        return blank if record is None else self._images_found.get(record, blank)

    def situation(self, coupling: Coupling, mapping: Mapping) -> Situation:
        """What a rule needs to look at ``coupling``; references are looked up only when it is decided."""
        left, right = (self._on(coupling, mapping, side) for side in SIDES)
        return Situation(
            coupling=coupling,
            mapping=mapping,
            left=left,
            right=right,
            references={},
            now=self.now,
            traceparent=self.traces.get(coupling.id),
        )

    def _on(self, coupling: Coupling, mapping: Mapping, side: Side) -> Image:
        record, table = coupling.record(side), mapping.table(side)
        return self.image(record if record is not None else RecordRef(table.app, table.name, ""))


def take_answer(desk: Desk, coupling: Coupling, answer: Answer, event: str) -> list[Touch]:
    """Confirm an instruction: the coupling is decided again, and the log says what the app made of the values."""
    taken = answer.sent.action is Action.CREATE and any(
        other.id != coupling.id and other.mapping == coupling.mapping for other, _, _ in desk.of(answer.record)
    )
    if taken:
        return [_refuse_taken(desk, coupling, answer, event)]
    done: Confirmation = confirm(coupling, desk.file.mappings.get(coupling.mapping), answer, desk.image(answer.record))
    desk.put(done.coupling)
    desk.decide[coupling.id] = None
    desk.answered.append((coupling.id, replace(answer.sent, state=InstructionState.APPLIED)))
    if done.apart is not None:
        desk.apart.append((coupling.mapping, done.apart))
    line = Touch(record=answer.record, word="confirmed", coupling=coupling.id, event=event, instruction=answer.sent.id)
    return [line, *normalized(desk, done.coupling, answer.record, done.normalized)]


def _refuse_taken(desk: Desk, coupling: Coupling, answer: Answer, event: str) -> Touch:
    """An app that answers a create with a record that is coupled already has not created anything: a duplicate."""
    words = f"{answer.record} is coupled already"
    failed = replace(answer.sent, state=InstructionState.FAILED, code=FailureCode.DUPLICATE, words=words)
    desk.put(replace(coupling, flight=tuple(failed if one.id == failed.id else one for one in coupling.flight)))
    desk.decide[coupling.id] = None
    desk.answered.append((coupling.id, failed))
    return Touch(
        record=answer.record,
        word="failed",
        coupling=coupling.id,
        event=event,
        instruction=failed.id,
        detail=f"attempt {failed.attempt}: {words}",
    )


def normalized(desk: Desk, coupling: Coupling, record: RecordRef, fields: tuple[str, ...]) -> list[Touch]:
    """The line for the log where an app made something else of what it was sent."""
    if not fields:
        return []
    desk.decide[coupling.id] = None
    detail = f"{record.app} made something else of {', '.join(fields)}; both forms stand in the base"
    return [Touch(record=record, word="normalized", coupling=coupling.id, detail=detail)]


def overtaken_line(desk: Desk, record: RecordRef, values: dict[str, Value], instruction: str) -> Touch:
    """The line for the log where a user's values were written over by an instruction that had not seen them (R11)."""
    places = desk.file.sides_of(record.app, record.table)
    sensitive = {field.on(side) for mapping, side in places for field in mapping.fields if field.sensitive}
    shown = {name: MASK if name in sensitive else value for name, value in values.items()}
    coupling = next((coupling.id for coupling, _, _ in desk.of(record)), None)
    return Touch(record=record, word="overtaken", coupling=coupling, instruction=instruction, values=shown)
