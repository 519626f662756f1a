"""The random run can fail: what is broken in its workers it finds by itself, whatever its users happen to do.

Users like these are without a finding where workers are honest: `test_faults.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.dying_worker import SABOTAGE
from tests.faults.grounds import on_files
from tests.faults.run import play
from tests.faults.sabotage import Sabotage
from tests.faults.scene import Fault, Scene, Trouble
from tests.faults.summary import Outcome

SEED = 1


@contextmanager
def _nothing(_scene: Scene) -> Iterator[Trouble]:
    """Let everybody work; nothing happens to them."""
    yield Trouble(lasts_s=10.0, actions=60)


def run(folder: Path) -> Outcome:
    """Let users work on the embedded store and broker, and say what came of it."""
    return play("embedded", on_files(folder, SEED), [Fault("nothing", _nothing)], SEED)


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        (Sabotage.LOSE_A_FIELD, "diverged", r"\[\[.*coupling \d+ \w+: .* and "),
        (Sabotage.FORGET_APPLIED, "diverged", r"lost values: "),
    ],
    ids=["different", "lost"],
)
def test_a_run_finds_what_is_broken(
    broken: Sabotage, check: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a long run would be green over workers whose records drift apart, or that lose what users entered."""
    monkeypatch.setenv(SABOTAGE, broken.value)
    found = run(tmp_path).found
    assert any(re.match(words, one) for one in found.get(check, ())), found
