"""A folder of this process for what targets need on disk; it goes with the process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder(purpose: str) -> Path:
    """Return the folder for this purpose, empty at first."""
    path = tempfile.mkdtemp(prefix=f"recouple-fuzz-{purpose}-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)
