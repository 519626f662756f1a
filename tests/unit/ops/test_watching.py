"""``--watch``."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import msgspec
import pytest

from messages.errors import ErrorStatus
from ops.watching import changes
from tests.unit.ops.samples import NOW, RECOUPLE, World, conflict


def test_a_change_is_a_row_that_comes_alters_or_goes() -> None:
    """If it failed, a program would miss a change, or be told the same list for ever."""
    assert list(changes({}, {1: "a"})) == [{"change": "listed", "number": 1, "row": "a"}]
    assert list(changes({1: "a", 2: "b", 3: "c"}, {1: "a", 2: "x"})) == [
        {"change": "changed", "number": 2, "row": "x"},
        {"change": "gone", "number": 3, "row": None},
    ]


@pytest.mark.parametrize("name", ["errors", "jobs"])
def test_it_draws_only_where_somebody_watches(world: World, name: str) -> None:
    """If it failed, a pipe would fill with the same list again and again."""
    result = world.run(name, "--watch")
    assert (result.exit_code, "--json" in result.stderr) == (2, True)


def test_a_program_gets_a_line_for_each_change_until_it_stops(world: World) -> None:
    """If it failed, a program would have to poll, and would not learn that an error is over."""
    world.fill(errors=[conflict(1)])
    command = [*RECOUPLE, "errors", "--watch", "--json", "--every", "50ms"]
    environ = {**os.environ, **world.environ}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watcher:

        def told() -> Any:
            assert watcher.stdout is not None
            line = msgspec.json.decode(watcher.stdout.readline())
            return line["change"], line["number"], line["row"] and line["row"]["revision"]

        assert told() == ("listed", 1, 3)
        world.fill(errors=[conflict(1, revision=4)])
        assert told() == ("changed", 1, 4)
        world.fill(errors=[conflict(1, revision=5, status=ErrorStatus.RESOLVED, resolved_at=NOW, resolution="retry")])
        assert told() == ("gone", 1, None)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(20) == 0
