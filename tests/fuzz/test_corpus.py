"""Every input that was worth keeping, through its target again: what was found once stays mended."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import FOLDER, kept
from tests.fuzz.curating import MAX_KEPT_BYTES
from tests.fuzz.targets import TARGETS
from tests.fuzz.verdicts import Verdict, within_limits

MOST_FILES = 300

INPUTS = [(name, file) for name in TARGETS for file in kept(name)]


@pytest.mark.parametrize(("name", "file"), INPUTS, ids=["-".join(one) for one in INPUTS])
def test_kept_input(name: str, file: str) -> None:
    """Else an input that once crashed a worker, or reaches what no other reaches, breaks a property."""
    data = kept(name)[file]
    TARGETS[name].run(data)  # what is done but once, in a world for example, is not measured
    assert within_limits(TARGETS[name].run, data) in Verdict


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_has_inputs_of_both_kinds(name: str) -> None:
    """Else a target looks at nothing but refusals, or at nothing at all."""
    verdicts = {TARGETS[name].run(data) for data in kept(name).values()}
    assert verdicts == set(Verdict)


def test_the_corpus_is_small() -> None:
    """Else a clone grows with every run, and nobody looks at what is kept."""
    assert len(INPUTS) <= MOST_FILES
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == TARGETS.keys()
    assert max(len(kept(name)[file]) for name, file in INPUTS) <= MAX_KEPT_BYTES
