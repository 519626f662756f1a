"""Two simulated apps and the rules between them, in memory: histories as the change job would see them.

The engine does with the pure rules what ``workers.changes`` and ``workers.timers`` do with the store: dedupe, lay on a
desk, decide each coupling once, keep what came out. Couplings and images go through JSON, as in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from messages.changes import Change
from messages.commands import Retry
from messages.errors import ErrorEvent, ErrorReport, Handling
from messages.instructions import Action, Reason
from messages.orders import ORDERS
from messages.outcomes import Applied, Failed
from messages.records import RecordRef
from messages.values import Value
from store.couplings import _STATE
from store.documents import Document
from store.model import (
    Coupling,
    CouplingStatus,
    Image,
    InstructionState,
    LogLine,
    OpenError,
    Sent,
    Side,
    Wait,
    Write,
)
from store.pauses import is_pause
from tests.simulated_app import EPOCH, Habits, Message, SimulatedApp
from workers.deciding import Decided
from workers.mapping import App, Confirms, MappedField, Mapping, MappingFile, Table
from workers.rules.answers import WAITING, waiting
from workers.rules.applicability import applicable
from workers.rules.decide import decide
from workers.rules.desk import Desk, Instructed, SenderFaultError, Touch
from workers.rules.failures import Patience
from workers.rules.forms import wait_for
from workers.rules.images import order_of
from workers.rules.lay_changes import lay_change
from workers.rules.lay_outcomes import lay_applied, lay_failed, target_of
from workers.rules.matching import echo_marks, written_mark
from workers.rules.refusals import go_again, unanswered
from workers.rules.reports import Ending, report
from workers.rules.resolutions import Resolution, resolve
from workers.rules.sending import answer_due, instruct
from workers.rules.situation import Decision, Situation
from workers.settling import new_coupling
from workers.telling import log_lines

_IMAGES = Document(Image)


def field(name: str, **more: object) -> MappedField:
    """A mapped field of the same name on both sides, unless ``right`` says otherwise."""
    return msgspec.convert({"left": name, "right": name, **more}, MappedField, strict=False)


def mapping_of(
    *fields: str | MappedField,
    left: dict[str, Any] | None = None,
    right: dict[str, Any] | None = None,
    **more: Any,
) -> Mapping:
    """A mapping between ``l/t`` and ``r/t``; ``left`` and ``right`` say what is special about the two apps."""
    base = Mapping(
        name="m",
        left=Table(app="l", name="t"),
        right=Table(app="r", name="t"),
        left_app=App(name="l", title="Left", **(left or {})),
        right_app=App(name="r", title="Right", **(right or {})),
        fields=tuple(field(one) if isinstance(one, str) else one for one in fields),
    )
    return replace(base, **more)


class Engine:
    """What the store and the jobs are to the rules.

    Attributes:
        outbox: Instructions that have been given and not been fetched by an app yet.
        told: Every error message, in order.
        log: The synchronization log.
        references: What the couplings of other mappings say.
        dead: Ids of messages whose sender was at fault.
        paused: What pauses every mapping, as ``Situation.paused`` says it.
        held: Couplings that are due when the pause ends; ``due``: those that are due since one has ended.
    """

    def __init__(self, *mappings: Mapping, patience: Patience | None = None) -> None:
        apps = {app.name: app for one in mappings for app in (one.left_app, one.right_app)}
        self.file = MappingFile(apps=apps, mappings={one.name: one for one in mappings})
        self.patience = patience or Patience()
        self.now = EPOCH
        self.images: dict[RecordRef, Image] = {}
        self.couplings: dict[int, Coupling] = {}
        self.instructions: dict[str, Instructed] = {}
        self.references: dict[Wait, str] = {}
        self.outbox: list[Sent] = []
        self.told: list[tuple[ErrorEvent, ErrorReport]] = []
        self.log: list[LogLine] = []
        self.apart: set[tuple[str, RecordRef]] = set()
        self.uncoupled: set[tuple[str, RecordRef]] = set()
        self.dead: list[str] = []
        self.handled: set[tuple[str, str]] = set()
        self.sent_count = 0
        self.ordered_count = 0
        self.paused: str | None = None
        self.held: set[int] = set()
        self.due: list[int] = []

    def handle(self, *messages: Message) -> None:
        """Handle one batch, as ``workers.changes.handle_changes`` does."""
        fresh = []
        for message in messages:
            key = (_app_of(message), message.id)
            if key not in self.handled:
                self.handled.add(key)
                fresh.append(message)
        desk = self._desk(fresh)
        touches: list[Touch] = []
        for message in fresh:
            try:
                touches += self._lay(desk, message)
            except SenderFaultError:
                self.dead.append(message.id)
        self.uncoupled |= desk.uncoupled.keys()
        self.finish(desk, touches)

    def couple(
        self, mapping: Mapping, left: RecordRef | None, right: RecordRef | None, keep: Side | None = None
    ) -> int:
        """Tie two records, or one to a counterpart that is to be created; return the coupling's number."""
        number = len(self.couplings) + 1
        made = replace(new_coupling(mapping, f"token{number}", left, right), id=number, keep=keep)
        self.couplings[number] = made
        self.wake(number)
        return number

    def wake(self, number: int) -> None:
        """Decide a coupling although nothing has come for it."""
        desk = self._desk([], [number])
        desk.decide[number] = None
        desk.woken.add(number)
        self.finish(desk, [])

    def pause(self) -> None:
        """An operator, or a brake, pauses the mappings."""
        self.paused = "mapping m"

    def resume(self) -> None:
        """The pause ends: what it has held is due, and no more is done at once."""
        self.paused = None
        self.due += sorted(self.held)
        self.held.clear()

    def do_due(self) -> None:
        """Decide what is due since a pause has ended."""
        due, self.due = self.due, []
        for number in due:
            self.wake(number)

    def instruct(self, number: int, **values: dict[str, Value]) -> None:
        """An operator typed values (``left=``, ``right=``), by mapping names: one instruction to each side named."""
        desk = self._desk([], [number])
        situation = self._situation(desk, desk.couplings[number])
        sends = []
        for name, typed in values.items():
            side = Side(name)
            writes = {
                one: Write(value=value, replaced=situation.image(side).fields.get(one)) for one, value in typed.items()
            }
            base = {one: situation.coupling.base[one] for one in typed}
            sends.append(
                instruct(
                    situation, side, Action.UPDATE, Reason.SYNCHRONIZE, fields=dict(typed), writes=writes, base=base
                )
            )
        coupling = replace(situation.coupling, flight=tuple(sends), serial=situation.coupling.serial + 1, error=None)
        self.couplings[number] = coupling
        self._send([(number, sent) for sent in sends])

    def send_again(self, number: int) -> bool:
        """Every back-off of this coupling is over; say whether there was one."""
        before = coupling = self.couplings[number]
        for sent in coupling.flight:
            if sent.state is InstructionState.BACKING_OFF and self.paused is None:
                mapping = self.file.mappings[coupling.mapping]
                coupling, again = go_again(coupling, sent, answer_due(mapping, sent.side, self.now))
                self.couplings[number] = coupling
                self._send([(number, again)])
        return coupling is not before

    def silence(self, number: int) -> None:
        """``answer_within`` has passed for everything this coupling has in flight."""
        overdue = [one for one in waiting(self.couplings[number]) if one.state is InstructionState.SENT]
        if overdue:
            desk = self._desk([], [number])
            situation = self._situation(desk, desk.couplings[number])
            decision = unanswered(situation, overdue)
            desk.put(decision.coupling)
            self._write(desk, [Decided(situation=situation, decision=decision)], [])

    def retry(self, number: int) -> None:
        """The ``retry`` command, where it applies; else the coupling is only decided again."""
        if "retry" in applicable(self.situation(number)):
            self.order(number, Retry(coupling=number))
        elif not waiting(self.couplings[number]):
            self.wake(number)

    def situation(self, number: int) -> Situation:
        """What a rule sees of this coupling now."""
        desk = self._desk([], [number])
        return self._situation(desk, desk.couplings[number])

    def order(self, number: int, what: Resolution) -> Decision:
        """An operator orders ``what``; ``RefusedError`` leaves everything as it was."""
        desk = self._desk([], [number])
        situation = self._situation(desk, desk.couplings[number])
        self.ordered_count += 1
        name = next(name for name, form in ORDERS.items() if isinstance(what, form.order))
        error = situation.coupling.error
        revision = 0 if error is None else error.revision
        by = Handling(at=self.now, command=name, id=f"c{self.ordered_count}", by="ops/test", revision=revision)
        decision = resolve(situation, what, by)
        desk.take(decision)
        self._write(desk, [Decided(situation=situation, decision=decision)], [])
        self._send([(number, sent) for sent in decision.resend])
        return decision

    def finish(self, desk: Desk, touches: Sequence[Touch]) -> None:
        """Decide what was touched and keep what came out, as ``workers.deciding`` and ``workers.writing`` do."""
        decided = []
        for number in sorted(desk.decide):
            if desk.couplings[number].mapping not in desk.file.mappings:
                continue
            situation = self._situation(desk, desk.couplings[number])
            decision = decide(situation)
            desk.take(decision)
            decided.append(Decided(situation=situation, decision=decision))
        self._write(desk, decided, touches)

    def _situation(self, desk: Desk, coupling: Coupling) -> Situation:
        mapping = desk.file.mappings[coupling.mapping]
        records = {record for side in Side if (record := coupling.record(side)) is not None}
        desk.add_images({one: self.images.get(one, Image(record=one)) for one in records})
        coupling = desk.note_fields_mapped_later(coupling, mapping)
        situation = desk.situation(coupling, mapping)
        waits = {
            wait
            for one in mapping.fields
            for side in Side
            if (wait := wait_for(one, situation.image(side).fields.get(one.on(side), msgspec.UNSET), side))
        }
        references = {wait: self.references[wait] for wait in waits & self.references.keys()}
        return replace(situation, references=references, paused=self.paused)

    def _desk(self, messages: Sequence[Message], numbers: Sequence[int] = ()) -> Desk:
        named = {one.instruction for one in messages if one.instruction} & self.instructions.keys()
        echoed = self._echoed(messages)
        named |= {name for names in echoed.values() for name in names}
        records = set()
        for one in messages:
            if isinstance(one, Change):
                records.add(one.record)
            elif one.instruction in self.instructions:
                sent = self.instructions[one.instruction].sent
                key = sent.record.key or (one.key if isinstance(one, Applied) else None)
                records |= {replace(sent.record, key=key)} if key else set()
        wanted = {self.instructions[name].coupling for name in named} | set(numbers)
        couplings = [
            one
            for one in self.couplings.values()
            if one.id in wanted or (one.status is not CouplingStatus.CLOSED and records & {one.left, one.right})
        ]
        images = {one: self.images.get(one, Image(record=one)) for one in records}
        desk = Desk(self.file, self.now, images, couplings)
        desk.instructed = {name: self.instructions[name] for name in named}
        desk.echoed = echoed
        return desk

    def _echoed(self, messages: Sequence[Message]) -> dict[RecordRef, tuple[str, ...]]:
        found: dict[RecordRef, tuple[str, ...]] = {}
        for one in messages:
            if not isinstance(one, Change) or self.file.apps[one.record.app].confirms is not Confirms.ECHO:
                continue
            for mapping, side in self.file.sides_of(one.record.app, one.record.table):
                marks = echo_marks(mapping, side, one.fields)
                found[one.record] = tuple(
                    sent.id
                    for coupling in self.couplings.values()
                    for sent in waiting(coupling, side)
                    if coupling.mapping == mapping.name
                    and sent.action is Action.CREATE
                    and written_mark(mapping, side, sent.fields) in marks
                )
        return found

    def _lay(self, desk: Desk, message: Message) -> list[Touch]:
        app = self.file.apps[_app_of(message)]
        if isinstance(message, Change):
            order = order_of(app, message.version, message.at, self.now)
            assert order is not None
            return lay_change(desk, message, order)
        instructed = desk.instructed[message.instruction]
        if isinstance(message, Failed):
            return lay_failed(desk, message, instructed, self.patience)
        return lay_applied(desk, message, instructed, order_of(app, message.version, message.at, self.now))

    def _write(self, desk: Desk, decided: list[Decided], touches: Sequence[Touch]) -> None:
        decided = [self._numbered(desk, one) for one in decided]
        sent = [(one.situation.coupling.id, sent) for one in decided for sent in one.decision.send] + desk.reads
        self.images |= {record: _IMAGES.read(_IMAGES.write(image)) for record, image in desk.images.items()}
        self.couplings |= {number: _STATE.read(_STATE.write(one)) for number, one in desk.couplings.items()}
        self.apart |= set(desk.apart)
        for number, one in [*desk.answered, *desk.resend]:
            self.instructions[one.id] = Instructed(coupling=number, sent=one)
        for coupling in desk.couplings.values():
            for one in coupling.flight:
                if one.id in self.instructions and one.state in WAITING:
                    self.instructions[one.id] = Instructed(coupling=coupling.id, sent=one)
        self._send(sent)
        self.log += log_lines(decided, touches, self.now)
        self._hold(desk, decided)
        for decision in (one.decision for one in decided):
            if decision.event is not None and decision.error is not None:
                situation = next(one.situation for one in decided if one.decision is decision)
                situation = replace(situation, coupling=decision.coupling)
                ending = None
                if decision.event is ErrorEvent.RESOLVED:
                    by, how = decision.error.resolved_by, decision.resolution or "converged"
                    ending = Ending(at=self.now, resolution=how, by=by)
                self.told.append((decision.event, report(situation, decision.error, ending)))

    def _hold(self, desk: Desk, decided: Sequence[Decided]) -> None:
        """As ``workers.writing``: what a pause holds from now on is due when it ends."""
        for one in decided:
            coupling, before = one.decision.coupling, desk.was(one.situation.coupling.id)
            new = before is None or before.held_by != coupling.held_by or coupling.id in desk.woken
            if one.decision.word == "paused" and new and is_pause(coupling.held_by):
                self.held.add(coupling.id)

    def _numbered(self, desk: Desk, one: Decided) -> Decided:
        error = one.decision.error
        if error is None or error.number:
            return one
        error = replace(error, number=1 + sum(event is ErrorEvent.OPENED for event, _ in self.told))
        coupling = replace(desk.couplings[one.situation.coupling.id], error=error)
        desk.put(coupling)
        return replace(one, decision=replace(one.decision, error=error, coupling=coupling))

    def _send(self, sent: Iterable[tuple[int, Sent]]) -> None:
        for number, one in sent:
            self.instructions[one.id] = Instructed(coupling=number, sent=one)
            self.outbox.append(one)
            self.sent_count += 1


def _app_of(message: Message) -> str:
    return message.record.app if isinstance(message, Change) else message.app


class World:
    """Two apps with one record each, coupled and in agreement; ``L`` and ``R`` are what their users do.

    Attributes:
        left, right: The two apps.
        waiting: Messages that have been said and not been delivered, per side.
        past: Messages that have been delivered, to be delivered again.
    """

    def __init__(  # noqa: PLR0913 - by name
        self,
        mapping: Mapping,
        start: dict[str, Value] | None = None,
        *,
        right_start: dict[str, Value] | None = None,
        habits: tuple[Habits, Habits] | None = None,
        patience: Patience | None = None,
        keep: Side | None = None,
    ) -> None:
        self.mapping = mapping
        self.engine = Engine(mapping, patience=patience)
        mine, theirs = habits or (Habits(), Habits())
        self.left = SimulatedApp(mapping.left_app, mapping.left.name, mine)
        self.right = SimulatedApp(mapping.right_app, mapping.right.name, theirs)
        self.waiting: dict[Side, list[Message]] = {Side.LEFT: self.left.said, Side.RIGHT: self.right.said}
        self.past: list[Message] = []
        self.number = 0
        if start is not None:
            self._begin(start, start if right_start is None else right_start, keep)

    def _begin(self, left: dict[str, Value], right: dict[str, Value], keep: Side | None) -> None:
        self.L(**left)
        self.R(**right)
        self.flush()
        self.number = self.engine.couple(self.mapping, self.ref(Side.LEFT), self.ref(Side.RIGHT), keep)

    # What is there.

    @property
    def coupling(self) -> Coupling:
        """The coupling as it is now."""
        return self.engine.couplings[self.number]

    @property
    def error(self) -> OpenError | None:
        """The open error of the coupling."""
        return self.coupling.error

    @property
    def words(self) -> list[str]:
        """What the log says of every event and decision, in order."""
        return [line.outcome for line in self.engine.log]

    def app(self, side: Side) -> SimulatedApp:
        """The app on ``side``."""
        return self.left if side is Side.LEFT else self.right

    def key(self, side: Side) -> str:
        """The key of the record on ``side``: of the coupling, once there is one."""
        record = self.coupling.record(side) if self.number else None
        return "k" if record is None else record.key

    def ref(self, side: Side) -> RecordRef:
        """The record on ``side``."""
        table = self.mapping.table(side)
        return RecordRef(table.app, table.name, self.key(side))

    def image(self, side: Side) -> Image:
        """What is known of the record on ``side``."""
        return self.engine.images[self.ref(side)]

    def fields(self, side: Side) -> dict[str, Value] | None:
        """The record on ``side`` as its app has it; ``None`` where it is gone."""
        row = self.app(side).rows.get(self.key(side))
        return row.fields if row is not None and row.exists else None

    def sent(self, side: Side | None = None) -> list[Sent]:
        """Instructions that no app has fetched yet."""
        return [one for one in self.engine.outbox if side in (None, one.side)]

    # What happens.

    def L(self, **fields: Value) -> Change:  # noqa: N802 - as the histories write it
        """A user of the left app changes the record."""
        return self.edit(Side.LEFT, fields)

    def R(self, **fields: Value) -> Change:  # noqa: N802 - as the histories write it
        """A user of the right app changes the record."""
        return self.edit(Side.RIGHT, fields)

    def edit(self, side: Side, fields: dict[str, Value]) -> Change:
        """A user of the app on ``side`` changes the record."""
        self.later(10)
        return self.app(side).edit(self.key(side), fields)

    def delete(self, side: Side) -> Change:
        """A user deletes the record."""
        self.later(10)
        return self.app(side).delete(self.key(side))

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.engine.now += timedelta(seconds=seconds)
        self.left.now = self.right.now = self.engine.now

    @property
    def now(self) -> datetime:
        """What the clocks show."""
        return self.engine.now

    def deliver(self, *messages: Message) -> None:
        """Deliver these in one batch."""
        self.engine.now += timedelta(milliseconds=1)
        for message in messages:
            for queue in self.waiting.values():
                if any(one is message for one in queue):
                    queue[:] = [one for one in queue if one is not message]
        self.past += messages
        self.engine.handle(*messages)

    def flush(self) -> None:
        """Deliver all that has been said, one message a batch."""
        while any(self.waiting.values()):
            self.deliver(next(queue for queue in self.waiting.values() if queue)[0])

    def work(self, side: Side, place: int = 0) -> list[Message]:
        """The app on ``side`` does its next instruction; what it says of it waits to be delivered."""
        sent = self.sent(side)[place]
        self.engine.outbox.remove(sent)
        return self.app(side).work(sent)

    def run(self, pick: Callable[[int], int] = lambda _: 0, *, first: Side = Side.LEFT, limit: int = 300) -> None:
        """Deliver and work until all is quiet.

        Args:
            pick: Chooses among so many things that could happen next.
            first: The side whose things come first.
        """
        for _ in range(limit):
            todo: list[Callable[[], object]] = []
            for side in (first, first.other):
                todo += [lambda one=one: self.deliver(one) for one in self.waiting[side]]  # type: ignore[misc]
                todo += [lambda s=side, n=n: self.work(s, n) for n in range(len(self.sent(side)))]  # type: ignore[misc]
            todo += [lambda n=n: self.engine.send_again(n) for n in self._backing_off()]  # type: ignore[misc]
            if not todo:
                return
            todo[pick(len(todo))]()
        raise AssertionError(f"not quiet after {limit} steps: an endless loop")

    def _backing_off(self) -> list[int]:
        return [
            number
            for number, coupling in self.engine.couplings.items()
            if any(sent.state is InstructionState.BACKING_OFF for sent in coupling.flight)
        ]

    def target(self, sent: Sent, key: str | None = None) -> RecordRef:
        """The record that an instruction is about."""
        return target_of(sent, key)
