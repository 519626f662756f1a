"""How a record is named across apps."""

from __future__ import annotations

import msgspec


class MalformedRecordNameError(ValueError):
    """A record's name must read ``app/table/key``, for example ``bc/customer/10000``."""


class RecordRef(msgspec.Struct, frozen=True, order=True):
    """The name of one record of one table of one app; the key may itself contain ``/``.

    Ordered by (app, table, key), which is the order in which records are locked.
    """

    app: str
    table: str
    key: str

    def __str__(self) -> str:
        return f"{self.app}/{self.table}/{self.key}"

    @classmethod
    def parse(cls, name: str) -> RecordRef:
        """Read ``app/table/key``.

        Raises:
            MalformedRecordNameError: a part is missing.
        """
        parts = name.split("/", 2)
        if len(parts) != 3 or not all(parts):
            raise MalformedRecordNameError(f"{name!r} is no record: write app/table/key, for example bc/customer/10000")
        return cls(*parts)
