"""The README's way out of an error, typed line by line beside a worker, on what every machine has."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.processes import COMMAND
from tests.acceptance.wire import change

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MARK = "<!-- a test types these lines: tests/acceptance/test_readme_walk.py -->"
BEFORE = {"name": "Alfreds", "address": "Obere Str. 57", "city": "Berlin"}
AT = "2024-01-01T00:00:00Z"
"""When both changed it: neither is the newer one, so that it goes to a person."""

IN_SALES = {"name": "name", "address": "address1_line1", "city": "address1_city"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The example's mapping file on the embedded store and broker, and one worker."""
    backend = Backend(f"sqlite:///{tmp_path / 'store.db'}", f"embedded:///{tmp_path / 'broker.db'}")
    with open_stage(backend, tmp_path, (ROOT / "recouple.toml").read_text(encoding="utf-8")) as opened:
        opened.start_worker()
        yield opened


def typed(stage: Stage, line: str) -> str:
    """Type one line; return what is printed."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "recouple"
    environ = os.environ | stage.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}
    ended = subprocess.run(
        [*COMMAND, *arguments], env=environ, capture_output=True, encoding="utf-8", timeout=30, check=False
    )
    assert ended.returncode == 0, f"{line}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def in_sales(**fields: str) -> dict[str, str]:
    """The fields of a customer as the CRM names them."""
    return {IN_SALES[name]: value for name, value in fields.items()}


def both_change(stage: Stage) -> None:
    """Anna and Sam change the same customer, neither knowing of the other."""
    stage.couple(
        change("bc/customer/ALFKI", "create", 1, BEFORE), change("sales/account/42", "create", 1, in_sales(**BEFORE))
    )
    anna = {**BEFORE, "name": "Alfreds Futterkiste", "city": "Hamburg"}
    sam = {**BEFORE, "name": "Alfreds AG", "address": "Kanzleistr. 1", "city": "Bremen"}
    stage.settle(change("bc/customer/ALFKI", "update", 2, anna, time=AT))
    (instruction,) = stage.instructions("sales", "account")
    stage.settle(
        change("sales/account/42", "update", 2, in_sales(**sam), time=AT), stage.refuse(instruction, "version_mismatch")
    )


def test_the_lines_of_the_walk_do_what_the_readme_says(stage: Stage) -> None:
    """Else the first thing that a newcomer tries goes wrong."""
    both_change(stage)
    found = re.search(rf"{re.escape(MARK)}\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None
    errors, shown, dry, order, under_way, log = found[1].splitlines()

    assert "update_conflict" in typed(stage, errors)
    assert {"Berlin", "Hamburg", "Bremen"} <= set(re.findall(r"\w+", typed(stage, shown)))
    typed(stage, dry)
    stage.quiet()
    assert len(stage.instructions("sales", "account")) == 1, "a dry run orders nothing"

    typed(stage, order)
    stage.quiet()
    assert "resolving" in typed(stage, under_way)
    to_sales, to_bc = stage.instructions("sales", "account")[-1], stage.instructions("bc", "customer")[-1]
    assert to_sales["data"]["fields"] == {"name": "Alfreds Futterkiste"}
    assert to_bc["data"]["fields"] == {"address": "Kanzleistr. 1", "city": "Bremen"}
    stage.settle(stage.apply(to_sales), stage.apply(to_bc))

    told = typed(stage, under_way)
    assert "resolved" in told
    assert "asked both" in told
    assert "synchronize" in typed(stage, log)
