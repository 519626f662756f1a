"""An operator who settles open errors at random: over the wire, with what the error shows and the revision it shows."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from messages.errors import ErrorKind, ErrorReport, ErrorStatus
from ops.demo.northwind import COUNTRY_CODES
from store import errors as error_store
from store.errors import ErrorFilters
from store.model import Coupling, CouplingStatus
from tests.acceptance.adapter_stage import WatchedStage
from tests.acceptance.branches import COUNTRIES, NUMBERS, units
from tests.acceptance.clients import REPLIES
from tests.acceptance.random_users import Words
from tests.acceptance.wire import command
from workers.mapping import Direction, Mapping, MappingFile

TOLERATED = {"stale", "not_applicable", "not_found", "duplicate_coupling"}
"""What became of the error between the look and the command; all other refusals are faults."""

SOURCES = {Direction.TO_LEFT: "right", Direction.TO_RIGHT: "left"}

PATIENCE = 8
"""So often one error is tried; then its coupling is removed, as a person would in the end."""

OPEN, RESOLVED = (ErrorFilters(status=frozenset({one})) for one in (ErrorStatus.OPEN, ErrorStatus.RESOLVED))


class RandomOperator:
    """An operator who looks at the open errors and orders what comes to mind of what applies.

    Attributes:
        may_dismiss: Errors may be closed without effect, so that the records stay different.
        did: How often what was answered how.
        typed: The values that were typed.
        settled: The couplings without error that were settled by command.
        surprises: Refusals that nothing explains, with the command and the error as it was shown.
    """

    def __init__(self, stage: WatchedStage, file: MappingFile, words: Words, chance: Random) -> None:
        self.stage, self.file, self.words, self.chance = stage, file, words, chance
        self.may_dismiss = True
        self.did: Counter[str] = Counter()
        self.surprises: list[tuple[dict[str, Any], dict[str, Any], ErrorReport | None]] = []
        self._shown: dict[int, ErrorReport] = {}
        self.typed: set[Any] = set()
        self.settled: set[int] = set()
        self._waiting: dict[str, dict[str, Any]] = {}
        self._tried: Counter[int] = Counter()
        self._read = 0

    # --- what is open, and what was answered

    def open_errors(self) -> list[ErrorReport]:
        """Every error that waits for a person."""
        with self.stage.store.reading() as conn:
            return error_store.page(conn, OPEN, limit=10_000)

    def dismissed(self) -> list[ErrorReport]:
        """The errors that were closed without effect."""
        with self.stage.store.reading() as conn:
            found = error_store.page(conn, RESOLVED, limit=100_000)
        return [one for one in found if one.resolution == "dismiss"]

    def dismissed_records(self) -> set[str]:
        """The records of these."""
        sides = (side for one in self.dismissed() for side in (one.left, one.right) if side is not None)
        return {f"{side.app}/{side.table}/{side.key}" for side in sides}

    def unanswered(self) -> int:
        """Take the answers that have come; return how many commands have none yet."""
        self.stage.client.look()
        arrived = self.stage.client.arrived[REPLIES]
        for one in arrived[self._read :]:
            ordered, answer = self._waiting.pop(one.properties["correlation_id"], None), one.event["data"]
            if ordered is None:  # the same answer once more: a relay may publish a message twice
                continue
            outcome = answer.get("code", "done")
            self.did[f"{ordered['name']}: {outcome}"] += 1
            if outcome == "done" and "coupling" in ordered:
                self.settled.add(ordered["coupling"])
            blind = outcome == "invalid" and "revision" not in ordered and "error" in ordered  # it may have changed
            if outcome not in {"done", *TOLERATED} and not blind:
                self.surprises.append((ordered, answer, self._shown.get(ordered.get("error", 0))))
        self._read = len(arrived)
        return len(self._waiting)

    def order(self, name: str, **data: Any) -> None:
        """Order something; the answer is taken when it has come."""
        ordered = command(name, self.stage.client.reply_to, data)
        self._waiting[ordered.id] = {"name": name, **data}
        self.stage.publish(ordered)

    # --- what comes to mind

    def act(self) -> None:
        """Look at what is open, and settle some of it; now and then order something about all of it."""
        self.unanswered()
        found = self.open_errors()
        if self.chance.random() < 0.05:
            self._retry_many()
        for report in self.chance.sample(found, min(len(found), 3)):
            self.settle(report)

    def settle(self, report: ErrorReport) -> None:
        """Order one of the commands that apply to this error."""
        self._tried[report.error] += 1
        self._shown[report.error] = report
        name = self.chance.choice(self._sensible(report))
        target: dict[str, Any] = {"error": report.error}
        if self.chance.random() < 0.9:
            target["revision"] = report.revision
        if name == "synchronize":
            self.order(name, **target, **self._choice(report))
        elif name == "couple":
            self._couple_candidate(report)
        elif name == "resume":
            self.order(name, mapping=report.mapping)
        else:
            self.order(name, **target)

    def _sensible(self, report: ErrorReport) -> list[str]:
        """Return what to choose from: not the end of the coupling at once, but in the end that."""
        last: list[str] = [one for one in ("resume", "remove_coupling", "dismiss", "couple") if one in report.actions]
        assert last, f"nothing applies to {report}"
        first = [one for one in report.actions if one not in last[:1] and (one != "dismiss" or self.may_dismiss)]
        tired = self._tried[report.error] > PATIENCE or self.chance.random() < 0.1
        return last[:1] if tired or not first else first

    def couple(self, mapping: str, left: str, right: str) -> None:
        """Couple two records, saying which side to keep, or not."""
        keep = self.chance.choice([{}, {"keep": "left"}, {"keep": "right"}])
        self.order("couple", left=left, right=right, mapping=mapping, **keep)

    def settle_coupling(self, coupling: Coupling, *, both_exist: bool) -> None:
        """Settle two records that differ without an error, whichever way."""
        self._tried[-coupling.id] += 1
        if coupling.status is CouplingStatus.CREATING or self._tried[-coupling.id] > PATIENCE:
            self.order("remove_coupling", coupling=coupling.id)
        elif both_exist:
            mapping = self.file.mappings[coupling.mapping]
            fields = self._sides(mapping, {one.name for one in mapping.fields})
            self.order("synchronize", coupling=coupling.id, fields=fields)
        else:
            self.order(self.chance.choice(["restore_record", "delete_record"]), coupling=coupling.id)

    def _retry_many(self) -> None:
        mapping, kind = self.chance.choice(list(self.file.mappings)), self.chance.choice(list(ErrorKind))
        self.order("retry_all", **self.chance.choice([{"mapping": mapping}, {"kind": kind.value}]))

    def _couple_candidate(self, report: ErrorReport) -> None:
        new = next(side for side in (report.left, report.right) if side is not None)
        mapping, record = self.file.mappings[report.mapping], f"{new.app}/{new.table}/{new.key}"
        pair = (record, self.chance.choice(report.candidates))
        self.couple(report.mapping, *(pair if new.app == mapping.left.app else pair[::-1]))

    def _choice(self, report: ErrorReport) -> dict[str, Any]:
        """Return a side for all, or a side or a value for each field: every contested one, and some more."""
        if self.chance.random() < 0.4:
            return {"keep": self.chance.choice(["left", "right"])}
        mapping = self.file.mappings[report.mapping]
        every = report.kind is not ErrorKind.UPDATE_CONFLICT
        named = {one.field for one in report.differences if one.contested or every or self.chance.random() < 0.5}
        named |= {field.name for field in mapping.fields if self.chance.random() < 0.1}
        fields = self._sides(mapping, named)
        values: dict[str, Any] = {}
        for members in units(mapping, named).values():
            if self.chance.random() < 0.5:
                values |= {name: self._value(name) for name in members if fields.pop(name)}
        self.typed |= set(values.values())
        return {name: given for name, given in (("fields", fields), ("values", values)) if given} or {"keep": "left"}

    def _sides(self, mapping: Mapping, named: set[str]) -> dict[str, str]:
        """Return a side for each of these fields and the rest of their groups; a one-way field has no choice."""
        ways = {field.name: SOURCES.get(field.direction) for field in mapping.fields}
        return {
            name: ways[name] or side
            for members in units(mapping, named).values()
            for side in [self.chance.choice(["left", "right"])]
            for name in members
        }

    def _value(self, name: str) -> Any:
        if name in NUMBERS:
            return self.chance.randrange(1000)
        return self.chance.choice(list(COUNTRY_CODES.values())) if name in COUNTRIES else self.words.fresh(name)
