"""An app for tests of the rules: records with versions, users who edit them, a connector that is instructed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec

from messages.changes import Change, Operation
from messages.instructions import Action
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.values import Value, same
from store.model import Sent
from workers.mapping import App, Confirms, Ordering

Message: TypeAlias = Change | Applied | Failed

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


class Habits(msgspec.Struct, kw_only=True):
    """How an app behaves beyond what the mapping file says of it.

    Attributes:
        makes: What it makes of a value that it is sent, by field.
        says_what_it_made: The outcome bears ``fields``.
        alters_later: It makes that of the value in an ordinary change of its own, after the one we caused (R13).
        names_instructions: Its change events name the instruction that caused them.
        echoes: It announces what we wrote as a change event too.
        sparse: Its events bear only the fields that were changed.
        keeps_keys: A restored record gets the key that it had.
        notes_refusals: A field, of its own record, in which it notes that it refused something.
    """

    makes: dict[str, Callable[[Value], Value]] = {}
    says_what_it_made: bool = False
    alters_later: bool = False
    names_instructions: bool = False
    echoes: bool = True
    sparse: bool = False
    keeps_keys: bool = False
    notes_refusals: str | None = None


class Row(msgspec.Struct):
    """One record as the app has it."""

    version: int
    fields: dict[str, Value]
    exists: bool = True


class SimulatedApp:
    """One app with one table; everything that it says is put into ``said``, for the queue to deliver in any order.

    Attributes:
        refusals: Codes with which the next instructions are refused, one each.
        refuses: Refuses every instruction for which it returns a code.
        overwritten: (instruction, field, value) for every value that an instruction overwrote or deleted.
        received: Every instruction that was worked on, repeats included.
        now: What the users' clocks show; the world moves it.
    """

    def __init__(self, app: App, table: str, habits: Habits | None = None) -> None:
        self.app, self.table, self.habits = app, table, habits or Habits()
        self.rows: dict[str, Row] = {}
        self.said: list[Message] = []
        self.refusals: list[FailureCode] = []
        self.refuses: Callable[[Sent], FailureCode | None] = lambda _: None
        self.overwritten: list[tuple[str, str, Value]] = []
        self.received: list[Sent] = []
        self.now = EPOCH
        self._clock, self._ids = 0, 0
        self._applied: dict[str, Applied] = {}
        self._failed: dict[tuple[str, int], Failed] = {}

    def row(self, key: str) -> Row:
        """The record with this key."""
        return self.rows[key]

    def made_of(self, name: str, value: Value) -> Value:
        """What the app makes of a value that it is sent."""
        makes = self.habits.makes.get(name)
        return value if makes is None else makes(value)

    # What users do.

    def edit(self, key: str, fields: dict[str, Value]) -> Change:
        """A user changes a record, or creates it."""
        row = self.rows.get(key)
        if row is None or not row.exists:
            self.rows[key] = Row(self._next(), dict(fields))
            return self._say(key, Operation.CREATE, dict(fields))
        row.version = self._next()
        row.fields.update(fields)
        return self._say(key, Operation.UPDATE, dict(fields) if self.habits.sparse else dict(row.fields))

    def delete(self, key: str) -> Change:
        """A user deletes a record."""
        row = self.rows[key]
        row.exists, row.version = False, self._next()
        return self._say(key, Operation.DELETE, {})

    def move_silently(self, key: str) -> None:
        """The record's version moves without any event."""
        self.rows[key].version = self._next()

    # What the connector does.

    def work(self, sent: Sent) -> list[Message]:
        """Do as instructed, or refuse; say what an app of these habits says of it."""
        before = len(self.said)
        self.received.append(sent)
        done, refused = self._applied.get(sent.id), self._failed.get((sent.id, sent.attempt))
        if done is not None:
            self._answer(msgspec.structs.replace(done, id=self._id(), attempt=sent.attempt))
        elif refused is not None:
            self._answer(msgspec.structs.replace(refused, id=self._id()))
        else:
            code = self._refusal(sent)
            if code is None:
                self._apply(sent)
            else:
                self.refuse(sent, code)
        return self.said[before:]

    def refuse(self, sent: Sent, code: FailureCode, detail: str = "") -> Failed:
        """Refuse an instruction."""
        failed = Failed(
            app=self.app.name, id=self._id(), instruction=sent.id, attempt=sent.attempt, code=code, detail=detail
        )
        self._failed[sent.id, sent.attempt] = failed
        self.said.append(failed)
        note = self.habits.notes_refusals
        if note is not None and sent.record.key in self.rows and self.rows[sent.record.key].exists:
            self.edit(sent.record.key, {note: f"refused {len(self._failed)}"})
        return failed

    def _refusal(self, sent: Sent) -> FailureCode | None:
        if self.refusals:
            return self.refusals.pop(0)
        code = self.refuses(sent)
        if code is not None or sent.action is Action.CREATE:
            return code
        row = self.rows.get(sent.record.key)
        if row is None or not row.exists:
            return FailureCode.NOT_FOUND
        if sent.action is Action.READ:
            return None
        moved = self.app.checks_version and sent.if_version is not None and sent.if_version != row.version
        return FailureCode.VERSION_MISMATCH if moved else None

    def _apply(self, sent: Sent) -> None:
        key = sent.record.key or self._new_key(sent)
        if sent.action is Action.READ:
            row = self.rows[key]
            change = self._change(key, Operation.READ, dict(row.fields), row.version)
            self.said.append(msgspec.structs.replace(change, instruction=sent.id))
            return
        operation, altered = self._write(sent, key)
        row = self.rows[key]
        named = sent.id if self.habits.names_instructions else None
        if self.habits.echoes:
            told = {name: row.fields[name] for name in sent.fields} if self.habits.sparse else dict(row.fields)
            change = self._change(key, operation, {} if operation is Operation.DELETE else told, row.version)
            self.said.append(msgspec.structs.replace(change, instruction=named, modified_by="recouple"))
        applied = Applied(
            app=self.app.name,
            id=self._id(),
            instruction=sent.id,
            attempt=sent.attempt,
            key=key if sent.action is Action.CREATE else None,
            version=row.version if self.app.order is Ordering.VERSION else None,
            at=self._time(row.version),
            fields={name: row.fields[name] for name in sent.fields} if self.habits.says_what_it_made else None,
        )
        self._applied[sent.id] = applied
        self._answer(applied)
        if altered:
            self.edit(key, altered)

    def _write(self, sent: Sent, key: str) -> tuple[Operation, dict[str, Value]]:
        """Write the record; return what that was, and what the app will make of the values in a change of its own."""
        row = self.rows.get(key)
        if sent.action is Action.DELETE and row is not None:
            self.overwritten += [(sent.id, name, value) for name, value in row.fields.items()]
            row.exists, row.version = False, self._next()
            return Operation.DELETE, {}
        made = {name: self.made_of(name, value) for name, value in sent.fields.items()}
        altered = {name: value for name, value in made.items() if not same(value, sent.fields[name])}
        written = dict(sent.fields) if self.habits.alters_later else made
        if sent.action is Action.CREATE or row is None:
            self.rows[key] = Row(self._next(), written)
            return Operation.CREATE, altered if self.habits.alters_later else {}
        for name, value in written.items():
            if name in row.fields and not same(row.fields[name], value):
                self.overwritten.append((sent.id, name, row.fields[name]))
        row.fields.update(written)
        row.version = self._next()
        return Operation.UPDATE, altered if self.habits.alters_later else {}

    def _new_key(self, sent: Sent) -> str:
        gone = [key for key, row in self.rows.items() if not row.exists]
        if self.habits.keeps_keys and gone:
            return gone[0]
        return f"new-{len(self.rows)}-{sent.id[-6:]}"

    def _answer(self, outcome: Applied | Failed) -> None:
        if self.app.confirms is Confirms.OUTCOME or isinstance(outcome, Failed):
            self.said.append(outcome)

    def _say(self, key: str, operation: Operation, fields: dict[str, Value]) -> Change:
        change = self._change(key, operation, fields, self.rows[key].version)
        self.said.append(change)
        return change

    def _change(self, key: str, operation: Operation, fields: dict[str, Value], version: int) -> Change:
        record = RecordRef(self.app.name, self.table, key)
        number = version if self.app.order is Ordering.VERSION else None
        return Change(
            record=record,
            id=self._id(),
            operation=operation,
            version=number,
            at=self._time(version),
            fields=fields,
            modified_by="a user",
        )

    def _time(self, version: int) -> datetime:
        return self.now + timedelta(microseconds=version)

    def _next(self) -> int:
        self._clock += 1
        return self._clock

    def _id(self) -> str:
        self._ids += 1
        return f"{self.app.name}-{self._ids}"
