"""What was told, ordered, instructed and logged: errors, commands, instructions, waits, the log, loaded tables."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from messages.errors import ErrorKind, ErrorStatus, Family
from store import commands, couplings, errors, instructions, loaded, log, waits
from store.commands import ClaimedCommand, Ordered
from store.errors import ErrorFilters, Resolved
from store.handled import Claim
from store.model import InstructionState, OpenError, Side, Wait
from tests.contract.store.samples import NOW, SECOND, bc, line, plain, report, sales, sent


def test_error_numbers_are_never_given_twice(connection: Connection) -> None:
    """Two errors would bear one number, and an operator would resolve the wrong one."""
    given = [*errors.numbers(connection, 2), *errors.numbers(connection, 1), *errors.numbers(connection, 3)]
    assert sorted(set(given)) == given
    errors.save(connection, [report(given[-1])])
    assert errors.numbers(connection, 1)[0] > given[-1]


def test_an_error_comes_back_as_it_was(connection: Connection) -> None:
    """An operator would be shown other values than those that disagree."""
    errors.save(connection, [report(1), report(2)])
    resolved = report(2, status=ErrorStatus.RESOLVED, revision=3, resolved_at=NOW, resolution="keep")
    errors.save(connection, [resolved])
    assert errors.get_many(connection, [1, 2, 3]) == {1: report(1), 2: resolved}
    assert errors.get(connection, 2) == resolved
    assert errors.get(connection, 3) is None


FAILED = {"kind": ErrorKind.APPLY_FAILED, "family": Family.INTEGRATION, "code": "not_found"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (ErrorFilters(), [1, 2, 3, 4]),
        (ErrorFilters(family=Family.INTEGRATION), [2, 3]),
        (ErrorFilters(kind=ErrorKind.UPDATE_CONFLICT), [1, 4]),
        (ErrorFilters(mapping="other"), [3]),
        (ErrorFilters(code="not_found"), [2, 3]),
        (ErrorFilters(fingerprint="g"), [4]),
        (ErrorFilters(status=frozenset({ErrorStatus.OPEN, ErrorStatus.RESOLVING})), [1, 2, 3]),
        (ErrorFilters(status=frozenset()), []),
        (ErrorFilters(record=bc("2/x")), [2]),
        (ErrorFilters(record=sales(9)), [3]),
        (ErrorFilters(family=Family.INTEGRATION, mapping="customer"), [2]),
    ],
)
def test_error_filters(connection: Connection, filters: ErrorFilters, expected: list[int]) -> None:
    """A list, or worse a command for many errors at once, would be about other errors than those that were meant."""
    one = report(1)
    assert one.left is not None
    side = one.left
    errors.save(
        connection,
        [
            one,
            report(2, **FAILED, left=msgspec.structs.replace(side, key="2/x")),
            report(
                3, **FAILED, mapping="other", right=msgspec.structs.replace(side, app="sales", table="account", key="9")
            ),
            report(4, status=ErrorStatus.RESOLVED, resolved_at=NOW, fingerprint="g"),
        ],
    )
    assert [each.error for each in errors.page(connection, filters, 9)] == expected
    assert [each.error for each in errors.page(connection, filters, 1)] == expected[:1]
    assert [each.error for each in errors.page(connection, filters, 9, after=2)] == [n for n in expected if n > 2]
    assert errors.count(connection, filters) == len(expected)


OLD = {"status": ErrorStatus.RESOLVED, "resolved_at": NOW - SECOND}


def test_purging_keeps_what_a_coupling_names(connection: Connection) -> None:
    """The error that explains a skipped coupling would be cleared away."""
    errors.save(connection, [report(1, **OLD), report(2, **OLD), report(3, **OLD, **FAILED), report(4)])
    errors.save(connection, [report(5, status=ErrorStatus.RESOLVED, resolved_at=NOW)])
    named = OpenError(number=2, kind=ErrorKind.UPDATE_CONFLICT, opened_at=NOW)
    (coupling,) = couplings.insert(connection, [plain(bc(1), sales(1), error=named)])
    errors.save(connection, [report(2, **OLD, coupling=coupling.id)])
    coupled = Resolved(before=NOW, family=Family.COUPLED_DATA)
    assert errors.count_resolved(connection, coupled) == 1
    assert errors.count_explaining(connection, replace(coupled, before=NOW + SECOND)) == 2
    assert errors.count_explaining(connection, coupled) == 0  # opened later
    assert errors.purge(connection, coupled, 9) == [1]
    assert [each.error for each in errors.page(connection, ErrorFilters(), 9)] == [2, 3, 4, 5]
    assert errors.purge(connection, Resolved(before=NOW), 9) == [3]
    assert errors.purge(connection, Resolved(), 9) == [5]
    assert errors.count_explaining(connection, Resolved()) == 2


def test_purging_goes_by_number_and_a_few_at_a_time(connection: Connection) -> None:
    """A hundred thousand errors would be deleted in one transaction, or the same ones looked at for ever."""
    errors.save(connection, [report(number, **OLD) for number in range(1, 6)])
    assert errors.resolved_numbers(connection, Resolved(), 2, after=1) == [2, 3]
    assert errors.purge(connection, Resolved(), 2) == [1, 2]
    assert errors.purge(connection, Resolved(), 2, after=3) == [4, 5]
    assert errors.purge(connection, Resolved(), 2, after=3) == []
    assert errors.purge(connection, Resolved(), 2) == [3]


def test_purging_the_log_begins_with_the_oldest(connection: Connection) -> None:
    """Lines that are still wanted would go, or the log would grow for ever."""
    log.append(connection, [line(bc(1), at=NOW - SECOND, detail=str(number)) for number in range(3)])
    log.append(connection, [line(bc(1), detail="young")])
    assert log.purge(connection, NOW, 2) == 2
    assert log.purge(connection, NOW, 2) == 1
    assert log.purge(connection, NOW, 2) == 0
    assert [each.detail for each in log.of_record(connection, str(bc(1)), 9)] == ["young"]


def test_purging_instructions_keeps_what_is_not_over(connection: Connection) -> None:
    """A late answer would find nothing, or an error name an instruction that nobody knows any more."""
    failed = OpenError(number=1, kind=ErrorKind.APPLY_FAILED, opened_at=NOW)
    ties = [plain(bc(1), sales(1), error=failed), plain(bc(2), sales(2))]
    skipped, healthy = (coupling.id for coupling in couplings.insert(connection, ties))
    old = {"made_at": NOW - SECOND}
    instructions.save(connection, [(healthy, sent(state, state=state, **old)) for state in InstructionState])
    instructions.save(connection, [(healthy, sent("young", state=InstructionState.APPLIED))])
    instructions.save(connection, [(skipped, sent("named", state=InstructionState.FAILED, **old))])
    assert [instructions.purge(connection, NOW, 1) for _ in range(3)] == [1, 1, 0]
    left = instructions.find(connection, [*InstructionState, "young", "named"])
    assert set(InstructionState) - left.keys() == {InstructionState.APPLIED, InstructionState.FAILED}
    assert {"young", "named"} <= left.keys()


ORDER = Ordered("c1", "digest", "ops/jane", "retry", '{"error": 1}', "because\0", "jane", NOW)


def test_a_command_has_one_effect_and_one_answer(connection: Connection) -> None:
    """A command that is delivered again would be done again, or get no answer."""
    other = msgspec.structs.replace(ORDER, digest="other")
    assert commands.claim(connection, [ORDER, ORDER, other]) == [
        ClaimedCommand(Claim.NEW),
        ClaimedCommand(Claim.DUPLICATE),
        ClaimedCommand(Claim.REUSED),
    ]
    commands.answer(connection, [("c1", '{"done": 1}', NOW + SECOND)])
    second = msgspec.structs.replace(ORDER, id="c0")
    assert commands.claim(connection, [second, ORDER, other]) == [
        ClaimedCommand(Claim.NEW),
        ClaimedCommand(Claim.DUPLICATE, '{"done": 1}', NOW + SECOND),
        ClaimedCommand(Claim.REUSED),
    ]
    first, last = commands.page(connection, 9)
    assert (first.ordered.reason, first.answer, first.answered_at) == ("because\ufffd", '{"done": 1}', NOW + SECOND)
    assert (last.ordered.id, last.ordered.at, last.answer) == ("c0", NOW, None)
    assert commands.page(connection, 9, after=first.number) == [last]


def test_an_instruction_comes_back_as_it_was(connection: Connection) -> None:
    """A late answer would find another instruction than the one that was given, or none."""
    instructions.save(connection, [(5, sent("i1")), (6, sent("i2", side=Side.LEFT, record=bc("")))])
    again = sent("i1", attempt=2, state=InstructionState.BACKING_OFF, code="unavailable")
    instructions.save(connection, [(5, again)])
    found = instructions.find(connection, ["i1", "i2", "i3"])
    assert {id_: (row.id, row.coupling_id, row.app, row.side) for id_, row in found.items()} == {
        "i1": ("i1", 5, "sales", Side.RIGHT),
        "i2": ("i2", 6, "bc", Side.LEFT),
    }
    assert found["i1"].sent == again
    assert found["i2"].sent == sent("i2", side=Side.LEFT, record=bc(""))


def test_instructions_in_flight(connection: Connection) -> None:
    """An operator would not see what an app owes us."""
    states = list(InstructionState)
    rows = [(1, sent(state, state=state, made_at=NOW - index * SECOND)) for index, state in enumerate(states)]
    instructions.save(connection, [*rows, (2, sent("left", record=bc(1), made_at=NOW + SECOND))])
    open_states = [state for state in states if state not in (InstructionState.APPLIED, InstructionState.FAILED)]
    expected = [*reversed(open_states), "left"]
    assert [row.id for row in instructions.in_flight(connection, 9)] == expected
    assert [row.id for row in instructions.in_flight(connection, 1)] == expected[:1]
    assert [row.id for row in instructions.in_flight(connection, 9, "bc")] == ["left"]


def test_waits_are_replaced_and_found(connection: Connection) -> None:
    """A coupling would not be woken when the record that it refers to is coupled, or be woken for ever."""
    jo, lm = Wait("salesperson", Side.LEFT, "JO"), Wait("salesperson", Side.LEFT, "LM")
    waits.replace(connection, {1: (jo, lm), 2: (jo, jo), 3: (lm,)})
    waits.replace(connection, {1: (lm,), 3: ()})
    assert waits.waiting_on(connection, [jo]) == {2}
    assert waits.waiting_on(connection, [jo, lm, Wait("salesperson", Side.RIGHT, "JO")]) == {1, 2}


def test_any_field_value_can_be_waited_for(connection: Connection) -> None:
    """A reference of a megabyte, or with a NUL in it, would stop every batch that it is in."""
    odd = [Wait("salesperson", Side.LEFT, "x" * 1_000_000), Wait("salesperson", Side.LEFT, "a\0b")]
    waits.replace(connection, {1: (odd[0],), 2: (odd[1],)})
    assert [waits.waiting_on(connection, [wait]) for wait in odd] == [{1}, {2}]
    assert couplings.references(connection, odd) == {}


def test_the_log_of_a_record(connection: Connection) -> None:
    """What was overwritten would not be found again, or be shown in another order than it happened in."""
    log.append(connection, [line(bc(1), detail=str(number), outcome="merged") for number in range(300)])
    log.append(connection, [line(bc(2)), line(bc(1), detail="last")])
    found = log.of_record(connection, str(bc(1)), 3)
    assert found == [line(bc(1), detail=str(n), outcome="merged") for n in (298, 299)] + [line(bc(1), detail="last")]
    assert log.tally(connection) == {"merged": 300, "sent": 2}


def test_the_log_page_by_page(connection: Connection) -> None:
    """Older lines of a record could not be reached."""
    log.append(connection, [line(bc(1), detail=str(number)) for number in range(5)])
    assert [each.detail for each in log.of_record(connection, str(bc(1)), 9, before_id=3)] == ["0", "1"]


def test_loaded_tables(connection: Connection) -> None:
    """Records would be created on the other side before those that they match were announced."""
    loaded.mark(connection, "bc", "customer", NOW)
    loaded.mark(connection, "bc", "customer", NOW + SECOND)
    loaded.mark(connection, "sales", "account", NOW)
    assert loaded.all(connection) == {("bc", "customer"), ("sales", "account")}
