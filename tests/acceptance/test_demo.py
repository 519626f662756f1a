"""``recouple demo``: the whole story, on what every machine has; and that it can fail."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from ops import cli
from ops.demo.story import MAPPING_FILE, run
from ops.printing import make_console

SCENES = 16

MOST_S = 60
"""What a newcomer is promised."""


def recouple(*arguments: str, folder: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in ``folder``, with no other settings than those given."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("RECOUPLE_")}
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=folder,
        env=inherited | {"TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8"} | (environ or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=MOST_S,
        check=False,
    )


def test_shows_the_whole_story(tmp_path: Path) -> None:
    """Else a newcomer would not see what Recouple does, or would see something else than it says."""
    began = time.monotonic()
    ended = recouple("demo", "--json", folder=tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert time.monotonic() - began < MOST_S
    facts = msgspec.json.decode(ended.stdout)
    assert facts["faults"] == []
    assert facts["as_it_should"] is True
    assert all(check["holds"] for scene in facts["scenes"] for check in scene["checks"])
    assert len(facts["scenes"]) == SCENES
    log = facts["log"]
    assert (log["duplicate"], log["merged"]) == (1, 2)
    lives = defaultdict(list)
    for told in facts["errors"]:
        lives[told["error"]["error"]].append((told["event"], told["error"]["status"]))
    life = [("opened", "open"), ("updated", "resolving"), ("resolved", "resolved")]
    assert lives == dict.fromkeys(range(1, 6), life)
    assert [(one["error"], one["command"], one["by"]) for one in facts["audit"]] == [
        (1, "synchronize", "ops/mia"),
        (2, "restore_record", "ops/mia"),
        (3, "synchronize", "ops/mia"),
        (4, "delete_record", "ops/mia"),
        (5, "retry", "ops/mia"),
    ]
    assert all(one["reason"] and one["effect"] for one in facts["audit"])
    typed = [order["line"] for scene in facts["scenes"] for order in scene.get("orders", ())]
    assert len(typed) == 6
    for line in typed:
        assert_is_taken(line)
    assert [(dead["reason"], dead["field"]) for dead in facts["dead"]] == [("malformed", "data.version")]
    assert {one["mapping"]: (one["couplings"], len(one["apart"])) for one in facts["agreement"]} == {
        "customer": (90, 0),
        "contact": (90, 0),
    }
    assert list(tmp_path.iterdir()) == []


def assert_is_taken(line: str) -> None:
    """See that the command line would take what the demo says that people type."""
    program, name, *arguments = shlex.split(line)
    commands = typer.main.get_group(cli.app).commands
    assert program == "recouple"
    commands[name].make_context(name, arguments)


def test_tells_people_and_keeps_what_they_want_to_look_at(tmp_path: Path) -> None:
    """Else the two commands at the end would not find what the demo has shown."""
    kept = tmp_path / "kept here"

    ended = recouple("demo", "--keep", str(kept), folder=tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    assert "✓ All is as it should be" in ended.stdout
    exports = [shlex.split(line)[1] for line in ended.stdout.splitlines() if line.startswith("export ")]
    environ = dict(export.split("=", 1) for export in exports)
    errors = recouple("errors", "--all", "--json", folder=tmp_path, environ=environ)
    shown = recouple("show", "1", folder=tmp_path, environ=environ)
    assert Counter(row["kind"] for row in msgspec.json.decode(errors.stdout)) == {
        "update_conflict": 2,
        "deletion_conflict": 2,
        "apply_failed": 1,
    }
    assert shown.returncode == 0, shown.stderr
    assert "25 Great Queen St." in shown.stdout
    assert "because: Sam has visited" in shown.stdout
    for line in ended.stdout.splitlines()[ended.stdout.splitlines().index("To look further") + 1 :]:
        if line.startswith("recouple "):
            looked = recouple(*shlex.split(line)[1:], folder=tmp_path, environ=environ)
            assert looked.returncode == 0, looked.stderr


def test_takes_no_folder_that_is_in_use(tmp_path: Path) -> None:
    """Else a second demo would play on the store of the first, and fail for no reason that anybody sees."""
    (tmp_path / "mine").write_text("", encoding="utf-8")

    ended = recouple("demo", "--keep", str(tmp_path), folder=tmp_path)

    assert ended.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("policy", "other", "scene"),
    [
        ('on_update_conflict = "manual"', 'on_update_conflict = "left"', "Update conflict"),
        ('on_deletion = "manual"', 'on_deletion = "uncouple"', "Deletion conflict"),
        ('detect = "field"', 'detect = "record"', "Disjoint edits, merged"),
        ('on_deletion = "restore"', 'on_deletion = "delete"', "Deletion settled by a policy"),
    ],
)
def test_fails_where_the_day_goes_otherwise(tmp_path: Path, policy: str, other: str, scene: str) -> None:
    """Else the demo would say that all is well whatever Recouple does."""
    mapping_file = tmp_path / "other.toml"
    mapping_file.write_text(MAPPING_FILE.read_text(encoding="utf-8").replace(policy, other, 1), encoding="utf-8")
    out = io.StringIO()

    code = run(make_console(out), as_json=True, mapping_file=mapping_file)

    facts: dict[str, Any] = msgspec.json.decode(out.getvalue())
    assert code == 1
    assert facts["as_it_should"] is False
    assert len(facts["scenes"]) == SCENES
    assert [fault for fault in facts["faults"] if fault.startswith(f"{scene}: ")]
