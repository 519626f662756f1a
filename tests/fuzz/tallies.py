"""What came of the inputs of a target: how many, how they were taken, and what was found."""

from __future__ import annotations

import signal
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from tests.fuzz.verdicts import LimitExceededError, Run, Verdict, within_limits

_PATIENCE_CPU_S: Final = 10.0
"""After which an input that does not end is ended."""


class Tally:
    """What came of the inputs of one target.

    Attributes:
        inputs: How many there were.
        verdicts: What became of those that broke nothing.
        findings: By the place and kind of the exception, an input that raises it: the smallest, or the last.
    """

    def __init__(self, run: Run) -> None:
        self.inputs = 0
        self.verdicts: Counter[Verdict] = Counter()
        self.findings: dict[str, tuple[bytes, str]] = {}
        self._run = run

    def note(self, data: bytes) -> str | None:
        """Run the target, and return where it broke a property; ``None`` where it did not."""
        self.inputs += 1
        try:
            with _patience():
                self.verdicts[within_limits(self._run, data)] += 1
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is a finding
            place = _place_of(fault)
            self.findings[place] = (data, "".join(traceback.format_exception(fault)))
            return place
        return None

    def is_accepted(self, data: bytes) -> bool:
        """Run the target, and say whether the input is one that it takes."""
        accepted = self.verdicts[Verdict.ACCEPTED]
        return self.note(data) is None and self.verdicts[Verdict.ACCEPTED] > accepted

    @property
    def accepted_share(self) -> float:
        """Of all inputs that broke nothing, those that were taken."""
        return self.verdicts[Verdict.ACCEPTED] / max(1, self.verdicts.total())


@contextmanager
def _patience() -> Iterator[None]:
    """End what takes too long, by the processor's time: a machine that has other things to do is no fault of ours."""

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        raise LimitExceededError(f"no end after {_PATIENCE_CPU_S} s of processor time")

    before = signal.signal(signal.SIGPROF, on_alarm)
    signal.setitimer(signal.ITIMER_PROF, _PATIENCE_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _place_of(fault: Exception) -> str:
    """Say what was raised and where; of the frames the last of ours, which stays while libraries change."""
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    last = (ours or frames)[-1]
    return f"{type(fault).__name__} in {Path(last.filename).name}:{last.lineno}"
