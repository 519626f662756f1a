"""The life of an error: open, resolving, resolved, or open again; and what its revision counts.

============ ================================================== =========================================
status       when                                               then
============ ================================================== =========================================
(none)       a decision meets trouble                           ``open``, told as opened
open         the trouble is of another kind, or looks different ``open``, its revision grows
open         the trouble is gone by itself                      ``resolved``: converged, or closed
open         an order instructs an app                          ``resolving``, until all is confirmed
open         an order finds nothing to send                     ``resolved``, by that command
resolving    all is confirmed, and no new trouble               ``resolved``, by that command
resolving    an app refuses, or its record has moved            ``open``: the choice is made again
============ ================================================== =========================================
"""

from __future__ import annotations

import hashlib

import msgspec

from messages.errors import Confidence, ErrorEvent, ErrorStatus, Handling
from messages.values import encode_json
from store.model import SIDES, Coupling, CouplingStatus, OpenError
from workers.mapping import Ordering
from workers.rules.situation import Decision, Finding, Note, Situation, Trouble


def settle(situation: Situation, error: OpenError | None, finding: Finding) -> Decision:
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
    if situation.ordered is not None and decision.send:
        return resolving(situation, error, situation.ordered, decision)
    settled = msgspec.structs.replace(decision, coupling=msgspec.structs.replace(coupling, error=None))
    if situation.ordered is not None:
        return resolved(settled, handled(error, situation.ordered), situation.ordered.command)
    settled = msgspec.structs.replace(
        settled,
        word="converged" if finding.word == "unchanged" else finding.word,
        notes=(*decision.notes, Note(word="converged", detail=f"{error.kind} settled itself")),
    )
    return resolved(settled, error, "closed" if finding.close else "converged")


def resolving(situation: Situation, error: OpenError, ordered: Handling, decision: Decision) -> Decision:
    """What was ordered is on its way: the error waits for the apps to confirm it."""
    awaits = tuple(sent.id for sent in decision.send)
    under_way = msgspec.structs.replace(
        handled(error, ordered), status=ErrorStatus.RESOLVING, revision=error.revision + 1, awaits=awaits
    )
    under_way = msgspec.structs.replace(under_way, seen=what_is_seen(under_way, situation))
    coupling = msgspec.structs.replace(decision.coupling, error=under_way)
    return msgspec.structs.replace(decision, coupling=coupling, event=ErrorEvent.UPDATED, error=under_way)


HISTORY_LENGTH = 20
"""So many orders about one error are kept with it; all of them are in the audit of the commands."""


def handled(error: OpenError, ordered: Handling) -> OpenError:
    """The error with one more order in its history, which is what settles it."""
    known = any(one.id == ordered.id for one in error.history)
    history = error.history if known else (*error.history, ordered)[-HISTORY_LENGTH:]
    return msgspec.structs.replace(error, resolution=ordered.command, resolved_by=ordered.by, history=history)


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
        held_by=None,  # else the next pause would take it for held already
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
    if error is not None and situation.ordered is not None:  # an order that has not helped is told, too
        error = msgspec.structs.replace(handled(error, situation.ordered), resolution=None, resolved_by=None, seen="")
    if error is not None:
        seen_anew = fresh.seen != error.seen
        fresh = msgspec.structs.replace(
            fresh,
            number=error.number,
            opened_at=error.opened_at,
            revision=error.revision + seen_anew,
            attempts=error.attempts + (0 if trouble.failed == error.failed else fresh.attempts),
            history=error.history,
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
    for side in SIDES:
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


def resolved(decision: Decision, error: OpenError, resolution: str) -> Decision:
    """The error is over; that is something an operator sees, so its revision grows."""
    over = msgspec.structs.replace(error, revision=error.revision + 1, awaits=())
    return msgspec.structs.replace(decision, event=ErrorEvent.RESOLVED, error=over, resolution=resolution)


def same_error(decision: Decision, error: OpenError) -> Decision:
    """The error that has just been opened takes the place of an older one of the same coupling."""
    fresh = decision.coupling.error
    if fresh is None:
        return decision
    merged = msgspec.structs.replace(
        fresh,
        number=error.number,
        opened_at=error.opened_at,
        revision=error.revision + 1,
        attempts=error.attempts + 1,
        history=error.history,
    )
    coupling = msgspec.structs.replace(decision.coupling, error=merged)
    return msgspec.structs.replace(decision, coupling=coupling, event=ErrorEvent.UPDATED, error=merged)
