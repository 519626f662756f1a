"""The pages of ``docs/`` that come out of the code, in full or in part, as they have to be today.

A Markdown page is written by people. Between ``<!-- written by `make docs` from … -->`` and ``<!-- end -->`` it holds
what comes out of the code: the head of a module, the members of an enum, or the list of a folder's pages.
"""

from __future__ import annotations

import enum
import importlib
import re
from pathlib import Path
from typing import Final

from tools.docs import asyncapi, sources
from tools.docs.yaml_text import yaml_text

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

_FILLED = ("messages.md", "rules.md")
_ASYNCAPI_HEAD = "# Written by `make docs` from the message types in messages/. Do not edit: change the types.\n"
_REGION = re.compile(r"(<!-- written by `make docs` from (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[str, str]:
    """Return the text of each page by its name in ``docs/``."""
    filled = {name: refilled((DOCS / name).read_text(encoding="utf-8")) for name in _FILLED}
    return {**filled, "asyncapi.yaml": _ASYNCAPI_HEAD + yaml_text(asyncapi.document())}


def refilled(page: str) -> str:
    """Return ``page`` with what stands between its marks written anew."""
    return _REGION.sub(lambda region: f"{region[1]}{_written_from(region[2])}\n{region[3]}", page)


def _written_from(name: str) -> str:
    """Return the Markdown that comes out of ``docs/<folder>``, a module, or an enum in a module."""
    if name.startswith("docs/"):
        return sources.list_of(ROOT / name)
    *_, last = name.split(".")
    if last.islower():
        return sources.head_of(importlib.import_module(name))
    members = getattr(importlib.import_module(name.removesuffix(f".{last}")), last)
    if not issubclass(members, enum.Enum):
        raise TypeError(f"{name} is no enum: a page can be written from a module, an enum or a folder of docs/")
    return sources.words_of(members)
