"""Apps as bad as can be: they answer late, twice, out of order, refuse at random, or say nothing at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, NamedTuple

from messages.outcomes import FailureCode
from tests.acceptance.app_audit import Replaced
from tests.acceptance.table_apps import AppTable
from tests.acceptance.wire import Message, applied, change, failed


class Habits(NamedTuple):
    """How bad the app is; each a share of one.

    Attributes:
        silent: Instructions of which nothing is heard before they come a second time; half of them are done at once.
        refuses: Attempts that are refused for no reason that could be seen from outside.
        late: How much of what there is to say is kept back each time.
        twice: What is said once more, later.
    """

    silent: float = 0.0
    refuses: float = 0.2
    late: float = 0.5
    twice: float = 0.2


class Row(NamedTuple):
    """One record; ``fields`` is ``None`` where it was deleted."""

    version: int
    fields: dict[str, Any] | None


class UnreliableApp:
    """One app. Its users work in it, and what it says waits in ``waiting``, to be said in any order.

    Attributes:
        waiting: What is still to be said.
        said: The ids of all events that were said.
        replaced: Every update and deletion of a record.
    """

    def __init__(self, name: str, tables: tuple[AppTable, ...], habits: Habits, chance: Random) -> None:
        self.name, self.tables, self.habits, self.chance = name, tables, habits, chance
        self.waiting: list[Message] = []
        self.said: set[str] = set()
        self.replaced: list[Replaced] = []
        self.did: dict[str, int] = {}
        self._rows: dict[str, dict[str, Row]] = {table.wire: {} for table in tables}
        self._answers: dict[tuple[str, int], list[Message]] = {}
        self._withheld: list[Message] = []
        self._version = 0

    # --- what its users do

    def rows(self, table: AppTable) -> dict[Any, dict[str, Any]]:
        """All records, by key."""
        return {key: row.fields for key, row in self._rows[table.wire].items() if row.fields is not None}

    def insert_one(self, row: Mapping[str, Any], table: AppTable) -> Any:
        """Create a record and return its key."""
        key = str(row.get(table.key) or f"{len(self._rows[table.wire]) + 1}")
        fields = dict.fromkeys(table.columns) | {name: row[name] for name in row if name != table.key}
        self._write(table, key, fields)
        self.waiting.append(self._event(table, key, "create"))
        return key

    def edit_in(self, table: AppTable, key: Any, fields: Mapping[str, Any]) -> bool:
        """Set fields of a record, if it is there; say whether it was."""
        if key not in self.rows(table):
            return False
        self._write(table, key, dict(fields))
        self.waiting.append(self._event(table, key, "update"))
        return True

    def delete_in(self, table: AppTable, key: Any) -> bool:
        """Delete a record, if it is there; say whether it was."""
        if key not in self.rows(table):
            return False
        self._write(table, key, None)
        self.replaced.pop()  # what an app's own people delete, nobody else has to keep
        self.waiting.append(self._event(table, key, "delete"))
        return True

    # --- what it is told, and what it says

    def take(self, instruction: dict[str, Any]) -> None:
        """Do as instructed, or refuse, or do nothing; the same (id, attempt) again gets the same answer again."""
        id_, attempt = instruction["id"], instruction["data"]["attempt"]
        done = next((said for (one, _), said in self._answers.items() if one == id_ and _is_done(said)), None)
        known = done or self._answers.get((id_, attempt))
        if known is None and attempt == 1 and self.chance.random() < self.habits.silent:
            self._count("silent")
            if self.chance.random() < 0.5:
                self._answers[id_, attempt] = list(self._carry_out(instruction))
                self._withheld += self._answers[id_, attempt]
            return
        if known is None:
            known = self._answers[id_, attempt] = list(self._refuse(instruction) or self._carry_out(instruction))
        self.waiting += known

    def speak(self, *, everything: bool = False) -> list[Message]:
        """Return some of what there is to say, in any order; some of it is going to be said again."""
        self.chance.shuffle(self.waiting)
        kept = 0 if everything else sum(self.chance.random() < self.habits.late for _ in self.waiting)
        now, self.waiting = self.waiting[kept:], self.waiting[:kept]
        if not everything:
            self.waiting += [one for one in now if self.chance.random() < self.habits.twice]
        self.said |= {one.id for one in now}
        return now

    def announce(self) -> None:
        """Say every record once more, as it stands."""
        for table in self.tables:
            self.waiting += [self._event(table, key, "read") for key in self.rows(table)]

    def come_to_its_senses(self) -> None:
        """Be silent no more, and say at last what was done in silence."""
        self.habits = self.habits._replace(silent=0.0)
        self.waiting += self._withheld
        self._withheld = []

    def _refuse(self, instruction: dict[str, Any]) -> list[Message]:
        if self.chance.random() >= self.habits.refuses:
            return []
        code = self.chance.choice(list(FailureCode))
        table, key = self._table(instruction), instruction["data"]["key"]
        if code is FailureCode.NOT_FOUND and (key is None or not self.delete_in(table, key)):
            code = FailureCode.OTHER  # it never says so of a record that is there
        self._count(code)
        again = {"retry_after": 0.05} if code is FailureCode.RATE_LIMITED else {}
        return [failed(self.name, instruction, code.value, detail="it is one of those days", **again)]

    def _carry_out(self, instruction: dict[str, Any]) -> Iterator[Message]:
        data, table = instruction["data"], self._table(instruction)
        action, key = data["action"], data["key"]
        self._count(action)
        if action == "create":
            key = f"{len(self._rows[table.wire]) + 1}"
        row = self._rows[table.wire].get(key)
        if action != "create" and (row is None or row.fields is None):
            yield failed(self.name, instruction, "not_found")
        elif action == "read":
            yield self._event(table, key, "read", instruction=instruction["id"])
        elif row is not None and data["if_version"] not in (None, row.version):
            yield failed(self.name, instruction, "version_mismatch")
        else:
            fields = None if action == "delete" else data["fields"]
            self._write(
                table, key, {**dict.fromkeys(table.columns), **fields} if action == "create" and fields else fields
            )
            yield applied(self.name, instruction, self._version, key=key)
            if self.chance.random() < 0.5:
                yield self._event(table, key, action, instruction=instruction["id"])
            else:
                yield self._event(table, key, action)

    def _table(self, instruction: dict[str, Any]) -> AppTable:
        return next(table for table in self.tables if table.wire == instruction["data"]["table"])

    def _write(self, table: AppTable, key: str, fields: dict[str, Any] | None) -> None:
        before = self._rows[table.wire].get(key)
        was = None if before is None else before.fields
        now = None if fields is None else {**(was or {}), **fields}
        if was is not None:
            keyed = {table.key: key}
            self.replaced.append(Replaced(table.name, keyed | was, None if now is None else keyed | now))
        self._version += 1
        self._rows[table.wire][key] = Row(self._version, now)

    def _event(self, table: AppTable, key: str, operation: str, **more: Any) -> Message:
        row = self._rows[table.wire][key]
        return change(f"{self.name}/{table.wire}/{key}", operation, row.version, row.fields, **more)

    def _count(self, what: str) -> None:
        self.did[what] = self.did.get(what, 0) + 1


def _is_done(said: list[Message]) -> bool:
    return not any(one.properties["type"] == "recouple.instruction.failed" for one in said)
