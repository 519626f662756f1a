"""The inputs that are kept, a file each in ``corpus/<target>/``; its name is what it holds, in short."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "corpus"
FOUND: Final = "found-"
"""Begins the name of an input that once broke a property; such a one is always kept."""


def kept(target: str) -> dict[str, bytes]:
    """Return the inputs of a target by the names of their files, in order."""
    files = sorted(path for path in (FOLDER / target).glob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def path_of(target: str, data: bytes, prefix: str = "", folder: Path = FOLDER) -> Path:
    """Return where an input is kept."""
    return folder / target / f"{prefix}{hashlib.blake2b(data, digest_size=8).hexdigest()}"


def keep(target: str, data: bytes, folder: Path = FOLDER, prefix: str = "") -> Path:
    """Write an input down and return where."""
    path = path_of(target, data, prefix, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
