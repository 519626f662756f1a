"""The named steps of a worker at which a test lets it die, stand still or tarry, and the fuse that does it there."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Step(StrEnum):
    """A moment in one of the loops of a worker: ``<loop>.<moment>``."""

    CHANGES_RECEIVED = "changes.received"
    """A batch is at hand, before its transaction."""
    CHANGES_BEGUN = "changes.begun"
    """Inside the transaction, nothing is written."""
    CHANGES_WRITTEN = "changes.written"
    """All is written, nothing is committed."""
    CHANGES_COMMITTED = "changes.committed"
    """It is committed and not acknowledged."""
    CHANGES_ACKNOWLEDGED = "changes.acknowledged"
    """It is acknowledged."""
    COMMANDS_RECEIVED = "commands.received"
    """A command is at hand."""
    COMMANDS_BEGUN = "commands.begun"
    """Inside its transaction, nothing is written."""
    COMMANDS_WRITTEN = "commands.written"
    """What it orders is written, and not committed."""
    COMMANDS_COMMITTED = "commands.committed"
    """It is committed and not acknowledged."""
    COMMANDS_ACKNOWLEDGED = "commands.acknowledged"
    """It is acknowledged."""
    TIMERS_BEGUN = "timers.begun"
    """Inside the transaction of due work, nothing is taken."""
    TIMERS_WRITTEN = "timers.written"
    """Due work is done, and not committed."""
    TIMERS_COMMITTED = "timers.committed"
    """Due work is committed."""
    RELAY_CLAIMED = "relay.claimed"
    """Messages of the outbox are leased, none is published."""
    RELAY_PUBLISHED = "relay.published"
    """The broker has a message, and its confirm was not taken in."""
    RELAY_CONFIRMED = "relay.confirmed"
    """All is confirmed, the rows are still there."""
    RELAY_FORGETTING = "relay.forgetting"
    """The rows are deleted, and that is not committed."""
    RELAY_RELAYED = "relay.relayed"
    """The rows are gone."""


class End(StrEnum):
    """What happens to the worker at a step."""

    KILL = "kill"
    """It is gone at once, as by ``kill -9``."""
    STOP = "stop"
    """It stands still until somebody sends SIGCONT."""


class Charge(NamedTuple):
    """What happens at which step, the how manieth time it is reached."""

    step: Step
    time: int
    end: End

    def __str__(self) -> str:
        return f"{self.step} {self.time} {self.end}"

    @classmethod
    def parse(cls, text: str) -> Charge:
        """Return what ``str`` wrote."""
        step, times, end = text.split()
        return cls(Step(step), int(times), End(end))


class Fuse:
    """Watches a file, in which the test says what is to happen at which step, while the worker runs.

    What has happened, or is about to, is no longer in the file: so the test sees that it did.

    Attributes:
        published: The relay has published and not yet deleted its rows.
    """

    def __init__(self, file: Path, tarry: str = "") -> None:
        """``tarry`` is a step and for how many milliseconds the worker stays there each time, or empty."""
        self._file, self._lock = file, threading.Lock()
        self._reached: Counter[str] = Counter()
        self._laid, self.published = "", False
        step, _, wait_ms = tarry.partition(" ")
        self._tarry = (step, int(wait_ms or 0) / 1000)

    def reach(self, moment: str) -> None:
        """The loop whose thread this is has come to this moment."""
        step = f"{threading.current_thread().name}.{moment}"
        if step == self._tarry[0]:
            time.sleep(self._tarry[1])
        with self._lock:
            charge = self._read()
            if charge is None or charge.step != step:
                return
            self._reached[step] += 1
            if self._reached[step] < charge.time:
                return
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL if charge.end is End.KILL else signal.SIGSTOP)

    def _read(self) -> Charge | None:
        text = ""
        with suppress(FileNotFoundError):
            text = self._file.read_text(encoding="utf-8")
        if text != self._laid:
            self._laid = text
            self._reached.clear()
        return Charge.parse(text) if text else None


def lay(file: Path, charge: Charge) -> None:
    """Have the worker that watches ``file`` end like this; whole at once, it may be looking."""
    beside = file.with_suffix(".new")
    beside.write_text(str(charge), encoding="utf-8")
    beside.rename(file)
