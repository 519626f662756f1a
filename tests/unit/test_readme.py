"""What the README shows is what the product takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from messages.changes import Change
from messages.codec import Limits, decode_app_message
from messages.outcomes import Applied
from messages.transport.ports import Properties

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]


@pytest.mark.parametrize(("example", "kind"), list(zip(EXAMPLES, (Change, Applied), strict=True)))
def test_an_example_message_is_taken(example: dict[str, object], kind: type) -> None:
    """Else an upstream team would copy a message that goes to the dead queue."""
    body = json.dumps(example, ensure_ascii=False).encode()

    message = decode_app_message(body, Properties(), str(example["source"]), Limits())

    assert isinstance(message, kind)


def test_every_test_that_the_readme_names_exists() -> None:
    """Else a guarantee would be held by a test that is not there."""
    root = Path(__file__).parents[2]
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", README)

    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (root / path).is_file() or (test and f"def {test}(" not in (root / path).read_text(encoding="utf-8"))
    ]

    assert named
    assert missing == []
