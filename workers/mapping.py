"""What ``recouple.toml`` says, as frozen values: which apps, which tables correspond, which fields, which policies.

Pure; ``workers.mapping_file`` reads and validates the file.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal

import msgspec

from messages.values import Value
from store.model import Side


class Ordering(StrEnum):
    """By what the changes of an app's record are ordered."""

    VERSION = "version"
    """By the ``version`` that grows with every change of a record."""
    TIME = "time"
    """By the event's ``time``, in microseconds; decisions on it are degraded."""


class Confirms(StrEnum):
    """How an app says that it applied an instruction."""

    OUTCOME = "outcome"
    """By an outcome message."""
    ECHO = "echo"
    """Also by a change event that holds the same values."""
    NONE = "none"
    """Not at all: publishing confirms; only as the target of one-way mappings."""


class Direction(StrEnum):
    """Which way values flow."""

    BOTH = "both"
    """Both ways."""
    TO_LEFT = "to_left"
    """Only from right to left."""
    TO_RIGHT = "to_right"
    """Only from left to right."""

    def flows_from(self, side: Side) -> bool:
        """Say whether values flow from ``side`` to the other."""
        return self is Direction.BOTH or self is (Direction.TO_RIGHT if side is Side.LEFT else Direction.TO_LEFT)


class Detect(StrEnum):
    """What counts as a conflict when both sides changed."""

    RECORD = "record"
    """Both sides changed any two-way field."""
    FIELD = "field"
    """Both sides changed the same field or group."""


class UpdateRule(StrEnum):
    """Who wins a contested field."""

    MANUAL = "manual"
    """A person decides."""
    LEFT = "left"
    """The left side."""
    RIGHT = "right"
    """The right side."""
    NEWEST = "newest"
    """The side whose user changed it last; too close to tell goes to a person."""
    MIN = "min"
    """The smaller number (fields only)."""
    MAX = "max"
    """The larger number (fields only)."""
    ADD = "add"
    """The base plus both deltas (fields only)."""


class DeletionRule(StrEnum):
    """What follows when one side is gone."""

    MANUAL = "manual"
    """A person decides."""
    RESTORE = "restore"
    """Create it again from the other side."""
    DELETE = "delete"
    """Delete the other side too, unless it changed."""
    UNCOUPLE = "uncouple"
    """Leave the other side alone; the two are no longer coupled."""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One business system, ``[apps.<name>]``.

    Attributes:
        record_url: With ``{table}`` and ``{key}`` to fill in; ``None`` where there is none.
        checks_version: The app refuses an instruction whose ``if_version`` has passed.
        answer_within: An instruction unconfirmed for longer is a ``no_answer`` error; outages do not count.
        max_instructions_per_second: Never more than so many, over all workers; ``None`` where there is no limit.
    """

    name: str
    title: str
    record_url: str | None = None
    order: Ordering = Ordering.VERSION
    checks_version: bool = True
    confirms: Confirms = Confirms.OUTCOME
    answer_within: timedelta = timedelta(minutes=10)
    max_instructions_per_second: int | None = None


class MappedField(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a mapping, ``[[mappings.fields]]``; in mapping terms it goes by its left name.

    Attributes:
        direction: As resolved against the mapping's own direction.
        on_conflict: ``None`` leaves it to the mapping's ``on_update_conflict``.
        group: Fields of a group move together.
        values: Left value to right value, as (left, right) pairs; ``None`` where values are passed on as they are.
        reference: The mapping through whose couplings the value, a key, is translated.
    """

    left: str
    right: str
    direction: Direction = Direction.BOTH
    on_conflict: UpdateRule | None = None
    group: str | None = None
    sensitive: bool = False
    values: tuple[tuple[Value, Value], ...] | None = None
    reference: str | None = None
    if_uncoupled: Literal["error", "omit"] = "error"

    @property
    def name(self) -> str:
        """The field's name in mapping terms."""
        return self.left

    def on(self, side: Side) -> str:
        """The field's name in the app of ``side``."""
        return self.left if side is Side.LEFT else self.right


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table of one app, ``bc/customer``."""

    app: str
    name: str

    def __str__(self) -> str:
        return f"{self.app}/{self.name}"


class Comparison(StrEnum):
    """How a condition compares a field with its value; numbers as decimals, text byte for byte."""

    EQUAL = "="
    """Equal; a missing value and null are not equal to any but null."""
    NOT_EQUAL = "!="
    """The opposite."""
    LESS = "<"
    """Smaller; two numbers or two texts."""
    LESS_OR_EQUAL = "<="
    """Not larger."""
    GREATER = ">"
    """Larger; two numbers or two texts."""
    GREATER_OR_EQUAL = ">="
    """Not smaller."""
    IN = "in"
    """Equal to one of a list."""
    NOT_IN = "not in"
    """Equal to none of a list."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``where``: a comparison of one field of one side's record, by the app's own name."""

    side: Side
    field: str
    comparison: Comparison
    value: Value | tuple[Value, ...]


class Mapping(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One ``[[mappings]]``: which table corresponds to which, and what happens when they disagree.

    Attributes:
        left_app, right_app: The apps of the two tables, whole, so that rules need nothing else.
        match_on: Groups of field names (mapping terms) tried in order.
        clock_skew: Two changes closer than this have no newest.
        where: Conditions that hold for every record that is kept in step; all of those of its side.
        also_sensitive: Per side, names that this mapping does not map and another mapping of the table calls sensitive.
        max_deletes_per_minute, max_creates_per_minute: Towards either app; beyond, the mapping is paused. 0: no limit.
    """

    name: str
    left: Table
    right: Table
    left_app: App
    right_app: App
    fields: tuple[MappedField, ...]
    direction: Direction = Direction.BOTH
    detect: Detect = Detect.RECORD
    on_update_conflict: UpdateRule = UpdateRule.MANUAL
    on_deletion: DeletionRule = DeletionRule.MANUAL
    only_coupled: bool = True
    match_on: tuple[tuple[str, ...], ...] = ()
    clock_skew: timedelta = timedelta(seconds=2)
    where: tuple[Condition, ...] = ()
    max_deletes_per_minute: int = 100
    max_creates_per_minute: int = 1000
    also_sensitive: dict[Side, frozenset[str]] = {}

    def table(self, side: Side) -> Table:
        """The table on ``side``."""
        return self.left if side is Side.LEFT else self.right

    def app(self, side: Side) -> App:
        """The app on ``side``."""
        return self.left_app if side is Side.LEFT else self.right_app

    @cached_property
    def names(self) -> frozenset[str]:
        """The fields' names in mapping terms."""
        return frozenset(field.name for field in self.fields)

    def sensitive(self, side: Side) -> frozenset[str]:
        """The fields of the record on ``side`` that are shown to nobody, by the app's own names."""
        own = frozenset(field.on(side) for field in self.fields if field.sensitive)
        return own | self.also_sensitive.get(side, frozenset())


class MappingFile(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The whole of ``recouple.toml``, validated."""

    apps: dict[str, App]
    mappings: dict[str, Mapping]

    def sides_of(self, app: str, table: str) -> tuple[tuple[Mapping, Side], ...]:
        """Every mapping, with the side, that the table takes part in, in the file's order."""
        return self._sides.get((app, table), ())

    def spoken_of(self, app: str, table: str) -> frozenset[str]:
        """Every field of the table that a mapping maps, or compares in its ``where``, by the app's own names."""
        return self._spoken_of.get((app, table), frozenset())

    @cached_property
    def _spoken_of(self) -> dict[tuple[str, str], frozenset[str]]:
        return {
            key: frozenset(field.on(side) for mapping, side in places for field in mapping.fields)
            | frozenset(one.field for mapping, side in places for one in mapping.where if one.side is side)
            for key, places in self._sides.items()
        }

    @cached_property
    def _sides(self) -> dict[tuple[str, str], tuple[tuple[Mapping, Side], ...]]:
        """The answers of ``sides_of``, which is asked several times for each event."""
        found: dict[tuple[str, str], tuple[tuple[Mapping, Side], ...]] = {}
        for mapping in self.mappings.values():
            for side in Side:
                key = mapping.table(side).app, mapping.table(side).name
                found[key] = (*found.get(key, ()), (mapping, side))
        return found
