"""The environment and the URLs in it: read, or refused in words that hold no password."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from messages.masking import masked
from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.pika_parameters import pika_parameters
from messages.transport.urls import AmqpUrl, BrokerUrlError, parse_broker_url
from tests.fuzz.folders import folder
from tests.fuzz.sentinels import SENTINEL
from tests.fuzz.verdicts import Verdict
from workers.settings import Settings, SettingsError, read_settings

_PASSWORD = re.compile(r"[^:/@]*://[^:]*:(?P<password>.*)@[^@]*", re.DOTALL)
"""In a URL, however badly it is written: all from the first colon after the scheme to the last @."""
_URLS: Final = ("RECOUPLE_STORE_URL", "RECOUPLE_BROKER_URL")


def broker_urls(data: bytes) -> Verdict:
    """Any bytes, as the URL of a broker; percent-encoded or not, its password is shown by nothing."""
    url = data.decode(errors="surrogateescape")
    secret = _holds_secret(url)
    shown = masked(url)
    assert masked(shown) == shown
    assert not (secret and SENTINEL in shown), f"shown: {shown}"
    try:
        found = parse_broker_url(url)
    except BrokerUrlError as error:
        words = f"{error} {error.__cause__}"
        assert not (secret and SENTINEL in words), f"told: {words}"
        return Verdict.REJECTED
    assert found == parse_broker_url(url)
    assert found.shown == shown
    if isinstance(found, AmqpUrl) and not found.tls:
        pika_parameters(found, AmqpTimeouts())
    return Verdict.ACCEPTED


def settings(data: bytes) -> Verdict:
    """Any bytes, as an environment with one variable a line."""
    environ = _environ(data)
    elsewhere = " ".join(_harmless(name, text) for name, text in environ.items())
    found = _read(environ)
    told = str(found) if isinstance(found, SettingsError) else repr(found)
    assert SENTINEL in elsewhere or SENTINEL not in told, f"told: {told}"
    if isinstance(found, SettingsError):
        assert found.faults
        return Verdict.REJECTED
    assert _read_again(found) == found
    return Verdict.ACCEPTED


def _holds_secret(url: str) -> bool:
    """Say whether the sentinel stands where a password does, and nowhere else."""
    match = _PASSWORD.fullmatch(url)
    return match is not None and 0 < match["password"].count(SENTINEL) == url.count(SENTINEL)


def _harmless(name: str, text: str) -> str:
    """Return what may be told of a variable: of a URL with a password its name only."""
    return name if name in _URLS and _holds_secret(text) else f"{name} {text}"


def _environ(data: bytes) -> dict[str, str]:
    """Return the variables; the files that they name exist in one folder, under a few names."""
    lines = data.decode(errors="surrogateescape").split("\n")
    pairs = [(name, text) for name, equals, text in (line.partition("=") for line in lines) if equals]
    return {name: _file(text) if name.endswith("_FILE") else text for name, text in pairs}


def _file(name: str) -> str:
    """Return the path of one of our own files: a device, or a pipe, would hold up more than a test."""
    known = {path.name for path in _folder().iterdir()}
    return str(_folder() / (name if name in known else "missing")) if name else ""


def _read(environ: dict[str, str]) -> Settings | SettingsError:
    try:
        return read_settings(environ)
    except SettingsError as error:
        return error


def _read_again(found: Settings) -> Settings | SettingsError:
    """Return the settings of an environment that says what ``found`` shows; URLs show no password, and are said."""
    environ = found.shown() | {"RECOUPLE_STORE_URL": found.store_url, "RECOUPLE_BROKER_URL": found.broker_url}
    return _read(environ)


@cache
def _folder() -> Path:
    """Return a folder with a secret as it should be, and some that cannot be read."""
    path = folder("settings")
    (path / "amqp").write_text(f"amqp://ada:{SENTINEL}@mq/v\n")
    (path / "sqlite").write_text("sqlite:///store.db")
    (path / "empty").write_text("\n")
    (path / "binary").write_bytes(b"\xff\xfe")
    (path / "folder").mkdir()
    return path
