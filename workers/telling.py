"""What is told of a batch: lines for the synchronization log, and lines for the structured log after the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from messages.errors import ErrorEvent, ErrorMessage, ErrorReport
from store.model import LogLine, Sent
from workers.deciding import Decided
from workers.log_lines import Line
from workers.rules.desk import Touch


def log_lines(decided: Sequence[Decided], touches: Sequence[Touch], now: datetime) -> list[LogLine]:
    """The lines of the synchronization log: one for each event and coupling, and one for each note of a decision."""
    by_coupling = {one.situation.coupling.id: one for one in decided}
    told: set[int] = set()
    written = []
    for touch in touches:
        one = by_coupling.get(touch.coupling or 0)
        word, rule, instruction = touch.word, touch.rule, touch.instruction
        if word is None:
            word = "unchanged" if one is None else one.decision.word
            rule = rule or (None if one is None else one.decision.rule)
            instruction = instruction or (None if one is None else _instruction(one))
        if one is not None and word == one.decision.word:
            told.add(one.situation.coupling.id)
        written.append(
            LogLine(
                at=now,
                record=str(touch.record),
                outcome=word,
                coupling=touch.coupling,
                rule=rule,
                event=touch.event,
                instruction=instruction,
                detail=touch.detail,
                values=touch.values,
            )
        )
    for one in decided:
        written += _decision_lines(one, now, quiet=one.situation.coupling.id in told)
    return written


def _instruction(one: Decided) -> str | None:
    return one.decision.send[0].id if one.decision.send else None


def _decision_lines(one: Decided, now: datetime, *, quiet: bool) -> list[LogLine]:
    """What a decision adds to the lines of its events; all of it, where no event led to it."""
    coupling, decision = one.decision.coupling, one.decision
    record = str(coupling.left or coupling.right)
    own = LogLine(
        at=now,
        record=record,
        outcome=decision.word,
        coupling=coupling.id,
        rule=decision.rule,
        instruction=_instruction(one),
    )
    return ([] if quiet else [own]) + [
        LogLine(
            at=now,
            record=record if note.record is None else str(note.record),
            outcome=note.word,
            coupling=coupling.id,
            rule=note.rule,
            instruction=_instruction(one),
            detail=note.detail,
            values=note.values,
        )
        for note in decision.notes
    ]


def lines(
    decided: Sequence[Decided], sent: Sequence[tuple[int, Sent]], touches: Sequence[Touch], traces: Mapping[int, str]
) -> list[Line]:
    """What the structured log says after the commit: one line per decision, error and instruction.

    Args:
        traces: Per coupling, the ``traceparent`` of the event that led to it.
    """
    told = (
        [_decision_line(one) for one in decided]
        + [_error_line(one) for one in decided if one.decision.event is not None]
        + [_sent_line(number, one) for number, one in sent]
        + [_touch_line(touch) for touch in touches if touch.word is not None]
    )
    return [_traced(line, traces) for line in told] if traces else told


def _traced(line: Line, traces: Mapping[int, str]) -> Line:
    """Name the trace, the second part of a W3C ``traceparent``, where one is known."""
    trace = traces.get(line.fields.get("coupling") or 0)
    return line if trace is None else Line(event=line.event, fields={**line.fields, "trace_id": trace.split("-")[1]})


def _decision_line(one: Decided) -> Line:
    coupling = one.decision.coupling
    fields = {
        "mapping": coupling.mapping,
        "coupling": coupling.id,
        "left_record": None if coupling.left is None else str(coupling.left),
        "right_record": None if coupling.right is None else str(coupling.right),
        "outcome": one.decision.word,
        "rule": one.decision.rule,
    }
    return Line(event="change.decided", fields=fields)


def _error_line(one: Decided) -> Line:
    error, coupling = one.decision.error, one.decision.coupling
    assert error is not None  # noqa: S101 - a decision that has an event has the error it is about
    fields = {
        "error": error.number,
        "kind": error.kind,
        "revision": error.revision,
        "mapping": coupling.mapping,
        "coupling": coupling.id,
        "code": error.code,
        "resolution": one.decision.resolution,
    }
    return Line(event=f"error.{one.decision.event}", fields=fields)


def _sent_line(coupling: int, sent: Sent) -> Line:
    fields = {
        "instruction": sent.id,
        "record": str(sent.record),
        "action": sent.action,
        "reason": sent.reason,
        "attempt": sent.attempt,
        "coupling": coupling,
    }
    return Line(event="instruction.sent", fields=fields)


_TOUCH_EVENTS = {"confirmed": "instruction.confirmed", "failed": "instruction.failed", "retried": "instruction.retried"}


def _touch_line(touch: Touch) -> Line:
    fields = {
        "record": str(touch.record),
        "outcome": touch.word,
        "message_id": touch.event,
        "coupling": touch.coupling,
        "instruction": touch.instruction,
    }
    return Line(event=_TOUCH_EVENTS.get(touch.word or "", "change.decided"), fields=fields)


def limit_message(told: ErrorReport, event: ErrorEvent, now: datetime) -> ErrorMessage:
    """What the error feed is told of a mapping that its limit has paused."""
    return ErrorMessage(id=f"error-{told.error}-{told.revision}-{event}", event=event, report=told, at=now)


def limit_lines(opened: Sequence[ErrorReport]) -> list[Line]:
    """Two lines for each mapping that its limit has paused: the error, and the pause."""
    told = []
    for one in opened:
        fields = {"error": one.error, "kind": one.kind, "revision": one.revision, "mapping": one.mapping}
        told.append(Line(event="error.opened", level="warning", fields=fields))
        fields = {"scope": "mapping", "mapping": one.mapping, "by": "recouple", "error": one.error}
        told.append(Line(event="pause.set", level="warning", fields=fields))
    return told
