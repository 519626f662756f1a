"""How things stand as a whole, in numbers."""

from __future__ import annotations

from sqlalchemy import Connection

from messages.errors import ErrorKind, ErrorStatus, Family
from store import couplings, due, errors, instructions, outbox, overview, records
from store.couplings import Standing
from store.due import Due, DueKind
from store.errors import ErrorFilters
from store.model import InstructionState, Side
from store.overview import Backlog, InFlight, Standings
from tests.contract.store.samples import NOW, SECOND, bc, coupling, image, plain, publication, report, sales, sent


def test_a_backlog_says_since_when(connection: Connection) -> None:
    """Nobody would notice that messages are not published or that work is not done."""
    assert overview.outbox(connection) == Backlog(waiting=0, oldest_at=None, ready_at=None)
    assert overview.overdue(connection, NOW) == Backlog(waiting=0, oldest_at=None, ready_at=None)
    outbox.put(connection, [(publication(), None), (publication(), None)])
    due.put(connection, [Due(kind=DueKind.WAKE, coupling=1, due_at=NOW + seconds * SECOND) for seconds in (-2, 0, 1)])
    waiting = overview.outbox(connection)
    assert waiting.waiting == 2
    assert waiting.oldest_at is not None
    assert waiting.oldest_at > NOW
    assert waiting.oldest_at.tzinfo is not None
    assert waiting.ready_at == waiting.oldest_at
    assert overview.overdue(connection, NOW) == Backlog(
        waiting=2, oldest_at=NOW - 2 * SECOND, ready_at=NOW - 2 * SECOND
    )


def test_what_was_put_off_is_not_ready(connection: Connection) -> None:
    """Messages that are paced, or just being published, would look like those of a worker that has died."""
    outbox.put(connection, [(publication(), None)])
    put_at = overview.outbox(connection).oldest_at
    assert put_at is not None
    outbox.claim(connection, 9, put_at, SECOND)
    assert overview.outbox(connection).ready_at == put_at + SECOND


def test_instructions_are_counted_by_app_and_state(connection: Connection) -> None:
    """An app whose adapter is down would not stand out."""
    states = (InstructionState.SENT, InstructionState.UNANSWERED, InstructionState.UNANSWERED, InstructionState.APPLIED)
    given = [(1, sent(number, state=state)) for number, state in enumerate(states)]
    instructions.save(connection, [*given, (1, sent("b", record=bc(1), side=Side.LEFT))])
    assert overview.instructions(connection) == [
        InFlight(app="bc", sent=1),
        InFlight(app="sales", sent=1, unanswered=2),
    ]


def test_errors_are_counted_by_family(connection: Connection) -> None:
    """An administrator would not see whether anything waits for him."""
    kind = ErrorKind.NO_ANSWER
    failed = report(3, kind=kind, family=kind.family, status=ErrorStatus.RESOLVING)
    errors.save(connection, [report(1), report(2, status=ErrorStatus.RESOLVED, resolved_at=NOW), failed])
    assert overview.errors(connection) == [
        Standings(family=Family.COUPLED_DATA, open=1),
        Standings(family=Family.INTEGRATION, resolving=1),
    ]


def test_couplings_are_counted_by_standing_and_records_without_one(connection: Connection) -> None:
    """A preview would say that a bulk command is about nothing, or about everything."""
    couplings.insert(
        connection, [plain(bc(1), sales(1)), coupling(bc(2), sales(2)), plain(bc(3), None, mapping="other")]
    )
    records.save(connection, [image(bc(key)) for key in (1, 2, 3, 4)] + [image(bc(5), exists=False), image(sales(1))])
    found = overview.couplings(connection, "customer")
    assert (sum(found.values()), found[Standing.SYNCHRONIZED]) == (2, 1)
    assert overview.uncoupled(connection, "customer", Side.LEFT, "bc", "customer") == 2
    assert overview.uncoupled(connection, "customer", Side.RIGHT, "sales", "account") == 0
    assert overview.uncoupled(connection, "other", Side.LEFT, "bc", "customer") == 3


def test_errors_are_found_by_age_and_by_any_of_several_mappings(connection: Connection) -> None:
    """`recouple errors --older-than` would hide what has waited longest, or `--app` an app's second mapping."""
    errors.save(
        connection,
        [report(1), report(2, opened_at=NOW - 10 * SECOND), report(3, mapping="contact"), report(4, mapping="item")],
    )

    def numbers(**filters: object) -> list[int]:
        return [one.error for one in errors.page(connection, ErrorFilters(**filters), 9)]  # type: ignore[arg-type]

    assert numbers(opened_before=NOW - SECOND) == [2]
    assert numbers(opened_after=NOW - SECOND) == [1, 3, 4]
    assert numbers(mappings=frozenset({"contact", "item"})) == [3, 4]
    assert numbers(mappings=frozenset()) == []
