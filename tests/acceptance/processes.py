"""A worker as a process of its own, as an operator starts it, and every line that it logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jsonschema

COMMAND = (sys.executable, "-c", "from ops.cli import main; main()")
"""The console script ``recouple``."""

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/logs.schema.json").read_text(encoding="utf-8"))
VALIDATORS = {
    event: jsonschema.Draft202012Validator(SCHEMA | {"oneOf": [{"$ref": f"#/$defs/{event}"}]})
    for event in SCHEMA["properties"]["event"]["enum"]
}
"""The schema as it is for the lines of one event; to try all of them on each of many thousand lines takes long."""

LOOK_AGAIN_S = 0.02
"""How often a log is read while something is waited for."""

STOP_WITHIN_S = 10
"""DESIGN.md section 7: a worker that is told to stop has left by then."""


class WorkerProcess:
    """``recouple work``, its standard output and error kept in files.

    Attributes:
        command: What is started.
    """

    command: ClassVar[tuple[str, ...]] = (*COMMAND, "work")

    def __init__(self, folder: Path, environ: Mapping[str, str], *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._output, self._errors = folder / "stdout", folder / "stderr"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*self.command, *options], env=os.environ | environ, stdout=output, stderr=errors
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def output(self) -> str:
        """All that it has written to standard output so far."""
        return self._output.read_text(encoding="utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every whole log line so far."""
        return [json.loads(line) for line in self.output.splitlines(keepends=True) if line.endswith("\n")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines about this event."""
        return [line for line in self.lines if line["event"] == name]

    def is_running(self) -> bool:
        """Say whether it has not ended yet."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, within_s: float) -> int:
        """Return its exit code; kill it if it does not end.

        Raises:
            TimeoutExpired: it did not end in time.
        """
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def wait_for(self, event: str, times: int, within_s: float) -> None:
        """Wait until the worker has logged ``event`` so many times."""
        deadline = time.monotonic() + within_s
        while len(self.events(event)) < times:
            assert self.is_running(), self.output
            assert time.monotonic() < deadline, f"{event} was not logged {times} times within {within_s} s"
            time.sleep(LOOK_AGAIN_S)

    def stop(self) -> int:
        """Tell it to stop, and return its exit code."""
        self._process.terminate()
        return self.wait(STOP_WITHIN_S)

    def check_lines(self) -> None:
        """See that every line is as docs/logs.schema.json says, and that nothing was written beside them."""
        for line in self.lines:
            faults = [fault.message for fault in VALIDATORS[line["event"]].iter_errors(line)]
            assert not faults, f"{line}: {faults}"
        assert not self._errors.read_text(encoding="utf-8")
