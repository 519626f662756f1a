"""Every command line that we show can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ops.command_table import COMMANDS
from tests.unit.ops.samples import World

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")

_SPAN = r"`(recouple [^`]+)`"
_BLOCK = r"^(?:.*\| *)?(recouple [^#\n]*)"
SHOWN = {line.strip() for line in [*re.findall(_SPAN, README), *re.findall(_BLOCK, README, re.MULTILINE)]}
EXAMPLES = {
    line[line.index("recouple") :]
    for one in COMMANDS
    for line in one.examples
    if "recouple" in line and not line.endswith("\\")
}


@pytest.mark.parametrize("line", sorted(SHOWN | EXAMPLES))
def test_a_command_line_that_is_shown_names_what_there_is(bare: World, line: str) -> None:
    """If it failed, somebody at night would type what we show, and be told that there is no such option."""
    _, name, *words = shlex.split(line.split("|", maxsplit=1)[0].split("&&", maxsplit=1)[0])
    explained = bare.run(name, "--help")
    assert explained.exit_code == 0
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert [option for option in options if option not in explained.stdout] == []


def test_the_readme_shows_every_command_that_is_there() -> None:
    """If it failed, a command would be known to nobody but who reads its code."""
    told = {line.split()[1] for line in SHOWN}
    assert {one.name for one in COMMANDS} - told == {"demo", "loaded"}
