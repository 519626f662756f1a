"""What one decision rests on, and what comes out of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from messages.errors import ErrorEvent, ErrorKind, Handling
from messages.records import RecordRef
from store.model import Choice, Coupling, Form, Image, LogWord, OpenError, Sent, Side, Wait
from workers.mapping import Mapping
from workers.rules.forms import References


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """One coupling with all that a decision about it may look at.

    Attributes:
        references: Every reference that a field of either record makes, as far as it is coupled.
        ordered: What an operator orders: decide on today's policies, or on the ``choice``, although an error is open.
        choice: What the operator wants of two living records.
        paused: What pauses the coupling, ``mapping <name>`` or ``app <name>``.
        traceparent: Of the last event that touched the coupling; carried on to what is sent.
    """

    coupling: Coupling
    mapping: Mapping
    left: Image
    right: Image
    references: References
    now: datetime
    ordered: Handling | None = None
    choice: Choice | None = None
    paused: str | None = None
    traceparent: str | None = None

    @property
    def images(self) -> tuple[Image, Image]:
        """The two images, left first."""
        return self.left, self.right

    def image(self, side: Side) -> Image:
        """The image on ``side``."""
        return self.left if side is Side.LEFT else self.right


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One more line for the synchronization log than the decision's own word.

    Attributes:
        record: Whose log it belongs in, where it is about one side only.
        values: Per field ``base``, ``left`` and ``right``, where a value was overwritten; sensitive ones masked.
    """

    word: LogWord
    record: RecordRef | None = None
    rule: str | None = None
    detail: str = ""
    values: dict[str, Any] = {}


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the way of a decision; becomes, or changes, the coupling's error.

    Attributes:
        contested: Names of the contested fields.
        waits: References that must be coupled first.
        words: An app's own words; never logged.
    """

    kind: ErrorKind
    contested: tuple[str, ...] = ()
    field: str | None = None
    waits: tuple[Wait, ...] = ()
    code: str | None = None
    words: str = ""
    failed: Sent | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the records ask for, before the coupling's open error has its say.

    Attributes:
        base: The base after what agrees was absorbed; ``None`` leaves it.
        send: Instructions to give, at most one to each side.
        close: The coupling is over.
        apart: Records to be marked apart.
    """

    word: LogWord
    base: dict[str, Form] | None = None
    send: tuple[Sent, ...] = ()
    waits: tuple[Wait, ...] = ()
    trouble: Trouble | None = None
    rule: str | None = None
    notes: tuple[Note, ...] = ()
    close: bool = False
    apart: tuple[RecordRef, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be remembered, sent and told.

    Attributes:
        word: What became of the events that led here, for the log.
        event: What happened to the coupling's error, if anything.
        error: The error that ``event`` is about: the open one, or the one just resolved.
        resolution: What settled it, where it is resolved.
        resend: Instructions in flight that go out once more.
    """

    word: LogWord
    coupling: Coupling
    send: tuple[Sent, ...] = ()
    resend: tuple[Sent, ...] = ()
    event: ErrorEvent | None = None
    error: OpenError | None = None
    resolution: str | None = None
    rule: str | None = None
    notes: tuple[Note, ...] = ()
    apart: tuple[RecordRef, ...] = ()
