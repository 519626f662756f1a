"""The pages that come out of the code are current, and what people wrote beside it names all that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from messages.errors import ErrorKind
from store.model import LogWord
from tests.unit.docs.marked import DOCS, page, table_after, words_after
from tools.docs import pages
from workers.rules.failures import CONSEQUENCES
from workers.rules.policies import RULES

RULES_PAGE = page("rules.md")
LAW = (DOCS.parent / "workers" / "rules").glob("*.py")


@pytest.mark.parametrize(("name", "text"), pages.pages().items(), ids=lambda value: value if len(value) < 20 else "")
def test_a_page_is_what_the_code_says_today(name: str, text: str) -> None:
    """Else people would read a law, or a contract, that is no more; `make docs` writes it anew."""
    assert page(name) == text, f"docs/{name} is out of date: run `make docs`"


def test_the_table_of_failures_is_the_one_that_is_used() -> None:
    """Else a connector's author would expect a retry where an error is opened."""
    rows = table_after(RULES_PAGE, "from workers.rules.failures -->")

    assert {code: leads_to for code, leads_to, _ in rows} == {code: then.name for code, then in CONSEQUENCES.items()}


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("from workers.rules.policies -->", RULES),
        ("## Errors, and what resolves them", ErrorKind),
        ("## The words of the synchronization log", get_args(LogWord)),
    ],
)
def test_a_table_has_a_row_for_each_word(mark: str, words: list[str]) -> None:
    """Else an operator would meet a word that is told nowhere."""
    assert words_after(RULES_PAGE, mark) == list(words)


def test_every_rule_that_the_code_names_is_told() -> None:
    """Else `(R9)` in a table would be a riddle."""
    told = words_after(RULES_PAGE, "## The rules marked R")

    named = {rule for path in LAW for rule in re.findall(r"\bR\d+\b", path.read_text(encoding="utf-8"))}
    assert told == [f"R{number}" for number in range(1, len(told) + 1)]
    assert named <= set(told)


@pytest.mark.parametrize("name", ["messages.md", "rules.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    """Else a reader would stand before a closed door."""
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page(name))

    assert links
    for path, heading in links:
        target = DOCS / (path or name)
        assert target.is_file(), path
        assert not heading or heading in headings(target), f"{path}#{heading}"


def headings(path: Path) -> set[str]:
    """The names under which the headings of a page are linked."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
