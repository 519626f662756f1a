"""What a job counts of the couplings that it decided: each of them once, by what was instructed."""

from __future__ import annotations

from collections.abc import Iterable

from messages.errors import ErrorStatus
from messages.instructions import Action
from store.jobs import Counters
from store.model import CouplingStatus
from workers.deciding import Decided

_COUNTED = {Action.CREATE: "inserted", Action.UPDATE: "modified", Action.DELETE: "deleted", Action.READ: "skipped"}
"""By the first instruction; a record that has to be read first is decided when it is known."""


def count(decided: Iterable[Decided]) -> Counters:
    """Count couplings by what was decided on them."""
    counters = Counters()
    for one in decided:
        counters = counters.plus(Counters(**{_counter(one): 1}))
    return counters


def _counter(one: Decided) -> str:
    decision = one.decision
    for sent in (*decision.send, *decision.resend):
        return _COUNTED[sent.action]
    if decision.coupling.status is CouplingStatus.CLOSED:
        return "uncoupled"
    error = decision.coupling.error
    if error is not None and error.status is ErrorStatus.OPEN:
        return "failed"
    return "skipped" if decision.word in ("paused", "queued") else "unchanged"
