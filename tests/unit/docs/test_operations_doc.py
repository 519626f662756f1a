"""``docs/operations.md``: what a person types at night is taken, and every word that they meet has its place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from msgspec.structs import replace
from typer.core import TyperGroup

from messages.dead import DeadReason
from messages.errors import ErrorKind, ErrorStatus
from messages.instructions import Action, Reason
from messages.orders import ORDERS
from messages.outcomes import FailureCode
from messages.records import RecordRef
from ops.cli import app
from ops.next_steps import spoken
from store.model import CouplingStatus, Image, InstructionState, OpenError, Side
from tests.rules_world import mapping_of
from tests.simulated_app import EPOCH
from tests.unit.docs.marked import DOCS, page, table_after, words_after
from tests.unit.docs.test_rules_doc import headings
from workers.rules.applicability import applicable
from workers.rules.limits import Limited, limit_exceeded
from workers.rules.reports import RETRYABLE_CODES
from workers.rules.sending import instruct
from workers.rules.situation import Situation
from workers.settings import SETTINGS
from workers.settling import new_coupling

PAGE = page("operations.md")
CLI = typer.main.get_command(app)
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def in_blocks() -> Iterator[str]:
    """Every line of a code block that calls the command line, without what is said behind it."""
    for block in re.findall(r"^ *```\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            yield shlex.join(shlex.split(line, comments=True))


def in_sentences() -> Iterator[str]:
    """Every command line that stands in a sentence or a table."""
    text = re.sub(r"^ *```\n.*?^ *```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    return (" ".join(line.split()) for line in re.findall(r"`(recouple\s[^`]+)`", text))


def called(line: str) -> str:
    """Read a command line as the shell and the command line do, without carrying it out; return the command's name."""
    program, *arguments = shlex.split(line)
    assert program == "recouple", line
    assert isinstance(CLI, TyperGroup)
    whole = CLI.make_context("recouple", list(arguments))
    name, command, rest = CLI.resolve_command(whole, arguments)
    assert command is not None
    command.make_context(name, rest, parent=whole)
    return str(name)


ONLY_NAMED = {"recouple couple", "recouple show", "recouple log"}
"""What sentences say of a command as such."""

LINES = set(in_blocks())


@pytest.mark.parametrize("line", sorted(LINES | set(in_sentences()) - ONLY_NAMED))
def test_a_command_line_is_taken(line: str) -> None:
    """Else somebody who follows the page at night gets a usage error."""
    called(line)


@pytest.mark.parametrize("line", ["recouple resolve 12", "recouple retry 12 --now", "recouple log customer"])
def test_a_command_line_that_is_none_is_noticed(line: str) -> None:
    """Else the test above would hold nothing."""
    with pytest.raises(USAGE_ERROR):
        called(line)


def test_every_command_that_can_be_ordered_is_shown() -> None:
    """Else an operator would not learn of a command that would have helped."""
    shown = {called(line) for line in LINES}

    assert {spoken(name) for name in ORDERS} <= shown
    assert {"health", "errors", "show", "couplings", "log", "jobs", "dead", "tap", "setup"} <= shown


def test_every_kind_has_its_section_and_the_sections_are_kinds() -> None:
    """Else an error would have no page to go to."""
    part = PAGE.split("\n## Errors by kind\n")[1].split("\n## ")[0]

    assert re.findall(r"^### `(\w+)`$", part, re.MULTILINE) == list(ErrorKind)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("failure codes", {*FailureCode, "altered"}),
        ("dead reasons", {*DeadReason}),
    ],
)
def test_a_table_has_a_row_for_each_word(mark: str, words: set[str]) -> None:
    """Else a code or a reason would be told nowhere."""
    told = words_after(PAGE, f"<!-- {mark}, compared by a test -->")

    assert sorted(told) == sorted(words)


def test_what_another_try_may_cure_is_retried_in_the_table() -> None:
    """Else the page and `recouple show` would give different advice."""
    rows = table_after(PAGE, "<!-- failure codes, compared by a test -->")

    advice = {row[0]: row[-1] for row in rows}
    assert all("retry" in advice[code] for code in RETRYABLE_CODES)


def test_every_setting_that_the_page_names_exists() -> None:
    """Else somebody would set what nothing reads."""
    assert set(re.findall(r"`(RECOUPLE_\w+)`", PAGE)) <= {one.name for one in SETTINGS}


def test_every_link_leads_somewhere() -> None:
    """Else a reader would stand before a closed door."""
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", PAGE)

    assert links
    for path, heading in links:
        target = DOCS / (path or "operations.md")
        assert target.is_file(), path
        assert not heading or heading in headings(target), f"{path}#{heading}"


MAPPING = mapping_of("name")
LEFT, RIGHT = RecordRef("l", "t", "1"), RecordRef("r", "t", "2")


def state(kind: ErrorKind | None = None, *, gone: bool = False, **more: Any) -> Situation:
    """A coupling with an error of this kind, or none; ``more`` are members of the coupling."""
    error = None if kind is None else OpenError(number=12, kind=kind, opened_at=EPOCH)
    coupling = replace(new_coupling(MAPPING, "t", LEFT, RIGHT), id=7, based=True, error=error, **more)
    images = (Image(record=LEFT, exists=not gone, fields={"name": "a"}), Image(record=RIGHT, exists=True))
    return Situation(coupling=coupling, mapping=MAPPING, left=images[0], right=images[1], references={}, now=EPOCH)


def in_flight(found: Situation, state: InstructionState, status: ErrorStatus = ErrorStatus.OPEN) -> Situation:
    """The same while an app is instructed."""
    sent = replace(instruct(found, Side.RIGHT, Action.UPDATE, Reason.SYNCHRONIZE, fields={}), state=state)
    error = found.coupling.error
    assert error is not None
    error = replace(error, status=status)
    return replace(found, coupling=replace(found.coupling, flight=(sent,), error=error))


PAUSED = "mapping m"
STATES: dict[str, Situation] = {
    "no error, both records exist": state(),
    "`update_conflict`": state(ErrorKind.UPDATE_CONFLICT),
    "`deletion_conflict`": state(ErrorKind.DELETION_CONFLICT, gone=True),
    "`apply_failed`, both records exist": state(ErrorKind.APPLY_FAILED),
    "`apply_failed`, one record is gone": state(ErrorKind.APPLY_FAILED, gone=True),
    "`apply_failed`, one record is still to be created": state(
        ErrorKind.APPLY_FAILED, status=CouplingStatus.CREATING, right=None
    ),
    "`no_answer`": in_flight(state(ErrorKind.NO_ANSWER), InstructionState.UNANSWERED),
    "`value_not_mapped`, both records exist": state(ErrorKind.VALUE_NOT_MAPPED),
    "`reference_not_coupled`, both records exist": state(ErrorKind.REFERENCE_NOT_COUPLED),
    "`match_ambiguous`": state(ErrorKind.MATCH_AMBIGUOUS, right=None),
    "resolving, or any decision in flight": in_flight(
        state(ErrorKind.UPDATE_CONFLICT), InstructionState.SENT, ErrorStatus.RESOLVING
    ),
    "nothing in flight, paused or outside `where`, with an integration error": replace(
        state(ErrorKind.APPLY_FAILED), paused=PAUSED
    ),
    "nothing in flight, paused or outside `where`, else": replace(state(ErrorKind.UPDATE_CONFLICT), paused=PAUSED),
    "the coupling is closed, and its error open: a record was never there": state(
        ErrorKind.APPLY_FAILED, status=CouplingStatus.CLOSED
    ),
    "the coupling is closed, else": state(status=CouplingStatus.CLOSED),
}
OF_A_MAPPING = "`limit_exceeded`"


def test_the_table_of_states_is_what_the_rules_allow() -> None:
    """Else somebody would type what is refused, or not know of what would be carried out."""
    head, *_ = re.findall(r"^\| state \|(.*)\|$", PAGE, re.MULTILINE)
    commands = re.findall(r"`([\w-]+)`", head)
    rows = re.findall(r"^\| (.*?) \|(( yes | )\|){8}$", PAGE, re.MULTILINE)
    told = {}
    for name in (row[0] for row in rows):
        [marks] = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", PAGE, re.MULTILINE)
        told[name] = {command for command, mark in zip(commands, marks.split("|"), strict=True) if mark.strip()}

    allowed = {name: {spoken(command) for command in applicable(found)} for name, found in STATES.items()}
    paused = limit_exceeded(MAPPING, Limited("m", Side.LEFT, Action.DELETE), 101, 12, EPOCH)
    assert told == allowed | {OF_A_MAPPING: {spoken(command) for command in paused.actions}}
