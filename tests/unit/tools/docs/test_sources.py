"""From docstrings to Markdown."""

from __future__ import annotations

import inspect
from enum import StrEnum
from types import ModuleType

import pytest

from tools.docs.pages import refilled
from tools.docs.sources import head_of, words_of

HEAD = r"""What the page's heading says.

One ``word``, then

======== ============ =========
row      when         then
======== ============ =========
1        a long       ``wait``
         condition
\-       nothing
several               GONE
at once
not_…    late         ``gone``
======== ============ =========

The end.
"""

WRITTEN = """One `word`, then

| row | when | then |
|---|---|---|
| 1 | a long condition | `wait` |
| – | nothing |  |
| several at once |  | GONE |
| not_found | late | `gone` |

The end."""


class Word(StrEnum):
    """Two words."""

    ONE = "one"
    """The first ``word``,
    on two lines."""
    TWO = "two"
    """The second."""


def module(text: str) -> ModuleType:
    """A module with this docstring."""
    return ModuleType("law", inspect.cleandoc(text))


def test_a_docstring_becomes_markdown() -> None:
    """Else a row of the law could be torn in two, or be lost, on its way to the page."""
    assert head_of(module(HEAD)) == WRITTEN


def test_a_table_without_end_is_told() -> None:
    """Else the rest of a docstring would be taken for rows."""
    with pytest.raises(ValueError, match="no lower border"):
        head_of(module("Head.\n\n=== ===\na   b\n=== ===\n1   2\n"))


def test_an_enum_becomes_a_table() -> None:
    """Else a member would stand without its sentence."""
    assert words_of(Word).splitlines()[2:] == ["| `one` | The first `word`, on two lines. |", "| `two` | The second. |"]


def test_only_what_stands_between_marks_is_written_anew() -> None:
    """Else `make docs` would overwrite what people wrote."""
    mark = "<!-- written by `make docs` from messages.errors.Family -->"
    before = f"Mine.\n{mark}\nold\n<!-- end -->\nMine too.\n"

    after = refilled(before)

    assert after.startswith(f"Mine.\n{mark}\n| word | meaning |")
    assert after.endswith("\n<!-- end -->\nMine too.\n")
    assert "old" not in after
    assert refilled(after) == after
