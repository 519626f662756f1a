"""The apps of the load tests, their couplings, and what their users do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

from messages.changes import Change, Operation
from messages.records import RecordRef
from messages.values import Value
from tests.load.seeding import PATTERN, Pair, key

MAPPING_FILE = """
[apps.bc]
answer_within = "1d"
[apps.sales]
answer_within = "1d"
[apps.shop]
answer_within = "1d"
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"
[[mappings]]
name = "item"
left = "bc/item"
right = "shop/item"
[[mappings.fields]]
left = "name"
right = "name"
"""

_NUMBERS = count(1)


def change(record: str, version: int, **fields: Value) -> Change:
    """What an app says of a change that a user made."""
    return Change(
        id=f"load-{next(_NUMBERS)}",
        record=RecordRef.parse(record),
        operation=Operation.UPDATE if version > 1 else Operation.CREATE,
        version=version,
        fields=dict(fields),
        modified_by="jane",
        at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


CUSTOMERS = Pair(
    change(f"bc/customer/{PATTERN}", 1, name="x", city="y"), change(f"sales/account/{PATTERN}", 1, title="x", town="y")
)
"""Two records that agree."""

APART = Pair(
    change(f"bc/customer/{PATTERN}", 1, name="x", city="y"), change(f"sales/account/{PATTERN}", 1, title="z", town="y")
)
"""Two records that differ."""

ITEMS = Pair(change(f"bc/item/{PATTERN}", 1, name="x"), change(f"shop/item/{PATTERN}", 1, name="x"))
"""Two records that agree, of which one belongs to another app."""


def edits(table: str, messages: int, version: int = 2, **fields: Value) -> Iterator[Change]:
    """One edit of each of so many records of ``app/table``."""
    return (change(f"{table}/{key(number)}", version, **fields) for number in range(1, messages + 1))
