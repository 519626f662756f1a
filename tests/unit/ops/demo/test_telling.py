"""How the demo is told: readable wherever it goes."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper

import pytest

from messages.errors import ErrorKind
from ops.demo.agreement import Agreement, Apart
from ops.demo.closing import DeadMessage, Report, Settled
from ops.demo.stage import Check, Logged, Moved, Ordered, Scene
from ops.demo.telling import Teller
from ops.printing import make_console

SCENE = Scene(
    title="Update",
    story="Sam moves to Luleå.",
    orders=(Ordered("recouple retry 7", "done"), Ordered("recouple dismiss 8", "stale: it has moved on")),
    moved=(Moved(record="a/card/1", field="city", before=None, after="Luleå", by="sam"),),
    log=(Logged("a/card/1", ("sent", "unchanged")), Logged("b/card/9", ())),
    checks=(Check("the other side has it", holds=True), Check("it was quick", holds=False)),
)
REPORT = Report(
    as_it_should=False,
    faults=("Update: not so: it was quick",),
    scenes=(SCENE,),
    checks=(),
    log={"sent": 1, "unchanged": 1200},
    errors=(),
    audit=(
        Settled(error=7, kind=ErrorKind.APPLY_FAILED, command="retry", by="ops/mia", reason="mended", effect="sent"),
    ),
    dead=(DeadMessage(queue="q", reason="malformed", field="id", detail="id is missing"),) * 7,
    agreement=(
        Agreement(mapping="card", couplings=3, apart=(Apart(left="a/card/2", right="b/card/8", fields=("city",)),)),
    ),
)


@pytest.mark.parametrize(
    ("encoding", "yes", "no", "city"), [("utf-8", "✓", "✗", "Luleå"), ("ascii", "ok", "NOT OK", r"Lule\xe5")]
)
def test_tells_what_the_stream_can_show(encoding: str, yes: str, no: str, city: str) -> None:
    """Else the demo would end in an encoding error on an old terminal, or in colour codes in a file."""
    stream = TextIOWrapper(BytesIO(), encoding=encoding, errors="backslashreplace")
    teller = Teller(make_console(stream))

    with teller.progress("Coupling", 2) as advance:
        advance(1)
    teller.scene(1, SCENE)
    teller.closing(REPORT)
    teller.further({"RECOUPLE_CONFIG": "/a folder/recouple.toml"})

    stream.seek(0)
    told = stream.read()
    assert f"{yes} the other side has it" in told
    assert f"{no} not so: it was quick" in told
    assert f"null    {city}" in told
    assert "a/card/1 sent, unchanged; b/card/9 nothing" in told
    assert "$ recouple retry 7   # done" in told
    assert "$ recouple dismiss 8   # stale: it has moved on" in told
    assert f"{no} 1 of 2" in told
    assert "7      apply_failed  retry    ops/mia  mended" in told
    assert "2 of 3 coupled records in step" in told
    assert "sent 1, unchanged 1,200" in told
    assert told.count("malformed at id") == 5
    assert "All is as it should be" not in told
    assert "export RECOUPLE_CONFIG='/a folder/recouple.toml'" in told
    assert "\x1b" not in told
