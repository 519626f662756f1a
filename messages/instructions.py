"""What Recouple asks an app to do to one of its records."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from messages.values import Value


class Action(StrEnum):
    """What the app is to do."""

    CREATE = "create"
    """Create a record with these fields and answer with its key."""
    UPDATE = "update"
    """Set these fields of the record, leave the others."""
    DELETE = "delete"
    """Delete the record."""
    READ = "read"
    """Tell us the whole record, as a change event that names this instruction."""


class Reason(StrEnum):
    """Why an instruction was made."""

    SYNC = "sync"
    """One side changed, the other follows."""
    MERGE = "merge"
    """Both sides changed different fields; each gets what the other changed."""
    POLICY = "policy"
    """A policy of the mapping settled a conflict."""
    SYNCHRONIZE = "synchronize"
    """An operator chose the version that wins."""
    CREATE = "create"
    """The record has no counterpart yet."""
    RESTORE = "restore"
    """The record was deleted on one side and is to come back."""
    DELETE = "delete"
    """The record was deleted on one side and is to go on the other too."""
    READ = "read"
    """We need the record as it stands before anything can be decided."""
    RETRY = "retry"
    """An operator ordered another try."""


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction, ``recouple.instruction``, addressed to the queue of ``app``.

    Attributes:
        id: Applied at most once by the app; a retry bears the same id and the next ``attempt``.
        key: ``None`` where the app is to assign one.
        fields: In the app's own field names and forms.
        if_version: The version on which the decision was made; ``None`` where the app has none.
        coupling: The number of the coupling, 0 where there is none yet.
    """

    app: str
    id: str
    action: Action
    table: str
    key: str | None
    fields: dict[str, Value]
    if_version: int | None
    coupling: int
    reason: Reason
    attempt: int = 1
    traceparent: str | None = None
