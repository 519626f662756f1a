"""Markdown out of the source: the head of a module, the members of an enum, the titles of a folder's pages."""

from __future__ import annotations

import ast
import enum
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final

from messages.errors import ErrorKind
from messages.outcomes import FailureCode

Row = list[str]

_BORDER = re.compile(r"=+( +=+)+")
_SHORTENED = re.compile(r"\b[a-z_]+_…")
_LONG_WORDS: Final = (*FailureCode, *ErrorKind)
"""What tables in docstrings shorten to keep their columns narrow."""


def head_of(module: ModuleType) -> str:
    """Return the docstring of ``module`` without its first paragraph, the page's own heading stands for that."""
    _, _, body = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    lines, written = iter(body.splitlines()), []
    for line in lines:
        written += _table(read_table(line, lines)) if _BORDER.fullmatch(line) else [_plain(line)]
    return "\n".join(written)


def words_of(members: type[enum.Enum]) -> str:
    """Return a table of the members of an enum, each with the sentence that follows it in the source."""
    sentences = [[f"`{member.value}`", sentences_of(members)[member.name]] for member in members]
    return "\n".join(_table([["word", "meaning"], *sentences]))


def list_of(folder: Path) -> str:
    """Return a list of links to the pages of ``folder``, from the page beside it, by their first headings."""
    titles = {path: path.read_text(encoding="utf-8").splitlines()[0] for path in sorted(folder.glob("*.md"))}
    return "\n".join(f"- [{title.lstrip('# ')}]({folder.name}/{path.name})" for path, title in titles.items())


def sentences_of(members: type[enum.Enum]) -> dict[str, str]:
    """Return the sentence under each member of an enum, by the member's name."""
    (definition,) = ast.parse(inspect.getsource(members)).body
    if not isinstance(definition, ast.ClassDef):
        raise TypeError(f"{members.__name__} is not made by a class statement")
    return {
        statement.targets[0].id: " ".join(_plain(following.value.value).split())
        for statement, following in pairwise(definition.body)
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
        and isinstance(following.value.value, str)
    }


def read_table(border: str, lines: Iterator[str]) -> list[Row]:
    """Return the rows, the head first, of the simple table whose upper border was just read; take its lines.

    A line goes on with the row above where its first cell is empty, or where it has nothing but its first cell.
    """
    starts = [column.start() for column in re.finditer("=+", border)]
    rows: list[Row] = []
    borders = 1
    for line in lines:
        if _BORDER.fullmatch(line):
            borders += 1
            if borders == 3:
                return rows
            continue
        cells = [_plain(line[start:end].strip()) for start, end in zip(starts, [*starts[1:], None], strict=True)]
        if borders == 2 and len(rows) > 1 and (not cells[0] or not any(cells[1:])):
            rows[-1] = [f"{above} {below}".strip() for above, below in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    raise ValueError("a table in a docstring has no lower border")


def _table(rows: list[Row]) -> list[str]:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]


def _plain(text: str) -> str:
    """Return reST as Markdown; shortened words in full."""
    text = _SHORTENED.sub(lambda short: _in_full(short[0]), text)
    return re.sub(r"\\+-", "–", text.replace("``", "`"))


def _in_full(short: str) -> str:
    return next((word for word in _LONG_WORDS if word.startswith(short[:-1])), short)
