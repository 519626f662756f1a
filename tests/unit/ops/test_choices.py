"""How an operator writes down what is to win."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import typer

from messages.commands import Keep
from ops.choices import read_fields, read_value, read_values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Ulm", "Ulm"),
        ("", ""),
        ("10", 10),
        ("10.50", Decimal("10.50")),
        ("true", True),
        ("null", None),
        ('"01234"', "01234"),
        ("01234", "01234"),
        ("[1]", "[1]"),
        ("{}", "{}"),
        ("a=b", "a=b"),
        ("'x'", "'x'"),
    ],
)
def test_a_value_is_json_where_it_is_a_single_one(text: str, value: Any) -> None:
    """If it failed, a number would become text, or a text an operator typed would become something else."""
    read = read_value(text)
    assert (type(read), read) == (type(value), value)
    assert read_values([f"f={text}"]) == {"f": value}


def test_fields_name_a_side_each() -> None:
    """If it failed, a choice would go to the wrong side."""
    assert read_fields(["a=left", "b=right"]) == {"a": Keep.LEFT, "b": Keep.RIGHT}


@pytest.mark.parametrize("texts", [["a"], ["=left"], ["a=middle"], ["a=left", "a=right"]])
def test_what_cannot_be_read_is_a_usage_error(texts: list[str]) -> None:
    """If it failed, half a choice would be ordered."""
    with pytest.raises(typer.BadParameter):
        read_fields(texts)


def test_a_line_that_was_copied_without_its_value_is_noticed() -> None:
    """If it failed, three dots would be written into both records."""
    with pytest.raises(typer.BadParameter, match="in place of"):
        read_values(["name=…"])
