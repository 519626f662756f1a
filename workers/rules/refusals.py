"""What an app's refusal, or its silence, makes of a coupling and of the record's image (``failures`` is the table).

A refusal of an earlier attempt is ignored (R7). An instruction whose fate is not known keeps its slot (R6): the same
goes out again, or its answer comes, however late; nothing new is made before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from messages.errors import ErrorEvent, ErrorKind
from messages.instructions import Action, Reason
from messages.outcomes import Failed
from store.model import Coupling, Image, InstructionState, LogWord, OpenError, Sent
from workers.rules.error_life import confidence_of, what_is_seen
from workers.rules.failures import CONSEQUENCES, MISMATCH_LIMIT, Consequence, Patience, backoff
from workers.rules.images import fold_gone
from workers.rules.sending import instruct
from workers.rules.situation import Decision, Situation


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a failed outcome.

    Attributes:
        word: What became of the outcome, for the log.
        image: The target's, where the refusal tells something of it.
        send: A ``read`` that has to be answered before anything is decided.
        resend: The same instruction, to go out again at its ``due_at``.
    """

    word: LogWord
    coupling: Coupling
    image: Image
    send: Sent | None = None
    resend: Sent | None = None


def refuse(situation: Situation, sent: Sent, failed: Failed, patience: Patience) -> Refusal:
    """Take an app's refusal of ``sent``, which is in flight."""
    coupling, image = situation.coupling, situation.image(sent.side)
    earlier = failed.attempt is not None and failed.attempt < sent.attempt
    if earlier or sent.state is InstructionState.BACKING_OFF:  # the current attempt has not gone out yet
        return Refusal(word="stale", coupling=coupling, image=image)
    consequence = CONSEQUENCES[failed.code]
    if consequence is Consequence.RETRY and sent.attempt < patience.limit:
        again = _again(sent, failed, situation.now, patience)
        return Refusal(word="retried", coupling=_replace(coupling, again), image=image, resend=again)
    if consequence is Consequence.REREAD and coupling.mismatches < MISMATCH_LIMIT and sent.action is not Action.READ:
        return _reread(situation, sent)
    if consequence is Consequence.GONE and _learns_of_deletion(coupling, sent):
        image = image if came_back(image, sent) else fold_gone(image, None)
        return Refusal(word="failed", coupling=_drop(coupling, sent), image=image)
    if consequence is Consequence.GONE and sent.action is Action.READ:
        image = fold_gone(image, None)
    return give_up(coupling, image, sent, failed)


def give_up(coupling: Coupling, image: Image, sent: Sent, failed: Failed) -> Refusal:
    """Keep the refusal on the instruction; the decision says what becomes of it."""
    given_up = msgspec.structs.replace(sent, state=InstructionState.FAILED, code=failed.code, words=failed.detail)
    return Refusal(word="failed", coupling=_replace(coupling, given_up), image=image)


def _again(sent: Sent, failed: Failed, now: datetime, patience: Patience) -> Sent:
    wait = failed.retry_after
    if wait is None:
        wait = backoff(patience, sent.attempt, sent.id)
    return msgspec.structs.replace(
        sent,
        attempt=sent.attempt + 1,
        state=InstructionState.BACKING_OFF,
        due_at=now + wait,
        code=failed.code,
        words=failed.detail,
    )


def _reread(situation: Situation, sent: Sent) -> Refusal:
    """R2: the record has moved. If we have heard of it, decide anew; if not, ask, and decide on the answer."""
    coupling, image = situation.coupling, situation.image(sent.side)
    dropped = msgspec.structs.replace(_drop(coupling, sent), mismatches=coupling.mismatches + 1)
    heard = sent.if_version is None or (image.version is not None and image.version > sent.if_version)
    if heard:
        return Refusal(word="failed", coupling=dropped, image=image)
    situation = msgspec.structs.replace(situation, coupling=dropped)
    read = instruct(situation, sent.side, Action.READ, Reason.READ, fields={})
    reading = msgspec.structs.replace(dropped, flight=(*dropped.flight, read), serial=dropped.serial + 1)
    return Refusal(word="failed", coupling=reading, image=image, send=read)


def _learns_of_deletion(coupling: Coupling, sent: Sent) -> bool:
    """A record that was asked for by a coupling without base was never there: that is a failure, not a deletion."""
    return sent.action is not Action.CREATE and (sent.action is not Action.READ or coupling.based)


def came_back(image: Image, sent: Sent) -> bool:
    """Say whether the answer speaks of an older record: we have heard of a newer one since."""
    newer = sent.if_version is not None and image.version is not None and image.version > sent.if_version
    return newer and bool(image.exists)


def _replace(coupling: Coupling, sent: Sent) -> Coupling:
    flight = tuple(sent if other.id == sent.id else other for other in coupling.flight)
    return msgspec.structs.replace(coupling, flight=flight)


def _drop(coupling: Coupling, sent: Sent) -> Coupling:
    return msgspec.structs.replace(coupling, flight=tuple(other for other in coupling.flight if other.id != sent.id))


def go_again(coupling: Coupling, sent: Sent, due_at: datetime | None) -> tuple[Coupling, Sent]:
    """A back-off is over: the instruction goes out, to be answered by ``due_at``."""
    again = msgspec.structs.replace(sent, state=InstructionState.SENT, due_at=due_at)
    return _replace(coupling, again), again


def unanswered(situation: Situation, overdue: Sequence[Sent]) -> Decision:
    """``answer_within`` has passed for these, one or one to each side: say so once, and keep the slots."""
    silent, *others = (msgspec.structs.replace(sent, state=InstructionState.UNANSWERED) for sent in overdue)
    coupling = _replace(situation.coupling, silent)
    for other in others:
        coupling = _replace(coupling, other)
    confidence, reasons = confidence_of(situation)
    previous = coupling.error
    error = OpenError(
        number=0 if previous is None else previous.number,
        kind=ErrorKind.NO_ANSWER,
        revision=1 if previous is None else previous.revision + 1,
        opened_at=situation.now if previous is None else previous.opened_at,
        failed=silent,
        attempts=silent.attempt,
        resolution=None if previous is None else previous.resolution,  # told if the answer comes after all
        resolved_by=None if previous is None else previous.resolved_by,
        history=() if previous is None else previous.history,
        confidence=confidence,
        confidence_reasons=reasons,
    )
    error = msgspec.structs.replace(error, seen=what_is_seen(error, situation))
    event = ErrorEvent.OPENED if previous is None else ErrorEvent.UPDATED
    coupling = msgspec.structs.replace(coupling, error=error)
    return Decision(word="error", coupling=coupling, event=event, error=error)
