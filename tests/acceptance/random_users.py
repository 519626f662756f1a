"""The users of both apps: they insert, edit and delete at random, and what they typed is remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, NamedTuple, Protocol

from ops.demo.northwind import COUNTRY_CODES
from tests.acceptance.branches import COUNTRIES, NUMBERS, Branch
from tests.acceptance.table_apps import AppTable

REFRESH = 10
"""After so many actions in a table its users look anew which records there are."""


class Field(NamedTuple):
    """One field of one record of one app."""

    app: str
    table: str
    key: str
    name: str


class UsersApp(Protocol):
    """What the users of an app do in it.

    Attributes:
        name: As the mapping file has it.
        tables: Whose rows are records.
    """

    name: str
    tables: tuple[AppTable, ...]

    def rows(self, table: AppTable) -> dict[Any, dict[str, Any]]:
        """All records, by key."""

    def insert_one(self, row: Mapping[str, Any], table: AppTable) -> Any:
        """Create a record and return its key."""

    def edit_in(self, table: AppTable, key: Any, fields: Mapping[str, Any]) -> bool:
        """Set fields of a record, if it is there; say whether it was."""

    def delete_in(self, table: AppTable, key: Any) -> bool:
        """Delete a record, if it is there; say whether it was."""


class Words:
    """Texts that nobody else types: each bears a number of its own."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def fresh(self, word: str) -> str:
        """Return one more."""
        return f"{word} #{next(self._numbers)}#"


class RandomUsers:
    """The users of both apps.

    Attributes:
        entered: All that was typed into each field, whatever became of it since.
        deleted: The records that users deleted, as (app, table, key).
        did: How often they did what.
    """

    def __init__(self, apps: Sequence[UsersApp], branches: Sequence[Branch], words: Words, chance: Random) -> None:
        self.apps, self.branches, self.words, self.chance = apps, branches, words, chance
        self.entered: dict[Field, list[Any]] = {}
        self._when: dict[tuple[str, str, str, Any], int] = {}
        self.deleted: set[tuple[str, str, str]] = set()
        self.did: Counter[str] = Counter()
        self._keys: dict[tuple[str, str], list[Any]] = {}
        self._acted: Counter[tuple[str, str]] = Counter()

    def act(self) -> None:
        """One user does one thing."""
        app, branch, what = self.chance.choice(self.apps), self.chance.choice(self.branches), self.chance.random()
        table = branch.table(app.name)
        keys = self._known(app, table)
        if what < 0.06 or not keys:
            self._insert(app, table)
        elif what < 0.08:
            self._insert_twice(branch)
        elif what < 0.12:
            self._delete(app, table, self.chance.choice(keys))
        else:
            self._edit(app, table, self.chance.choice(keys))

    def remember(self, app: str, table: AppTable, key: str, fields: dict[str, Any]) -> None:
        """Note what somebody typed into a record."""
        for name, value in fields.items():
            self.entered.setdefault(Field(app, table.wire, key, name), []).append(value)
            self._when[app, table.wire, name, value] = self.did.total()

    def when(self, app: str, table: str, name: str, value: Any) -> int | None:
        """When a user of this app typed this value into this field of any record; ``None`` where nobody did."""
        return self._when.get((app, table, name, value))

    def touch(self, app: UsersApp, table: AppTable, key: Any) -> None:
        """Change something of a record."""
        fields = {table.columns[1]: self._value(table, table.columns[1])}
        if app.edit_in(table, key, fields):
            self.remember(app.name, table, str(key), fields)

    def _insert(self, app: UsersApp, table: AppTable) -> None:
        row = {name: self._value(table, name) for name in table.columns}
        again = [key for name, wire, key in self.deleted if (name, wire) == (app.name, table.wire)]
        if app.name == "bc":
            taken = bool(again) and self.chance.random() < 0.3
            row[table.key] = self.chance.choice(sorted(again)) if taken else self.words.fresh("K").replace("#", "")
            if row[table.key] in app.rows(table):
                return
        self.remember(app.name, table, str(app.insert_one(row, table)), row)
        self.did["insert"] += 1

    def _insert_twice(self, branch: Branch) -> None:
        """The same customer comes to both apps at once; what they know of it besides the name may differ."""
        name = self.words.fresh("Both")
        for app in self.apps:
            table = branch.table(app.name)
            row = {table.columns[0]: name, table.columns[1]: self._value(table, table.columns[1])}
            if app.name == "bc":
                row[table.key] = self.words.fresh("K").replace("#", "")
            self.remember(app.name, table, str(app.insert_one(row, table)), row)
        self.did["insert in both"] += 1

    def _delete(self, app: UsersApp, table: AppTable, key: Any) -> None:
        self.deleted.add((app.name, table.wire, str(key)))
        self.did["delete"] += app.delete_in(table, key)

    def _edit(self, app: UsersApp, table: AppTable, key: Any) -> None:
        names = self.chance.sample(table.columns, self.chance.choice([1, 1, 1, 1, 2, 3]))
        fields = {name: self._value(table, name) for name in names}
        if app.edit_in(table, key, fields):
            self.remember(app.name, table, str(key), fields)
            self.did["edit"] += 1

    def _value(self, table: AppTable, name: str) -> Any:
        """Return something that the app takes; not always does the other one take it, too."""
        if name in NUMBERS:
            return self.chance.randrange(1000)
        if name in COUNTRIES:
            known = COUNTRY_CODES.values() if name == "country" else COUNTRY_CODES.keys()
            return "Atlantis" if self.chance.random() < 0.03 else self.chance.choice(list(known))
        if name != table.columns[0] and self.chance.random() < 0.05:
            return self.chance.choice([None, ""])
        refused = name in {"city", "telephone"} and self.chance.random() < 0.05
        return self.words.fresh(f"{name}{'!' if refused else ''}")

    def _known(self, app: UsersApp, table: AppTable) -> list[Any]:
        place = (app.name, table.wire)
        if self._acted[place] % REFRESH == 0:
            self._keys[place] = sorted(app.rows(table))
        self._acted[place] += 1
        return self._keys[place]
