"""Log lines: what they look like, what their schema says, and what never stands in one."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import structlog

from messages.commands import RefusalCode
from messages.dead import DeadReason
from workers.log_events import LOG_EVENTS
from workers.logs import FORBIDDEN_KEYS, ForbiddenLogLineError, get_logger, lines_together, set_up_logging

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[3] / "docs/logs.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """Undo what a test set up."""
    handlers = [*logging.getLogger().handlers]
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    """Every line, read as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_begins_with_what_every_line_has(stream: io.StringIO) -> None:
    """Else a person could not read down a log, nor a program sort it by time."""
    set_up_logging("json", "info", stream, strict=True)
    get_logger("workers.pipeline").info("change.decided", record="bc/customer/ä/1", outcome="sent", coupling=None)

    (line,) = lines_of(stream)
    assert list(line) == ["timestamp", "level", "event", "logger", "record", "outcome"]
    assert (line["level"], line["event"], line["logger"]) == ("info", "change.decided", "workers.pipeline")
    assert line["record"] == "bc/customer/ä/1"
    assert line["timestamp"].endswith("Z")
    VALIDATOR.validate(line)


@pytest.mark.parametrize(
    "key", ["bc/customer/1", 'bc/"cust\\omer"/\n1', "bc/customer/ä€", "bc/customer/\ud800", "\x7f"]
)
@pytest.mark.parametrize("coupling", [7, 2**70])
def test_a_line_is_written_as_python_writes_it(stream: io.StringIO, key: str, coupling: int) -> None:
    """Else what people search their logs for is spelled otherwise after an update, or some keys cannot be written."""
    set_up_logging("json", "info", stream, strict=True)
    get_logger("workers.pipeline").info("change.decided", record=key, outcome="sent", coupling=coupling, error=1.5)

    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert (line["record"], line["coupling"]) == (key, coupling)
    assert text == json.dumps(line)
    assert text.isascii()


def test_leaves_out_what_is_less_important_than_the_level(stream: io.StringIO) -> None:
    """Else a production log would be full of what only a developer wants."""
    set_up_logging("json", "warning", stream, strict=True)
    get_logger("workers.pipeline").info("batch.committed", messages=1, duration_ms=1.5)

    assert stream.getvalue() == ""


def test_what_was_set_up_later_holds_for_loggers_made_earlier(stream: io.StringIO) -> None:
    """Else the loggers of modules, made at import, would go their own way."""
    logger = get_logger("workers.relay")
    set_up_logging("json", "info", stream)
    logger.info("relay.published", messages=3)

    assert lines_of(stream)[0]["messages"] == 3


SECRETS: dict[str, Any] = dict.fromkeys(FORBIDDEN_KEYS, "hunter2") | {
    "record_": {"name": "hunter2"},
    "rows": [("hunter2",)],
}


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_takes_away_what_must_not_be_logged(stream: io.StringIO, key: str) -> None:
    """Else one careless line would put field values into a log for good."""
    set_up_logging("json", "info", stream)
    get_logger("workers.pipeline").info("change.decided", **{"record": "bc/c/1", "outcome": "sent", key: SECRETS[key]})

    assert "hunter2" not in stream.getvalue()
    assert lines_of(stream)[0]["dropped"] == [key]
    VALIDATOR.validate(lines_of(stream)[0])


@pytest.mark.parametrize("line", [{"event": "change.decided", "fields": {}}, {"event": "something.else"}])
def test_under_test_such_a_line_is_a_failure(stream: io.StringIO, line: dict[str, Any]) -> None:
    """Else nobody would notice a line that loses its point, or an event that no page describes."""
    set_up_logging("json", "info", stream, strict=True)

    with pytest.raises(ForbiddenLogLineError, match=line["event"]):
        get_logger("workers.pipeline").info(**line)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_of_an_exception_only_type_and_place_remain(stream: io.StringIO, log_format: Any) -> None:
    """Else a database's words would put the row that it complains about into the log."""
    set_up_logging(log_format, "info", stream)
    try:
        int("hunter2")
    except ValueError as cause:
        error = LookupError("Key (email)=(hunter2) exists")
        error.__cause__ = cause
        get_logger("workers.pipeline").error("batch.failed", messages=1, exc_info=error)
        get_logger("workers.pipeline").exception("batch.failed", messages=1)

    assert "hunter2" not in stream.getvalue()
    assert "LookupError" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_of_an_exception_only_type_and_place_remain" in stream.getvalue()
    if log_format == "json":
        for line in lines_of(stream):
            VALIDATOR.validate(line)


def test_the_libraries_speak_through_the_same_stream_without_their_arguments(stream: io.StringIO) -> None:
    """Else a lost connection would be told in another format, and a message's body with it."""
    set_up_logging("json", "info", stream)
    set_up_logging("json", "info", stream)
    for name in ("kombu", "amqp", "sqlalchemy.pool", "alembic"):
        logging.getLogger(name).warning("cannot decode %r: %r", "hunter2", ValueError("hunter2"))
        logging.getLogger(name).info("nothing to see")

    lines = lines_of(stream)
    assert "hunter2" not in stream.getvalue()
    assert [line["logger"] for line in lines] == ["kombu", "amqp", "sqlalchemy.pool", "alembic"]
    for line in lines:
        assert (line["level"], line["event"], line["raised"]) == ("warning", "library.warned", "ValueError")
        assert line["template"] == "cannot decode %r: %r"
        VALIDATOR.validate(line)


def test_the_console_is_not_driven_by_a_record_s_key(stream: io.StringIO) -> None:
    """Else a record's key could clear an operator's screen, or forge a second log line."""
    set_up_logging("console", "info", stream)
    get_logger("workers.pipeline").info(
        "change.decided", record="bc/c/\x1b[2J\n2026 [info] forged\u202e", outcome="sent"
    )

    assert stream.getvalue().count("\n") == 1
    assert not {"\x1b", "\u202e"} & set(stream.getvalue())
    assert "forged" in stream.getvalue()


def test_any_key_can_be_written_to_any_stream() -> None:
    """Else a record whose key is no proper Unicode, or a terminal without UTF-8, would stop a worker."""
    for log_format in ("json", "console"):
        raw = io.BytesIO()
        ascii_only = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
        set_up_logging(log_format, "info", ascii_only)
        get_logger("workers.pipeline").info("change.decided", record="bc/c/\ud800ä東", outcome="sent")
        assert b"change.decided" in raw.getvalue()


class Counted(io.StringIO):
    """A stream that counts how often it was written to, and flushed.

    Attributes:
        written: So often.
    """

    written = flushed = 0

    def write(self, text: str) -> int:
        """Count, and write."""
        self.written += 1
        return super().write(text)

    def flush(self) -> None:
        """Count."""
        self.flushed += 1


def test_the_lines_of_a_batch_are_written_at_once() -> None:
    """Each would cost a system call, which is half of its price; a batch has hundreds."""
    stream, log = Counted(), get_logger("workers.pipeline")
    set_up_logging("json", "info", stream, strict=True)
    with lines_together():
        for number in range(3):
            log.info("batch.committed", messages=number)
        assert stream.written == 0
    assert [line["messages"] for line in lines_of(stream)] == [0, 1, 2]
    assert (stream.written, stream.flushed) == (1, 1)


def test_lines_that_are_held_back_are_written_whatever_happens() -> None:
    """The line before a fault, which would explain it, would be lost."""
    stream = Counted()
    set_up_logging("json", "info", stream, strict=True)
    with pytest.raises(ZeroDivisionError), lines_together():
        log_and_fail()
    get_logger("workers.pipeline").info("batch.committed", messages=2)
    assert [line["messages"] for line in lines_of(stream)] == [1, 2]


def log_and_fail() -> None:
    """Say something, and then raise."""
    get_logger("workers.pipeline").info("batch.committed", messages=1)
    raise ZeroDivisionError


def test_one_thread_does_not_hold_back_the_lines_of_another() -> None:
    """A worker that tells that the broker is lost would be heard when a batch is over."""
    stream = Counted()
    set_up_logging("json", "info", stream, strict=True)
    with lines_together():
        get_logger("workers.pipeline").info("batch.committed", messages=1)
        other = threading.Thread(target=get_logger("workers.pipeline").info, args=("worker.started",))
        other.start()
        other.join()
        assert [line["event"] for line in lines_of(stream)] == ["worker.started"]
    assert [line["event"] for line in lines_of(stream)] == ["worker.started", "batch.committed"]


def test_the_schema_is_a_schema() -> None:
    """Else every line would be in order."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_describes_every_event_in_the_same_words() -> None:
    """Else a page, or a line, would be about something that does not exist."""
    described = {name: entry["description"] for name, entry in SCHEMA["$defs"].items() if not name.startswith("_")}

    assert described == LOG_EVENTS
    assert SCHEMA["properties"]["event"]["enum"] == sorted(LOG_EVENTS)
    assert SCHEMA["oneOf"] == [{"$ref": f"#/$defs/{name}"} for name in described]
    for name, entry in SCHEMA["$defs"].items():
        if not name.startswith("_"):
            assert entry["properties"]["event"] == {"const": name}
            assert not FORBIDDEN_KEYS & entry["properties"].keys()
            assert set(entry["required"]) <= entry["properties"].keys()


@pytest.mark.parametrize(
    ("event", "field", "words"), [("change.dead", "reason", DeadReason), ("command.refused", "code", RefusalCode)]
)
def test_the_schema_knows_every_reason(event: str, field: str, words: type[StrEnum]) -> None:
    """Else the line of a rare reason, when it comes one day, would be no line of ours."""
    assert sorted(SCHEMA["$defs"][event]["properties"][field]["enum"]) == sorted(words)


@pytest.mark.parametrize(
    "change",
    [
        {"values": 1},
        {"outcome": "unheard-of"},
        {"record": None},
        {"timestamp": "yesterday"},
        {"event": "something.else"},
    ],
    ids=["a field that is not described", "an outcome that is none", "null", "no time", "no event of ours"],
)
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    """Else holding the acceptance run's lines against it would prove nothing."""
    line = {
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "level": "info",
        "event": "change.decided",
        "logger": "workers.pipeline",
        "record": "bc/c/1",
        "outcome": "sent",
    }
    VALIDATOR.validate(line)

    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(line | change)
