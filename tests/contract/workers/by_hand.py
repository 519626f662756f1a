"""Messages made, handled and read by hand over a real store: no broker, no worker, and a clock that stands still."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from messages import topology
from messages.changes import Change, Operation
from messages.codec import (
    decode_answer,
    decode_error,
    decode_instruction,
    encode_change,
    encode_command,
    encode_outcome,
)
from messages.commands import Answer, Command, Couple, Done, Keep, Loaded, Order, Refused
from messages.errors import ErrorMessage, ErrorReport
from messages.instructions import Instruction
from messages.orders import ORDERS
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.transport.ports import Delivery, Publication
from messages.values import Value
from store import arrivals as arrival_store
from store import couplings as coupling_store
from store import due as due_store
from store import errors as error_store
from store import jobs as job_store
from store import listening as listening_store
from store import log as log_store
from store import outbox as outbox_store
from store.connect import Store, open_store
from store.couplings import Standing, standing
from store.due import Due, DueKind
from store.errors import ErrorFilters
from store.hearing import Hearing
from store.migrate import migrate
from store.model import Coupling
from workers.changes import handle_changes
from workers.commands import handle_command
from workers.context import Context
from workers.log_lines import Line
from workers.mapping_file import parse_mapping_file
from workers.timers import TURNS, do_due_work

NS = "recouple"
REPLIES = f"{NS}.replies.test"
MANY = 1000
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

_NUMBERS = itertools.count(1)


def change(record: str, version: int, operation: Operation = Operation.CREATE, **fields: Value) -> Change:
    """A change of ``app/table/key`` by a user."""
    ref = RecordRef.parse(record)
    return Change(record=ref, id=f"e{next(_NUMBERS)}", operation=operation, version=version, fields=fields)


def gone(record: str, version: int) -> Change:
    """The record is deleted by a user."""
    return change(record, version, Operation.DELETE)


def take_due(conn: Connection, limit: int, now: datetime) -> list[Due]:
    """Claim and delete work of the first kind of which there is any; of jobs, one."""
    for kind in TURNS:
        items = due_store.claim(conn, now, 1 if kind is DueKind.JOB else limit, (kind,))
        if items:
            due_store.delete(conn, [item.id for item in items])
            return items
    return []


def answer_read(instruction: Instruction, version: int, **fields: Value) -> Change:
    """What the app says when it is asked for a record."""
    told = change(f"{instruction.app}/{instruction.table}/{instruction.key}", version, Operation.READ, **fields)
    return replace(told, instruction=instruction.id)


def applied(instruction: Instruction, version: int = 1, key: str | None = None) -> Applied:
    """The app did it."""
    return Applied(app=instruction.app, id=f"o{next(_NUMBERS)}", instruction=instruction.id, version=version, key=key)


def refused(instruction: Instruction, code: FailureCode) -> Failed:
    """The app did not do it."""
    name = f"o{next(_NUMBERS)}"
    return Failed(app=instruction.app, id=name, instruction=instruction.id, code=code, attempt=instruction.attempt)


def couple(left: str, right: str, mapping: str | None = None, keep: Keep | None = None) -> Couple:
    """The order to tie two records."""
    return Couple(left=RecordRef.parse(left), right=RecordRef.parse(right), mapping=mapping, keep=keep)


def command(order: Order, name: str | None = None, reply_to: str | None = REPLIES) -> Command:
    """An order as it is sent; ``name`` is the command's id."""
    kind = next(kind for kind, form in ORDERS.items() if form.order is type(order))
    return Command(
        id=name or f"c{next(_NUMBERS)}", source="ops/jane", name=kind, order=order, reason="why not", reply_to=reply_to
    )


class ByHand:
    """A store and the jobs that work on it, a transaction at a time.

    Attributes:
        now: What the clock shows; a test moves it.
        lines: What would be logged, in order.
        listens: Whether somebody has listened all the while, so that who has not answered in time is silent.
    """

    def __init__(self, store: Store, mapping_file: str) -> None:
        tokens = (f"token{number}" for number in itertools.count(1))
        file = parse_mapping_file(mapping_file, "recouple.toml")
        self.store = store
        self.context = Context(file=file, tokens=lambda: next(tokens), namespace=NS)
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.lines: list[Line] = []
        self.listens = True

    # What happens.

    def delivered(self, message: Change | Applied | Failed) -> Delivery:
        """What an app says, as it comes out of its queue."""
        if isinstance(message, Change):
            return delivery(topology.changes_queue(NS, message.record.app), encode_change(message, NS))
        return delivery(topology.changes_queue(NS, message.app), encode_outcome(message, NS))

    def say(self, *messages: Change | Applied | Failed) -> None:
        """Apps say this; one batch, one transaction."""
        with self.store.transaction() as conn:
            self.lines += handle_changes(conn, self.context, [self.delivered(one) for one in messages], self.now)

    def deliver_command(self, one: Delivery) -> None:
        """A command comes out of the command queue; one transaction."""
        with self.store.transaction() as conn:
            self.lines += handle_command(conn, self.context, one, self.now)

    def order(self, order: Order, name: str | None = None) -> Answer:
        """An operator orders this and is told what came of it."""
        ordered = encode_command(command(order, name), NS, self.now)
        self.deliver_command(delivery(topology.commands_queue(NS), ordered))
        (answer,) = self.answers()
        return answer

    def job(self, order: Order, name: str | None = None) -> Answer:
        """An operator orders a job, which is done, and is told at its end what came of it."""
        self.deliver_command(delivery(topology.commands_queue(NS), encode_command(command(order, name), NS, self.now)))
        self.do_due_work()
        (answer,) = self.answers()
        return answer

    def couple(self, left: str, right: str, mapping: str | None = None) -> Coupling:
        """Tie two records, and see that it was done."""
        answer = self.order(couple(left, right, mapping))
        assert isinstance(answer, Done), answer
        return self.coupling(left)

    def refusal(self, order: Order) -> Refused:
        """An operator orders this in vain."""
        answer = self.order(order)
        assert isinstance(answer, Refused), answer
        return answer

    def load(self, *tables: str) -> None:
        """Everything in these tables has been announced; what waited for that is done."""
        for table in tables:
            app, name = table.split("/")
            assert isinstance(self.order(Loaded(app=app, table=name)), Done)
        self.do_due_work()

    def do_due_work(self) -> None:
        """Do what is due, until nothing is."""
        for _ in range(MANY):
            if not self.do_one_turn():
                return
        raise AssertionError("there is always something due")

    def do_one_turn(self) -> bool:
        """Do what is due in one transaction; say whether there was anything."""
        with self.store.transaction() as conn:
            if self.listens and DueKind.ANSWER in due_store.kinds_due(conn, self.now):
                heard = Hearing(since=LONG_AGO, looked_at=self.now, heard_at=self.now)
                listening_store.save(conn, dict.fromkeys(self.context.file.apps, heard))
            taken = take_due(conn, MANY, self.now)
            self.lines += do_due_work(conn, self.context, taken, self.now) if taken else []
        return bool(taken)

    # What is told.

    def published(self, exchange: str) -> list[Publication]:
        """Take all that waits for this exchange out of the outbox; what waits for others stays."""
        with self.store.transaction() as conn:
            waiting = outbox_store.claim(conn, MANY, self.now, timedelta(seconds=1))
            ours = [one for one in waiting if one.publication.exchange == exchange]
            outbox_store.done(conn, [one.id for one in ours])
            outbox_store.release(conn, [one.id for one in waiting])
        return [one.publication for one in ours]

    def instructions(self) -> list[Instruction]:
        """Take what apps are instructed."""
        taken = self.published(topology.instructions_exchange(NS))
        return [decode_instruction(one.body, one.routing_key.split(".")[0]) for one in taken]

    def instruction(self) -> Instruction:
        """Take the one instruction that there is."""
        (one,) = self.instructions()
        return one

    def errors(self) -> list[ErrorMessage]:
        """Take what the error feed is told."""
        return [decode_error(one.body) for one in self.published(topology.errors_exchange(NS))]

    def answers(self) -> list[Answer]:
        """Take the answers to commands."""
        return [decode_answer(one.body) for one in self.published("")]

    def dead(self) -> list[Publication]:
        """Take what went to the dead queue."""
        return self.published(topology.dead_exchange(NS))

    # What is known.

    def couplings(self) -> list[Coupling]:
        """Every coupling."""
        with self.store.reading() as conn:
            return coupling_store.page(conn, limit=MANY)

    def coupling(self, record: str) -> Coupling:
        """The only coupling of a record that is not closed."""
        with self.store.reading() as conn:
            (found,) = coupling_store.by_record(conn, [RecordRef.parse(record)])[RecordRef.parse(record)]
        return found

    def pairs(self) -> list[tuple[str, str, Standing]]:
        """Both records of every coupling, and where it stands."""
        return [(str(one.left), str(one.right), standing(one)) for one in self.couplings()]

    def known_errors(self) -> list[ErrorReport]:
        """Every error, as it was last told."""
        with self.store.reading() as conn:
            return error_store.page(conn, ErrorFilters(), MANY)

    def waiting(self) -> int:
        """How many records wait to be matched or created."""
        with self.store.reading() as conn:
            return arrival_store.count(conn)

    def due(self) -> int:
        """How much work is due."""
        with self.store.reading() as conn:
            return due_store.count(conn, self.now)

    def job_lines(self, number: int) -> list[tuple[str, str, str]]:
        """What a job says of single records."""
        with self.store.reading() as conn:
            return [(one.record, one.outcome, one.detail) for one in job_store.lines(conn, number, MANY)]

    def log(self, record: str) -> list[str]:
        """What the synchronization log says of a record."""
        with self.store.reading() as conn:
            return [line.outcome for line in log_store.of_record(conn, record, MANY)]


def delivery(queue: str, publication: Publication) -> Delivery:
    """A publication as it comes out of a queue."""
    return Delivery(queue=queue, body=publication.body, properties=publication.properties, tag=next(_NUMBERS))


@contextmanager
def by_hand(store_url: str, mapping_file: str) -> Iterator[ByHand]:
    """Migrate a store and work on it by hand."""
    migrate(store_url)
    store = open_store(store_url)
    try:
        yield ByHand(store, mapping_file)
    finally:
        store.close()
