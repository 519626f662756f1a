"""What became of a command that was carried out."""

from __future__ import annotations

import msgspec

from messages.values import Value
from workers.log_lines import Line


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler of a command reports.

    Attributes:
        result: For the answer; ``None`` where a job gives it at its end.
        lines: To be logged after the commit.
        records: In whose synchronization logs the command belongs, as ``app/table/key``.
        effect: What followed, in a few words and without values, for the audit.
    """

    result: dict[str, Value] | None
    lines: list[Line] = []
    records: tuple[str, ...] = ()
    effect: str = ""
