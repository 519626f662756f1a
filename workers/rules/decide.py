r"""The law of DESIGN.md section 5, row by row: what follows from the state of one coupling.

Each coupling that a batch touched is decided once, on its state and not on the events. Answers (``answers``) and
images (``images``) come first; then

===== ============================== ========================================================= =======================
row   when                           then                                                      log
===== ============================== ========================================================= =======================
\-     the coupling is closed         nothing                                                   ``uncoupled``
5     a decision is in flight        nothing; decided anew when the last one is answered (R3)  ``queued``
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

import hashlib

import msgspec

from messages.errors import Confidence, ErrorEvent, ErrorKind, ErrorStatus
from messages.instructions import Action, Reason
from messages.outcomes import FailureCode
from messages.values import encode_json, same
from store.model import Coupling, CouplingStatus, InstructionState, OpenError, Sent, Side
from workers.mapping import Confirms, Ordering
from workers.rules.answers import waiting
from workers.rules.deletions import decide_creation, decide_deletion
from workers.rules.differences import take_base
from workers.rules.sending import instruct
from workers.rules.situation import Decision, Finding, Note, Situation, Trouble
from workers.rules.updates import decide_update


def decide(situation: Situation) -> Decision:
    """Decide one coupling on its state."""
    coupling = situation.coupling
    if coupling.status is CouplingStatus.CLOSED:
        return _closed(coupling)
    if waiting(coupling):
        return Decision(word="queued", coupling=coupling)
    if coupling.error is not None and coupling.error.kind is ErrorKind.NO_ANSWER:
        return _answered(situation, coupling.error)
    failed = [sent for sent in coupling.flight if sent.state is InstructionState.FAILED]
    if failed:
        return _failed(situation, failed)
    if coupling.error is None or situation.afresh:
        return _settle(situation, coupling.error, find(situation, policies=True))
    return _skip_or_go_on(situation, coupling.error)


def _closed(coupling: Coupling) -> Decision:
    """The delete was confirmed, and with it what waited for it is over; nothing else follows from a closed coupling."""
    error = coupling.error
    if error is None or not (error.status is ErrorStatus.RESOLVING or error.kind is ErrorKind.NO_ANSWER):
        return Decision(word="uncoupled", coupling=coupling)
    cleared = msgspec.structs.replace(coupling, error=None)
    return _resolved(Decision(word="uncoupled", coupling=cleared), error, error.resolution or "answered")


def _resolved(decision: Decision, error: OpenError, resolution: str) -> Decision:
    """The error is over; that is something an operator sees, so its revision grows."""
    over = msgspec.structs.replace(error, revision=error.revision + 1)
    return msgspec.structs.replace(decision, event=ErrorEvent.RESOLVED, error=over, resolution=resolution)


def _without(situation: Situation, **changes: object) -> Situation:
    coupling = msgspec.structs.replace(situation.coupling, **changes)
    return msgspec.structs.replace(situation, coupling=coupling)


def _answered(situation: Situation, error: OpenError) -> Decision:
    """The answer that was waited for has come: the error is over, the coupling is decided as if it had not been."""
    decision = decide(_without(situation, error=None))
    if decision.event is not None or decision.coupling.error is not None:
        return _same_error(decision, error)
    return _resolved(decision, error, "answered")


def _same_error(decision: Decision, error: OpenError) -> Decision:
    """The error that has just been opened takes the place of an older one of the same coupling."""
    fresh = decision.coupling.error
    if fresh is None:
        return decision
    merged = msgspec.structs.replace(
        fresh, number=error.number, opened_at=error.opened_at, revision=error.revision + 1, attempts=error.attempts + 1
    )
    coupling = msgspec.structs.replace(decision.coupling, error=merged)
    return msgspec.structs.replace(decision, coupling=coupling, event=ErrorEvent.UPDATED, error=merged)


def _failed(situation: Situation, refused: list[Sent]) -> Decision:
    """An app refused: decide anew, and say so only if the same would be sent again (R8)."""
    error = situation.coupling.error
    situation = _without(situation, flight=())
    for failed in refused:
        if failed.action is Action.READ:
            never_found = failed.code == FailureCode.NOT_FOUND and not situation.coupling.based
            finding = Finding(word="error", trouble=_refusal(failed), close=never_found)
            return _settle(situation, error, finding)
    finding = find(situation, policies=True)
    for failed in refused:
        stuck = repeats(finding, failed) or (finding.trouble is not None and _one_gone(situation))
        if stuck and still_applies(situation, failed):
            refusal = msgspec.structs.replace(finding, word="error", trouble=_refusal(failed), send=(), notes=())
            return _settle(situation, error, refusal)
    return _settle(situation, error, finding)


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


def _one_gone(situation: Situation) -> bool:
    return [image.exists for image in situation.images].count(False) == 1


def _skip_or_go_on(situation: Situation, error: OpenError) -> Decision:
    """Row 8."""
    if error.kind is ErrorKind.APPLY_FAILED:
        failed = error.failed
        if failed is not None and _one_gone(situation) and still_applies(situation, failed):
            return _skip(situation, error)  # while an error is open no policy restores or deletes
        finding = find(situation, policies=not _one_gone(situation))
        if failed is not None and repeats(finding, failed):
            return _skip(situation, error, finding)
        return _settle(situation, error, finding)
    finding = find(situation, policies=error.kind is not ErrorKind.UPDATE_CONFLICT)
    stuck = finding.trouble is not None and finding.trouble.kind is error.kind  # a restore still lacks a value's form
    if _one_gone(situation) and not stuck:
        finding = find(situation, policies=False)
    return _settle(situation, error, finding)


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
    unknown = [side for side in Side if situation.image(side).exists is None and _tells(situation, side)]
    if unknown:
        send = tuple(instruct(situation, side, Action.READ, Reason.READ, fields={}) for side in unknown)
        return Finding(word="sent", send=send)
    gone = [side for side in Side if situation.image(side).exists is False]
    if gone:
        both = len(gone) == len(Side)
        closed = Finding(word="uncoupled", close=True)
        return closed if both else decide_deletion(situation, gone[0], policies=policies)
    return decide_update(situation, policies=policies) if coupling.based else _first_base(situation, policies=policies)


def _first_base(situation: Situation, *, policies: bool) -> Finding:
    """Both images are known for the first time: no policy acts, unless somebody said which side to keep."""
    base = take_base(situation.mapping, situation.left, situation.right, situation.references)
    if situation.coupling.keep is None:
        return Finding(word="coupled", base=base)
    return decide_update(_without(situation, base=base, based=True), policies=policies)


def _tells(situation: Situation, side: Side) -> bool:
    """An app that never confirms is not asked either; its record is taken to be there."""
    return situation.mapping.app(side).confirms is not Confirms.NONE


def _settle(situation: Situation, error: OpenError | None, finding: Finding) -> Decision:
    """Bring a finding together with the error that is open, if one is."""
    coupling = _after(situation.coupling, finding)
    decision = Decision(
        word=finding.word,
        coupling=coupling,
        send=() if finding.trouble is not None else finding.send,
        rule=finding.rule,
        notes=() if finding.trouble is not None else finding.notes,
        apart=finding.apart,
    )
    if finding.trouble is not None:
        return _in_trouble(situation, error, finding.trouble, decision)
    if error is None:
        return decision
    resolution = "closed" if finding.close else "retry" if situation.afresh else "converged"
    settled = msgspec.structs.replace(
        decision,
        coupling=msgspec.structs.replace(coupling, error=None),
        word="converged" if finding.word == "unchanged" else finding.word,
        notes=(*decision.notes, Note(word="converged", detail=f"{error.kind} settled itself")),
    )
    return _resolved(settled, error, resolution)


def _after(coupling: Coupling, finding: Finding) -> Coupling:
    """The coupling once the finding is carried out."""
    sends = bool(finding.send) and finding.trouble is None
    return msgspec.structs.replace(
        coupling,
        based=coupling.based or finding.base is not None,
        base=coupling.base if finding.base is None else finding.base,
        flight=finding.send if sends else (),
        serial=coupling.serial + sends,
        mismatches=coupling.mismatches if sends or finding.trouble is not None else 0,
        waits=finding.waits,
        keep=None if finding.base is not None and finding.trouble is None and not sends else coupling.keep,
        status=CouplingStatus.CLOSED if finding.close else coupling.status,
    )


def _in_trouble(situation: Situation, error: OpenError | None, trouble: Trouble, decision: Decision) -> Decision:
    """Open an error, or let the open one say what is wrong now."""
    confidence, reasons = confidence_of(situation)
    fresh = OpenError(
        kind=trouble.kind,
        opened_at=situation.now,
        code=trouble.code,
        words=trouble.words,
        field=trouble.field,
        failed=trouble.failed,
        attempts=0 if trouble.failed is None else trouble.failed.attempt,
        contested=trouble.contested,
        confidence=confidence,
        confidence_reasons=reasons,
    )
    fresh = msgspec.structs.replace(fresh, seen=what_is_seen(fresh, situation))
    opened = error is None
    if error is not None:
        seen_anew = fresh.seen != error.seen or error.status is ErrorStatus.RESOLVING
        fresh = msgspec.structs.replace(
            fresh,
            number=error.number,
            opened_at=error.opened_at,
            revision=error.revision + seen_anew,
            attempts=error.attempts + fresh.attempts,
        )
        if not seen_anew:
            coupling = msgspec.structs.replace(decision.coupling, error=error)
            return msgspec.structs.replace(decision, word="skipped", coupling=coupling)
    return msgspec.structs.replace(
        decision,
        word=decision.word if opened else "skipped",
        coupling=msgspec.structs.replace(decision.coupling, error=fresh),
        event=ErrorEvent.OPENED if opened else ErrorEvent.UPDATED,
        error=fresh,
    )


def confidence_of(situation: Situation) -> tuple[Confidence, tuple[str, ...]]:
    """Say whether a decision on this situation rests on everything that it should rest on, and if not, why."""
    reasons = []
    for side in Side:
        app = situation.mapping.app(side)
        if app.order is Ordering.TIME:
            reasons.append(f"{app.name} is ordered by its clock")
        if situation.image(side).clipped:
            reasons.append(f"a time of {app.name} lay in the future and was clipped")
        if not app.checks_version:
            reasons.append(f"{app.name} does not check versions")
        if any(field.on(side) not in situation.image(side).fields for field in situation.mapping.fields):
            reasons.append(f"some mapped fields of {app.name} were never told")
    base = situation.coupling.base
    if not situation.coupling.based or any(not form.agreed for form in base.values()):
        reasons.append("the records were coupled while they differed: there is no base for what differed")
    return (Confidence.DEGRADED if reasons else Confidence.CERTAIN), tuple(reasons)


def what_is_seen(error: OpenError, situation: Situation) -> str:
    """Digest what an operator sees of the error; another digest is another revision."""
    shown = [
        [error.kind, error.status, error.code, error.words, error.field, error.contested, error.candidates],
        [[image.exists, image.version, image.fields] for image in situation.images],
    ]
    return hashlib.blake2b(encode_json(shown), digest_size=8).hexdigest()
