"""How an operator writes down what is to win: ``--field name=left``, ``--value name=VALUE``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias

import typer

from messages.commands import Keep
from messages.values import Value, decode_json

Fields: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--field", metavar="NAME=left|right", help="The side that wins this field; may be repeated.", show_default=False
    ),
]
Values: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="NAME=VALUE",
        help="What both sides are to hold, as the left spells it: a number, true, false, null or a text in double "
        "quotes is read as JSON, everything else is text as it stands. May be repeated.",
        show_default=False,
    ),
]

BLANK = "…"
"""Stands for the value in a command line that is to be completed."""


def read_fields(texts: Iterable[str]) -> dict[str, Keep]:
    """Read ``name=left`` and ``name=right``.

    Raises:
        typer.BadParameter: one is neither, or names a field again.
    """
    found: dict[str, Keep] = {}
    for name, side in _pairs(texts, "--field"):
        if side not in tuple(Keep):
            raise typer.BadParameter(f"{name}={side}: write {name}=left or {name}=right", param_hint="--field")
        found[name] = Keep(side)
    return found


def read_values(texts: Iterable[str]) -> dict[str, Value]:
    """Read ``name=VALUE``, the value as ``read_value`` does.

    Raises:
        typer.BadParameter: one is not written so, names a field again, or was copied without its value.
    """
    pairs = _pairs(texts, "--value")
    if blank := next((name for name, text in pairs if text == BLANK), None):
        raise typer.BadParameter(f"{blank}={BLANK}: write the value in place of {BLANK}", param_hint="--value")
    return {name: read_value(text) for name, text in pairs}


def read_value(text: str) -> Value:
    """Read a value: JSON where it is a number, ``true``, ``false``, ``null`` or a text in double quotes, else text.

    So ``--value city=Ulm`` needs no quotes, ``--value 'zip="01234"'`` keeps its zero, and lists and objects, which no
    field is chosen by, stay text.
    """
    try:
        value = decode_json(text)
    except (ValueError, ArithmeticError, RecursionError):
        return text
    return text if isinstance(value, (list, dict)) else value


def _pairs(texts: Iterable[str], option: str) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r}: write the field's name, = and what it is to be", param_hint=option)
        if name in pairs:
            raise typer.BadParameter(f"{name} is given twice", param_hint=option)
        pairs[name] = value
    return list(pairs.items())
