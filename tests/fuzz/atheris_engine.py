"""Atheris picks the inputs, and goes on from those that reach code that no other has reached.

``pip install atheris`` first; nothing else needs it. Each target runs in a process of its own, because libFuzzer ends
its process, and is handed its answers through a file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random  # noqa: TID251 - libFuzzer picks, by a seed; this makes several choices of it
from typing import Any, Final

from tests.fuzz.corpus import FOLDER, FOUND, keep
from tests.fuzz.tallies import Tally
from tests.fuzz.verdicts import Verdict

MAX_RSS_MB: Final = 3000
_TIMEOUT_S: Final = 30
_TOLD_EVERY: Final = 500
_LEAST_RATE: Final = 20
"""Inputs a second that even a busy machine manages; a run that is slower is ended."""

_MEASURED: Final = ["messages", "workers", "ops.reading_lines", "tomllib", "store"]
"""Where reaching something new counts."""


def is_installed() -> bool:
    """Say whether there is an Atheris."""
    return find_spec("atheris") is not None


def fuzz_target(name: str, runs: int, folder: Path, told: Callable[[int], None]) -> Tally:
    """Try ``runs`` inputs of a target; what reached something new is left in ``folder/<name>``."""
    tally = Tally(_nothing)
    report = folder / f"{name}.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.atheris_engine", name, str(runs), str(folder)]
    deadline_s = time.monotonic() + 300 + runs / _LEAST_RATE
    with (folder / f"{name}.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        while process.poll() is None:
            if time.monotonic() > deadline_s:
                process.kill()
            time.sleep(0.2)
            told(_read(tally, report))
    told(_read(tally, report))
    if process.returncode != 0:
        last = (folder / f"{name}.log").read_bytes()[-2000:].decode(errors="replace")
        tally.findings[f"the process ended with {process.returncode}"] = (b"", last)
    return tally


def _nothing(_: bytes) -> Verdict:
    return Verdict.REJECTED


def _read(tally: Tally, report: Path) -> int:
    if report.exists():
        found = json.loads(report.read_bytes())
        tally.inputs, findings = found["inputs"], found["findings"]
        tally.verdicts.clear()
        tally.verdicts.update({Verdict(word): many for word, many in found["verdicts"].items()})
        tally.findings = {place: (bytes.fromhex(data), words) for place, (data, words) in findings.items()}
    return tally.inputs


def _write(tally: Tally, report: Path) -> None:
    findings = {place: (data.hex(), words) for place, (data, words) in tally.findings.items()}
    verdicts = {verdict.value: many for verdict, many in tally.verdicts.items()}
    new = report.with_suffix(".new")
    new.write_text(json.dumps({"inputs": tally.inputs, "verdicts": verdicts, "findings": findings}))
    new.rename(report)


def main(name: str, runs: int, folder: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=_MEASURED, enable_loader_override=False):
        target = import_module("tests.fuzz.targets").TARGETS[name]
        stock_of = import_module("tests.fuzz.hypothesis_engine").stock_of
    tally, report = Tally(target.run), folder / f"{name}.json"
    stock = stock_of(name, tally)
    mutations = import_module("tests.fuzz.mutations")
    for one in set(stock.inputs):
        keep(name, one, folder)

    def test_one_input(data: bytes) -> None:
        known = len(tally.findings)
        place = tally.note(bytes(data))
        if place is not None and len(tally.findings) > known:
            keep(name, bytes(data), FOLDER, FOUND)
        if tally.inputs % _TOLD_EVERY == 0 or tally.inputs >= runs - 1:
            _write(tally, report)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        pick = Random(seed).randrange  # noqa: S311
        if pick(4) == 0:
            return bytes(atheris.Mutate(data, max_size))
        return bytes(mutations.mutated(bytes(data), stock, target.mutators, pick)[:max_size])

    limits = [f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={MAX_RSS_MB}", f"-max_len={mutations.MAX_BYTES}"]
    artifacts = f"-artifact_prefix={folder}/{name}-"
    options = [f"-runs={runs}", *limits, artifacts, "-mutate_depth=1", "-print_final_stats=1"]
    atheris.Setup([name, str(folder / name), *options], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
