"""Sabotage between a worker and its store: of what is remembered, locked and kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, event

from store import handled, instructions, outbox
from store.connect import Store
from store.failures import StoreUnavailableError
from store.handled import Claim
from store.model import InstructionState, Sent
from store.outbox import Waiting
from workers.bootstrap import Doors

LOCKS = re.compile(r"FOR UPDATE OF [RC]\b")
"""How records and couplings are locked; the rows of a queue are still taken by one worker only."""


class _Careless:
    """A store whose transactions count as committed once all is written."""

    def __init__(self, real: Store) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        is_written = False
        try:
            with self._real.transaction() as connection:
                yield connection
                is_written = True
        except StoreUnavailableError:
            if not is_written:
                raise


def pass_over_failure(doors: Doors) -> Doors:
    """Go on where a commit has failed."""

    def open_careless(url: str) -> Any:
        return _Careless(doors.open_store(url))

    return doors._replace(open_store=open_careless)


def forget_unconfirmed(doors: Doors) -> Doors:
    """Delete the rows of the outbox as they are claimed, or handed over."""
    claim, hand_over = outbox.claim, outbox.hand_over

    def claim_and_forget(connection: Connection, *arguments: Any) -> list[Waiting]:
        waiting = claim(connection, *arguments)
        outbox.done(connection, [one.id for one in waiting])
        return waiting

    def hand_over_and_forget(connection: Connection, *arguments: Any) -> list[Waiting]:
        waiting = hand_over(connection, *arguments)
        outbox.done(connection, [one.id for one in waiting])
        return waiting

    outbox.claim = claim_and_forget  # type: ignore[assignment]
    outbox.hand_over = hand_over_and_forget  # type: ignore[assignment]
    return doors


def no_deduplication(doors: Doors) -> Doors:
    """Take every event for a new one."""
    return _claiming(doors, lambda _: Claim.NEW)


def bury_repeated(doors: Doors) -> Doors:
    """Take an event that came before for another one under its id."""
    return _claiming(doors, lambda found: Claim.REUSED if found is Claim.DUPLICATE else found)


def fail_repeated(doors: Doors) -> Doors:
    """Raise where an event came before."""

    def see(found: Claim) -> Claim:
        if found is Claim.DUPLICATE:
            raise LookupError("nobody knows what to do with it")
        return found

    return _claiming(doors, see)


def _claiming(doors: Doors, see: Callable[[Claim], Claim]) -> Doors:
    claim = handled.claim

    def claim_otherwise(connection: Connection, events: Sequence[tuple[str, str, str]], now: datetime) -> list[Claim]:
        return [see(found) for found in claim(connection, events, now)]

    handled.claim = claim_otherwise
    return doors


def no_locks(doors: Doors) -> Doors:
    """Read records and couplings without locking them."""

    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def _without_lock(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return LOCKS.sub("", statement), parameters

    return doors


def forget_applied(doors: Doors) -> Doors:
    """Keep of an applied instruction that it was given, and not what it wrote and wrote over."""
    save = instructions.save

    def save_less(connection: Connection, rows: Collection[tuple[int, Sent]]) -> None:
        save(connection, [(coupling, _emptied(sent)) for coupling, sent in rows])

    instructions.save = save_less
    return doors


def _emptied(sent: Sent) -> Sent:
    if sent.state is not InstructionState.APPLIED:
        return sent
    return msgspec.structs.replace(sent, fields={}, writes={}, base={})
