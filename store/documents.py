"""Values as JSON text and back, with every digit of every number."""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from messages.values import encode_json

T = TypeVar("T")


class Document(Generic[T]):
    """How values of one type are kept as JSON text."""

    def __init__(self, type_: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(type_, float_hook=Decimal)

    def write(self, value: T) -> str:
        """Return the text of ``value``."""
        return encode_json(value).decode()

    def read(self, text: str) -> T:
        """Return the value of ``text``."""
        return self._decoder.decode(text)
