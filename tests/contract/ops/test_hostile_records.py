"""What apps, records and operators say is shown by every command as text: harmless on a terminal, exact in JSON."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import time
from typing import Any

import msgspec
import pytest

from messages.errors import Difference, ErrorSide, Handling
from messages.transport.ports import Properties, Publication
from store import jobs as job_store
from store import pauses as pause_store
from store.connect import open_store
from store.jobs import Job, JobLine
from store.model import Form, Image, LogLine, OpenError
from store.pauses import Pause, Scope
from tests.unit.ops.samples import NOW, RECOUPLE, World, bc, conflict, coupling, sales
from workers.printable import printable

EVIL = "[blink]k[/blink][link=https://evil.example]y[/link]:smile:\x1b[5m\x1b]8;;https://evil.example\x07\x9b5m\r\n\u202e\u200b\u2066\xad"
"""Markup, an emoji by name, escape sequences, the start of a line, and what reorders or hides."""

SHOWN = printable(EVIL)
"""How a terminal gets it, if at all."""

DRIVES = re.compile("\x1b\\[5m|\x1b\\]|\x9b|\u202e|\u200b|\u2066|\xad|\u263a|😄")
"""What must not reach a terminal; colours that we choose ourselves may."""

SHOWING = {
    ("errors",): True,
    ("errors", "--all"): True,
    ("errors", "--record", f"bc/customer/{EVIL}"): True,
    ("show", "12"): True,
    ("couplings",): True,
    ("log", f"bc/customer/{EVIL}"): True,
    ("jobs",): True,
    ("jobs", "1"): True,
    ("health",): True,
    ("tap", "errors"): True,
    ("tap", "changes.bc"): True,
    ("dead",): True,
    ("dead", "show", "--max", "5"): True,
    ("synchronize", "12", "--keep", "left", "--dry-run"): True,
    ("retry", "12", "--dry-run"): False,
    ("remove-coupling", "12", "--dry-run"): False,
    ("retry-all", "--dry-run"): False,
    ("purge", "--all", "--dry-run"): False,
}
"""Commands, and whether they show something of what others said."""


@pytest.fixture
def evil(world: World) -> World:
    """An installation in which everything that somebody else may say is hostile."""
    sides = [
        ErrorSide(
            app=app, table=table, key=EVIL, url=f"https://x/{EVIL}", exists=True, version=1, modified_by=EVIL,
            modified_at=NOW, fields={"name": EVIL, EVIL: EVIL},
        )
        for app, table in (("bc", "customer"), ("sales", "account"))
    ]  # fmt: skip
    report = conflict(
        12, title=EVIL, detail=EVIL, code=EVIL, coupling=1, left=sides[0], right=sides[1], base={"name": EVIL},
        differences=(Difference(field="name", contested=True, base=EVIL, left=EVIL, right=f"{EVIL}2"),),
        fingerprint=EVIL, history=(Handling(at=NOW, command=EVIL, id=EVIL, by=EVIL, reason=EVIL, effect=EVIL),),
        confidence_reasons=(EVIL,), actions=("synchronize", "retry", "remove_coupling"),
    )  # fmt: skip
    images = [
        Image(record=one, exists=True, version=1, fields=fields, versions=dict.fromkeys(fields, 1), modified_by=EVIL)
        for one, fields in ((bc(EVIL), {"name": EVIL, EVIL: EVIL}), (sales(EVIL), {"fullname": f"{EVIL}2", EVIL: EVIL}))
    ]
    error = OpenError(number=12, kind=report.kind, revision=3, opened_at=NOW, contested=("name",), seen=EVIL)
    line = LogLine(
        at=NOW, record=str(bc(EVIL)), outcome="resolved", rule=EVIL, detail=EVIL, event=EVIL, command=EVIL,
        instruction=EVIL, values={EVIL: {"base": EVIL, "left": EVIL, EVIL: [EVIL]}},
    )  # fmt: skip
    world.fill(
        errors=[report],
        couplings=[coupling(bc(EVIL), sales(EVIL), based=True, base={"name": Form(left="", right="")}, error=error)],
        images=images,
        lines=[line],
    )
    _fill_work(world)
    properties = Properties(message_id=EVIL, type=EVIL, app_id=EVIL, headers={"x-recouple-detail": EVIL, EVIL: EVIL})
    body = msgspec.json.encode({"id": EVIL, "type": EVIL, "source": EVIL, "subject": EVIL, "time": EVIL})
    for exchange, key in (("changes", "bc.x.update"), ("errors", "x.y"), ("dead", EVIL), ("dead", "recouple.commands")):
        for one in (body, EVIL.encode()):
            world.publish(
                Publication(exchange=f"recouple.{exchange}", routing_key=key, body=one, properties=properties)
            )
    return world


def _fill_work(world: World) -> None:
    """Put a job, its line, and a pause into the store."""
    store = open_store(world.environ["RECOUPLE_STORE_URL"])
    with store.transaction() as conn:
        pause_store.begin(conn, [Pause(scope=Scope.MAPPING, name="another", at=NOW, by=EVIL, reason=EVIL)])
        job = Job(
            command=EVIL, name=EVIL, by=EVIL, reason=EVIL, mapping=EVIL, body=json.dumps({EVIL: EVIL}), started_at=NOW
        )
        number = job_store.insert(conn, job).number
        job_store.append_lines(conn, number, [JobLine(record=EVIL, outcome=EVIL, detail=EVIL)])
    store.close()


@pytest.mark.parametrize("line", SHOWING)
def test_a_terminal_gets_it_as_text(evil: World, line: tuple[str, ...]) -> None:
    """Else a key could clear the screen, hide behind a link, add a line that was never said, or look like another."""
    done = evil.run(*line)

    assert done.exit_code in (0, 1)
    for said in done.output.splitlines():
        assert printable(said) == said
    assert (SHOWN in done.output) is SHOWING[line]


@pytest.mark.parametrize("line", SHOWING)
def test_json_has_it_exactly_and_drives_no_terminal(evil: World, line: tuple[str, ...]) -> None:
    """Else a program would get another key than the app has, or who looks at its output would be painted over."""
    done = evil.run(*line, "--json")

    assert done.exit_code in (0, 1)
    [document] = done.stdout.splitlines()
    assert printable(document) == document
    assert (EVIL in texts(json.loads(document))) is SHOWING[line]
    for said in done.stderr.splitlines():
        assert printable(said) == said


def texts(value: Any) -> set[str]:
    """Every text in a JSON document."""
    if isinstance(value, dict):
        return set(value) | {text for one in value.values() for text in texts(one)}
    if isinstance(value, list):
        return {text for one in value for text in texts(one)}
    return {value} if isinstance(value, str) else set()


@pytest.mark.parametrize("name", ["errors", "jobs"])
def test_watching_on_a_terminal_shows_text(evil: World, name: str) -> None:
    """Else whoever leaves a list open on a second screen gives that screen to whoever writes a record."""
    inner, outer = os.openpty()
    environ = os.environ | evil.environ | {"TERM": "xterm-256color", "COLUMNS": "4000"}
    with subprocess.Popen(
        [*RECOUPLE, name, "--watch"], env=environ, stdin=outer, stdout=outer, stderr=outer
    ) as watcher:
        os.close(outer)
        seen, deadline = b"", time.monotonic() + 60
        while SHOWN.encode() not in seen and time.monotonic() < deadline and select.select([inner], [], [], 30)[0]:
            seen += os.read(inner, 65536)
        watcher.send_signal(signal.SIGINT)
        while select.select([inner], [], [], 5)[0]:
            try:
                seen += os.read(inner, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
        assert watcher.wait(20) == 0
    os.close(inner)
    assert SHOWN.encode() in seen
    assert not DRIVES.search(seen.decode())
