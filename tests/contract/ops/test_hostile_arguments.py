"""Whatever is typed at the command line is data: never SQL, never a traceback, never a drawing on the terminal."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.unit.ops.samples import RECOUPLE, World
from workers.printable import printable

TYPED = {
    "SQL": "x'; DROP TABLE couplings; --\"; DROP TABLE errors; /* ' OR '1'='1 %_\\ %s %(x)s :x ? ?1 $1 {0} {x}",
    "what drives or deceives a terminal": "\n\r\x1b[31m\x9b\x7f\u202e\u200b[bold]x[/bold][link=https://evil.example]y[/link]",
    "a number beyond 64 bit": "9" * 30,
    "the largest number": str(2**63 - 1),
    "nothing": "",
    "bytes that are no UTF-8, and NUL": os.fsdecode(b"caf\xe9") + "\0",
}

ASKED = (
    *(("errors", option) for option in ("--mapping", "--code", "--fingerprint", "--app", "--kind", "--family")),
    *(("errors", option) for option in ("--older-than", "--newer-than", "--after", "--limit", "--status")),
    *(("couplings", option) for option in ("--mapping", "--status", "--after", "--limit")),
    *((command,) for command in ("show", "jobs", "tap", "publish")),
    ("jobs", "--after"),
    ("dead", "--queue"),
    ("dead", "--reason"),
    ("definitions", "--app"),
    ("definitions", "--vhost"),
    ("work", "--drain", "--app"),
    ("retry", "--dry-run"),
    ("retry", "--dry-run", "--coupling"),
    ("retry-all", "--dry-run", "--fingerprint"),
    ("retry-all", "--dry-run", "--mapping"),
    ("couple-matching", "--dry-run"),
    ("purge", "--dry-run", "--older-than-days"),
    ("resume", "--no-wait", "--mapping"),
    ("pause", "--yes", "--no-wait", "--app"),
    ("dismiss", "--yes", "--no-wait", "1", "--reason"),
    ("dismiss", "--yes", "--no-wait", "1", "--revision"),
)
"""Commands that end where the text goes."""

NAMED = (("log",), ("couplings", "--record"), ("errors", "--record"), ("couple", "--no-wait", "bc/customer/1"))
"""Commands that end where a record goes; it has the text as its key."""

TYPING = ("synchronize", "--yes", "--no-wait", "1", "--value")


@pytest.mark.parametrize("what", TYPED)
def test_what_is_typed_is_data(world: World, what: str) -> None:
    """Else a key that was copied from a record could empty the store, or paint the screen of who looks for it."""
    text = TYPED[what]
    world.fill_conflict()
    lines = [
        *((*command, text) for command in ASKED),
        *((*command, f"bc/customer/{text}") for command in NAMED),
        ("loaded", "--no-wait", f"bc/{text}"),
        (*TYPING, f"name={text}"),
        (*TYPING, f"{text}=1"),
    ]
    for line in lines:
        done = world.run(*line)
        assert done.exit_code in (0, 1, 2), line
        for said in done.output.splitlines():
            assert printable(said) == said, line

    assert [row["coupling"] for row in world.json("couplings")] == [1]
    assert [row["error"] for row in world.json("errors")] == [12]


@pytest.mark.parametrize(
    "line",
    [
        ("errors", "--mapping", "' OR '1'='1"),
        ("errors", "--mapping", "%"),
        ("errors", "--code", "%"),
        ("errors", "--fingerprint", "_"),
        ("errors", "--record", "bc/customer/%"),
        ("errors", "--record", "bc/customer/1000_"),
        ("couplings", "--mapping", "' OR '1'='1"),
        ("couplings", "--record", "bc/customer/%"),
        ("log", "bc/customer/%"),
    ],
)
def test_a_filter_finds_what_is_like_it_to_the_letter(world: World, line: tuple[str, ...]) -> None:
    """Else somebody who asks for one record is shown, or orders something of, others."""
    world.fill_conflict()

    assert world.json(*line) == []


def test_bytes_that_are_no_text_are_a_sentence(world: World) -> None:
    """Else a key in another encoding, typed in a shell, would be a traceback."""
    command = [*map(os.fsencode, RECOUPLE), b"log", b"bc/customer/caf\xe9"]
    done = subprocess.run(command, env=os.environ | world.environ, capture_output=True, timeout=60, check=False)

    assert done.returncode == 2
    assert b"argument 2 is no text in UTF-8" in done.stderr
