"""Field values as they stand in JSON, and when two of them are the same.

Numbers are compared and added as decimals, strings byte for byte (DESIGN.md section 4): ``1``, ``1.0`` and
``1.00`` are one number, ``"a"`` and ``"A"`` are two strings, ``true`` is not ``1`` and null is not missing.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, TypeAlias, TypeGuard

import msgspec
from msgspec import UNSET, UnsetType

Value: TypeAlias = Any
"""A JSON value: ``str``, ``int``, ``Decimal``, ``bool``, ``None``, or a list or dict of them. Never ``float``."""

Known: TypeAlias = Value | UnsetType
"""A value, or ``UNSET`` where nobody has told us one. Missing is not null."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def encode_json(value: Value) -> bytes:
    """Return ``value`` as UTF-8 JSON; decimals are written as numbers, digit for digit."""
    return _ENCODER.encode(value)


def decode_json(document: bytes | str) -> Value:
    """Return the JSON ``document`` as a value; every number that is not an integer becomes a ``Decimal``.

    Raises:
        msgspec.DecodeError: the document is not JSON.
        RecursionError: the document is nested too deeply.
    """
    return _DECODER.decode(document)


def is_number(value: Known) -> TypeGuard[int | Decimal]:
    """Say whether ``value`` is a JSON number; ``true`` and ``false`` are none, though Python thinks they are."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def same(one: Known, other: Known) -> bool:
    """Say whether two values are the same value; ``UNSET`` is the same as nothing, itself included."""
    if isinstance(one, str) or one is UNSET or other is UNSET:  # nearly all are texts
        return isinstance(other, str) and one == other
    if is_number(one) and is_number(other):
        return Decimal(one) == Decimal(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


_EXACT = Context(prec=700)
"""Wide enough for the sum of any two numbers that the codec lets in: 38 digits, exponents to ±308."""


def add(one: int | Decimal, other: int | Decimal) -> int | Decimal:
    """Return the exact sum; of two integers an integer."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return _EXACT.add(Decimal(one), Decimal(other))


def subtract(one: int | Decimal, other: int | Decimal) -> Decimal:
    """Return the exact difference."""
    return _EXACT.subtract(Decimal(one), Decimal(other))


def plain_number(value: int | Decimal) -> str:
    """Return the one spelling of a number: ``1``, ``1.0`` and ``1.00`` are all ``1``, and no digit is lost."""
    return format(Decimal(value).normalize(_EXACT), "f")
