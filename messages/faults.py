"""What is wrong with a message, every fault with the member it is in; never with the value that stands there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec

from messages.dead import DeadReason

MAX_FAULTS: Final = 20
"""So many are listed; who sends more wrong at once mends these first."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: why, where (a path such as ``data.version``), and in words."""

    reason: DeadReason
    field: str
    words: str

    def __str__(self) -> str:
        return f"{self.field}: {self.words}" if self.field else self.words


class MalformedMessageError(Exception):
    """A message cannot be taken and goes to dead.

    Attributes:
        reason: Of the first fault.
        detail: All faults in words; no values.
        field: Path of the first faulty member, empty where the document as a whole is at fault.
    """

    def __init__(self, reason: DeadReason, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.field = field


class CommandHead(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read of a command whose order is wrong; enough to answer it and to say who ordered what.

    Attributes:
        name: What was ordered, for example ``couple``; ``?`` where that is no name.
    """

    id: str
    source: str
    name: str
    reply_to: str | None = None
    user_id: str | None = None
    traceparent: str | None = None


class InvalidCommandError(Exception):
    """A command is wrong but can be answered: refused, with all its faults.

    Attributes:
        command: Whom to answer.
        faults: In words, no values.
    """

    def __init__(self, command: CommandHead, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.command = command
        self.faults = faults


def in_words(faults: Iterable[Fault]) -> tuple[str, ...]:
    """Return the first faults in words."""
    return tuple(str(fault) for fault in islice(faults, MAX_FAULTS))


def refuse_if_any(faults: Iterable[Fault]) -> None:
    """Do nothing if there is no fault.

    Raises:
        MalformedMessageError: there is; with the reason and field of the first, and all of them in words.
    """
    found = list(islice(faults, MAX_FAULTS))
    if found:
        raise MalformedMessageError(found[0].reason, "; ".join(map(str, found)), found[0].field)
