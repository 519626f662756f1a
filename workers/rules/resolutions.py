"""What each resolution of an operator makes of one coupling, or why it is refused: pure, so that a preview is exact.

================= ==================================================================================================
command           effect
================= ==================================================================================================
remove_coupling   the coupling is closed, whatever is in flight; both records are left as they are, marked apart
retry             ``no_answer``: the same instruction goes out again; else decided on today's records and policies
synchronize       decided as the operator chooses (``choices``)
restore_record    the deleted record is created again (``deletions.restore``)
delete_record     the record that is still there is deleted (``deletions.delete``)
dismiss           the error is closed without effect; the next change tries again
================= ==================================================================================================

What instructs an app leaves the error ``resolving`` until the app confirms (``error_life``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from messages.commands import (
    DeleteRecord,
    Dismiss,
    RefusalCode,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from messages.errors import ErrorEvent, ErrorKind, Handling
from messages.instructions import Reason
from store.model import Choice, CouplingStatus, OpenError, Side
from workers.refusal import RefusedError
from workers.rules import choices
from workers.rules.answers import waiting
from workers.rules.applicability import applicable, gone, held_by, unanswered
from workers.rules.decide import decide
from workers.rules.deletions import delete, restore
from workers.rules.error_life import handled, resolved, resolving, settle
from workers.rules.refusals import go_again
from workers.rules.sending import answer_due
from workers.rules.situation import Decision, Finding, Situation

Resolution: TypeAlias = RemoveCoupling | Retry | Synchronize | RestoreRecord | DeleteRecord | Dismiss
"""The orders that are about one coupling."""


def resolve(situation: Situation, order: Resolution, ordered: Handling) -> Decision:
    """Decide what ``order`` makes of the coupling.

    Raises:
        RefusedError: it does not apply, or cannot be done as it was ordered; nothing is to happen.
    """
    allowed = applicable(situation)
    if ordered.command not in allowed and not (ordered.command == "retry_all" and "retry" in allowed):
        raise RefusedError(RefusalCode.NOT_APPLICABLE, _why_not(situation, ordered.command, allowed))
    return _EFFECTS[type(order)](msgspec.structs.replace(situation, ordered=ordered), order)


def choice(order: Synchronize) -> Choice:
    """What a ``synchronize`` wants, in the words of the store."""
    return Choice(
        keep=None if order.keep is None else Side(order.keep.value),
        fields={name: Side(keep.value) for name, keep in order.fields.items()},
        values=order.values,
    )


def _why_not(situation: Situation, command: str, allowed: tuple[str, ...]) -> str:
    coupling = situation.coupling
    state = _state(situation)
    can = f"; what applies: {', '.join(allowed)}" if allowed else ""
    return f"{command} does not apply to coupling {coupling.id}: {state}{can}"


def _state(situation: Situation) -> str:
    """Say in a few words where the coupling stands, as far as it keeps a command from being carried out."""
    coupling, held, missing = situation.coupling, held_by(situation), gone(situation)
    error = "no error is open" if coupling.error is None else f"its error is {coupling.error.kind}"
    states = (
        (coupling.status is CouplingStatus.CLOSED, "it is closed"),
        (bool(unanswered(situation)), "an app has not answered yet"),
        (bool(waiting(coupling)), "a decision is in flight"),
        (held == "where", "a record is outside of the mapping's where"),
        (held is not None, f"{held} is paused, resume it first"),
        (coupling.status is CouplingStatus.CREATING, "one record is not created yet"),
        (missing is not None, f"the {missing} record is deleted"),
    )
    return next((words for holds, words in states if holds), f"both records exist and {error}")


def _remove(situation: Situation, _order: Resolution) -> Decision:
    coupling = situation.coupling
    records = tuple(record for record in (coupling.left, coupling.right) if record is not None)
    closed = msgspec.structs.replace(
        coupling, status=CouplingStatus.CLOSED, flight=(), waits=(), error=None, keep=None, held_by=None
    )
    return _over(situation, Decision(word="uncoupled", coupling=closed, rule="remove_coupling", apart=records))


def _dismiss(situation: Situation, _order: Resolution) -> Decision:
    coupling = situation.coupling
    keep = None if coupling.based else coupling.keep  # what ``couple`` ordered has been tried, and is given up
    cleared = msgspec.structs.replace(coupling, error=None, keep=keep)
    return _over(situation, Decision(word="done", coupling=cleared, rule="dismiss"))


def _over(situation: Situation, decision: Decision) -> Decision:
    """The coupling's error, if it has one, is over by what was ordered."""
    error, ordered = situation.coupling.error, situation.ordered
    if error is None or ordered is None:
        return decision
    return resolved(decision, handled(error, ordered), ordered.command)


def _retry(situation: Situation, _order: Resolution) -> Decision:
    error = situation.coupling.error
    if error is not None and error.kind is ErrorKind.NO_ANSWER and unanswered(situation):
        return _ask_again(situation, error)
    return decide(situation)


def _ask_again(situation: Situation, error: OpenError) -> Decision:
    """The same instructions, the same ids, the next attempt (R6)."""
    coupling, ordered, resend = situation.coupling, situation.ordered, []
    for sent in unanswered(situation):
        again = msgspec.structs.replace(sent, attempt=sent.attempt + 1)
        coupling, again = go_again(coupling, again, answer_due(situation.mapping, sent.side, situation.now))
        resend.append(again)
    assert ordered is not None  # noqa: S101 - ``resolve`` says who orders
    decision = Decision(word="retried", coupling=coupling, resend=tuple(resend), rule="retry")
    return resolving(situation, error, ordered, decision)


def _synchronize(situation: Situation, order: Resolution) -> Decision:
    assert isinstance(order, Synchronize)  # noqa: S101 - the table says so
    wanted = choice(order)
    wrong = choices.faults(situation, wanted)
    if wrong:
        raise RefusedError(RefusalCode.INVALID, f"coupling {situation.coupling.id}: {'; '.join(wrong)}")
    decision = decide(msgspec.structs.replace(situation, choice=wanted))
    return _unless_stuck(situation, decision)


def _restore(situation: Situation, _order: Resolution) -> Decision:
    missing = gone(situation)
    assert missing is not None  # noqa: S101 - else it would not apply
    finding = restore(situation, missing, Reason.RESTORE)
    if finding.send and not finding.send[0].fields:
        detail = f"nothing is known of what the {missing} record held, and nothing flows to it"
        raise RefusedError(RefusalCode.NOT_APPLICABLE, f"coupling {situation.coupling.id}: {detail}")
    return _carry_out(situation, finding, "restore_record")


def _delete(situation: Situation, _order: Resolution) -> Decision:
    missing = gone(situation)
    assert missing is not None  # noqa: S101 - else it would not apply
    return _carry_out(situation, delete(situation, missing.other), "delete_record")


def _carry_out(situation: Situation, finding: Finding, rule: str) -> Decision:
    finding = msgspec.structs.replace(finding, rule=rule)
    return _unless_stuck(situation, settle(situation, situation.coupling.error, finding))


def _unless_stuck(situation: Situation, decision: Decision) -> Decision:
    """A choice that cannot be carried out is refused, and nothing happens."""
    error = decision.coupling.error
    if decision.send or decision.event is ErrorEvent.RESOLVED or error is None:
        return decision
    what = {
        ErrorKind.VALUE_NOT_MAPPED: f"the value of {error.field} does not stand in its value map; add it first",
        ErrorKind.REFERENCE_NOT_COUPLED: f"{error.field} points to a record that is not coupled; couple that first",
    }.get(error.kind, f"it would end in {error.kind} again")
    raise RefusedError(RefusalCode.NOT_APPLICABLE, f"coupling {situation.coupling.id}: {what}")


_EFFECTS: dict[type, Callable[[Situation, Resolution], Decision]] = {
    RemoveCoupling: _remove,
    Retry: _retry,
    Synchronize: _synchronize,
    RestoreRecord: _restore,
    DeleteRecord: _delete,
    Dismiss: _dismiss,
}
