"""No URL is shown with its password, however it is spelt, and wherever it is said."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messages.masking import masked
from messages.transport.urls import BrokerUrlError, parse_broker_url
from store.connect import open_store
from workers.settings import SettingsError, read_settings

SECRET = "hunter2"  # noqa: S105
"""Stands in the middle of every password below."""

ODD = st.text(st.sampled_from("@:/?#%&=;[]+ \\'\"\n\t\0aÄ東\u202e\ud800"), max_size=6)
PASSWORDS = st.builds("{}{}{}".format, ODD, st.just(SECRET), ODD)
"""As somebody types one who does not know that it has to be percent-encoded."""

SCHEMES = st.sampled_from(("amqp", "amqps", "postgresql+psycopg", "postgresql", "redis", "AMQP"))
RESTS = st.sampled_from(("mq", "mq:5672", "mq:5672//", "[::1]:5672/v", "db/x?sslmode=verify-full", "db:port/x", ""))
OPTIONS = st.sampled_from(("password", "PASSWORD", "sslpassword", "pass%77ord", "token", "hunter", ""))


def in_place(scheme: str, password: str, rest: str) -> str:
    """A URL with its password where passwords stand."""
    return f"{scheme}://ada:{password}@{rest}"


def in_query(scheme: str, option: str, password: str) -> str:
    """A URL with its password in an option, encoded: what is not ends at the next ``&``."""
    return f"{scheme}://ada@db:1/x?sslmode=require&{option}={quote(password, safe='', errors='replace')}"


URLS = st.one_of(st.builds(in_place, SCHEMES, PASSWORDS, RESTS), st.builds(in_query, SCHEMES, OPTIONS, PASSWORDS))


def raised(act: Callable[[], object]) -> str:
    """Return all that a traceback says of what ``act`` raises: its text, and that of everything it came from."""
    try:
        act()
    except (ValueError, SettingsError) as error:
        return "".join(traceback.format_exception(error))
    return ""


@given(URLS)
@example("amqp://ada:hunter2")
@example("amqp://[::1]:hunter2/v")
@example("amqp:/ada:hunter2@mq")
@example("hunter2")
@example("postgresql+psycopg://db/x#hunter2")
@example("amqps://mq/v?cacertfile=ca.pem&password=hunter2")
def test_nothing_of_a_password_is_shown(url: str) -> None:
    """Else a special character in a password would put it into a log, a terminal or a bug report."""
    assert SECRET not in masked(url)


@given(URLS)
@example(f"amqp://ada:?{SECRET}@mq")
@example(f"amqps://ada:?a&{SECRET}&b@mq")
def test_nothing_that_is_said_of_a_url_tells_its_password(url: str) -> None:
    """Else the first start with a mistyped URL would print the password: in a sentence, or in a traceback below it."""
    for name in ("RECOUPLE_STORE_URL", "RECOUPLE_BROKER_URL"):
        said = raised(lambda name=name: read_settings({name: url}))  # type: ignore[misc]
        with suppress(SettingsError):
            settings = read_settings({name: url})
            said += f"{settings} {settings!r} {settings.shown()}"
        assert SECRET not in said
    said = raised(lambda: parse_broker_url(url))
    with suppress(BrokerUrlError):
        said += repr(parse_broker_url(url))
    assert SECRET not in said


@given(URLS)
def test_a_store_shows_no_password(url: str) -> None:
    """Else `recouple health` and `recouple setup` would print it."""
    said = raised(lambda: open_store(url))
    with suppress(ValueError):
        store = open_store(url)
        said += store.url
        store.close()
    assert SECRET not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:secret@mq/v", "amqp://u:***@mq/v"),
        ("amqp://u:se:c/r@e#t@mq/v", "amqp://u:***@mq/v"),
        ("amqp://:secret@mq/v", "amqp://:***@mq/v"),
        ("amqp:/u:secret@mq", ":***@mq"),
        ("u:secret@mq", ":***@mq"),
        ("amqp://u@mq:5672/v", "amqp://u@mq:5672/v"),
        ("amqp://mq:5672//", "amqp://mq:5672//"),
        ("amqps://u@[::1]:5671/v?cacertfile=/ca.pem", "amqps://u@[::1]:5671/v?cacertfile=/ca.pem"),
        ("amqp://u:secret", "amqp://u:***"),
        ("embedded:///broker.db", "embedded:///broker.db"),
        ("sqlite:///C:/store.db", "sqlite:///C:/store.db"),
        ("postgresql://db/x?sslmode=require&sslpassword=a", "postgresql://db/x?sslmode=require&sslpassword=***"),
    ],
)
def test_what_is_no_secret_is_shown(url: str, shown: str) -> None:
    """Else nobody could tell from a log which broker or database is meant."""
    assert masked(url) == shown


def test_a_file_that_holds_a_secret_is_named_and_not_quoted(tmp_path: Path) -> None:
    """Else a file with a line too many would be printed."""
    path = tmp_path / "secret"
    path.write_text(f"amqp://ada:{SECRET}\n{SECRET}", encoding="utf-8")

    assert SECRET not in raised(lambda: read_settings({"RECOUPLE_BROKER_URL_FILE": str(path)}))
