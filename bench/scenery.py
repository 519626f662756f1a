"""The two apps of the measurements, their mapping, and what they hold: a message has some 500 bytes, or 2 kB."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from messages.changes import Change, Operation
from messages.records import RecordRef
from messages.values import Value
from tests.load.seeding import PATTERN, Pair

LEFT, RIGHT = "bc/customer", "sales/account"
SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shape(NamedTuple):
    """How large a message is.

    Attributes:
        fields: So many it has; all of them are mapped, one of them is edited.
        width: Characters in each value.
    """

    name: str
    fields: int
    width: int

    @property
    def names(self) -> list[str]:
        """The fields without the letter of their app."""
        return [f"{number:02}" for number in range(1, self.fields + 1)]

    def values(self, side: str) -> dict[str, Value]:
        """What the records of an app hold: ``f`` of the left one, ``r`` of the right one."""
        return {f"{side}{name}": self.value(name) for name in self.names}

    def value(self, name: str) -> str:
        """What a field holds on both sides."""
        return f"value {name} ".ljust(self.width, "x")


SMALL = Shape("500 B", 15, 9)
LARGE = Shape("2 kB", 60, 20)


def mapping_file(shape: Shape, detect: str = "record") -> str:
    """Return the mapping of both tables, all fields two-way."""
    head = '[apps.bc]\nanswer_within = "1d"\n[apps.sales]\nanswer_within = "1d"\n'
    mapping = f'[[mappings]]\nname = "customer"\nleft = "{LEFT}"\nright = "{RIGHT}"\ndetect = "{detect}"\n'
    fields = (f'[[mappings.fields]]\nleft = "f{name}"\nright = "r{name}"\n' for name in shape.names)
    return head + mapping + "".join(fields)


def change(record: str, id_: str, version: int, fields: dict[str, Value]) -> Change:
    """What an app says of a change that a user made."""
    return Change(
        id=id_,
        record=RecordRef.parse(record),
        operation=Operation.UPDATE if version != 1 else Operation.CREATE,
        version=version,
        fields=fields,
        modified_by="jane",
        at=SINCE,
    )


def pair(shape: Shape) -> Pair:
    """Return two records that agree; the pattern of all others."""
    return Pair(
        change(f"{LEFT}/{PATTERN}", "seed-left", 1, shape.values("f")),
        change(f"{RIGHT}/{PATTERN}", "seed-right", 1, shape.values("r")),
    )


def edited(shape: Shape, side: str) -> dict[str, Value]:
    """What a record holds after a user edited its first field."""
    return shape.values(side) | {f"{side}01": "edited".ljust(shape.width, "x")}
