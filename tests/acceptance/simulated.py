"""An app as section 3 of DESIGN.md asks for: versioned records, instructions applied once, every one answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.acceptance.wire import Message, applied, change, failed


class Row(NamedTuple):
    """One record of an app; ``fields`` is ``None`` where it was deleted."""

    version: int
    fields: dict[str, Any] | None


class SimulatedApp:
    """One app with one table. Its users edit; what it is instructed it applies, refuses or reads.

    Attributes:
        rows: By key.
        names_instructions: Its change events say which instruction caused them.
    """

    def __init__(self, name: str, table: str, *, names_instructions: bool) -> None:
        self.name, self.table, self.names_instructions = name, table, names_instructions
        self.rows: dict[str, Row] = {}
        self._answers: dict[str, list[Message]] = {}
        self._made = 0

    def write(self, key: str, **fields: Any) -> Message:
        """A user creates or edits a record."""
        before = self.rows.get(key)
        operation = "update" if before is not None and before.fields is not None else "create"
        known = (before.fields if before is not None else None) or {}
        self.rows[key] = Row(1 if before is None else before.version + 1, known | fields)
        return self._event(key, operation)

    def delete(self, key: str) -> Message:
        """A user deletes a record."""
        self.rows[key] = Row(self.rows[key].version + 1, None)
        return self._event(key, "delete")

    def answer(self, instruction: dict[str, Any]) -> list[Message]:
        """Do what is asked, and say so; the same instruction again gets the same answer again."""
        known = self._answers.get(instruction["id"])
        if known is None:
            known = self._answers[instruction["id"]] = list(self._carry_out(instruction))
        return known

    def _carry_out(self, instruction: dict[str, Any]) -> Iterator[Message]:
        data, key = instruction["data"], instruction["data"]["key"]
        action = data["action"]
        if action == "create":
            self._made += 1
            key = f"made-{self._made}"
        row = self.rows.get(key)
        if action != "create" and (row is None or row.fields is None):
            yield failed(self.name, instruction, "not_found")
        elif action == "read":
            yield self._event(key, "read", instruction=instruction["id"])
        elif row is not None and data["if_version"] not in (None, row.version):
            yield failed(self.name, instruction, "version_mismatch")
        else:
            change_event = self.delete(key) if action == "delete" else self.write(key, **data["fields"])
            named = {"instruction": instruction["id"]} if self.names_instructions else {}
            yield applied(self.name, instruction, self.rows[key].version, key=key)
            yield self._event(key, change_event.routing_key.rsplit(".", 1)[1], **named)

    def _event(self, key: str, operation: str, **more: Any) -> Message:
        row = self.rows[key]
        return change(f"{self.name}/{self.table}/{key}", operation, row.version, row.fields, **more)
