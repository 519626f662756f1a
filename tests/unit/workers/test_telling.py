"""What a batch leaves to be read: the synchronization log, and lines for the structured log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import structlog
from msgspec.structs import replace

from messages.errors import ErrorEvent, ErrorKind
from messages.instructions import Action, Reason
from messages.records import RecordRef
from store.model import Image, LogLine, LogWord, OpenError, Sent, Side, Write
from tests.rules_world import mapping_of
from workers.deciding import Decided
from workers.log_lines import Line
from workers.logs import set_up_logging
from workers.pipeline import write_lines
from workers.rules.desk import Touch
from workers.rules.situation import Decision, Note, Situation
from workers.settling import new_coupling
from workers.telling import lines, log_lines

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEFT, RIGHT = RecordRef("l", "t", "1"), RecordRef("r", "t", "9")
MAPPING = mapping_of("a")
SECRET = "hunter2"  # noqa: S105 - a field value that must not be told
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[3] / "docs/logs.schema.json").read_text(encoding="utf-8"))


def sent(number: int = 1) -> Sent:
    """An instruction to the right, full of values."""
    return Sent(
        id=f"t{number}-1-right",
        side=Side.RIGHT,
        record=RIGHT,
        action=Action.UPDATE,
        reason=Reason.SYNC,
        made_at=NOW,
        fields={"a": SECRET},
        writes={"a": Write(value=SECRET, held=SECRET, replaced=SECRET)},
        words=SECRET,
    )


def decided(number: int = 1, word: LogWord = "sent", **more: Any) -> Decided:
    """A decision about coupling ``number``; ``more`` are members of the decision."""
    coupling = replace(new_coupling(MAPPING, f"t{number}", LEFT, RIGHT), id=number)
    image = Image(record=LEFT, fields={"a": SECRET}, exists=True, modified_by=SECRET)
    situation = Situation(coupling=coupling, mapping=MAPPING, left=image, right=image, references={}, now=NOW)
    return Decided(situation=situation, decision=Decision(word=word, coupling=coupling, **more))


def open_error(**more: Any) -> OpenError:
    """An error full of words."""
    return OpenError(kind=ErrorKind.APPLY_FAILED, number=4, opened_at=NOW, words=SECRET, failed=sent(), **more)


def told(written: list[LogLine]) -> list[tuple[str, str, str | None]]:
    """Record, outcome and event of each line."""
    return [(line.record, line.outcome, line.event) for line in written]


def test_one_line_for_an_event_and_its_coupling() -> None:
    """What became of an event could not be looked up, or would stand there twice."""
    (line,) = log_lines(
        [decided(word="sent", send=(sent(),), rule="left")], [Touch(record=LEFT, coupling=1, event="e1")], NOW
    )
    assert line == LogLine(
        at=NOW, record="l/t/1", outcome="sent", coupling=1, rule="left", event="e1", instruction="t1-1-right"
    )


def test_an_event_that_touches_two_couplings_has_a_line_for_each() -> None:
    """What was done with the one mapping would hide what was done with the other."""
    touches = [Touch(record=LEFT, coupling=number, event="e1") for number in (1, 2)]
    written = log_lines([decided(1, "sent"), decided(2, "conflict")], touches, NOW)
    assert [(line.coupling, line.outcome) for line in written] == [(1, "sent"), (2, "conflict")]


def test_events_of_one_coupling_share_its_decision() -> None:
    """Three events decided once would leave a fourth line that nobody sent, or only one."""
    touches = [Touch(record=LEFT, coupling=1, event=f"e{number}") for number in range(3)]
    assert told(log_lines([decided()], touches, NOW)) == [("l/t/1", "sent", f"e{number}") for number in range(3)]


def test_a_decision_that_no_event_led_to_is_told_by_itself() -> None:
    """What a timer or a command decided would stand nowhere."""
    assert told(log_lines([decided(word="error")], [], NOW)) == [("l/t/1", "error", None)]


@pytest.mark.parametrize("word", ["stale", "ignored", "uncoupled", "confirmed", "overtaken"])
def test_an_event_that_says_for_itself_what_became_of_it(word: LogWord) -> None:
    """The decision would take the place of what the event itself was."""
    touch = Touch(record=RIGHT, word=word, coupling=1, event="e1", detail="because", values={"a": 1})
    written = log_lines([decided(word="sent")], [touch], NOW)
    assert told(written) == [("r/t/9", word, "e1"), ("l/t/1", "sent", None)]
    assert (written[0].detail, written[0].values) == ("because", {"a": 1})


def test_a_word_that_is_the_decision_s_own_is_not_said_twice() -> None:
    """``couple`` would be told for both records and then once more for the first."""
    touches = [Touch(record=record, word="coupled", coupling=1) for record in (LEFT, RIGHT)]
    assert told(log_lines([decided(word="coupled")], touches, NOW)) == [
        ("l/t/1", "coupled", None),
        ("r/t/9", "coupled", None),
    ]


def test_a_note_is_a_line_of_its_own() -> None:
    """A value that was overwritten would be lost (R11)."""
    note = Note(word="resolved", rule="left", detail="right overwritten: a", values={"a": {"left": 1, "right": 2}})
    one = decided(word="resolved", notes=(note,), send=(sent(),))
    written = log_lines([one], [Touch(record=LEFT, coupling=1, event="e1")], NOW)
    assert told(written) == [("l/t/1", "resolved", "e1"), ("l/t/1", "resolved", None)]
    assert (written[1].values, written[1].rule, written[1].instruction) == (note.values, "left", "t1-1-right")


def test_an_event_of_no_coupling() -> None:
    """The log of an uncoupled record would be empty."""
    touch = Touch(record=LEFT, word="uncoupled", event="e1", rule="m")
    assert told(log_lines([], [touch], NOW)) == [("l/t/1", "uncoupled", "e1")]


def everything(traces: dict[int, str]) -> list[Line]:
    """Lines about one of everything: decisions, every event of an error, an instruction, what events were."""
    numbered = enumerate(ErrorEvent, start=1)
    ones = [
        decided(
            number,
            event=event,
            error=open_error(code="validation_failed"),
            notes=(Note(word="resolved", values={"a": SECRET}, detail=SECRET),),
            resolution="retry" if event is ErrorEvent.RESOLVED else None,
        )
        for number, event in numbered
    ]
    words: list[LogWord] = ["confirmed", "failed", "retried", "stale", "overtaken", "normalized", "duplicate"]
    touches = [
        Touch(record=LEFT, word=word, coupling=1, event="e1", instruction="t1-1-right", values={"a": SECRET})
        for word in words
    ]
    return lines(ones, [(1, sent(1)), (2, sent(2))], [*touches, Touch(record=LEFT, coupling=1, event="e2")], traces)


def test_the_lines_of_a_batch() -> None:
    """A decision, an error or an instruction would not be seen from outside."""
    found = [line.event for line in everything({})]
    assert found == [
        *["change.decided"] * 3,
        *["error.opened", "error.updated", "error.resolved"],
        *["instruction.sent"] * 2,
        *["instruction.confirmed", "instruction.failed", "instruction.retried"],
        *["change.decided"] * 4,
    ]


def test_what_a_line_says() -> None:
    """An operator could not follow one record, one error or one instruction through the log."""
    decision, error = lines([decided(event=ErrorEvent.OPENED, error=open_error())], [], [], {})
    assert decision.fields == {
        "mapping": "m",
        "coupling": 1,
        "left_record": "l/t/1",
        "right_record": "r/t/9",
        "outcome": "sent",
        "rule": None,
    }
    assert (error.fields["error"], error.fields["kind"], error.fields["revision"]) == (4, "apply_failed", 1)
    (instruction,) = lines([], [(1, sent())], [], {})
    assert instruction.fields == {
        "instruction": "t1-1-right",
        "record": "r/t/9",
        "action": "update",
        "reason": "sync",
        "attempt": 1,
        "coupling": 1,
    }


def test_the_trace_goes_to_the_lines_of_its_coupling_only() -> None:
    """What an event led to could not be found by its trace, or another's lines would be found with it."""
    found = everything({1: TRACE})
    assert all(("trace_id" in line.fields) is (line.fields["coupling"] == 1) for line in found)
    assert {line.fields["trace_id"] for line in found if "trace_id" in line.fields} == {"a" * 32}
    assert not any("trace_id" in line.fields for line in everything({}))


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where strict logging writes; undone afterwards."""
    handlers = [*logging.getLogger().handlers]
    stream = io.StringIO()
    set_up_logging("json", "debug", stream, strict=True)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def test_no_line_holds_a_value_or_an_app_s_words(stream: io.StringIO) -> None:
    """Field values would stand in a log for good; or a line would say what its page does not describe."""
    write_lines(everything({1: TRACE}))
    assert SECRET not in stream.getvalue()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    written = stream.getvalue().splitlines()
    assert len(written) == 15
    for line in written:
        validator.validate(json.loads(line))
