"""How values, times and records look."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from messages.errors import ErrorSide
from ops.printing import (
    MAX_VALUE_CHARACTERS,
    age_text,
    json_text,
    make_console,
    plain,
    record_text,
    say,
    told_time,
    value_text,
)
from tests.unit.ops.samples import NOW, RED


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Adatum AG", "Adatum AG"),
        ("", '""'),
        ("17", '"17"'),
        ("null", '"null"'),
        (" x", '" x"'),
        ("—", '"—"'),
        (17, "17"),
        (Decimal("10.50"), "10.50"),
        (None, "null"),
        (UNSET, "—"),
        ([1, "a"], '[1,"a"]'),
        (RED, "\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
    ],
)
def test_a_value_cannot_be_taken_for_another(value: Any, shown: str) -> None:
    """If it failed, an operator could not tell the text 17 from the number, or nothing from empty."""
    assert value_text(value) == shown


def test_a_long_value_is_cut_and_says_so() -> None:
    """If it failed, one long field would push everything else off the screen."""
    shown = value_text("x" * 100_000)
    assert len(shown) < MAX_VALUE_CHARACTERS + 100
    assert "100,000 characters" in shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(minutes=61), "1h"),
        (timedelta(days=400, hours=5), "400d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(passed: timedelta, shown: str) -> None:
    """If it failed, a list of errors would not show at a glance what is old."""
    assert age_text(NOW - passed, NOW) == shown


def test_json_holds_nothing_that_drives_a_terminal_and_loses_nothing() -> None:
    """If it failed, a key could recolour or rewrite a terminal, or ``--json`` would change it."""
    value = {"key": f"{RED}\x9b31m\u202e\x7fé\n"}
    text = json_text(value)
    assert json.loads(text) == value
    assert text.isprintable()


def test_the_console_takes_markup_and_control_characters_as_they_are() -> None:
    """If it failed, a record named ``[red]`` would lose its name, and one with an escape would paint the screen."""
    file = io.StringIO()
    console = make_console(file)
    say(console, f"[red]bc/customer/{RED} :smile: {'long ' * 40}")
    console.print(plain(f"[bold]{RED}"))
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("[red]bc/customer/\\x1b[31m :smile: long")
    assert lines[1:] == ["[bold]\\x1b[31m"]


def test_what_is_no_time_stands_as_it_is() -> None:
    """If it failed, a message with a broken time could not be looked at."""
    assert told_time("2026-03-04T06:06:07+01:00").plain == "2026-03-04 05:06:07Z"
    assert told_time(f"soon{RED}").plain == "soon\\x1b[31m"
    assert told_time(None).plain == "—"


def test_a_record_without_key_has_no_name_yet() -> None:
    """If it failed, a record that is being created would be shown as one named None."""
    assert record_text(ErrorSide(app="bc", table="customer", key=None)) == "—"
