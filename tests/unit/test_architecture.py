"""The shape of the source: who imports whom, where clocks are read, and how large things may get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("messages", "store", "workers", "ops")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
"""A screen; docstrings count."""

CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns", "uuid.uuid4"}
WIRING = re.compile(r"workers/bootstrap\.py|ops/.*|messages/transport/.*")
"""Where things are wired, or are I/O themselves."""


def tree_of(path: Path) -> ast.Module:
    """A source file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def enum_members_without_a_sentence(tree: ast.Module) -> Iterator[str]:
    """Every enum member that no string follows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(
            isinstance(base, ast.Name) and "Enum" in base.id for base in node.bases
        ):
            for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
                sentence = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                if isinstance(statement, ast.Assign) and not sentence:
                    yield f"{node.name}, line {statement.lineno}"


def test_the_layers_hold() -> None:
    """Else the rules could come to need a database, and the whole could become a knot."""
    # In a process of its own: import-linter silences every logger of the process that it runs in.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    result = subprocess.run(
        [*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_fits_on_a_screen_and_says_what_it_means(path: Path) -> None:
    """Else files and functions would grow until nobody reads them."""
    tree = tree_of(path)

    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    if path.parent.name != "versions":  # a migration is a list of columns
        assert [f.name for f in functions_of(tree) if (f.end_lineno or 0) - f.lineno >= MAX_FUNCTION_LINES] == []
    assert list(enum_members_without_a_sentence(tree)) == []
    assert not re.search(r"utils|helpers|common|misc|manager", path.name)


@pytest.mark.parametrize(
    "path", [path for path, name in zip(SOURCES, NAMES, strict=True) if not WIRING.fullmatch(name)]
)
def test_reads_no_clock(path: Path) -> None:
    """Else the same events would be decided differently at another hour, and no test could say how."""
    used = {ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)}

    assert not {name for name in used if ".".join(name.split(".")[-2:]) in CLOCKS}


def test_every_package_is_installed() -> None:
    """Else the wheel, and the image, would lack a folder that a checkout has."""
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in SOURCES if path.name == "__init__.py"}

    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders


def test_every_requirement_is_pinned() -> None:
    """Else a fresh machine would get versions that nobody has tested."""
    requirements = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    pinned = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    names = {re.sub(r"[_.-]+", "-", name).lower() for name in pinned}

    assert {re.match(r"[a-z0-9-]+", requirement)[0] for requirement in requirements} <= names  # type: ignore[index]
