"""Conformance cases on a stage: a mapping for each, named after it, and pairs of records with which it is played.

Where both sides change, they do it as apps do: the second one before it has heard of the first, so that it refuses the
instruction for its version. What is decided then does not depend on how messages fell into batches.
"""

from __future__ import annotations

import json
from typing import Any

from store.couplings import Standing
from tests.acceptance.harness import Stage
from tests.acceptance.wire import Message, change, failed

APPS = """
[apps.bc]
title = "Business Central"
[apps.sales]
title = "Sales"
[apps.pos]
title = "Point of sale"
order = "time"
"""

Fields = dict[str, Any]

LONG_AGO = "2024-01-01T00:00:00Z"
"""Before any edit: which edit is newest must not be a matter of when the records were made."""


def mapping(name: str, *fields: str | Fields, left: str = "bc", **options: Any) -> str:
    """Return a mapping between ``<left>/<name>`` and ``sales/<name>``.

    Args:
        fields: Names that are the same on both sides, or all that is to be said of a field besides.
        options: Of the mapping.
    """
    tables = {"name": name, "left": f"{left}/{name}", "right": f"sales/{name}", **options}
    lines = ["[[mappings]]", *(f"{key} = {json.dumps(value)}" for key, value in tables.items())]
    for field in fields:
        said: Fields = {"left": field, "right": field} if isinstance(field, str) else field
        lines += ["[[mappings.fields]]", *(f"{key} = {json.dumps(value)}" for key, value in said.items())]
    return "\n".join(lines) + "\n"


class Pair:
    """Two records of one key, one in each app."""

    def __init__(self, stage: Stage, case: str, key: str = "1", left: str = "bc") -> None:
        self.stage, self.case, self.key = stage, case, key
        self.coupling: int | None = None
        self.apps = {"left": left, "right": "sales"}
        self.left, self.right = f"{left}/{case}/{key}", f"sales/{case}/{key}"

    def change(self, side: str, operation: str, version: int | None, fields: Fields | None, **more: Any) -> Message:
        """Return a change of one side."""
        return change(getattr(self, side), operation, version, fields, **more)

    def edit(self, side: str, version: int | None, **fields: Any) -> Message:
        """Return an update of one side."""
        return self.change(side, "update", version, fields)

    def delete(self, side: str, version: int) -> Message:
        """Return the deletion of one side."""
        return self.change(side, "delete", version, None)

    def couple(self, **fields: Any) -> int:
        """Create both records at version 1 with the same fields, and couple them; return the coupling's number."""
        self.coupling = self.stage.couple(
            self.change("left", "create", 1, fields, time=LONG_AGO),
            self.change("right", "create", 1, fields, time=LONG_AGO),
        )
        return self.coupling

    def clash(self, first: Message, second: Message) -> None:
        """Let ``first`` travel; the other app changes its record (``second``) before it sees what it is instructed."""
        other = "right" if first.routing_key.startswith(f"{self.apps['left']}.") else "left"
        before = len(self.sent_to(other))
        self.stage.settle(first)
        (instruction,) = self.sent_to(other)[before:]
        self.stage.settle(second, failed(self.apps[other], instruction, "version_mismatch"))

    def sent_to(self, side: str) -> list[dict[str, Any]]:
        """The instructions to this side under the pair's coupling, or to its record where that is not known."""
        known, wanted = ("key", self.key) if self.coupling is None else ("coupling", self.coupling)
        instructions = self.stage.instructions(self.apps[side], self.case)
        return [event for event in instructions if event["data"][known] == wanted]

    def writes(self, side: str) -> list[Fields]:
        """What this side was instructed to write."""
        return [event["data"]["fields"] for event in self.sent_to(side)]

    def apply_all(self, *versions: int) -> None:
        """Both apps apply the last instruction to each, at these versions (left, right), by default the next ones."""
        outcomes = []
        for number, side in enumerate(self.apps):
            instructions = self.sent_to(side)
            if instructions:
                version = versions[number] if versions else instructions[-1]["data"]["if_version"] + 1
                outcomes.append(self.stage.apply(instructions[-1], version))
        self.stage.settle(*outcomes)

    @property
    def standing(self) -> Standing | None:
        """Where the coupling stands."""
        return self.stage.standing(self.left)

    @property
    def told(self) -> list[dict[str, Any]]:
        """What was told of errors of this pair, the ``data`` of each message."""
        names = {(app, self.key) for app in self.apps.values()}
        return [
            event["data"]
            for event in self.stage.told(self.case)
            if any(
                side and (side["app"], side["key"]) in names for side in (event["data"]["left"], event["data"]["right"])
            )
        ]

    @property
    def open_error(self) -> dict[str, Any] | None:
        """The pair's error as it was told last, if it is not resolved."""
        last = self.told[-1] if self.told else None
        return None if last is None or last["status"] == "resolved" else last


def done(answer: dict[str, Any]) -> dict[str, Any]:
    """The result of an answer that is not a refusal."""
    assert answer["type"] == "recouple.command.done", answer
    result: dict[str, Any] = answer["data"]["result"]
    return result


def seen(error: dict[str, Any]) -> dict[str, Any]:
    """How an operator names what is on the screen."""
    return {"error": error["error"], "revision": error["revision"]}
