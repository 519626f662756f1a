"""One table of ``recouple.toml``, read option by option: whatever is wrong is noted with its place, nothing is raised.

A faulty option counts as left out, so that reading goes on and every fault of the file is found in one pass.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from messages.documents import MAX_DIGITS, MAX_EXPONENT
from workers.durations import MalformedDurationError, parse_duration
from workers.spelling import did_you_mean

Faults: TypeAlias = list[str]
"""``place: sentence`` for everything that is wrong so far, in the order in which it was found."""

E = TypeVar("E", bound=StrEnum)

_MANY = 1_000_000
"""More than anybody counts in a second or a minute."""

NUMBERS = f"a number has at most {MAX_DIGITS} digits and an exponent up to {MAX_EXPONENT}, as in messages"
"""What is said of a number that no message could hold."""

_KINDS = {str: "a text in quotes", bool: "true or false", dict: "a table", list: "a list"}


class Section:
    """One table of the file and its place in it."""

    def __init__(self, content: Any, place: str, faults: Faults) -> None:
        self.place = place
        self._faults = faults
        self._content: dict[str, Any] = content if isinstance(content, dict) else {}
        self._known: list[str] = []
        if not isinstance(content, dict):
            self.fault(f"must be {_KINDS[dict]}")

    def fault(self, sentence: str) -> None:
        """Note what is wrong here."""
        self._faults.append(f"{self.place}: {sentence}" if self.place else sentence)

    def has(self, name: str) -> bool:
        """Say whether the option is written at all."""
        return name in self._content

    def anything(self, name: str) -> Any:
        """Return the option as it is, ``None`` where it is left out (TOML knows no null)."""
        self._known.append(name)
        return self._content.get(name)

    def typed(self, name: str, kind: type) -> Any:
        """Return the option if it is of this kind; ``None`` where it is left out or faulty."""
        value = self.anything(name)
        if value is None or isinstance(value, kind):
            return value
        self.fault(f"{name} must be {_KINDS[kind]}")
        return None

    def text(self, name: str) -> str | None:
        """Return a text that is neither empty nor holds U+0000, which no store keeps."""
        value: str | None = self.typed(name, str)
        if value is not None and (not value or "\0" in value):
            self.fault(f"{name} must not be empty" if not value else f"{name} must not hold U+0000")
            return None
        return value

    def required_text(self, name: str) -> str:
        """Return a text that must be there; ``""`` where it is not, which is noted."""
        value = self.text(name)
        if value is None and not self.has(name):
            self.fault(f"{name} is missing")
        return value or ""

    def flag(self, name: str, *, default: bool) -> bool:
        """Return ``true`` or ``false``."""
        value: bool | None = self.typed(name, bool)
        return default if value is None else value

    def count(self, name: str, *, default: int, least: int) -> int:
        """Return a whole number that is not smaller than ``least``."""
        value = self.anything(name)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MANY:
            return value
        self.fault(f"{name} must be a whole number from {least} to {_MANY}")
        return default

    def word(self, name: str, words: Collection[str]) -> str | None:
        """Return one of ``words``."""
        word: str | None = self.typed(name, str)
        if word is None or word in words:
            return word
        self.fault(f"{name} = {word!r} must be one of {', '.join(words)}{did_you_mean(word, words)}")
        return None

    def choice(self, name: str, kind: type[E], allowed: Collection[E] = ()) -> E | None:
        """Return a member of ``kind``, or of those that are ``allowed`` here."""
        word = self.word(name, [member.value for member in allowed or kind])
        return None if word is None else kind(word)

    def duration(self, name: str, default: timedelta) -> timedelta:
        """Return a length of time, which is never negative."""
        text = self.typed(name, str)
        if text is None:
            return default
        try:
            return parse_duration(text)
        except MalformedDurationError as error:
            self.fault(f"{name}: {error}")
            return default

    def close(self) -> None:
        """Note every option that nobody asked for."""
        for name in self._content:
            if name not in self._known:
                self.fault(f"there is no option {name!r}{did_you_mean(name, self._known)}")
