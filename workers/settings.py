"""What the environment says, read once, as a frozen value. A wrong setting is a sentence at start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec

from messages.masking import masked
from messages.transport.urls import parse_broker_url
from workers.address import Address, parse_address
from workers.durations import format_duration, parse_duration
from workers.spelling import did_you_mean

PREFIX = "RECOUPLE_"
TEST_PREFIX = "RECOUPLE_TEST_"
"""Of the variables that only the tests read."""

LogFormat: TypeAlias = Literal["json", "console"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, validated. What each means stands in ``SETTINGS``; the two URLs may hold a password."""

    store_url: str
    broker_url: str
    config: Path
    namespace: str
    log_format: LogFormat
    log_level: LogLevel
    batch_size: int
    max_message_bytes: int
    errors_max_length: int
    retry_first: timedelta
    retry_ceiling: timedelta
    retry_limit: int
    outbox_lease: timedelta
    shutdown_within: timedelta
    command_timeout: timedelta
    keep_errors: timedelta
    keep_log: timedelta
    keep_handled: timedelta
    http: Address | None
    stuck_after: timedelta

    def shown(self) -> dict[str, str]:
        """Return every setting by the name of its variable, as text that may be printed and logged: no password."""
        return {setting.name: _shown(getattr(self, _attribute(setting.name))) for setting in SETTINGS}

    def __repr__(self) -> str:
        """Leave out passwords, so that no traceback shows one."""
        return f"Settings({self.shown()})"


class SettingsError(Exception):
    """The environment cannot be used.

    Attributes:
        faults: A sentence for each.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        many = "1 setting is" if len(faults) == 1 else f"{len(faults)} settings are"
        super().__init__("\n".join((f"{many} wrong; nothing runs until this is mended:", *faults)))
        self.faults = faults


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read every setting from ``environ``; one that is missing or empty has its default.

    Raises:
        SettingsError: with a sentence for everything that is wrong, unknown ``RECOUPLE_*`` variables included.
    """
    faults = _unknown(environ)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        try:
            text = _from_file(setting, environ) or environ.get(setting.name) or setting.default
            values[_attribute(setting.name)] = setting.read(text)
        except ValueError as error:
            faults.append(f"{setting.name}: {error}")
    if not faults and values["retry_ceiling"] < values["retry_first"]:
        faults.append("RECOUPLE_RETRY_CEILING: it must not be shorter than RECOUPLE_RETRY_FIRST")
    if faults:
        raise SettingsError(tuple(faults))
    return Settings(**values)


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [setting.name for setting in SETTINGS]
    known += [f"{setting.name}_FILE" for setting in SETTINGS if setting.secret]
    return [
        f"{name}: there is no such setting{did_you_mean(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known
    ]


def _from_file(setting: Setting, environ: Mapping[str, str]) -> str | None:
    """Return what the file that ``<name>_FILE`` names holds, as container platforms hand out secrets."""
    path = environ.get(f"{setting.name}_FILE") if setting.secret else None
    if not path:
        return None
    if environ.get(setting.name):
        raise ValueError(f"{setting.name}_FILE is set as well; set one of the two")
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file that {setting.name}_FILE names cannot be read ({type(error).__name__})") from error
    if not text:
        raise ValueError(f"the file that {setting.name}_FILE names is empty")
    return text


def _attribute(name: str) -> str:
    return name.removeprefix(PREFIX).lower()


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if value is None:
        return ""
    return masked(value) if isinstance(value, str) and "://" in value else str(value)


def _store_url(text: str) -> str:
    # The URL itself is never part of a sentence: it may hold a password.
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql+psycopg") or not rest:
        raise ValueError("it must be a URL that begins with sqlite:/// or postgresql+psycopg://")
    try:
        urlsplit(text).port  # noqa: B018 - reading it is the check
    except ValueError:
        raise ValueError("it is no URL; what is special in a user name or password is percent-encoded") from None
    return text


def _broker_url(text: str) -> str:
    parse_broker_url(text)
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} must be one of {', '.join(words)}{did_you_mean(text, words)}")
        return text

    return read


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} must be a whole number from {least} to {most}")
        return int(text)

    return read


def _lasting(least: timedelta, most: timedelta) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        duration = parse_duration(text)
        if not least <= duration <= most:
            raise ValueError(f"{text!r} must lie between {format_duration(least)} and {format_duration(most)}")
        return duration

    return read


def _namespace(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]{1,40}", text):
        raise ValueError(f"{text!r} is no namespace: 1 to 40 of a-z, 0-9, _ and -")
    return text


class Setting(NamedTuple):
    """One setting: its variable, its default as it would be written there, what it means, and how it is read."""

    name: str
    default: str
    sentence: str
    read: Callable[[str], Any]
    secret: bool = False


_MS, _S, _MIN, _H = timedelta(milliseconds=1), timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
_DAY = timedelta(days=1)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "RECOUPLE_STORE_URL",
        "sqlite:///.recouple/store.db",
        "Where what we know is kept: `sqlite:///path` or `postgresql+psycopg://user:password@host:port/database`. "
        "`RECOUPLE_STORE_URL_FILE` names a file that holds it.",
        _store_url,
        secret=True,
    ),
    Setting(
        "RECOUPLE_BROKER_URL",
        "embedded:///.recouple/broker.db",
        "Where messages travel: `embedded:///path`, `amqp://user:password@host:port/vhost` or `amqps://…`. "
        "`RECOUPLE_BROKER_URL_FILE` names a file that holds it.",
        _broker_url,
        secret=True,
    ),
    Setting("RECOUPLE_CONFIG", "recouple.toml", "The mapping file.", Path),
    Setting(
        "RECOUPLE_NAMESPACE",
        "recouple",
        "The first word of every exchange and queue name: `[a-z0-9_-]`, at most 40.",
        _namespace,
    ),
    Setting(
        "RECOUPLE_LOG_FORMAT",
        "json",
        "`json`, one object a line, or `console`, for people; on a terminal `console` is the default.",
        _one_of("json", "console"),
    ),
    Setting(
        "RECOUPLE_LOG_LEVEL",
        "info",
        "The least important level that is logged: `debug`, `info`, `warning`, `error` or `critical`.",
        _one_of("debug", "info", "warning", "error", "critical"),
    ),
    Setting(
        "RECOUPLE_BATCH_SIZE", "300", "At most so many messages are handled in one transaction.", _whole(1, 10_000)
    ),
    Setting(
        "RECOUPLE_MAX_MESSAGE_BYTES",
        "1048576",
        "A longer message goes to the dead queue.",
        _whole(1024, 134_217_728),
    ),
    Setting(
        "RECOUPLE_ERRORS_MAX_LENGTH",
        "100000",
        "How many messages the error queue keeps; the oldest go first, the store has them all.",
        _whole(1, 10_000_000),
    ),
    Setting(
        "RECOUPLE_RETRY_FIRST",
        "1s",
        "The wait before an app that was unavailable is asked again; it doubles each time.",
        _lasting(_MS, _H),
    ),
    Setting("RECOUPLE_RETRY_CEILING", "5m", "The longest such wait.", _lasting(_MS, 24 * _H)),
    Setting(
        "RECOUPLE_RETRY_LIMIT",
        "10",
        "After so many attempts an app that is still unavailable is an error for an administrator.",
        _whole(1, 1000),
    ),
    Setting(
        "RECOUPLE_OUTBOX_LEASE",
        "30s",
        "For so long what a relay took to publish is its own; if it dies, another takes it then.",
        _lasting(_S, _H),
    ),
    Setting(
        "RECOUPLE_SHUTDOWN_WITHIN",
        "8s",
        "For so long a worker that is told to stop may go on with its batch.",
        _lasting(_S, 5 * _MIN),
    ),
    Setting(
        "RECOUPLE_COMMAND_TIMEOUT",
        "30s",
        "For so long the command line waits for the answer to a command.",
        _lasting(_MS, 24 * _H),
    ),
    Setting(
        "RECOUPLE_KEEP_ERRORS",
        "90d",
        "For so long a resolved error is kept; one that is open, or says why a coupling is skipped, always is.",
        _lasting(_H, 3650 * _DAY),
    ),
    Setting(
        "RECOUPLE_KEEP_LOG",
        "90d",
        "For so long the synchronization log, answered instructions and finished jobs are kept.",
        _lasting(_H, 3650 * _DAY),
    ),
    Setting(
        "RECOUPLE_KEEP_HANDLED",
        "14d",
        "For so long the id of a message is remembered; one that comes again later than this counts as new.",
        _lasting(_H, 3650 * _DAY),
    ),
    Setting(
        "RECOUPLE_HTTP",
        "",
        "Where a worker answers `/metrics`, `/health/live` and `/health/ready`, as `127.0.0.1:9464`; empty: nowhere. "
        "Of several processes each has the next port.",
        parse_address,
    ),
    Setting(
        "RECOUPLE_STUCK_AFTER",
        "2m",
        "A worker with a loop that gives no sign of life for so long ends itself, with exit code 70.",
        _lasting(_MIN, 24 * _H),
    ),
)
"""Every setting, in the order of the README's table."""
