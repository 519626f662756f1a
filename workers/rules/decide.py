r"""The law of DESIGN.md section 5, row by row: what follows from the state of one coupling.

Each coupling that a batch touched is decided once, on its state and not on the events. Answers (``answers``) and
images (``images``) come first; then

===== ============================== ========================================================= =======================
row   when                           then                                                      log
===== ============================== ========================================================= =======================
\-     the coupling is closed         nothing                                                   ``uncoupled``
5     a decision is in flight        nothing; decided anew when the last one is answered (R3)  ``queued``
\-     a resolution is confirmed      its error is over; decided as if there had been none      ``resolved``
\-     paused, or outside ``where``   nothing, until that ends                                  ``paused``
\-     what was tried has failed      ``apply_failed``, unless something else would be sent     ``error``
\-     an image is not known          ask for it with ``read``                                  ``sent``
6     both sides gone                closed, its error resolved                                ``uncoupled``
7     one side gone                  ``deletions``
9-11  both alive                     ``updates``
8     and an error is open           below
===== ============================== ========================================================= =======================

Row 8, what becomes of an open error:

===================================== ================================================================================
kind                                  resolves itself (``converged``) when
===================================== ================================================================================
update_conflict, deletion_conflict    nothing is contested any more
apply_failed                          nothing is left to send, or what would be sent differs from what failed (R8)
value_not_mapped, reference_not_…     what was missing is there
no_answer                             the answer comes, however late (R6)
===================================== ================================================================================

Otherwise the coupling is ``skipped``; the same error changes kind when its cause changes, and its revision grows
when an operator would see something else.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from messages.errors import ErrorEvent, ErrorKind, ErrorStatus
from messages.instructions import Action, Reason
from messages.outcomes import FailureCode
from messages.values import same
from store.model import SIDES, Coupling, CouplingStatus, InstructionState, OpenError, Sent, Side
from workers.mapping import Confirms
from workers.rules.answers import waiting
from workers.rules.applicability import held_by
from workers.rules.deletions import decide_creation, decide_deletion
from workers.rules.differences import take_base
from workers.rules.error_life import resolved, same_error, settle, what_is_seen
from workers.rules.sending import instruct
from workers.rules.situation import Decision, Finding, Situation, Trouble
from workers.rules.updates import decide_update

RETRIES = ("retry", "retry_all")
"""Orders that choose nothing: today's records and policies say what is done."""


def decide(situation: Situation) -> Decision:
    """Decide one coupling on its state."""
    coupling = situation.coupling
    if coupling.status is CouplingStatus.CLOSED:
        return _closed(coupling)
    if waiting(coupling):
        return Decision(word="queued", coupling=coupling)
    error = coupling.error
    if error is not None and (error.kind is ErrorKind.NO_ANSWER or confirmed(error)):
        return _answered(situation, error)
    held = held_by(situation)
    if held is not None:
        return _hold(situation, held)
    return _decide_freely(_unconfirmed(_without(situation, held_by=None)))


def _decide_freely(situation: Situation) -> Decision:
    """Nothing is in flight and nothing holds the coupling: what do the records ask for?"""
    coupling = situation.coupling
    failed = [sent for sent in coupling.flight if sent.state is InstructionState.FAILED]
    if failed:
        return _failed(situation, failed)
    if coupling.error is None or situation.ordered is not None:
        return settle(situation, coupling.error, _unless_undone(situation, find(situation, policies=True)))
    return _skip_or_go_on(situation, coupling.error)


def confirmed(error: OpenError) -> bool:
    """Say whether the apps have confirmed all that the resolution of ``error`` asked for."""
    return error.status is ErrorStatus.RESOLVING and not error.awaits


def _hold(situation: Situation, held: str) -> Decision:
    """Nothing is decided while an operator, a brake or the mapping's ``where`` holds the coupling.

    An open error still tells what an operator would see, and that a resolution has failed: nothing is under way any
    more. A retry goes on by itself, after the pause.
    """
    held_back = _without(situation, held_by=held)
    reopened = _unconfirmed(held_back)
    error = reopened.coupling.error
    if error is None or error.status is not ErrorStatus.OPEN or reopened.ordered is not None:
        return Decision(word="paused", coupling=held_back.coupling, rule=held)
    return msgspec.structs.replace(_skip(reopened, error), word="paused", rule=held)


def _unconfirmed(situation: Situation) -> Situation:
    """A resolution that was refused, or met a record that has moved: the choice is to be made again.

    A retry made none: it goes on by itself, on the records as they are now, until an app refuses.
    """
    error = situation.coupling.error
    if error is None or error.status is not ErrorStatus.RESOLVING:
        return situation
    reopened = msgspec.structs.replace(
        error, status=ErrorStatus.OPEN, resolution=None, resolved_by=None, awaits=(), seen=""
    )
    refused = any(sent.state is InstructionState.FAILED for sent in situation.coupling.flight)
    goes_on = error.resolution in RETRIES and error.history and not refused
    ordered = error.history[-1] if goes_on else situation.ordered
    return msgspec.structs.replace(_without(situation, error=reopened), ordered=ordered)


def _closed(coupling: Coupling) -> Decision:
    """The delete was confirmed, and with it what waited for it is over; nothing else follows from a closed coupling."""
    error = coupling.error
    if error is None or not (error.status is ErrorStatus.RESOLVING or error.kind is ErrorKind.NO_ANSWER):
        return Decision(word="uncoupled", coupling=coupling)
    cleared = msgspec.structs.replace(coupling, error=None)
    return resolved(Decision(word="uncoupled", coupling=cleared), error, error.resolution or "answered")


def _without(situation: Situation, **changes: object) -> Situation:
    coupling = msgspec.structs.replace(situation.coupling, **changes)
    return msgspec.structs.replace(situation, coupling=coupling)


def _answered(situation: Situation, error: OpenError) -> Decision:
    """The answer that was waited for has come: the error is over, the coupling is decided as if it had not been."""
    decision = decide(_without(situation, error=None))
    if decision.event is not None or decision.coupling.error is not None:
        return same_error(decision, error)
    return resolved(decision, error, error.resolution or "answered")


def _failed(situation: Situation, refused: list[Sent]) -> Decision:
    """An app refused: decide anew, and say so only if the same would be sent again (R8)."""
    error = situation.coupling.error
    situation = _without(situation, flight=())
    for failed in refused:
        if failed.action is Action.READ:
            never_found = failed.code == FailureCode.NOT_FOUND and not situation.coupling.based
            finding = Finding(word="error", trouble=_refusal(failed), close=never_found)
            return settle(situation, error, finding)
    finding = find(situation, policies=True)
    for failed in refused:
        stuck = repeats(finding, failed) or (finding.trouble is not None and _one_gone(situation))
        stuck = stuck or undone_choice(situation, failed)
        if stuck and still_applies(situation, failed):
            contested = () if finding.trouble is None else finding.trouble.contested
            trouble = msgspec.structs.replace(_refusal(failed), contested=contested)
            refusal = msgspec.structs.replace(finding, word="error", trouble=trouble, send=(), notes=())
            return settle(situation, error, refusal)
    return settle(situation, error, finding)


def _refusal(failed: Sent) -> Trouble:
    return Trouble(kind=ErrorKind.APPLY_FAILED, code=failed.code, words=failed.words, failed=failed)


def still_applies(situation: Situation, failed: Sent) -> bool:
    """Say whether what failed could be tried again: an update of two living records, a create of a missing one."""
    gone = situation.image(failed.side).exists is False
    other_gone = situation.image(failed.side.other).exists is False
    if failed.action is Action.UPDATE:
        return not gone and not other_gone
    if failed.action is Action.CREATE:
        return not situation.image(failed.side).exists and not other_gone
    return not gone and other_gone


def repeats(finding: Finding, failed: Sent) -> bool:
    """Say whether ``finding`` would send to the same side exactly what failed there (R8)."""
    return any(
        sent.side is failed.side and sent.action is failed.action and same(sent.fields, failed.fields)
        for sent in finding.send
    )


def undone_choice(situation: Situation, failed: Sent) -> bool:
    """Say whether ``failed`` is what an operator chose, and its target still holds something else.

    The rules would not send it again by themselves, so that nothing else would tell of the refusal.
    """
    names = {field.name: field.on(failed.side) for field in situation.mapping.fields}
    held = situation.image(failed.side).fields
    return failed.reason is Reason.SYNCHRONIZE and any(
        not same(held.get(names[name], UNSET), write.value) for name, write in failed.writes.items() if name in names
    )


def _one_gone(situation: Situation) -> bool:
    return [image.exists for image in situation.images].count(False) == 1


def _skip_or_go_on(situation: Situation, error: OpenError) -> Decision:
    """Row 8."""
    if error.kind is ErrorKind.APPLY_FAILED:
        failed = error.failed
        if failed is not None and _one_gone(situation) and still_applies(situation, failed):
            return _skip(situation, error)  # while an error is open no policy restores or deletes
        finding = find(situation, policies=not _one_gone(situation))
        if failed is not None and (repeats(finding, failed) or _still_to_be_chosen(situation, error, finding)):
            return _skip(situation, error, finding)
        return settle(situation, error, finding)
    finding = find(situation, policies=error.kind is not ErrorKind.UPDATE_CONFLICT)
    stuck = finding.trouble is not None and finding.trouble.kind is error.kind  # a restore still lacks a value's form
    if _one_gone(situation) and not stuck:
        finding = find(situation, policies=False)
    return settle(situation, error, finding)


def _still_to_be_chosen(situation: Situation, error: OpenError, finding: Finding) -> bool:
    """Say whether an app's refusal of what an operator chose still is all there is to say."""
    failed, trouble = error.failed, finding.trouble
    if failed is None or finding.send or not undone_choice(situation, failed) or not still_applies(situation, failed):
        return False
    if trouble is None:
        return not error.contested
    return trouble.kind is ErrorKind.UPDATE_CONFLICT and trouble.contested == error.contested


def _unless_undone(situation: Situation, finding: Finding) -> Finding:
    """A retry decides on today's policies; where they ask for nothing, a choice that was refused is still not done."""
    error, ordered = situation.coupling.error, situation.ordered
    if error is None or error.kind is not ErrorKind.APPLY_FAILED or error.failed is None or finding.trouble is not None:
        return finding
    if ordered is None or ordered.command not in RETRIES or not _still_to_be_chosen(situation, error, finding):
        return finding
    return msgspec.structs.replace(finding, word="error", trouble=_refusal(error.failed), notes=())


def _skip(situation: Situation, error: OpenError, finding: Finding | None = None) -> Decision:
    """The error stays; its revision grows if an operator would see something else."""
    coupling = situation.coupling
    if finding is not None and finding.base is not None:
        coupling = msgspec.structs.replace(coupling, base=finding.base)
    seen = what_is_seen(error, situation)
    if seen == error.seen:
        return Decision(word="skipped", coupling=coupling)
    updated = msgspec.structs.replace(error, seen=seen, revision=error.revision + 1)
    coupling = msgspec.structs.replace(coupling, error=updated)
    return Decision(word="skipped", coupling=coupling, event=ErrorEvent.UPDATED, error=updated)


def find(situation: Situation, *, policies: bool) -> Finding:
    """Rows 6, 7 and 9 to 11: what the two records ask for, whatever error may be open."""
    coupling = situation.coupling
    if coupling.status is CouplingStatus.CREATING:
        missing = Side.LEFT if coupling.left is None else Side.RIGHT
        alive = situation.image(missing.other).exists
        return decide_creation(situation, missing) if alive else Finding(word="uncoupled", close=True)
    unknown = [side for side in SIDES if situation.image(side).exists is None and _tells(situation, side)]
    if unknown:
        send = tuple(instruct(situation, side, Action.READ, Reason.READ, fields={}) for side in unknown)
        return Finding(word="sent", send=send)
    gone = [side for side in SIDES if situation.image(side).exists is False]
    if gone:
        both = len(gone) == len(Side)
        closed = Finding(word="uncoupled", close=True)
        return closed if both else decide_deletion(situation, gone[0], policies=policies)
    return decide_update(situation, policies=policies) if coupling.based else _first_base(situation, policies=policies)


def _first_base(situation: Situation, *, policies: bool) -> Finding:
    """Both images are known for the first time: no policy acts, unless somebody said which side to keep."""
    base = take_base(situation.mapping, situation.left, situation.right, situation.references)
    if situation.coupling.keep is None and situation.choice is None:
        return Finding(word="coupled", base=base)
    return decide_update(_without(situation, base=base, based=True), policies=policies)


def _tells(situation: Situation, side: Side) -> bool:
    """An app that never confirms is not asked either; its record is taken to be there."""
    return situation.mapping.app(side).confirms is not Confirms.NONE
