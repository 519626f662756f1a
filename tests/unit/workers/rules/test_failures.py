"""C34: every failure code and what it leads to; how long a back-off takes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from messages.errors import ErrorKind
from messages.instructions import Action
from messages.outcomes import FailureCode
from store.model import InstructionState, Side
from tests.rules_world import World, mapping_of
from workers.rules.failures import CONSEQUENCES, Consequence, Patience, backoff

EXPECTED = {
    FailureCode.UNAVAILABLE: Consequence.RETRY,
    FailureCode.RATE_LIMITED: Consequence.RETRY,
    FailureCode.VERSION_MISMATCH: Consequence.REREAD,
    FailureCode.NOT_FOUND: Consequence.GONE,
}


@pytest.mark.parametrize("code", FailureCode)
def test_every_code_has_its_consequence(code: FailureCode) -> None:
    """A passing failure would go to a person, or a lasting one would be tried for ever."""
    assert CONSEQUENCES[code] is EXPECTED.get(code, Consequence.GIVE_UP)


@pytest.mark.parametrize("code", FailureCode)
def test_what_people_see(code: FailureCode) -> None:
    """The same table, seen from outside: retried, read again, a deletion, or an error with the app's code."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(w.L(a=5))
    (sent,) = w.sent()
    w.engine.outbox.clear()
    w.deliver(w.right.refuse(sent, code, "words"))
    consequence = CONSEQUENCES[code]
    if consequence is Consequence.RETRY:
        (again,) = w.coupling.flight
        assert (again.id, again.attempt, again.state) == (sent.id, 2, InstructionState.BACKING_OFF)
        assert (again.fields, w.error) == (sent.fields, None)
    elif consequence is Consequence.REREAD:
        assert [one.action for one in w.sent(Side.RIGHT)] == [Action.READ]
    else:
        assert w.error is not None
        gone = consequence is Consequence.GONE
        assert w.error.kind is (ErrorKind.DELETION_CONFLICT if gone else ErrorKind.APPLY_FAILED)
        assert (w.error.code, w.error.words) == ((None, "") if gone else (code, "words"))


@pytest.mark.parametrize("attempt", [1, 2, 3, 8, 9, 10, 40, 10_000])
@pytest.mark.parametrize("seed", ["token-1-left", "token-2-right"])
def test_backoff(attempt: int, seed: str) -> None:
    """A wait would be none, or beyond the ceiling, or not the same in a replay."""
    patience = Patience(first=timedelta(seconds=1), ceiling=timedelta(minutes=5))
    doubled = min(timedelta(minutes=5), timedelta(seconds=2 ** min(attempt - 1, 20)))
    wait = backoff(patience, attempt, seed)
    assert doubled / 2 <= wait <= doubled
    assert wait == backoff(patience, attempt, seed)


def test_waits_differ() -> None:
    """All that an absent app has refused would come back at the same moment."""
    assert len({backoff(Patience(), 3, f"token-{number}") for number in range(50)}) > 40
