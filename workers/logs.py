"""Structured logs: JSON, one object a line on stdout, or lines for people. No field value, app's word or secret.

A value that must not be logged is kept out twice: nobody passes it, and if somebody does, its key is taken away here.
The texts of exceptions are left out too: a database's often quotes the row. Their types and where they rose remain.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from workers.log_events import LOG_EVENTS
from workers.printable import printable
from workers.settings import LogFormat, LogLevel

FORBIDDEN_KEYS = frozenset(
    {
        *("after", "base", "before", "body", "content", "data", "delta", "detail", "difference", "differences"),
        *("email", "fields", "headers", "image", "left", "message", "new", "old", "parameters", "params", "password"),
        *("payload", "query", "reason_text", "record_fields", "right", "row", "secret", "sql", "statement", "text"),
        *("token", "url", "value", "values", "was", "words", "write", "writes"),
    }
)
"""Keys under which field values, an app's words, an operator's text or a secret would stand."""

MAX_FRAMES = 20
"""Of an exception's stack, the innermost ones."""

_FIRST = ("timestamp", "level", "event", "logger")

_PLAIN_TYPES = frozenset({type(None), str, int, float, bool})
"""Of most values; of all others ``_is_plain`` says whether they may be logged."""

_ENCODER = msgspec.json.Encoder()


class ForbiddenLogLineError(Exception):
    """A line has a key that must not be logged, or an event that nobody described; raised under test only."""


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of the module ``name``; it says what ``set_up_logging`` has set, also where that came later."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def set_up_logging(
    log_format: LogFormat, log_level: LogLevel, stream: TextIO | None = None, *, strict: bool = False
) -> None:
    """Send every log line of this process to ``stream`` (stdout), those of the libraries from warnings on.

    Args:
        log_format: As the setting of this name.
        log_level: As the setting of this name.
        stream: Where to; looked up now, not at import.
        strict: Raise ``ForbiddenLogLineError`` where a line in production would lose a key.
    """
    stream = stream or sys.stdout
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_without_words,
            _refuse_forbidden if strict else _drop_forbidden,
            _in_order_without_nulls,
            *_renderers(log_format, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Output(stream))),
        cache_logger_on_first_use=not strict,
    )
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, _Libraries):
            root.removeHandler(handler)
    root.addHandler(_Libraries(logging.WARNING))


class _Held(threading.local):
    """The lines that a thread holds back until it has all of them; ``None`` where each goes out by itself."""

    lines: dict[_Output, list[str]] | None = None


_HELD = _Held()


class _Output:
    """As much of a stream as structlog needs; all is written at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def write(self, text: str) -> None:
        if _HELD.lines is None:
            self.write_out(text)
        else:
            _HELD.lines.setdefault(self, []).append(text)

    def write_out(self, text: str) -> None:
        with self._lock:
            self._stream.write(text)
            self._stream.flush()

    def flush(self) -> None:
        """It is done."""


@contextmanager
def lines_together() -> Iterator[None]:
    """Write what this thread logs inside in one piece: a system call for each line is half of what a line costs."""
    held = _HELD.lines = dict[_Output, list[str]]()
    try:
        yield
    finally:
        _HELD.lines = None
        for output, lines in held.items():
            output.write_out("".join(lines))


def _renderers(log_format: LogFormat, stream: TextIO) -> tuple[Processor, ...]:
    if log_format == "json":
        return (_as_json,)
    encoding = stream.encoding or "utf-8"

    def encodable(_: WrappedLogger, __: str, rendered: EventDict) -> str:
        return str(rendered).encode(encoding, "backslashreplace").decode(encoding)

    console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False, pad_event_to=24)
    return (_printable, console, encodable)


def _as_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    """ASCII: whatever the stream's encoding is, every key of every record can be written to it."""
    with suppress(ValueError, OverflowError):  # half a surrogate pair, a number of more than 64 bits
        text = _ENCODER.encode(line)
        if text.isascii() and b"\x7f" not in text:
            return msgspec.json.format(text, indent=0).decode()
    return json.dumps(line)


def _exception_without_words(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    exc_info = line.pop("exc_info", None)
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    error = exc_info if isinstance(exc_info, BaseException) else sys.exception() if exc_info else None
    if error is not None:
        line["raised"] = _type_name(error)
        line["raised_at"] = list(_frames(error.__traceback__))[-MAX_FRAMES:]
        if error.__cause__ is not None:
            line["caused_by"] = _type_name(error.__cause__)
    return line


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield place_of(traceback.tb_frame, traceback.tb_lineno)
        traceback = traceback.tb_next


def place_of(frame: FrameType, line: int) -> str:
    """Say where in the code a frame stands: ``module:line function``."""
    return f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"


def _forbidden(line: EventDict) -> list[str]:
    return [
        key
        for key, value in line.items()
        if key in FORBIDDEN_KEYS or not (type(value) in _PLAIN_TYPES or _is_plain(value))
    ]


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, (str, int, float))


def _drop_forbidden(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    forbidden = _forbidden(line)
    for key in forbidden:
        del line[key]
    if forbidden:
        line["dropped"] = forbidden
    return line


def _refuse_forbidden(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    forbidden = _forbidden(line)
    if forbidden or line["event"] not in LOG_EVENTS:
        raise ForbiddenLogLineError(f"log line {line['event']!r}: not described, or with keys {forbidden}")
    return line


def _in_order_without_nulls(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    line["logger"] = line.pop("module", "")  # structlog keeps the word `logger` for itself
    ordered = {key: line.pop(key) for key in _FIRST}
    ordered.update((key, value) for key, value in line.items() if value is not None)
    return ordered


def _printable(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return {printable(key): _printable_value(value) for key, value in line.items()}


def _printable_value(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return ", ".join(printable(item) for item in value)
    return printable(value) if isinstance(value, str) else value


class _Libraries(logging.Handler):
    """Takes what kombu, pika, SQLAlchemy and Alembic log with the standard library, without its arguments.

    Only the template stands in the line: arguments may hold a message's body or a row.
    """

    def emit(self, record: logging.LogRecord) -> None:
        errors = [arg for arg in (record.args or ()) if isinstance(arg, BaseException)]
        error = (record.exc_info and record.exc_info[1]) or (errors[0] if errors else None)
        get_logger(record.name).log(
            record.levelno,
            "library.warned",
            template=record.msg if isinstance(record.msg, str) else type(record.msg).__name__,
            where=f"{record.module}:{record.lineno}",
            exc_info=error,
        )
