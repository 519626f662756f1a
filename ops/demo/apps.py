"""Two business apps, simulated: each owns its records, says what changes, and does what it is instructed to do.

They behave as the README asks of real ones: versions that grow, ``if_version`` honoured, an instruction done
once, the same answer to a repeat, and a change event for every write, also for those that they were instructed to make.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from messages.changes import Change, Operation
from messages.codec import decode_instruction, encode_change, encode_outcome
from messages.instructions import Action, Instruction
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.topology import instructions_queue
from messages.transport.ports import Broker, Publication, PublishOutcome
from messages.values import Value

Said: TypeAlias = Change | Applied | Failed
"""What an app publishes."""

INTEGRATION_USER = "recouple"
"""Who changed a record where we did."""

_BATCH = 50
_WAIT = timedelta(milliseconds=50)
_PUBLISH_WITHIN = timedelta(seconds=10)


class Record(msgspec.Struct, frozen=True):
    """One record as its app keeps it."""

    version: int
    fields: dict[str, Value]
    modified_by: str


class App:
    """One business app. Thread-safe: its users work while its connector obeys.

    Attributes:
        received: Every instruction that came, in order, repeats too.
        changes: Every change that was ever made, in order.
        locked: Records that only their users may change for now; an instruction is refused.
    """

    def __init__(self, name: str, key_prefixes: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        self.name = name
        self.received: list[Instruction] = []
        self.changes: list[Change] = []
        self.locked: set[RecordRef] = set()
        self._key_prefixes = key_prefixes
        self._clock = clock
        self._records: dict[RecordRef, Record] = {}
        self._said: dict[tuple[str, int | None], list[Said]] = {}
        self._version = 0
        self._lock = threading.RLock()

    def create(self, table: str, by: str, fields: dict[str, Value], key: str | None = None) -> Change:
        """Create a record, under the next number of its table where no key is given."""
        with self._lock:
            number = 1 + sum(
                change.operation is Operation.CREATE for change in self.changes if change.record.table == table
            )
            record = RecordRef(self.name, table, key or f"{self._key_prefixes[table]}{number:04}")
            return self._write(record, Operation.CREATE, dict(fields), by)

    def edit(self, record: RecordRef, by: str, **fields: Value) -> Change:
        """Set these fields of a record, as one of its users."""
        with self._lock:
            return self._write(record, Operation.UPDATE, self._records[record].fields | fields, by)

    def delete(self, record: RecordRef, by: str) -> Change:
        """Delete a record."""
        with self._lock:
            del self._records[record]
            return self._change(record, Operation.DELETE, {}, by)

    def records(self) -> dict[RecordRef, Record]:
        """Return all records as they are now."""
        with self._lock:
            return dict(self._records)

    def find(self, table: str, **fields: Value) -> RecordRef:
        """Return the one record of ``table`` that has these values."""
        [found] = [
            record
            for record, kept in self.records().items()
            if record.table == table and fields.items() <= kept.fields.items()
        ]
        return found

    def obey(self, instruction: Instruction) -> list[Said]:
        """Do what is asked, once; return the outcome, and the change event of what was written."""
        with self._lock:
            self.received.append(instruction)
            once, this_time = (instruction.id, None), (instruction.id, instruction.attempt)
            said = self._said.get(once) or self._said.get(this_time)
            if said is None:
                refusal = self._refusal(instruction)
                said = self._do(instruction) if refusal is None else [refusal]
                self._said[once if refusal is None else this_time] = said
            return said

    def _refusal(self, instruction: Instruction) -> Failed | None:
        if instruction.action is Action.CREATE:
            return None
        named = RecordRef(self.name, instruction.table, instruction.key or "")
        record = self._records.get(named)
        if record is None:
            code, words = FailureCode.NOT_FOUND, "no such record"
        elif named in self.locked and instruction.action is not Action.READ:
            code, words = FailureCode.PERMISSION_DENIED, "the record is locked by a user"
        elif instruction.if_version not in (None, record.version):
            code, words = FailureCode.VERSION_MISMATCH, "the record has changed since"
        else:
            return None
        return Failed(
            app=self.name,
            id=f"{instruction.id}-{instruction.attempt}-failed",
            instruction=instruction.id,
            attempt=instruction.attempt,
            code=code,
            detail=words,
            at=self._clock(),
        )

    def _do(self, instruction: Instruction) -> list[Said]:
        table, key, fields = instruction.table, instruction.key, instruction.fields
        record = RecordRef(self.name, table, key or "")
        if instruction.action is Action.READ:
            return [self._read(record, instruction.id)]
        if instruction.action is Action.CREATE:
            change = self.create(table, INTEGRATION_USER, fields, key)
        elif instruction.action is Action.UPDATE:
            change = self.edit(record, INTEGRATION_USER, **fields)
        else:
            change = self.delete(record, INTEGRATION_USER)
        applied = Applied(
            app=self.name,
            id=f"{instruction.id}-applied",
            instruction=instruction.id,
            attempt=instruction.attempt,
            key=change.record.key,
            version=change.version,
            at=change.at,
        )
        return [applied, change]

    def _read(self, record: RecordRef, instruction: str) -> Change:
        kept = self._records[record]
        return Change(
            record=record,
            id=f"{instruction}-read",
            operation=Operation.READ,
            version=kept.version,
            at=self._clock(),
            fields=kept.fields,
            modified_by=kept.modified_by,
            instruction=instruction,
        )

    def _write(self, record: RecordRef, operation: Operation, fields: dict[str, Value], by: str) -> Change:
        change = self._change(record, operation, fields, by)
        self._records[record] = Record(self._version, fields, by)
        return change

    def _change(self, record: RecordRef, operation: Operation, fields: dict[str, Value], by: str) -> Change:
        self._version += 1  # one counter for the whole app: it grows with every change of every record
        change = Change(
            record=record,
            id=f"{self.name}-{self._version}",
            operation=operation,
            version=self._version,
            at=self._clock(),
            fields=fields,
            modified_by=by,
        )
        self.changes.append(change)
        return change


class Connector(threading.Thread):
    """What stands between an app and its queues: brings it its instructions and publishes what it says."""

    def __init__(self, app: App, broker: Broker, namespace: str) -> None:
        super().__init__(name=f"demo-{app.name}", daemon=True)
        self._app = app
        self._broker = broker
        self._namespace = namespace
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Work until ``close`` is called."""
        consumer = self._broker.consumer([instructions_queue(self._namespace, self._app.name)], prefetch=_BATCH)
        publisher = self._broker.publisher()
        try:
            while not self._stop_asked.is_set():
                deliveries = consumer.receive(_BATCH, _WAIT)
                said = [
                    publication_of(message, self._namespace)
                    for delivery in deliveries
                    for message in self._app.obey(decode_instruction(delivery.body, self._app.name))
                ]
                if all(one is PublishOutcome.CONFIRMED for one in publisher.publish(said, _PUBLISH_WITHIN)):
                    consumer.acknowledge(deliveries)
                else:
                    consumer.release(deliveries)  # they come again, and get the same answers
        finally:
            consumer.close()
            publisher.close()

    def close(self) -> None:
        """Stop, and wait for it."""
        self._stop_asked.set()
        self.join()


def publication_of(message: Said, namespace: str) -> Publication:
    """Return what an app says as it is published."""
    if isinstance(message, Change):
        return encode_change(message, namespace)
    return encode_outcome(message, namespace)
