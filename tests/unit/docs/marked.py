"""What a page of ``docs/`` shows under its marks: tables and examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).parents[3] / "docs"

_TABLE = re.compile(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", re.MULTILINE)
_EXAMPLE = re.compile(
    r"published to\s(?:`([^`]+)`|the default exchange)\sunder\s`([^`]+)`:\s+"
    r"<!-- a test (?:decodes|makes) this (.+?) -->\n```json\n(.*?)```",
    re.DOTALL,
)


class Example(NamedTuple):
    """One example: where the page says that it is published, how it is read, and what stands there."""

    exchange: str
    routing_key: str
    way: str
    message: dict[str, Any]


def page(name: str) -> str:
    """Return the text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def examples(text: str) -> list[Example]:
    """Return every example of a page, in order."""
    found = _EXAMPLE.findall(text)
    return [Example(exchange, key, way, json.loads(body)) for exchange, key, way, body in found]


def table_after(text: str, mark: str) -> list[list[str]]:
    """Return the rows of the first table after ``mark``, without its head; words stand without back quotes."""
    assert text.count(mark) == 1, f"the page has {text.count(mark)} times: {mark}"
    table = _TABLE.search(text, text.index(mark))
    assert table is not None, f"no table follows: {mark}"
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in table[1].splitlines()]


def words_after(text: str, mark: str) -> list[str]:
    """Return the first column of the first table after ``mark``."""
    return [row[0] for row in table_after(text, mark)]
