"""What both databases are opened with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.engine import URL

POOL_TIMEOUT = timedelta(seconds=15)
"""How long a transaction waits for a connection while all are in use."""


def milliseconds(duration: timedelta) -> int:
    """Return ``duration`` in whole milliseconds."""
    return round(duration / timedelta(milliseconds=1))


def unless_named(url: URL, arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a driver's ``arguments`` what the URL itself says."""
    return {name: value for name, value in arguments.items() if name not in url.query}
