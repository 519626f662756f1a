"""What `docs/security.md` says is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

from messages.permissions import app_users, own_users
from tests.acceptance.secured_stage import GRANTS, OWNERSHIP

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_the_statements_are_those_that_are_run() -> None:
    """Else a role would be given more, or less, than was tried."""
    blocks = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)

    assert [re.sub(r"(?m)^ +", "", block).strip() for block in blocks] == [OWNERSHIP.strip(), GRANTS.strip()]


def test_every_user_is_told_of() -> None:
    """Else there would be a user of whom nobody knows what its password opens."""
    users = [one.name for one in (*own_users("recouple"), *app_users("recouple", ["bc"]))]
    told = re.findall(r"^\| `(recouple\.[a-z.]+)` \|", TEXT, re.MULTILINE)

    assert sorted(told) == sorted(users)


def test_every_test_that_is_named_exists() -> None:
    """Else a claim would rest on nothing."""
    named = re.findall(r"`(tests/[\w/]+\.py)`", TEXT)

    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
